"""`inarch predict` and `inarch evaluate` on a finished run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import RECIPE, write_vectors
from marked import TASKS, write_marked

import inarch
from inarch.cli import evaluate, predict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "toy.yaml").write_text(RECIPE.format(path=write_vectors(folder / "vectors.csv")))
    inarch.train(folder / "toy.yaml", out=folder / "run")
    return folder / "run"


@pytest.fixture
def predicted(run: Path) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(predict.command, [str(run / "model"), *map(str, arguments)])


def test_the_rows_of_a_table_are_predicted_in_order_as_json_lines(run: Path, predicted: Callable[..., Result]) -> None:
    ended = predicted(run.parent / "vectors.csv", "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    inputs = [row.split(",")[0] for row in (run.parent / "vectors.csv").read_text().splitlines()[1:]]
    assert ended.exit_code == 0
    assert [line["input"] for line in lines] == inputs
    assert lines[0]["class"] in ("cold", "warm") and sum(lines[0]["scores"].values()) == pytest.approx(1)


def test_an_input_that_cannot_be_read_is_reported_the_others_are_predicted_and_the_exit_code_is_2(
    tmp_path: Path, predicted: Callable[..., Result]
) -> None:
    (tmp_path / "mixed.csv").write_text("vector\n1 2 3 4\nhello\n1 2\n4 3 2 1\n")
    ended = predicted(tmp_path / "mixed.csv")
    told = ended.stdout.splitlines()
    assert ended.exit_code == 2
    assert "cannot be read" not in told[0] and "cannot be read" not in told[3]
    assert told[1].startswith("hello: cannot be read") and told[2] == "1 2: cannot be read: expected 4 numbers, found 2"
    assert "Error: 2 inputs could not be read" in ended.stderr


def test_the_files_of_a_folder_and_of_those_in_it_are_predicted(
    tmp_path: Path, predicted: Callable[..., Result]
) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "sub/c.txt"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text("")
    ended = predicted(tmp_path / "folder", "--json")
    names = [Path(json.loads(line)["input"]).name for line in ended.stdout.splitlines()]
    assert sorted(names) == ["a.txt", "b.txt", "c.txt"]


def test_links_to_folders_are_followed_but_never_in_a_circle(tmp_path: Path, predicted: Callable[..., Result]) -> None:
    for name in ("folder/a.txt", "elsewhere/b.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    for name, goal in (("up", ".."), ("other", "../elsewhere"), ("itself", "itself"), ("gone.txt", "nowhere")):
        (tmp_path / "folder" / name).symlink_to(goal)
    (tmp_path / "elsewhere" / "back").symlink_to("../folder")
    ended = predicted(tmp_path / "folder", "--json")
    names = [Path(json.loads(line)["input"]).name for line in ended.stdout.splitlines()]
    assert sorted(set(names)) == ["a.txt", "b.txt", "gone.txt", "itself"] and len(names) < 20


def test_a_column_of_another_name_is_chosen_and_a_missing_one_is_an_error(
    tmp_path: Path, predicted: Callable[..., Result]
) -> None:
    (tmp_path / "other.csv").write_text("numbers\n1 2 3 4\n")
    assert predicted(tmp_path / "other.csv", "--column", "numbers").exit_code == 0
    ended = predicted(tmp_path / "other.csv")
    assert isinstance(ended.exception, inarch.DataError)
    assert "unknown column 'vector'" in str(ended.exception)
    assert str(ended.exception).endswith("numbers. Choose with --column.")


def test_a_missing_file_is_an_error_before_anything_is_predicted(predicted: Callable[..., Result]) -> None:
    ended = predicted("missing.png")
    assert isinstance(ended.exception, inarch.DataError) and ended.stdout == ""


def test_an_empty_input_and_a_folder_without_files_are_errors(tmp_path: Path, predicted: Callable[..., Result]) -> None:
    (tmp_path / "empty").mkdir()
    for given, said in (("", "an input is empty"), (tmp_path / "empty", "there are no inputs")):
        ended = predicted(given)
        assert isinstance(ended.exception, inarch.DataError) and said in str(ended.exception)


def test_a_table_is_known_by_its_suffix_in_capitals(tmp_path: Path, predicted: Callable[..., Result]) -> None:
    (tmp_path / "T.CSV").write_text("vector\n1 2 3 4\n")
    assert predicted(tmp_path / "T.CSV").stdout.startswith("1 2 3 4: ")


def test_evaluating_the_bundle_gives_the_figures_and_predictions_of_the_training(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    before = (run / "predictions" / "test.jsonl").read_bytes()
    ended = CliRunner().invoke(evaluate.command, [str(run), "--json"])
    found = json.loads(ended.stdout)
    assert found["accuracy"] == results["metrics"]["accuracy"]
    assert found["loss"]["value"] == results["loss"]
    assert (run / "predictions" / "test.jsonl").read_bytes() == before


def test_another_split_is_evaluated_and_an_unknown_one_is_an_error(run: Path) -> None:
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    ended = CliRunner().invoke(evaluate.command, [str(run), "--split", "valid", "--json"])
    assert json.loads(ended.stdout)["loss"]["value"] == pytest.approx(last["valid"]["loss"])
    ended = CliRunner().invoke(evaluate.command, [str(run), "--split", "tset"])
    assert isinstance(ended.exception, inarch.RunError) and "Did you mean 'test'?" in str(ended.exception)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    """Predict with a model of single texts or of pairs: ``texts("pairs", "-", input="...")``."""
    folder = tmp_path_factory.mktemp("texts")
    recipe = write_marked(folder)
    for task in ("classes", "pairs", "segments", "span"):
        inarch.train(recipe, {**TASKS[task], "train.epochs": 1}, out=folder / task)

    def invoke(task: str, *arguments: object, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(predict.command, [str(folder / task), *map(str, arguments)], input=input)

    return invoke


def test_a_minus_reads_one_input_a_line(texts: Callable[..., Result]) -> None:
    ended = texts("classes", "-", "--json", input="abc zz\r\nde\n\n xxx \nlast")
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["input"] for line in found] == ["abc zz", "de", "", " xxx ", "last"]
    assert found[2]["error"] == "expected text, found ''" and ended.exit_code == 2
    assert all("class" in found[index] for index in (0, 1, 3, 4))
    assert ended.stderr == "Error: 1 input could not be read\n"


def test_lines_are_read_as_utf_8_and_one_that_is_not_leaves_the_others_alone(texts: Callable[..., Result]) -> None:
    ended = texts("classes", "-", "--json", input=b"abc\ncaf\xe9\nabc\n")
    first, second, third = [json.loads(line) for line in ended.stdout.splitlines()]
    assert first == third and "class" in first and "error" in second and ended.exit_code == 2


def test_a_text_of_a_table_that_happens_to_be_the_name_of_a_file_stays_a_text(
    tmp_path: Path, texts: Callable[..., Result]
) -> None:
    (tmp_path / "T.csv").write_text("text\nabc\nde\n")
    before = texts("classes", tmp_path / "T.csv", "--json").stdout
    (tmp_path / "abc").write_text("zzz")
    assert before.count("class") == 2 and texts("classes", tmp_path / "T.csv", "--json").stdout == before


def test_nothing_on_standard_input_is_an_error(texts: Callable[..., Result]) -> None:
    ended = texts("classes", "-", input="")
    assert isinstance(ended.exception, inarch.DataError) and "-: there are no inputs" in str(ended.exception)


def test_a_text_where_a_file_is_expected_hints_at_the_minus(texts: Callable[..., Result]) -> None:
    for given in ("a text of a few words", "a" * 5000):
        ended = texts("classes", given)
        assert isinstance(ended.exception, inarch.DataError)
        assert "there is no such file or folder; inputs themselves are read from -, a line each" in str(ended.exception)


def test_a_table_of_several_columns_is_read_by_their_names(tmp_path: Path, texts: Callable[..., Result]) -> None:
    (tmp_path / "pairs.csv").write_text("other,more,text\nxxxxx,1,abc xx\nzzzzz,2,\nzz,3,zz\n")
    ended = texts("pairs", tmp_path / "pairs.csv", "--json")
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["input"] for line in found][::2] == [
        {"text": "abc xx", "other": "xxxxx"}, {"text": "zz", "other": "zz"}]  # fmt: skip
    assert found[2]["cosine"] == pytest.approx(1) and "error" in found[1] and ended.exit_code == 2


def test_a_table_without_one_of_several_columns_is_an_error(tmp_path: Path, texts: Callable[..., Result]) -> None:
    (tmp_path / "single.csv").write_text("text,others\nabc,xxx\n")
    ended = texts("pairs", tmp_path / "single.csv")
    assert isinstance(ended.exception, inarch.DataError)
    assert "unknown column 'other'. Did you mean 'others'?" in str(ended.exception)


def test_another_name_for_one_of_several_columns_is_an_error(tmp_path: Path, texts: Callable[..., Result]) -> None:
    (tmp_path / "pairs.csv").write_text("text,other\nabc,xxx\n")
    ended = texts("pairs", tmp_path / "pairs.csv", "--column", "text")
    assert isinstance(ended.exception, inarch.DataError)
    assert "--column" in str(ended.exception) and "text, other" in str(ended.exception)


def test_lines_are_no_pairs_and_are_told_so(texts: Callable[..., Result]) -> None:
    ended = texts("pairs", "-", input="abc\nxxx\n")
    assert ended.exit_code == 2
    assert ended.stdout.splitlines()[0] == (
        "abc: cannot be read: expected the columns text, other, found one value, 'abc'"
    )


@pytest.mark.parametrize("task", ["segments", "span"])
def test_what_is_found_is_told_by_its_text(texts: Callable[..., Result], task: str) -> None:
    """Of the texts of training, so that something is found."""
    given = "\n".join(["abc zz de", "xx", "abc xxx", "zzzz a"])
    told = texts(task, "-", input=given).stdout.splitlines()
    found = [json.loads(line) for line in texts(task, "-", "--json", input=given).stdout.splitlines()]
    assert any(line.get("segments", [line]) for line in found)
    for line, answer in zip(told, found, strict=True):
        expected = (
            f"{answer['text']} ({answer['score']:.3f})"
            if task == "span"
            else ", ".join(f"{segment['text']} ({segment['label']})" for segment in answer["segments"]) or "(none)"
        )
        assert line == f"{answer['input']}: {expected}"
