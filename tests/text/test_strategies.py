"""What strategies train, how fast, and what they leave alone, in the families of transformers."""

from collections.abc import Callable
from typing import Any

import pytest
from transfers import CHECKS, go, names, train_set

from inarch import RecipeError
from inarch.builtin.selected import bias_only, norm_only
from inarch.recipe import Train

TEXTS = ["a good film", "a bad film, and a long one too", "the quick fox", "one more"]


def batch(backbone: Any) -> dict[str, Any]:
    examples = backbone.prepare(TEXTS)
    return backbone.collate([examples[index] for index in range(len(TEXTS))])


@pytest.mark.parametrize("family", ["bert", "distilbert"])
@pytest.mark.parametrize("check", CHECKS)
def test_a_strategy_trains_what_it_says(family: str, check: Callable[..., None], build: Callable[..., Any]) -> None:
    backbone = build(family)
    check(backbone, batch(backbone))


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_norms_are_known_by_their_class_whoever_wrote_them(family: str, build: Callable[..., Any]) -> None:
    backbone = build(family)
    [phase] = go(norm_only(), backbone, batch(backbone))
    assert train_set(phase) == {name for name in names(backbone) if "norm" in name} != set()


def test_a_family_without_biases_is_refused_by_name_with_what_to_use(build: Callable[..., Any]) -> None:
    with pytest.raises(RecipeError, match="bias_only finds no bias in this backbone; use norm_only, lora or linear_pr"):
        bias_only().phases(build("llama"), Train())
