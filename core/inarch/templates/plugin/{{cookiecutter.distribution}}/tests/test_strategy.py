"""The strategy: which layers rest, and at which rates the others and the head are trained."""

import pytest
from inarch import RecipeError, Train

from {{cookiecutter.package}}.builders import convolution, last_layers

TRAIN = Train(epochs=4, learning_rate=0.01)


def test_the_last_layers_and_the_head_are_trained_and_the_others_rest() -> None:
    [phase] = last_layers(layers=2, head_multiplier=10.0).phases(convolution(depth=3), TRAIN)
    assert phase.layer_rates == (None, 0.01, 0.01) and phase.frozen == (0,)
    assert phase.head_rate == pytest.approx(0.1) and phase.epochs == 4


def test_more_layers_than_there_are_is_an_error() -> None:
    with pytest.raises(RecipeError, match="3 layers, fewer than 9"):
        last_layers(layers=9).phases(convolution(depth=3), TRAIN)
