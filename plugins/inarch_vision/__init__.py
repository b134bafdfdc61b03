"""The vision plugin: backbones of timm and torchvision. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_vision import builders, candidates, trials


@hookimpl
def register_backbones(register: Register) -> None:
    """Register one builder a library."""
    keeps = ("augment", "image_size", "crop_fraction", "crop_mode", "maps")
    images = {"domain": "image", "verify": builders.verify, "keeps": keeps}
    found = candidates.candidates
    register("timm", builders.timm, starter=builders.starter, candidates=found, trial=trials.timm, **images)
    register("torchvision", builders.torchvision, trial=trials.torchvision, **images)
