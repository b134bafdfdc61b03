"""What the lifecycle hooks see of a run. Light: imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inarch.recipe import Recipe


@dataclass(frozen=True)
class Run:
    """One training, seen from outside: read it, do not change it."""

    directory: Path
    recipe: Recipe
    classes: tuple[str, ...]
    environment: Mapping[str, Any]
