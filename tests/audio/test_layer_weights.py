"""The learned sum over layers."""

import pytest
import torch

from inarch_audio.layer_weights import LayerWeights


def states():
    return list(torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0)))


def test_at_the_start_all_layers_count_alike():
    assert torch.allclose(LayerWeights(3)(states()), torch.stack(states()).mean(0))


def test_a_large_weight_chooses_its_layer():
    weights = LayerWeights(3)
    with torch.no_grad():
        weights.weights[1] = 50.0
    assert torch.allclose(weights(states()), states()[1])


def test_weights_are_trained():
    weights = LayerWeights(3)
    optimizer = torch.optim.SGD(weights.parameters(), 1.0)
    for _ in range(200):
        optimizer.zero_grad()
        (weights(states()) - states()[2]).square().mean().backward()
        optimizer.step()
    assert weights.weights.softmax(0)[2] > 0.9


def test_states_in_half_precision_are_added_in_float32():
    assert LayerWeights(3)([state.bfloat16() for state in states()]).dtype == torch.float32


def test_another_number_of_states_is_an_error():
    with pytest.raises(ValueError, match="expected the states of 4 layers, found 3"):
        LayerWeights(4)(states())
