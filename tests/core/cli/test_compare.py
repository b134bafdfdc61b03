"""`inarch compare` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Inarch


def test_it_prints_a_table_and_a_verdict_and_a_cell_that_fails_is_told_by_the_exit_code(
    inarch: Inarch, toy_recipe: Path, tmp_path: Path
) -> None:
    wanted = "scratch, {name: full, layer_decay: 0.5}, {name: full, train.gradient_checkpointing: true}"
    ended = inarch("compare", toy_recipe, "--strategies", wanted, "--seeds", 1)
    assert ended.returncode == 1, ended.stderr
    assert "test accuracy, 42 labels" in ended.stdout and "full (layer_decay=0.5)" in ended.stdout.replace("\n", " ")
    assert "One seed says nothing of the luck of training" in ended.stdout
    assert "cell 2 of 3: full (layer_decay=0.5), seed 0: accuracy" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("Failed: full (train.gradient_checkpointing=True), seed 0: ")
    written = json.loads((tmp_path / "runs/toy-comparison/comparison.json").read_text())
    assert written["seeds"] == [0] and [bool(cell["failed"]) for cell in written["cells"]] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategies", "scratch,ful"], "Did you mean 'full'?"),
        (["--strategies", "scratch,full", "--fractions", "a,b"], "expected numbers as in 0.1,0.3,1"),
        (["--strategies", "scratch,full", "train.epoch=3"], "Did you mean 'epochs'?"),
    ],
)
def test_mistakes_are_one_sentence_at_once(
    refused: Callable[..., str], toy_recipe: Path, arguments: list[str], said: str
) -> None:
    assert said in refused("compare", toy_recipe, *arguments)
