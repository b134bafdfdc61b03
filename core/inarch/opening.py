"""A model that a bundle describes has a limit: it may come from a stranger, and describe one of any size."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from inarch.description import DESCRIPTION, WEIGHTS
from inarch.errors import RunError

_LEAST = 1 << 30  # bytes that a model may take, however small its file
_TIMES = 4  # the bytes of its file that a model may take while it is built
_PER_TENSOR = 1 << 17  # bytes that a tensor counts for at least: building a million small layers would take for ever
_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.eye}


class Allowance(TorchFunctionMode):
    """Ends the building of a model that takes far more memory than its file: a bundle may describe one of any size.

    Of adapters, whose base lies elsewhere, the file says nothing: half of the machine's memory is the limit.
    """

    def __init__(self, directory: Path, adapters: bool, description: str = DESCRIPTION) -> None:
        super().__init__()
        self.description = description
        size = (directory / WEIGHTS).stat().st_size
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self.directory = directory
        self.limit = self.left = max(_LEAST + _TIMES * size, machine // 2 if adapters else 0)

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count what a tensor will take before it is made."""
        kwargs = kwargs or {}
        if function in _MAKERS and str(kwargs.get("device")) != "meta" and kwargs.get("generator") is None:
            self.left -= max(_PER_TENSOR, function(*args, **{**kwargs, "device": "meta", "pin_memory": False}).nbytes)
            if self.left < 0:
                told = f"a model of more than {self.limit / 1e9:.1f} GB, far more than {WEIGHTS} holds"
                raise RunError(f"{self.directory}: {self.description} describes {told}")
        return function(*args, **kwargs)
