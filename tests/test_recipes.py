"""Every recipe that is shipped: checked in full, and trained for two steps or so on stand-in data."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stand_ins
import tiny_audio
from torchaudio import pipelines

import inarch
from inarch import plugins, recipe

pytestmark = [  # `datasets` leaves files open until the garbage collector finds them
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).parent.parent / "recipes"
RECIPES = sorted(ROOT.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    gc.collect()  # here, where the warning is expected, and not in another test


def test_there_are_recipes_of_every_domain() -> None:
    domains = [path.relative_to(ROOT).parts[0] for path in RECIPES]
    assert set(domains) == {"audio", "text", "vision"} and len(domains) >= 18


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_names_components_and_options_that_exist(path: Path) -> None:
    written = recipe.load(path)
    found = plugins.check(written)
    for key, entries in found.items():
        components = [component for kind, component in written.components() if kind == key]
        assert [entry.name for entry, _ in entries] == [component.name for component in components]
        for component, (_, options) in zip(components, entries, strict=True):
            assert set(component.options) <= set(options)
    [(backbone, _)] = found["backbone"]
    assert backbone.plugin == path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_says_how_to_run_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\nname:", 1)[0]
    assert header.startswith("# ")
    assert f"inarch train recipes/{path.relative_to(ROOT)}" in header


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_trains_on_stand_in_data(
    path: Path, tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = recipe.load(path)
    if written.backbone.name == "torchaudio":
        name = written.backbone.options["model"]
        monkeypatch.setattr(pipelines, name, tiny_audio.bundle(name))
    overrides = {
        **({"splits.per_class": 2} if written.splits.per_class else {}),
        **stand_ins.make(written, tmp_path / "data"),
        **_small(written, tiny, tmp_path / "tiny"),
        "train.epochs": 1,
        "train.batch_size": 20,
        "train.workers": 0,
    }
    result = inarch.train(path, overrides, out=tmp_path / "run")
    assert result.split == "test"
    assert result.parity < 1e-4
    assert set(result.metrics) == {metric.name for metric in written.metrics}
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def _small(written: recipe.Recipe, tiny: Callable[[str], Path], folder: Path) -> dict[str, Any]:
    """Return the overrides that make a backbone small, and keep no more of train than the stand-in has."""
    if written.backbone.name == "transformers_audio":
        named = written.backbone.options["model"]
        family = next((family for family in ("wav2vec2", "ast") if f"{family}-" in named), "whisper")
        tiny_audio.save(family, folder)
        return {"backbone.model": str(folder), "backbone.duration": 1.0, "splits.examples": None}
    if written.backbone.name in ("torchaudio", "speech_embedding"):
        return {"backbone.weights": "none", "splits.examples": None}
    if written.backbone.name == "transformers":
        family = "roberta" if "roberta" in written.backbone.options["model"] else "bert"
        return {"backbone.model": str(tiny(family)), "splits.examples": None}
    return {"backbone.weights": "none", "backbone.image_size": 64}
