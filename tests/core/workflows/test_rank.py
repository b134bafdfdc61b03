"""Rankings through the public door, of toy backbones over a table that can be learnt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RECIPE, write_vectors

import inarch
from inarch import DataError, Progress, RecipeError
from inarch.studies import ranking
from inarch.studies.ranking import Scored
from inarch.workflows import rank as workflow

MISFIT = "{name: vectors, size: 3}"


class Said(Progress):
    """Collects the sentences."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def over(tmp_path: Path, rows: list[str], **keys: str) -> Path:
    """Write the toy recipe over a table of the given lines."""
    (tmp_path / "rows.csv").write_text("vector,class,number,group\n" + "\n".join(rows) + "\n")
    text = RECIPE.format(path=tmp_path / "rows.csv") + "splits: {valid: 0, test: 0}\n"
    for old, new in keys.items():
        text = text.replace(old, new)
    (tmp_path / "rows.yaml").write_text(text)
    return tmp_path / "rows.yaml"


def scored(name: str, probe: float, standing: float | None = None, milliseconds: float = 1.0) -> Scored:
    scores = {"probe": probe, "neighbours": probe, "logme": probe, "h_score": probe}
    return Scored(name, scores, {key: np.full(ranking.DRAWS, value) for key, value in scores.items()}, standing, 1,
                  milliseconds)  # fmt: skip


def test_a_ranking_says_which_to_take_with_every_score_and_a_picture(toy_recipe: Path, tmp_path: Path) -> None:
    found = inarch.rank(toy_recipe, "@small,recipe", out=tmp_path / "ranked")
    assert {place.name for place in found.places} == {"narrow", "wide", "recipe"}
    assert found.verdict[0].startswith(f"Take {found.places[0].name}: ")
    assert sum(place.best for place in found.places) == pytest.approx(1)
    assert all(place.low < place.expected < place.high and place.regret >= 0 for place in found.places)
    assert sum(place.expected for place in found.places) == pytest.approx(0, abs=1e-9)
    written = json.loads((tmp_path / "ranked" / "ranking.json").read_text())
    assert [row["name"] for row in written["places"]] == [place.name for place in found.places]
    assert set(written["places"][0]["scores"]) == {"probe", "neighbours", "logme", "h_score"}
    assert {row["name"]: row["standing"] for row in written["places"]} == {"narrow": -1.0, "wide": 1.0, "recipe": None}
    assert written["measure"] == "accuracy" and written["places"][0]["options"]["size"] == 4
    assert (tmp_path / "ranked" / "ranking.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "ranked" / "ranking.svg").read_text().lstrip().startswith("<?xml")


def test_a_ranking_is_the_same_twice_and_computes_no_feature_again(toy_recipe: Path, tmp_path: Path) -> None:
    def places() -> Any:
        found = inarch.rank(toy_recipe, ["narrow", "wide"], out=tmp_path / "ranked")
        return [(place.name, place.expected, place.best, place.regret) for place in found.places]

    assert places() == places()


def test_only_train_is_looked_at(tmp_path: Path) -> None:
    train, test = write_vectors(tmp_path / "train.csv", seed=1), write_vectors(tmp_path / "test.csv", seed=2)
    recipe = tmp_path / "split.yaml"
    recipe.write_text(RECIPE.format(path=f"{{train: {train}, test: {test}}}") + "splits: {valid: 0}\n")

    def scores() -> Any:
        return [dict(place.scored.scores) for place in inarch.rank(recipe, "narrow,wide", out=tmp_path / "out").places]

    before = scores()
    write_vectors(test, rows=40, seed=3)
    assert scores() == before


def test_numbers_are_ranked_by_the_variance_that_is_explained(toy_recipe: Path, tmp_path: Path) -> None:
    overrides = ["head=regressor", "dataset.target=number", "metrics=[mae]"]
    found = inarch.rank(toy_recipe, "narrow,wide", overrides, tmp_path / "out")
    assert found.measure == "R2" and found.places[0].name == "wide"
    assert set(found.places[0].scored.scores) == {"probe", "neighbours", "logme"}


def test_groups_are_kept_apart_by_neighbours_and_folds(toy_recipe: Path, tmp_path: Path) -> None:
    def score(*overrides: str) -> float:
        found = inarch.rank(toy_recipe, "narrow,wide", ["splits.valid=0", *overrides], tmp_path / "out")
        return next(place.scored.scores["neighbours"] for place in found.places if place.name == "wide")

    assert score("dataset.group=group") != score()


def test_a_backbone_that_fails_is_told_and_the_others_are_ranked(toy_recipe: Path, tmp_path: Path) -> None:
    said = Said()
    missing = "{name: vectors, weights: nowhere.safetensors}"
    found = inarch.rank(toy_recipe, f"narrow,wide,{MISFIT},{missing}", (), tmp_path / "out", said)
    assert [place.name for place in found.places if place.name in ("narrow", "wide")] and len(found.places) == 2
    assert "expected 3 numbers, found 4" in found.failed["vectors size=3"]
    assert "nowhere.safetensors" in found.failed["vectors weights=nowhere.safetensors"]
    assert any("cannot be ranked: " in line for line in said.lines)


def test_a_ranking_of_one_that_works_is_refused(toy_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"at least two backbones, and 1 could be tried. vectors size=3: .*found 4"):
        inarch.rank(toy_recipe, f"wide,{MISFIT}", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_features_that_are_no_numbers_or_never_vary_are_a_reason(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = workflow.extract

    def spoilt(examples: Any, backbone: Any, *rest: Any) -> Any:
        found = extract(examples, backbone, *rest)
        values = np.array(found.values)
        if values.shape[1] == 2:
            values[3] = np.nan
        if values.shape[1] == 32:
            values[:] = 0.5
        return found._replace(values=values)

    monkeypatch.setattr(workflow, "extract", spoilt)
    found = inarch.rank(toy_recipe, "narrow,wide,thin,recipe", out=tmp_path / "out")
    assert found.failed == {
        "narrow": "the features of 1 of 42 examples are no numbers (NaN or infinite)",
        "wide": "its features are the same for all examples",
    }


TWO = ["1 2 3 4,warm,1,a", "4 3 2 1,cold,2,b"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (TWO, "at least 6 examples, train has 2"),
        ([TWO[0]] * 8, "only one class"),
        ([TWO[0]] * 8 + [TWO[1]], "two classes with two examples each; train has cold 1, warm 8"),
    ],
)
def test_data_that_no_score_is_defined_on_are_refused_before_anything(
    tmp_path: Path, rows: list[str], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        inarch.rank(over(tmp_path, rows), "narrow,wide", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_class_of_one_example_is_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [f"{' '.join(f'{x:.3f}' for x in random.normal(size=4))},{name},1,a" for name in "aaaabbbbc"]
    found = inarch.rank(over(tmp_path, rows), "narrow,wide", out=tmp_path / "out")
    assert "1 classes have a single example, which no score can tell right" in found.notes


def test_of_many_examples_some_are_drawn_with_classes_in_their_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "MOST", 20)
    random = np.random.default_rng(0)
    names = ["warm"] * 60 + ["cold"] * 20
    rows = [f"{' '.join(f'{x:.3f}' for x in random.normal(size=4))},{name},1,a" for name in names]
    found = inarch.rank(over(tmp_path, rows), "narrow,wide", out=tmp_path / "out")
    assert found.notes[0] == "20 examples of train were looked at; valid and test were not"
    checked, _ = workflow.prepare(workflow.check(workflow.recipe.load(tmp_path / "rows.yaml")))
    column = checked.dataset.splits["train"].column("class")
    assert (column.count("warm"), column.count("cold")) == (15, 5)


def test_a_head_that_is_no_single_answer_is_refused(letters: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "ctc.yaml"
    recipe.write_text(letters.read_text().replace("classifier", "ctc").replace("target: class", "target: number")
                      .replace("[accuracy]", "[starts]"))  # fmt: skip
    with pytest.raises(RecipeError):
        inarch.rank(recipe, "recipe,{name: letters, width: 4}", out=tmp_path / "out")


def test_the_standing_elsewhere_decides_where_scores_are_equal() -> None:
    places = ranking.combine([scored("weak", 0.8, -1.0), scored("strong", 0.8, 1.0), scored("new", 0.8)])
    assert [place.name for place in places] == ["strong", "new", "weak"]


def test_scores_that_disagree_with_the_standing_can_win() -> None:
    places = ranking.combine([scored("known", 0.5, 0.5), scored("better", 0.9, -0.5), scored("worse", 0.4, 0.0)])
    assert places[0].name == "better" and places[0].best > places[1].best > places[2].best


def test_more_surprise_means_less_certainty(monkeypatch: pytest.MonkeyPatch) -> None:
    field = [scored("a", 0.9, 1.0), scored("b", 0.7, -1.0)]
    sure = ranking.combine(field)[0]
    monkeypatch.setattr(ranking, "SURPRISE", 3.0)
    unsure = ranking.combine(field)[0]
    assert unsure.best < sure.best and unsure.regret > sure.regret and unsure.expected == sure.expected


def test_a_cheaper_one_that_is_nearly_as_good_is_told() -> None:
    field = [scored("big", 0.90, 1.1, 10.0), scored("small", 0.90, 1.0, 2.0), scored("bad", 0.85, -1.0)]
    places = ranking.combine(field)
    lines = ranking.verdict(places, 0.5)
    assert lines[0].startswith("Take big: ")
    assert any(line.startswith("small takes 20% of its time") for line in lines)


def test_that_nothing_transfers_is_said() -> None:
    places = ranking.combine([scored("a", 0.7, 1.0), scored("b", 0.65)])
    assert any("nothing here seems to transfer" in line for line in ranking.verdict(places, 0.7))
    assert not any("nothing here seems to transfer" in line for line in ranking.verdict(places, 0.5))
