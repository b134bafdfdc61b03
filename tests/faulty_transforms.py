"""Transforms of the toy's letters with one fault each; importable, for workers are processes of their own."""

import os
import random
from typing import Any

import torch

OWN = random.Random(0)


class Changed:
    """A transform around another one."""

    def __init__(self, good: Any) -> None:
        self.good = good

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        return self.good(raw)


class Listing(Changed):
    """Gives a list where a tensor should be."""

    def __call__(self, raw: Any) -> Any:
        return {**self.good(raw), "extra": [1, 2]}


class ByProcess(Changed):
    """Its examples tell which process made them."""

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        return {**self.good(raw), "extra": torch.tensor(float(os.getpid()))}


class Drawing(Changed):
    """Draws from torch's generator."""

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        return {**self.good(raw), "extra": torch.rand(2)}


class DrawingOfItsOwn(Changed):
    """Draws from a generator that nobody seeds."""

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        return {**self.good(raw), "extra": torch.tensor(OWN.random())}


class Writing(Changed):
    """Writes into what it is given, where that can be written to."""

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        example = self.good(raw)
        if isinstance(raw, list):
            raw[0] = raw[0].upper()
        return example


class Trusting(Changed):
    """Takes for granted that it is given what it knows."""

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        return self.good(raw[:1000].lower() + "")


class Exiting(Changed):
    """Ends the process over an input that is no text."""

    def __call__(self, raw: Any) -> dict[str, torch.Tensor]:
        if not isinstance(raw, str):
            os._exit(3)
        return self.good(raw)


class MixingTooMuch(Changed):
    """Says that more than the whole of the first example is left."""

    def mix(self, example: Any, partner: Any) -> Any:
        return example, 2.0
