"""The text plugin: backbones of the transformers library. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_text import builders


@hookimpl
def register_backbones(register: Register) -> None:
    """Register the one builder: any encoder or decoder of transformers."""
    register("transformers", builders.transformers, domain="text", verify=builders.verify, starter=builders.starter)
