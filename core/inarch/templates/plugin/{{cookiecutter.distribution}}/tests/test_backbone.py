"""The backbone: what it reads, and that a series has the same features whatever it stands beside."""

import pytest
import torch

from {{cookiecutter.package}}.builders import convolution, verify

SHORT, LONG = [1.0, 2.0, 0.5], "0 1 3 -2 5 1 0.5 2 2 1 7"


def test_a_series_has_the_same_features_alone_and_beside_a_longer_one() -> None:
    backbone = convolution(width=8).eval()
    examples = [backbone.transform(training=False)(raw) for raw in (SHORT, LONG)]
    alone = backbone(**backbone.collate(examples[:1]))
    beside = backbone(**backbone.collate(examples))
    torch.testing.assert_close(beside.pooled[:1], alone.pooled)
    torch.testing.assert_close(beside.tokens[0][beside.mask[0]], alone.tokens[0])


def test_noise_is_for_training_alone() -> None:
    backbone = convolution(noise=0.5)
    seen = [backbone.transform(training=False)(SHORT)["series"] for _ in range(2)]
    drawn = [backbone.transform(training=True)(SHORT)["series"] for _ in range(2)]
    assert torch.equal(*seen) and not torch.equal(*drawn)


def test_text_and_a_list_are_the_same_series() -> None:
    read = convolution().transform(training=False)
    assert torch.equal(read("1, 2 0.5")["series"], read(SHORT)["series"])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [([], "no numbers"), ("1 two", "value 2 is no number"), ([1.0, float("inf")], "value 2 is inf"), (3, "found 3")],
)
def test_what_is_no_series_is_refused_with_its_place(raw: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        verify(raw)
