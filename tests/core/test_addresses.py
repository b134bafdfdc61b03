"""Where files are, and models."""

from pathlib import Path

import pytest

from inarch import WeightsError, absolute, find_model


def test_an_address_of_what_is_here_becomes_absolute_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute("model") == str(tmp_path / "model")
    assert [absolute(address) for address in ("none", "pretrained", "owner/name", "package:pip/pip")] == [
        "none", "pretrained", "owner/name", "package:pip/pip"
    ]  # fmt: skip


def test_a_model_that_is_here_is_found_without_the_hub(tmp_path: Path) -> None:
    assert find_model(str(tmp_path), ["*.json"]) == tmp_path
    assert find_model("package:pip/pip", ["*.json"]).name == "pip"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("no-such-model", "there is no such file or folder; a model of the hub is OWNER/NAME"),
        ("./no-such-model", "there is no such file or folder$"),
        ("somebody/no-such-model", r"is no folder here, and could not be fetched from the hub .*Without a network"),
    ],
)
def test_a_model_that_is_nowhere_is_told(model: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=said):
        find_model(model, ["*.json"])
