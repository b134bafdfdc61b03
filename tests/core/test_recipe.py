"""What is written is what is read: numbers, texts, defaults, overrides."""

import dataclasses
import math
from pathlib import Path

import pytest
from conftest import RECIPE
from hypothesis import given
from hypothesis import strategies as st

from inarch import document, plugins, recipe
from inarch.errors import RecipeError
from inarch.recipe import EarlyStopping, Recipe, Splits, Train

TRICKY = [
    "no",
    "yes",
    "on",
    "3e-4",
    "010",
    "1_000",
    "2024-01-02",
    "12:30:00",
    "null",
    "~",
    "true",
    "",
    " a",
    "a: b",
    "# c",
]
TRICKY += [
    "0x1F",
    ".inf",
    "-",
    "- a",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "'",
    '"',
    "a\nb",
    "ünï",
    "日本",
    "\x7f",
    "\u2028",
    "1.10",
]
texts = st.sampled_from(TRICKY) | st.text(st.characters(blacklist_categories=("Cs",)))
floats = st.floats(allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def read(**changes: object) -> Recipe:
    data = {
        "dataset": "table",
        "backbone": "vectors",
        "head": "classifier",
        "strategy": "full",
        "metrics": ["accuracy"],
    }
    return recipe.parse(document.parse(document.dump({**data, **changes}), "test"))


@given(
    st.dictionaries(texts.filter(lambda name: name != "name"), values, max_size=4),
    st.integers(0, recipe.SEEDS - 1),
    texts,
)
def test_a_recipe_written_as_yaml_is_read_back_equal(options: dict[str, object], seed: int, name: str) -> None:
    first = read(head={"name": "classifier", **options}, seed=seed)
    first = dataclasses.replace(first, train=Train(learning_rate=1e-7, ema=0.1 + 0.2, early_stopping=EarlyStopping()))
    again = recipe.parse(document.parse(first.to_yaml(), "test"))
    assert again == dataclasses.replace(first, head=again.head)
    assert again.head.options == first.head.options
    assert [type(v) for v in again.head.options.values()] == [type(v) for v in first.head.options.values()]


def test_every_default_is_written_out() -> None:
    text = read().to_yaml()
    for section in (Train, Splits):
        for field in dataclasses.fields(section):
            assert f"{field.name}:" in text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3e-4", 3e-4), ("1E5", 1e5), (".5", 0.5), ("5.", 5.0), ("+1.5", 1.5), ("-2", -2), ("010", 10), ("0", 0),
        (".inf", math.inf), ("-.INF", -math.inf), ("1_000", "1_000"), ("12:30", "12:30"), ("2024-01-02", "2024-01-02"),
        ("no", "no"), ("on", "on"), ("true", True), ("False", False), ("~", None), ("", None), ("0x1F", "0x1F"),
        ("1e", "1e"), ("'3'", "3"), ('"true"', "true"), ("9" * 5000, math.inf),
    ],
)  # fmt: skip
def test_a_scalar_means_what_a_person_means(written: str, value: object) -> None:
    found = document.parse(f"key: {written}", "test").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read() -> None:
    assert math.isnan(document.parse("key: .nan", "test").data["key"])


def test_overrides_reach_components_sections_and_what_is_not_written(toy_recipe: Path) -> None:
    overrides = ["train.epochs=3", "head.hidden=5", "splits.valid=0.2", "metrics=[accuracy, f1]", "name=a=b", "seed=7"]
    found = recipe.load(toy_recipe, overrides)
    assert (found.train.epochs, found.splits.valid, found.name, found.seed) == (3, 0.2, "a=b", 7)
    assert (found.head.name, found.head.options) == ("classifier", {"hidden": 5})
    assert [metric.name for metric in found.metrics] == ["accuracy", "f1"]


def test_overrides_in_python_are_those_of_the_command_line(toy_recipe: Path) -> None:
    assert recipe.load(toy_recipe, {"train.epochs": 3}) == recipe.load(toy_recipe, ["train.epochs=3"])


def test_none_switches_an_option_off(toy_recipe: Path) -> None:
    assert recipe.load(toy_recipe, ["train.clip=none"]).train.clip is None


def test_a_number_where_text_is_wanted_stays_as_it_is_written() -> None:
    text = RECIPE.format(path="x.csv").replace("class}", "class, classes: [007, 1.10, 1e5, 010]}")
    _, options = plugins.check(recipe.parse(document.parse(text, "test")))["dataset"][0]
    assert options["classes"] == ["007", "1.10", "1e5", "010"]


def test_true_where_text_is_wanted_asks_for_quotes() -> None:
    with pytest.raises(RecipeError, match="put quotes around it"):
        read(name=True)
