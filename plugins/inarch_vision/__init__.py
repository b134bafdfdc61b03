"""The vision plugin: backbones of timm and torchvision. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_vision import builders


@hookimpl
def register_backbones(register: Register) -> None:
    """Register one builder a library."""
    register("timm", builders.timm, domain="image", verify=builders.verify, starter=builders.starter)
    register("torchvision", builders.torchvision, domain="image", verify=builders.verify)
