"""The vision plugin: backbones of timm and torchvision. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_vision import builders, candidates, trials


@hookimpl
def register_backbones(register: Register) -> None:
    """Register one builder a library."""
    keeps = ("augment", "image_size", "crop_fraction", "crop_mode")
    images = {"domain": "image", "verify": builders.verify}
    register(
        "timm",
        builders.timm,
        starter=builders.starter,
        candidates=candidates.candidates,
        keeps=(*keeps, "maps"),
        trial=trials.timm,
        **images,
    )
    register("torchvision", builders.torchvision, keeps=keeps, trial=trials.torchvision, **images)
