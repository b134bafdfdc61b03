"""How the images looked that weights were trained on, as timm and torchvision record it beside the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm
from torchvision.models import WeightsEnum

from inarch import RecipeError, WeightsError, unknown


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How the images looked that weights were trained on; the fields are options of the builders."""

    image_size: int
    """Side of the square that the model sees, in pixels."""
    mean: tuple[float, float, float]
    """Of the channels, pixels scaled to 0..1."""
    std: tuple[float, float, float]
    """Of the channels, pixels scaled to 0..1."""
    interpolation: str
    """`bilinear` or `bicubic`, always with antialiasing."""
    crop_fraction: float
    """Share of the resized image's side that the centre crop keeps."""
    crop_mode: str
    """`center` resizes the shorter side and cuts the longer; `squash` resizes both to the same length."""

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise RecipeError(f"image_size: expected 1 pixel or more, found {self.image_size}")
        if not 0 < self.crop_fraction <= 1:
            raise RecipeError(f"crop_fraction: expected more than 0 and at most 1, found {self.crop_fraction}")
        if min(self.std) <= 0:
            raise RecipeError(f"std: expected three numbers over 0, found {list(self.std)}")
        if self.crop_mode not in ("center", "squash"):  # six of timm's 1,826 weights pad the image with a border
            raise RecipeError(
                f"crop_mode: these weights expect '{self.crop_mode}', which inarch has not; choose another"
            )

    @property
    def color(self) -> list[int]:
        """The mean colour, 0..255: what is padded or erased in it becomes zero on the device."""
        return [round(255 * value) for value in self.mean]


def timm_config(model: str, weights: str) -> Any:
    """Return what timm records of a model and its weights; an unknown name is a RecipeError with the nearest one."""
    if not timm.is_model(model):
        raise RecipeError(unknown("model of timm", model, timm.list_models()))
    try:
        config = timm.get_pretrained_cfg(model)
    except RuntimeError:  # the part after the dot names the weights
        tags = timm.list_pretrained(f"{model.split('.')[0]}.*")
        raise RecipeError(unknown("weights of timm", model, tags)) from None
    if weights == "pretrained" and not (config and config.has_weights):
        raise WeightsError(f"timm has no pretrained weights for {model}: write weights: none, or the path of a file")
    return config


def of_timm(model: str, config: Any, wanted: Mapping[str, Any]) -> Preprocessing:
    """Return what the weights of `config` expect, except where `wanted` says otherwise."""
    _, height, width = config.input_size
    if height != width and not wanted["image_size"]:
        raise RecipeError(f"image_size: {model} was trained on {height} x {width} pixels; give the side of a square")
    recorded = {
        "image_size": height,
        "mean": tuple(config.mean),
        "std": tuple(config.std),
        "interpolation": config.interpolation,
        "crop_fraction": config.crop_pct,
        "crop_mode": config.crop_mode,
    }
    return _preprocessing(recorded, wanted)


def of_torchvision(weights: WeightsEnum, wanted: Mapping[str, Any]) -> Preprocessing:
    """Return what `weights` expect, except where `wanted` says otherwise."""
    preset = weights.transforms()
    recorded = {
        "image_size": preset.crop_size[0],
        "mean": tuple(preset.mean),
        "std": tuple(preset.std),
        "interpolation": preset.interpolation.value,
        "crop_fraction": preset.crop_size[0] / preset.resize_size[0],
        "crop_mode": "center",
    }
    return _preprocessing(recorded, wanted)


def _preprocessing(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> Preprocessing:
    return Preprocessing(**{**recorded, **{name: value for name, value in wanted.items() if value is not None}})
