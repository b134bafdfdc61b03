"""`inarch rank`, and what it refuses before torch is imported."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Inarch

SMALL = "narrow, wide"


def test_a_ranking_is_printed_and_written(inarch: Inarch, toy_recipe: Path, tmp_path: Path) -> None:
    ended = inarch("rank", toy_recipe, "--backbones", "@small,{name: vectors, width: 3, depth: 1}", "name=cells")
    assert ended.returncode == 0, ended.stderr
    assert "vectors width=3 depth=1" in ended.stdout and "neighbours" in ended.stdout and "Take " in ended.stdout
    written = json.loads((tmp_path / "runs" / "cells_ranking" / "ranking.json").read_text())
    assert {row["name"] for row in written["places"]} == {"narrow", "wide", "vectors width=3 depth=1"}


@pytest.mark.parametrize(
    ("backbones", "said"),
    [
        ("wide", "needs at least two backbones, found wide"),
        ("wide,wide", "needs at least two backbones, found wide"),
        ("wide,narow", "unknown backbone 'narow'. Did you mean 'narrow'? Allowed: recipe, narrow, thin, wide."),
        ("@smal", "the domain of 'vectors' is vector: unknown set '@smal'. Did you mean '@small'?"),
        ("wide,{name: vector}", "unknown backbone 'vector'. Did you mean 'vectors'?"),
        ("wide,{name: vectors, widht: 3}", "widht: unknown option 'widht'. Did you mean 'width'?"),
        ("wide,{width: 3}", "a component needs 'name: ...'"),
        ("wide,{name: letters}", "'letters' is of the domain letters, the recipe's 'vectors' of vector"),
        ("wide,minilm_6", "'minilm_6' is of the domain text, the recipe's 'vectors' of vector"),
        ("wide,{name: vectors", "--backbones {name: vectors"),
    ],
)
def test_backbones_that_cannot_be_are_refused(
    refused: Callable[..., str], toy_recipe: Path, backbones: str, said: str
) -> None:
    assert said in refused("rank", toy_recipe, "--backbones", backbones)


def test_a_folder_without_a_name_is_refused(refused: Callable[..., str], toy_recipe: Path) -> None:
    assert "expected a folder, found empty text" in refused("rank", toy_recipe, "--backbones", "@small", "--out", "")
