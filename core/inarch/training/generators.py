"""The random generators of this process: python's, numpy's, torch's and the device's."""

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from inarch.errors import RunError


class Generators(NamedTuple):
    """Their states at a moment; None where the device has none of its own."""

    of_python: Any
    of_numpy: Any
    of_torch: Tensor
    of_device: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "Generators":
        """Return their states, without waiting for the device."""
        on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), on_device)

    def put_back(self, device: torch.device) -> None:
        """Let them go on from these states."""
        random.setstate(self.of_python)
        np.random.set_state(self.of_numpy)
        torch.set_rng_state(self.of_torch)
        if self.of_device is not None:
            torch.cuda.set_rng_state(self.of_device, device)

    def plain(self) -> dict[str, Any]:
        """Return the states as plain data."""
        version, internal, gauss = self.of_python
        name, keys, position, has_gauss, cached = self.of_numpy
        states: dict[str, Any] = {
            "python": [version, list(internal), gauss],
            "numpy": [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
            "torch": self.of_torch.numpy().tobytes().hex(),
        }
        return states if self.of_device is None else {**states, "device": self.of_device.numpy().tobytes().hex()}


def put_back_plain(states: Mapping[str, Any], device: torch.device, origin: str) -> None:
    """Let the generators go on from what `Generators.plain` returned; a state that is missing or none is an error."""
    setters: dict[str, Callable[[Any], None]] = {
        "python": lambda state: random.setstate((state[0], tuple(state[1]), state[2])),
        "numpy": lambda state: np.random.set_state(tuple(state)),
        "torch": lambda state: torch.set_rng_state(_bytes(state)),
    }
    if device.type == "cuda":
        setters["device"] = lambda state: torch.cuda.set_rng_state(_bytes(state), device)
    for name, put in setters.items():
        if name not in states:
            raise RunError(f"{origin}: the random state of '{name}' is missing, so the run cannot go on exactly")
        try:
            put(states[name])
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            raise RunError(f"{origin}: the random state of '{name}' cannot be read: {error}") from None


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
