"""A fault that a writer of a plugin makes, as one small edit of the package that `inarch plugins new` writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """An edit, and the check that should notice it."""

    name: str
    """What is wrong, in words."""
    kind: str
    """Whose checks are run: of `backbones`, `heads`, `datasets`, `metrics`, `strategies`, or of `plugins` as such."""
    file: str
    """In the package."""
    before: str
    """Text that is in the file once."""
    after: str
    check: str
    """The check that should catch it."""
