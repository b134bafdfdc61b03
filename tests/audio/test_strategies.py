"""What strategies train, how fast, and what they leave alone, in audio models with weights of layers beside them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_audio import noise, opened
from transfers import CHECKS, RATE, go, names

from inarch.builtin.unfreezing import lp_ft

LENGTHS = [8000, 6000, 4000, 8000]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("family", ["whisper", "hubert-large"])
def test_a_strategy_trains_what_it_says(
    family: str, check: Callable[..., None], network: Callable[[str], Path]
) -> None:
    backbone: Any = opened(network(family), duration=0.5)
    check(backbone, noise(LENGTHS))


def test_weights_of_layers_are_trained_with_the_head_in_every_phase(network: Callable[[str], Path]) -> None:
    backbone: Any = opened(network("whisper"), duration=0.5, layers="weighted")
    probe, tuning = go(lp_ft(), backbone, noise(LENGTHS))
    assert set(probe.rates) == backbone.fresh == probe.moved and set(probe.rates.values()) == {RATE}
    assert set(tuning.rates) == names(backbone)
