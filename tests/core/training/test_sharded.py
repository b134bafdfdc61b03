"""Weights in shards (FSDP2) on two processes of a CPU, through a configuration file of accelerate."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState, PartialState
from conftest import TOY
from cuts import ending
from group import TESTS, fork_group
from safetensors.torch import load_file
from sharded_runs import CONFIGURATION, environment_of, figures, train, train_and_resume

from inarch.checkpoint import step_directory
from inarch.errors import RunError
from inarch.training.engine import make_accelerator, refuse_other_precision
from inarch.training.shards import read_whole

FULL, SHARDED = "FULL_STATE_DICT", "SHARDED_STATE_DICT"
STATEFUL = {
    "backbone.dropout": 0.2, "backbone.noise": 0.1, "backbone.mixup": True, "backbone.norm": True, "backbone.width": 5,
    "train.batch_size": 7, "train.ema": 0.9, "train.epochs": 3, "train.checkpoint_every": 1, "train.evaluate_every": 4,
}  # fmt: skip
SAME = {
    "full": {"train.micro_batch_size": 3, "train.clip": 0.5, "train.ema": 0.9},
    "l2_sp": {"strategy": "l2_sp", "train.optimizer": "sgd", "backbone.width": 5, "train.batch_size": 7},
    "lp_ft": {"strategy": "lp_ft", "train.epochs": 3},
}


def configuration(folder: Path, kind: str) -> Path:
    """Write accelerate's configuration file."""
    path = folder / "fsdp2.yaml"
    path.write_text(CONFIGURATION.format(kind=kind))
    return path


def test_two_processes_with_shards_train_as_one_with_whole_weights(toy_recipe: Path, tmp_path: Path) -> None:
    cases = {name: (str(toy_recipe), {"train.epochs": 2, **overrides}) for name, overrides in SAME.items()}
    environment = environment_of(configuration(tmp_path, FULL))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    fork_group(train, 1, cases, str(tmp_path / "one"), {})
    fork_group(train, 2, cases, str(tmp_path / "two"), environment)
    for name in cases:
        one, two = (tmp_path / folder / name for folder in ("one", "two"))
        exact = 1e-5 if name == "lp_ft" else 1e-12  # it computes in float32, the others in float64
        for mine, other in zip(figures(one), figures(two), strict=True):
            assert other["train"]["loss"] == pytest.approx(mine["train"]["loss"], rel=exact)
            assert other["valid"] == pytest.approx(mine["valid"], rel=exact)
        mine, other = (load_file(run / "model" / "model.safetensors") for run in (one, two))
        assert all(other[key].numpy() == pytest.approx(tensor.numpy(), abs=1e-6) for key, tensor in mine.items())


@pytest.mark.parametrize(("kind", "strategy"), [(FULL, "gradual_unfreezing"), (SHARDED, "full")])
def test_a_run_with_shards_resumed_from_any_step_ends_with_the_same_bits(
    toy_recipe: Path, tmp_path: Path, kind: str, strategy: str
) -> None:
    overrides: dict[str, Any] = {**STATEFUL, "strategy": strategy}
    if kind == SHARDED:
        overrides |= {"train.optimizer": "sgd"}
    environment, steps = environment_of(configuration(tmp_path, kind)), [3, 11]
    fork_group(train_and_resume, 2, str(toy_recipe), overrides, str(tmp_path), steps, environment)
    for step in steps:
        assert ending(tmp_path / f"cut {step}") == ending(tmp_path / "whole"), f"cut after step {step}"
    newest = step_directory(tmp_path / "kept", 11)
    files = {str(path.relative_to(newest)) for path in newest.rglob("*") if path.is_file()}
    own = {name for name in files if name.startswith("shards/")}
    assert len(own) == (2 if kind == SHARDED else 0)
    weights = read_whole(newest) if kind == SHARDED else load_file(newest / "average.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.slow
def test_accelerate_launches_a_run_in_shards_which_no_other_configuration_resumes(
    toy_recipe: Path, tmp_path: Path
) -> None:
    path, run = configuration(tmp_path, SHARDED), tmp_path / "run"
    launched(path, "train", toy_recipe, "--out", run)
    assert len(list(run.glob("checkpoints/*/shards/*.safetensors"))) == 4
    path.write_text(path.read_text().replace(SHARDED, FULL))
    told = launched(path, "train", toy_recipe, "--out", run, "--resume", fails=True)
    assert "was written in shards; resume with accelerate's configuration" in told


def launched(path: Path, *arguments: object, fails: bool = False) -> str:
    """Run `inarch` by accelerate's launcher; return what it wrote."""
    paths = os.pathsep.join([str(TESTS), str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", path, "-m", "inarch", *arguments]
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, r"distributed_type: DEEPSPEED .* Write distributed_type: FSDP"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, r"distributed_type: MEGATRON_LM"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, r"parallelism_config"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, r"gradient_accumulation_steps .*train.micro_batch_size"),
        ({"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, r"dynamo_backend: INDUCTOR .*train.compile=true"),
        ({"FSDP_VERSION": "1"}, r"fsdp_version: 1 .*write fsdp_version: 2"),
        ({"FSDP_STATE_DICT_TYPE": "LOCAL_STATE_DICT"}, r"LOCAL_STATE_DICT .*write SHARDED_STATE_DICT or FULL"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, r"fsdp_offload_params .*train.gradient_checkpointing=true"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, r"fsdp_activation_checkpointing .*train.gradient_checkpointing"),
        ({"FSDP_IGNORED_MODULES": "head"}, r"fsdp_ignored_modules"),
        ({}, r"asks for distributed_type: FSDP, and this process is in no group"),
    ],
)
def test_what_inarch_does_not_do_is_refused_by_the_key_of_the_configuration(
    told: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    for name, value in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", **told}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match=expected):
        make_accelerator()
    AcceleratorState._reset_state(reset_partial_state=True)
    assert PartialState().num_processes == 1


@pytest.mark.parametrize(("told", "hint"), [("fp16", "write train.precision=fp16"), ("fp8", "mixed_precision: 'no'")])
def test_another_precision_than_the_recipes_is_refused(told: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", told)
    with pytest.raises(RunError, match=rf"mixed_precision: {told} in accelerate's configuration.*{hint}"):
        refuse_other_precision("bf16")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    refuse_other_precision("bf16")
