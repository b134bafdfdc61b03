"""Bad input of text at the command line: one clear sentence, exit code 2, in seconds; what goes on anyway is counted.

What is wrong with recipe or data is said by `inarch check`, which loads neither torch nor a model.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inarch as door
from inarch import InarchError

Inarch = Callable[..., Any]
Tiny = Callable[[str], Path]
RECIPE: dict[str, Any] = {
    "backbone": {"name": "transformers", "model": "model"},
    "head": "classifier",
    "strategy": "full",
    "metrics": ["accuracy"],
    "splits": {"valid": 0.2, "test": 0.2},
    "train": {"epochs": 1, "batch_size": 8, "learning_rate": 0.001, "workers": 0, "precision": "fp32"},
}
GOOD = "".join(f"a {'good' if n % 2 else 'bad'} film {n},{'pos' if n % 2 else 'neg'}\n" for n in range(30))


@pytest.fixture
def model(tiny: Tiny, tmp_path: Path) -> Path:
    """A folder of a tiny model that a test may spoil."""
    return shutil.copytree(tiny("bert"), tmp_path / "model")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write data, and a recipe over it: ``write("a.csv", b"text,label...", head="regressor")``."""

    def written(name: str, data: bytes, **changed: Any) -> Path:
        (tmp_path / name).write_bytes(data)
        columns = (
            {"name": "conll", "path": str(tmp_path / name)}
            if name.endswith(".conll")
            else {"name": "table", "path": str(tmp_path / name), "input": "text", "target": "label"}
        )
        recipe = {"dataset": columns, **RECIPE, **changed}
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
        return tmp_path / "recipe.yaml"

    return written


TAGGER = {"head": {"name": "tagger", "scheme": "bio"}, "metrics": ["entity_f1"]}
SENTENCE = b"a O\ngood B-x\nfilm I-x\n\n"
TAGS = b'{"text": ["a", "film"], "label": ["O", "B-x"]}\n'
BAD = {
    "an empty text": ("a.csv", f"text,label\n{GOOD},pos\n".encode(), {}, ["line 32: the text is empty", "on_error"]),
    "a missing text": (
        "a.jsonl",
        b'{"text": "a", "label": "b"}\n{"label": "c"}\n' * 9,
        {},
        ["2: the input is missing"],
    ),
    "a number for a text": ("a.jsonl", b'{"text": 3, "label": "b"}\n' * 9, {}, ["expected text", "found int: 3"]),
    "half a letter": ("a.jsonl", b'{"text": "\\ud83d", "label": "b"}\n' * 9, {}, ["half of a surrogate pair"]),
    "csv of latin-1": (
        "a.csv",
        f"text,label\n{GOOD}".encode() + b"caf\xe9,pos\n",
        {},
        ["line 32", "byte 559", "latin-1"],
    ),
    "jsonl of latin-1": ("a.jsonl", b'{"text": "caf\xe9", "label": 1}\n', {}, ["line 1", "not UTF-8 text, at byte 13"]),
    "conll of latin-1": ("a.conll", SENTENCE + b"caf\xe9 O\n", TAGGER, ["line 5", "not UTF-8 text, at byte 26"]),
    "scores for classes": (
        "a.csv",
        ("text,label\n" + "".join(f"film {n},{n / 7:.3f}\n" for n in range(60))).encode(),
        {},
        ["'label' has 36 distinct numbers in 36", "head 'regressor'"],
    ),
    "a number written in two ways": (
        "a.csv",
        b"text,label\n" + b"a,1\nb,1.0\nc,2\n" * 9,
        {},
        ["the classes '1' and '1.0', one number written in two ways", "dataset.classes"],
    ),
    "classes for scores": ("a.csv", f"text,label\n{GOOD}".encode(), {"head": "regressor"}, ["'neg', not a number"]),
    "a tag too few": ("a.jsonl", TAGS * 3 + TAGS.replace(b'"O", ', b""), TAGGER, ["line 4: 1 tags for 2 units"]),
    "a line without a tag": ("a.conll", SENTENCE + b"good\n", TAGGER, ["line 5: 1 columns; line 1 has 2"]),
    "a file without words": ("a.conll", b"\n\n", TAGGER, ["there are no words in it"]),
    "a broken segment": (
        "a.conll",
        (SENTENCE + b"a O\nfilm I-x\n\n") * 9,
        {**TAGGER, "head": {"name": "tagger", "scheme": "bio", "repair": "error"}},
        ["the tag 'I-x' follows 'O'", "repair: begin"],
    ),
    "classes for tags": (
        "a.csv",
        f"text,label\n{GOOD}".encode(),
        TAGGER,
        ["a.csv, line ", "expected a list of segments", "'neg'"],
    ),
    "tags for classes": ("a.conll", SENTENCE * 9, {}, ["the target 'tags' is a list", "tagger"]),
    "a misspelt option": (
        "a.csv",
        f"text,label\n{GOOD}".encode(),
        {"backbone": {"name": "transformers", "model": "model", "max_token": 8}},
        ["recipe.yaml, line 1", "Did you mean 'max_tokens'?"],
    ),
    "a wrong value": (
        "a.csv",
        f"text,label\n{GOOD}".encode(),
        {"backbone": {"name": "transformers", "model": "model", "truncate": "rigth"}},
        ["Did you mean 'right'?"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_told_before_anything_is_loaded(case: str, write: Callable[..., Path], inarch: Inarch) -> None:
    name, data, changed, told = BAD[case]
    ended = inarch("check", write(name, data, **changed))
    assert ended.returncode == 2 and ended.stderr.startswith("Error: ") and ended.stderr.count("\n") == 1
    for part in told:
        assert part in ended.stderr


def test_what_is_left_out_or_repaired_is_counted(write: Callable[..., Path], inarch: Inarch) -> None:
    recipe = write("a.csv", f"text,label\n{GOOD}".encode() + b",pos\n\xe2\x80\x8b ,neg\n", on_error="skip")
    assert inarch("check", recipe, "error_limit=0.5").stdout.count("skipped") in (1, 2)  # one split or two
    tagged = inarch("check", write("a.conll", SENTENCE * 20 + b"a O\nfilm I-x\n\n" * 20, **TAGGER))
    assert "tags that go on with no segment begin one (head.repair): " in tagged.stdout
    assert "the tag 'I-x' follows 'O'" in tagged.stdout


MODELS = {
    "a pickle": ([], ["model.safetensors"], "pytorch_model.bin; no pickle is ever opened"),
    "no tokenizer": ([], ["tokenizer.json", "tokenizer_config.json"], "model: has no tokenizer, expected one of"),
    "a broken tokenizer": (["tokenizer.json"], [], "the tokenizer of .* cannot be opened"),
    "a broken description": (["config.json"], [], "cannot be opened by transformers"),
    "broken weights": (["model.safetensors"], [], "not a weights file that can be read"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_folder_that_is_no_whole_model_is_refused(
    case: str, model: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    broken, missing, told = MODELS[case]
    (model / "pytorch_model.bin").write_bytes(b"anything")
    for name in broken:
        (model / name).write_text('{"version": "1.0"', encoding="utf-8")
    for name in missing:
        (model / name).unlink()
    with pytest.raises(InarchError, match=told):
        door.train(write("a.csv", f"text,label\n{GOOD}".encode()), {"backbone.model": str(model)}, tmp_path / "run")


NAMES = {
    "somebody/bert": ["could not be fetched from the hub", "let model be the path of a folder", "package:DISTRIBUTION"],
    "bert-base-uncased": ["there is no such file or folder", "a model of the hub is OWNER/NAME"],
    "./nope": ["./nope: there is no such file or folder"],
    "package:nobody-has-this/model": ["the package 'nobody-has-this' is not installed"],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_cannot_be_had_is_told_with_what_to_write(
    name: str, write: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InarchError) as error:
        door.train(write("a.csv", f"text,label\n{GOOD}".encode()), {"backbone.model": name}, tmp_path / "run")
    for part in NAMES[name]:
        assert part in str(error.value)


WIDE: dict[str, tuple[dict[str, Any], str]] = {
    "too many": ({"backbone.max_tokens": 65}, "the model has 64 positions, 65 are too many"),
    "too few": ({"backbone.max_tokens": 4}, "4 leave no room for text, expected at least 5"),
    "refused": ({"backbone.truncate": "error"}, r"a\.csv, line \d+: has \d+ tokens, more than max_tokens 64"),
    "a pair": ({"backbone.pair": True}, r"a\.csv, line \d+: expected a pair of texts, found one text"),
    "no pair": ({"dataset.input": ["text", "other"], "backbone.pair": False}, "expected one text, found columns: text"),
}


@pytest.mark.parametrize("case", WIDE)
def test_inputs_that_do_not_fit_the_model_are_refused(
    case: str, model: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    changed, told = WIDE[case]
    rows = "".join(f"{'film ' * 70}{n},b,{'pn'[n % 2]}\n" for n in range(30))
    recipe = write("a.csv", f"text,other,label\n{rows}".encode())
    with pytest.raises(InarchError, match=told):
        door.train(recipe, {"backbone.model": str(model), **changed}, tmp_path / "run")


def test_a_text_of_test_that_cannot_be_read_is_told_before_training(
    model: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write("a.csv", f"text,label\n{GOOD}".encode())
    (tmp_path / "test.csv").write_text(f"text,label\n{GOOD}{'good ' * 80},pos\n", encoding="utf-8")
    files = {"train": str(tmp_path / "a.csv"), "test": str(tmp_path / "test.csv")}
    changed = {"backbone.model": str(model), "backbone.truncate": "error", "dataset.path": files}
    with pytest.raises(InarchError, match=r"test\.csv, line 32: has 82 tokens.*on_error: skip would leave it out"):
        door.train(recipe, changed, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InarchError, match=r"1 of 31 examples cannot be read, more than error_limit 0\.01"):
        door.train(recipe, {**changed, "on_error": "skip", "error_limit": 0.01}, tmp_path / "run")
    with pytest.raises(InarchError, match=r"no example of train can be read; the first: .* template wants columns"):
        door.train(recipe, {**changed, "on_error": "skip", "backbone.template": '"{text}"'}, tmp_path / "run")
    door.train(recipe, {**changed, "on_error": "skip"}, tmp_path / "run")
    notes = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["notes"]["test"]
    assert notes[0].startswith("1 example is left out (on_error), for they cannot be read; the first: ")


def test_an_empty_part_of_a_pair_is_told_by_its_column(model: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write("a.csv", ("text,other,label\n" + "a,b,n\na,b,p\n" * 15 + "a,,p\n").encode())
    changed = {"backbone.model": str(model), "dataset.input": ["text", "other"]}
    with pytest.raises(InarchError, match="line 32: the column 'other': the text is empty"):
        door.train(recipe, changed, tmp_path / "run")


OWN = """
from pathlib import Path
from transformers import BertConfig, BertModel

with Path({ran!r}).open("a") as file:
    file.write("ran ")


class OwnConfig(BertConfig):
    model_type = "own-bundle"


class OwnModel(BertModel):
    config_class = OwnConfig
"""


def test_the_code_in_a_bundle_runs_only_for_who_says_so(
    model: Path, write: Callable[..., Path], inarch: Inarch, tmp_path: Path
) -> None:
    ran, env = tmp_path / "ran", {"HF_MODULES_CACHE": str(tmp_path / "modules")}
    settings = json.loads((model / "config.json").read_text(encoding="utf-8"))
    own = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (model / "config.json").write_text(json.dumps({**settings, "model_type": "own-bundle", "auto_map": own}))
    (model / "own.py").write_text(OWN.format(ran=str(ran)), encoding="utf-8")
    recipe = write("a.csv", f"text,label\n{GOOD}".encode())
    refused = inarch("train", recipe, "--out", "run", env=env)
    assert refused.returncode == 2 and "remote_code: allow" in refused.stderr and not ran.exists()

    trained = inarch("train", recipe, "backbone.remote_code=allow", "--out", "run", env=env)  # and opens its own bundle
    assert trained.returncode == 0, trained.stderr
    facts = json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))["backbone"]
    assert facts["remote_code"] == "allow"
    assert "remote_code: allow" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    shutil.rmtree(model)
    ran.unlink()
    for verb in (["predict", "run", "a.csv"], ["evaluate", "run"]):
        stranger = inarch(*verb, env=env)
        assert stranger.returncode == 2 and not ran.exists()
        assert "the code of" in stranger.stderr and "INARCH_REMOTE_CODE=allow" in stranger.stderr
    friend = inarch("predict", "run", "a.csv", env={**env, "INARCH_REMOTE_CODE": "allow"})
    assert friend.returncode == 0 and friend.stdout.count("\n") == 30 and ran.exists()
