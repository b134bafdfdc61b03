"""The recipe, from its file to a bundle that answers."""

from pathlib import Path

import inarch

RECIPE = Path(__file__).parents[1] / "recipes" / "waves.yaml"


def test_the_recipe_learns_more_than_chance_and_its_bundle_answers(tmp_path: Path) -> None:
    result = inarch.train(RECIPE, out=tmp_path / "run")
    assert result.metrics["accuracy"].value > 0.6  # of three classes, equally frequent
    [answer] = inarch.load(tmp_path / "run" / "model").predict(["0 1 0 -1 0 1 0 -1 0 1 0 -1 0 1 0 -1"])
    assert answer["class"] in ("slow", "medium", "fast")
