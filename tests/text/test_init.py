"""What `inarch init` writes for texts trains."""

from collections.abc import Callable
from pathlib import Path

import pytest

import inarch
from inarch.workflows.init import init

QUICK = {"train.epochs": 1, "train.workers": 0, "train.precision": "fp32"}


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    rows = "".join(f"{'good' if n % 2 else 'bad'},a {'good' if n % 2 else 'bad'} film {n}\n" for n in range(40))
    (tmp_path / "reviews.csv").write_text("verdict,review\n" + rows, encoding="utf-8")
    return tmp_path / "reviews.csv"


def test_the_recipe_for_a_table_of_reviews_trains(reviews: Path, tmp_path: Path, tiny: Callable[[str], Path]) -> None:
    written = init(reviews, "text", None, None, tmp_path / "new.yaml")
    changed = {**QUICK, "backbone.model": str(tiny("bert"))}
    result = inarch.train(written, changed, out=tmp_path / "run")
    assert set(result.metrics) == {"accuracy", "balanced_accuracy", "f1"}


def test_the_recipe_for_a_folder_of_text_files_trains_on_what_is_in_them(
    tmp_path: Path, tiny: Callable[[str], Path]
) -> None:
    for name in ("good", "bad"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        for index in range(12):
            (tmp_path / "texts" / name / f"{index}.txt").write_text(f"a {name} film {index}", encoding="utf-8")
    written = init(tmp_path / "texts", "text", None, None, tmp_path / "new.yaml")
    inarch.train(written, {**QUICK, "backbone.model": str(tiny("bert"))}, out=tmp_path / "run")
    bundle = inarch.load(tmp_path / "run")
    from_file, from_text = bundle.predict([tmp_path / "texts" / "good" / "3.txt", "a good film 3"])
    assert from_file == from_text
