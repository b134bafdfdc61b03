"""The vision plugin: backbones of timm and torchvision. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_vision import builders, candidates


@hookimpl
def register_backbones(register: Register) -> None:
    """Register one builder a library."""
    keeps = ("augment", "image_size", "crop_fraction", "crop_mode", "maps")
    images = {"domain": "image", "verify": builders.verify, "keeps": keeps}
    register("timm", builders.timm, starter=builders.starter, candidates=candidates.candidates, **images)
    register("torchvision", builders.torchvision, **images)
