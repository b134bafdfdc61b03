"""Bad input, as a user meets it: one message that says where, what and what instead, before torch is imported."""

from pathlib import Path

import pytest
from conftest import RECIPE, write_vectors
from PIL import Image


def write(tmp_path: Path, old: str = "", new: str = "", rows: str | None = None) -> Path:
    """Write the toy recipe with a text replaced, over a table of the given rows."""
    table = tmp_path / "vectors.csv"
    if rows is None:
        write_vectors(table)
    else:
        table.write_text(rows)
    text = RECIPE.format(path=table)
    assert old in text
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace(old, new, 1))
    return recipe


CASES = {
    "an unknown key": ("metrics:", "metric:", ["recipe.yaml, line 6: metric", "Did you mean 'metrics'?"]),
    "an unknown key of train": ("epochs:", "epoch:", ["line 7: train.epoch", "Did you mean 'epochs'?"]),
    "a wrong type": ("epochs: 2", "epochs: two", ["line 7: train.epochs", "a whole number", "'two'"]),
    "a fraction of an epoch": ("epochs: 2", "epochs: 2.5", ["line 7: train.epochs", "a whole number", "'2.5'"]),
    "a number that cannot be": ("epochs: 2", "epochs: 0", ["line 7: train.epochs", "above 0"]),
    "an endless rate": ("0.02", "1e999", ["line 7: train.learning_rate", "above 0"]),
    "a wrong choice": ("fp32", "fp23", ["line 7: train.precision", "Did you mean 'fp32'?"]),
    "a seed below zero": ("name: toy", "name: toy\nseed: -1", ["line 2: seed", "from 0 to below"]),
    "a seed of 80 bits": ("name: toy", "name: toy\nseed: 99999999999999999999", ["line 2: seed", "from 0 to below 4"]),
    "a seed of a split": ("name: toy", "name: toy\nsplits: {seed: 4294967296}", ["line 2: splits.seed", "to below 4"]),
    "no metrics": ("[accuracy]", "[]", ["recipe.yaml, line 6: metrics", "at least one metric"]),
    "an error limit above one": ("name: toy", "name: toy\nerror_limit: 5", ["line 2: error_limit", "from 0 to 1"]),
    "a name that is a path": ("name: toy", "name: ../toy", ["line 1: name", "name of a folder"]),
    "patience of none": ("epochs: 2", "early_stopping: {patience: 0}", ["train.early_stopping.patience", "at least 1"]),
    "shares above one": ("name: toy", "name: toy\nsplits: {valid: 0.5, test: 0.5}", ["line 2: splits", "below 1"]),
    "no examples kept": ("name: toy", "name: toy\nsplits: {examples: 0}", ["line 2: splits.examples", "at least 1"]),
    "two sizes of train": (
        "name: toy",
        "name: toy\nsplits: {examples: 8, per_class: 4}",
        ["line 2: splits.per_class", "give one of them"],
    ),
    "more of train than there is": (
        "name: toy",
        "name: toy\nsplits: {examples: 43}",
        ["train has 42 examples, not 43"],
    ),
    "a duplicate key": (
        "head: classifier",
        "head: classifier\nhead: regressor",
        ["line 5", "'head'", "first in line 4"],
    ),
    "a missing key": ("strategy: full\n", "", ["recipe.yaml", "'strategy' is required"]),
    "an unknown component": ("head: classifier", "head: clasifier", ["line 4: head", "Did you mean 'classifier'?"]),
    "an unknown metric": ("[accuracy]", "[acuracy]", ["line 6: metrics.0", "Did you mean 'accuracy'?"]),
    "a metric listed twice": ("[accuracy]", "[accuracy, accuracy]", ["metrics.1", "listed twice"]),
    "an unknown option": (
        "head: classifier",
        "head: {name: classifier, hiden: 3}",
        ["head.hiden", "Did you mean 'hidden'?"],
    ),
    "an option out of range": (
        "head: classifier",
        "head: {name: classifier, dropout: 1.5}",
        ["head.dropout", "below 1"],
    ),
    "an option of no width": ("head: classifier", "head: {name: classifier, hidden: 0}", ["head.hidden", "at least 1"]),
    "a class weight misspelt": (
        "head: classifier",
        "head: {name: classifier, class_weights: {warn: 2}}",
        ["line 4: head.class_weights", "Did you mean 'warm'?"],
    ),
    "class weights of a wrong word": (
        "head: classifier",
        "head: {name: classifier, class_weights: balance}",
        ["line 4: head.class_weights", "Did you mean 'balanced'?"],
    ),
    "class weights of a wrong type": (
        "head: classifier",
        "head: {name: classifier, class_weights: {warm: much}}",
        ["line 4: head.class_weights.warm", "a number", "'much'"],
    ),
    "a missing option": ("input: vector, ", "", ["line 2: dataset", "'input'", "required"]),
    "a best metric not measured": ("epochs: 2", "best_metric: f1", ["line 7: train.best_metric", "loss, accuracy"]),
    "a missing file": ("vectors.csv", "vector.csv", ["vector.csv", "Did you mean 'vectors.csv'?"]),
    "an empty path": ("path: ", "path: '', input: vector, target: class}\n#", ["an empty path"]),
    "a package not installed": (
        "path: ",
        "path: package:nowhere/a.csv, input: a, target: b}\n#",
        ["pip install", "nowhere"],
    ),
    "a target column not there": ("target: class", "target: clas", ["vectors.csv", "Did you mean 'class'?"]),
    "an input column not there": ("input: vector", "input: vectors", ["vectors.csv", "Did you mean 'vector'?"]),
    "a target that is the input": ("target: class", "target: vector", ["dataset.target", "'vector'"]),
    "a class without example": (
        "target: class",
        "target: class, classes: [warm, cold, tepid]",
        ["vectors.csv", "no example in train", "tepid"],
    ),
    "a raw value in two classes": (
        "target: class",
        "target: class, classes: {a: [warm], b: [warm]}",
        ["'warm'", "'a'", "'b'"],
    ),
    "a class not listed": (
        "target: class",
        "target: class, classes: [warm, hot]",
        ["vectors.csv, line", "'cold'", "warm, hot"],
    ),
    "regressor on class names": (
        "head: classifier",
        "head: regressor",
        ["vectors.csv, line", "not a number", "the head 'classifier'"],
    ),
    "classifier on many numbers": ("target: class", "target: number", ["distinct numbers", "the head 'regressor'"]),
    "a metric that cannot apply": (
        "[accuracy]",
        "[accuracy, rmse]",
        ["line 6: metrics.1", "'rmse' measures numbers", "accuracy"],
    ),
    "early stopping without valid": (
        "train: {",
        "splits: {valid: 0}\ntrain: {early_stopping: {patience: 2}, ",
        ["early_stopping", "valid"],
    ),
    "a tag": ("head: classifier", "head: !!python/name:os.system classifier", ["line 4", "the tag"]),
    "a tag on a mapping": ("head: classifier", "head: !new {name: classifier}", ["line 4", "the tag '!new'"]),
    "an anchor": ("head: classifier", "head: &head classifier", ["line 4", "anchors"]),
    "an alias": ("head: classifier", "head: *head", ["line 4", "anchors"]),
    "a pattern without quotes": ("head: classifier", "head: *.png", ["line 4", "put quotes around text that starts"]),
    "a tab": ("train: {", "splits:\n\tvalid: 0.1\ntrain: {", ["line 8", "not tabs"]),
    "broken YAML": ("[accuracy]", "[accuracy", ["recipe.yaml, line", "not valid YAML"]),
    "two documents": ("name: toy", "name: toy\n---\nname: other", ["recipe.yaml", "single document"]),
    "a list in place of a component": ("head: classifier", "head: [classifier]", ["line 4: head", "name"]),
    "train that is a number": ("train: {", "train: 3\nx: {", ["recipe.yaml, line 8: x"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_in_a_recipe_is_told_with_its_place_and_the_nearest_choice(
    case: str, tmp_path: Path, refused
) -> None:
    old, new, said = CASES[case]
    message = refused("check", write(tmp_path, old, new))
    assert [part for part in said if part not in message] == [], message


TABLES = {
    "no rows": ("vector,class\n", ["vectors.csv", "no rows"]),
    "an empty file": ("", ["vectors.csv", "no rows"]),
    "one class only": ("vector,class\n" + "1 2 3 4,warm\n" * 20, ["only one class", "warm"]),
    "a missing target": (
        "vector,class\n" + "1 2 3 4,warm\n1 2 3 4,cold\n" * 9 + "1 2 3 4,\n",
        ["vectors.csv, line 20", "missing"],
    ),
    "a ragged row": ("vector,class\n1 2 3 4,warm\n1 2 3 4,cold,5\n", ["vectors.csv, line 3", "3 values for 2 columns"]),
    "an unreadable input": (
        "vector,class\n" + "1 2 3 4,warm\n1 2 3 4,cold\n" * 9 + "1 x 3 4,warm\n",
        ["vectors.csv, line 20", "not numbers", "on_error: skip"],
    ),
    "too few rows": ("vector,class\n1 2 3 4,warm\n1 2 3 4,cold\n", ["too few", "test", "splits"]),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_mistake_in_a_table_is_told_with_its_line(case: str, tmp_path: Path, refused) -> None:
    rows, said = TABLES[case]
    message = refused("check", write(tmp_path, rows=rows))
    assert [part for part in said if part not in message] == [], message


@pytest.mark.parametrize("value", ["nan", "", "inf", "NaN"])
def test_a_target_that_is_no_finite_number_is_told_with_its_line(value: str, tmp_path: Path, refused) -> None:
    rows = "vector,class\n" + "".join(f"1 2 3 4,{number}\n" for number in range(20)) + f"1 2 3 4,{value}\n"
    recipe = write(tmp_path, "head: classifier", "head: regressor", rows)
    recipe.write_text(recipe.read_text().replace("[accuracy]", "[mae]"))
    assert "vectors.csv, line 22" in refused("check", recipe)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_class_that_train_lacks_is_told_with_its_line(split: str, tmp_path: Path, refused) -> None:
    recipe = write(tmp_path)
    (tmp_path / "other.csv").write_text("vector,class\n1 2 3 4,warm\n1 2 3 4,warn\n")
    paths = f"{{train: {tmp_path / 'vectors.csv'}, {split}: {tmp_path / 'other.csv'}}}"
    message = refused("check", recipe, f"dataset.path={paths}")
    assert "other.csv, line 3" in message and split in message and "Did you mean 'warm'?" in message


def test_unreadable_rows_are_skipped_counted_and_limited(tmp_path: Path, refused, inarch) -> None:
    rows = "vector,class\n" + "1 2 3 4,warm\n1 2 3 4,cold\n" * 40 + "1 x 3 4,warm\n"
    recipe = write(tmp_path, rows=rows)
    found = inarch("check", recipe, "on_error=skip")
    assert found.returncode == 0 and "1 skipped" in found.stdout
    message = refused("check", recipe, "on_error=skip", "error_limit=0")
    assert "error_limit" in message and "line 82" in message


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epoch=3", ["override train.epoch", "Did you mean 'epochs'?"]),
        ("train.epochs=x", ["override train.epochs", "'x'"]),
        ("train.epochs", ["override 'train.epochs'", "KEY=VALUE"]),
        ("=3", ["override '=3'", "KEY=VALUE"]),
        ("train.epochs=[", ["override 'train.epochs=['", "not valid YAML"]),
        ("seed.x=3", ["override 'seed.x'", "not a mapping"]),
        ("metrics.0=f1", ["override 'metrics.0'", "not a mapping"]),
        ("a..b=1", ["override a", "unknown key"]),
    ],
)
def test_a_bad_override_is_named(override: str, said: list[str], tmp_path: Path, refused) -> None:
    recipe = write(tmp_path)
    recipe.write_text(recipe.read_text() + "seed: 1\n")
    message = refused("check", recipe, override)
    assert [part for part in said if part not in message] == [], message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\x00", "not UTF-8"),
        ("name: café".encode("latin-1"), "not UTF-8"),
        (b"name: a\x00b", "not text"),
        (b"- a\n- b\n", "key: value"),
        (b"", "found nothing"),
        (b"just words", "key: value"),
        (b"a: 1\n" * 2_500_000, "larger than"),
        (b"a: " + b"[" * 50_000, "nested more than 50 levels deep"),
        (b"? [a, b]\n: c\n", "a key must be a single word"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(content: bytes, said: str, tmp_path: Path, refused) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    message = refused("check", path)
    assert "recipe.yaml" in message and said in message


def test_a_recipe_that_is_not_there_or_a_folder_is_named(tmp_path: Path, refused) -> None:
    assert "no such file" in refused("check", "nowhere.yaml")
    assert "found a folder" in refused("check", tmp_path)
    assert "Missing argument 'RECIPE'" in refused("check")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "no class folders"),
        (["a/1.txt", "b/"], "b: the class folder is empty"),
        (["a/1.txt", "b/.hidden"], "b: the class folder is empty"),
        (["train/a/1.txt", "train/b/1.txt", "val/a/1.txt", "valid/a/1.txt"], "both the valid split"),
        (["test/a/1.txt", "valid/a/1.txt"], "no folder called train"),
        (["train/a/1.txt", "train/b/1.txt", "test/c/1.txt"], "test: unknown class 'c'"),
        (["train/a/1.txt", "train/b/1.txt", "test/"], "test: no class folders"),
        (["only/1.txt", "only/2.txt", "only/3.txt", "only/4.txt"], "only one class"),
    ],
)
def test_a_mistake_in_a_folder_is_named(files: list[str], said: str, tmp_path: Path, refused) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for name in files:
        target = root / name
        (target if name.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            Image.new("RGB", (4, 4)).save(target, format="png")
    recipe = write(tmp_path)
    made = ["splits={valid: 0, test: 0}"]
    message = refused(
        "check", recipe, f"dataset={{name: folder, path: {root}}}", "backbone={name: timm, model: x}", *made
    )
    assert said in message


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('"other": "1"', "line 1: the part 'vector' of the input is missing"),
        ('"vector": "1", "other": null', "line 1: the part 'other' of the input is missing"),
        ('"vector": "1", "other": "two"', "line 1: not numbers: 'two'"),
    ],
)
def test_every_part_of_an_input_of_several_columns_is_looked_at(row: str, said: str, tmp_path: Path, refused) -> None:
    others = '{"vector": "1", "other": "2", "class": "warm"}\n' * 20
    (tmp_path / "parts.jsonl").write_text(f'{{"class": "cold", {row}}}\n' + others)
    data = f"{{name: table, path: {tmp_path / 'parts.jsonl'}, input: [vector, other], target: class}}"
    assert said in refused("check", write(tmp_path), f"dataset={data}", "splits={valid: 0, test: 0}")


def test_what_is_left_out_of_the_data_is_told(tmp_path: Path, inarch) -> None:
    rows = "vector,class,sure\n" + "1 2 3 4,warm,0.9\n1 2 3 4,cold,0.9\n" * 30 + "1 2 3 4,cold,\n"
    recipe = write(tmp_path, "target: class", "target: class, minimum: {sure: 0.5}", rows)
    found = inarch("check", recipe, "splits.per_class=8")
    assert found.returncode == 0, found.stderr
    assert "vectors.csv: 1 of 61 rows are left out, for 'sure' is below 0.5, or no number (1)" in found.stdout
    assert "train keeps 16 of 44 examples (splits.per_class: 8)" in found.stdout
    assert "train: 16 examples (cold 8, warm 8)" in found.stdout


def test_what_holds_is_told_with_classes_and_counts(tmp_path: Path, inarch) -> None:
    found = inarch("check", write(tmp_path))
    assert found.returncode == 0, found.stderr
    assert (
        "train: 42 examples (cold" in found.stdout
        and "Recipe and data hold; the model and its weights are looked at when training starts." in found.stdout
    )
