"""The loop, through the public door."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import inarch
from inarch.training.progress import Progress


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def test_training_learns(toy_recipe: Path, tmp_path: Path) -> None:
    result = inarch.train(toy_recipe, {"train.epochs": 20}, out=tmp_path / "run")
    assert result.metrics["accuracy"].value >= 0.8
    losses = [line["train"]["loss"] for line in lines(tmp_path / "run")]
    assert losses[-1] < 0.5 * losses[0]


def test_scratch_never_loads_the_weights(toy_recipe: Path, tmp_path: Path) -> None:
    missing = {"backbone.weights": str(tmp_path / "missing.safetensors")}
    inarch.train(toy_recipe, {**missing, "strategy": "scratch"}, out=tmp_path / "scratch")
    with pytest.raises(inarch.WeightsError, match=r"missing\.safetensors"):
        inarch.train(toy_recipe, {**missing, "strategy": "full"}, out=tmp_path / "full")


def test_early_stopping_stops_and_the_best_weights_go_into_the_bundle(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"train.early_stopping": {"metric": "loss", "patience": 2}, "train.epochs": 200,
               "train.learning_rate": 0.3, "train.schedule": "constant"}  # fmt: skip
    result = inarch.train(toy_recipe, options, out=tmp_path / "run")
    losses = [line["valid"]["loss"] for line in lines(tmp_path / "run")]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert len(losses) == best + 3 < 200
    assert result.best_step == lines(tmp_path / "run")[best]["step"]
    kept = weights(tmp_path / "run" / "checkpoints" / f"step-{result.best_step:08d}")
    bundled = weights(tmp_path / "run" / "model")
    assert all(torch.equal(kept[name], bundled[name]) for name in bundled)


def test_a_metric_that_is_not_a_number_is_never_the_best(toy_recipe: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from inarch.training import loop

    values = iter([float("nan"), 0.5, float("nan")])
    validate = loop.validate
    monkeypatch.setattr(loop, "validate", lambda *arguments: {**validate(*arguments), "loss": next(values)})
    result = inarch.train(toy_recipe, {"train.epochs": 3}, out=tmp_path / "run")
    assert result.best_step == 12


def test_evaluations_and_checkpoints_come_every_so_many_steps(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"train.evaluate_every": 4, "train.checkpoint_every": 5}
    inarch.train(toy_recipe, options, out=tmp_path / "run")  # 2 epochs of 6 steps
    assert [line["step"] for line in lines(tmp_path / "run") if "valid" in line] == [4, 8, 12]
    assert [line["epoch"] for line in lines(tmp_path / "run")] == pytest.approx([4 / 6, 1, 8 / 6, 2])


def test_the_average_is_what_is_evaluated_and_bundled(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, {"train.ema": 0.9, "splits.valid": 0}, out=tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    average = load_file(newest / "average.safetensors")
    bundled = weights(tmp_path / "run" / "model")
    assert all(torch.equal(average[f"module.{name}"], bundled[name]) for name in bundled)
    assert any(not torch.equal(weights(newest)[name], bundled[name]) for name in bundled)


@pytest.mark.parametrize("precision", ["bf16", "fp16", "auto"])
def test_lower_precision_trains_and_stays_near_fp32(toy_recipe: Path, tmp_path: Path, precision: str) -> None:
    for chosen in ("fp32", precision):
        inarch.train(toy_recipe, {"train.precision": chosen}, out=tmp_path / chosen)
    full, low = (lines(tmp_path / chosen)[-1]["train"]["loss"] for chosen in ("fp32", precision))
    assert low == pytest.approx(full, rel=0.02)


def test_gradient_checkpointing_without_support_is_an_error_that_names_the_backbone(
    toy_recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(inarch.RecipeError, match="the backbone 'vectors' does not support it"):
        inarch.train(toy_recipe, {"train.gradient_checkpointing": True}, out=tmp_path / "run")


def test_tensorboard_writes_into_the_run_directory(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="an optional extra")
    monkeypatch.chdir(tmp_path)
    inarch.train(toy_recipe, {"train.tracker": "tensorboard"}, out=tmp_path / "run")
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))
    assert not (tmp_path / "runs").exists()


def test_test_data_never_chooses_anything(toy_recipe: Path, tmp_path: Path, vectors: Path) -> None:
    header, *rows = vectors.read_text().splitlines()
    swapped = [row.replace("warm", "?").replace("cold", "warm").replace("?", "cold") for row in rows[:10]]
    found = []
    for name, test in (("true", rows[:10]), ("false", swapped)):
        for split, part in (("train", rows[20:]), ("valid", rows[10:20]), ("test", test)):
            (tmp_path / f"{name}-{split}.csv").write_text("\n".join([header, *part]))
        paths = {split: str(tmp_path / f"{name}-{split}.csv") for split in ("train", "valid", "test")}
        result = inarch.train(toy_recipe, {"dataset.path": paths, "train.epochs": 6}, out=tmp_path / name)
        found.append((result.best_step, weights(tmp_path / name / "model")["head.linear.weight"].tolist()))
        assert result.split == "test"
    assert found[0] == found[1]


def test_unreadable_examples_of_train_and_valid_are_each_reported_once(
    toy_recipe: Path, tmp_path: Path, vectors: Path
) -> None:
    broken = vectors.read_text().splitlines()
    for row in range(1, 61):
        broken[row] = broken[row] if row % 15 else "1 2," + broken[row].split(",", 1)[1]
    vectors.write_text("\n".join(broken))
    inarch.train(toy_recipe, {"on_error": "skip", "error_limit": 0.2}, out=tmp_path / "run")
    skipped = json.loads((tmp_path / "run" / "results.json").read_text())["skipped"]
    places = [place for where in skipped.values() for place in (where if isinstance(where, list) else [])]
    assert len(places) == len(set(places)) == 4
    with pytest.raises(inarch.DataError, match="more than error_limit"):
        inarch.train(toy_recipe, {"on_error": "skip", "error_limit": 0.01}, out=tmp_path / "strict")


def test_the_progress_sees_every_step_of_the_run(toy_recipe: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int, int]] = []

    class Count(Progress):
        def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
            seen.append((done, total, epoch, epochs))

    inarch.train(toy_recipe, out=tmp_path / "run", progress=Count())
    assert seen == [(step, 12, 1 + (step - 1) // 6, 2) for step in range(1, 13)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # torch, importing its compiler
def test_a_compiled_model_trains_to_the_same_figures(toy_recipe: Path, tmp_path: Path) -> None:
    for compiled in (False, True):
        options = {"train.compile": compiled, "train.batch_size": 42}  # one shape: compiled once
        inarch.train(toy_recipe, options, out=tmp_path / str(compiled))
    plain, fast = (lines(tmp_path / str(compiled))[-1]["train"]["loss"] for compiled in (False, True))
    assert fast == pytest.approx(plain, rel=1e-4)


def test_pretrained_weights_are_where_training_begins(toy_recipe: Path, tmp_path: Path) -> None:
    first = inarch.train(toy_recipe, {"train.epochs": 20}, out=tmp_path / "first")
    body = {name.removeprefix("backbone."): tensor for name, tensor in weights(first.directory / "model").items()
            if name.startswith("backbone.")}  # fmt: skip
    save_file(body, tmp_path / "body.safetensors")
    transfer = {"backbone.weights": str(tmp_path / "body.safetensors"), "strategy": "linear_probe"}
    inarch.train(toy_recipe, transfer, out=tmp_path / "second")
    after = weights(tmp_path / "second" / "model")
    assert all(torch.equal(after[f"backbone.{name}"], tensor) for name, tensor in body.items())
