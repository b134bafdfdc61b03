"""A capsule: all that a step without a finite gradient depended on, so that `inarch replay` can take it again.

    capsule.json          what `Facts` says
    recipe.yaml           with every default written out
    model.safetensors     the whole model before the step, adapters too
    backbone/             what the backbone needs beside its weights
    batch-P.safetensors   of process P: batch.NAME, targets

No data set is needed to open one, and nothing in it is code.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.utils import broadcast_object_list, gather_object
from safetensors.torch import save_file

from inarch import checkpoint, document, recipe
from inarch.data.loaders import Item
from inarch.description import refuse_damaged
from inarch.document import Document
from inarch.errors import RecipeError, RunError
from inarch.interfaces.strategy import Phase
from inarch.parts import write_files
from inarch.recipe import Recipe
from inarch.schema import convert
from inarch.training.job import Job
from inarch.training.state import RunState
from inarch.weights import read_state, savable

FORMAT = 1
FOLDER, FACTS, RECIPE, WEIGHTS = "capsules", "capsule.json", "recipe.yaml", "model.safetensors"
MOST = 3
"""Capsules of a run that are kept, the first ones: later steps seldom tell more."""
Number = float | Literal["nan", "inf", "-inf"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a process did of the step; its tensors are beside it."""

    rows: list[int]
    """Numbers of the rows of train."""
    places: list[str]
    """Where each of them came from: a file, a table and its line."""
    size: int
    """Examples of the step, over all processes."""
    idle: bool
    """Whether the examples are only there for the process to take part, and do not count."""
    random: dict[str, Any]
    """The state of every random generator before the step (`Generators.plain`)."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What capsule.json holds."""

    format: int
    run: str
    """The recipe's name."""
    step: int
    """Which optimizer step of the run, from 1."""
    phase: str
    micro_batch_size: int
    precision: Literal["fp32", "bf16", "fp16"]
    device: str
    threads: int
    torch: str
    loss_sum: Number
    """Over all processes, as `count`."""
    count: Number
    gradient_norm: Number
    """Before clipping."""
    scale: Number
    """What the loss was multiplied by in fp16."""
    trained: list[str]
    """The model's trained parameters."""
    still: list[str]
    """The model's modules that stay in evaluation mode."""
    lacks: list[str]
    """What of the step a capsule cannot hold, in words."""
    model: dict[str, Any]
    """What the model is built from (`parts.describe`)."""
    processes: list[Share]

    @property
    def loss(self) -> float:
        """The mean loss of the step."""
        return float(self.loss_sum) / max(float(self.count), 1e-12)


@dataclass(frozen=True)
class Capsule:
    """A capsule that has been opened."""

    directory: Path
    facts: Facts
    recipe: Recipe
    items: list[Item]
    """What each process was given: `batch`, `targets`, `rows`, `places`, `size`, `idle`, `random`."""


def write(job: Job, phase: Phase, state: RunState, item: Item, found: Mapping[str, Any]) -> Path | None:
    """Write the capsule of the step after `state`; every process calls this, the main one writes and returns where.

    item: what this process was given. found: the global `loss_sum`, `count` and `gradient_norm`, the `scale` of the
    loss, and `random`, `Generators.plain` of this process before the step. Returns None where the run has enough
    capsules, and where one cannot be written: that is told, and must not hide why there should be one.
    """
    final = checkpoint.step_directory(job.directory / FOLDER, state.step + 1)
    main = job.accelerator.is_main_process
    others = [path for path in final.parent.glob("step-*") if path != final] if main else []
    if not broadcast_object_list([len(others) < MOST])[0]:
        return None
    shares = gather_object([_share(job, item, found)])
    if not main:
        return None
    try:
        with checkpoint.written_atomically(final) as aside:
            facts = _describe(job, phase, state, found, [share for share, _ in shares])
            (aside / FACTS).write_text(json.dumps(asdict(facts), allow_nan=False), encoding="utf-8")
            (aside / RECIPE).write_text((job.resolved or job.recipe).to_yaml(), encoding="utf-8")
            save_file(savable(job.model.state_dict()), aside / WEIGHTS)
            write_files(aside, job.model.backbone)
            for process, (_, tensors) in enumerate(shares):
                save_file(tensors, aside / _batch(process))
    except (RunError, OSError) as error:
        job.progress.say(f"no capsule of step {state.step + 1}: {error}")
        return None
    return final


def find(path: Path) -> Path:
    """Return a capsule's folder, given it or its run, of which it is the newest; raise RunError if there is none."""
    if (path / FACTS).is_file():
        return path
    found = sorted(facts.parent for root in (path / FOLDER, path) for facts in root.glob(f"step-*/{FACTS}"))
    if not found:
        raise RunError(
            f"{path}: no capsule here; expected a folder such as runs/NAME/{FOLDER}/step-00000012, or a run that has "
            "one: it is written where a step's loss or gradient is not finite"
        )
    return found[-1]


def read(directory: Path) -> Capsule:
    """Open a capsule after checking every file against its hash, or raise an error that says what is wrong."""
    refuse_damaged(directory, "capsule", {FACTS, RECIPE, WEIGHTS})
    try:
        told = json.loads((directory / FACTS).read_text(encoding="utf-8"))
        version = told["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{directory / FACTS}: not what a capsule has: {type(error).__name__}: {error}") from None
    if version != FORMAT:
        raise RunError(f"{directory}: capsule format {version}, this inarch reads {FORMAT}")
    try:
        facts: Facts = convert(told, Facts, Document(str(directory / FACTS), told), ())
        parsed = recipe.parse(document.load(directory / RECIPE))
    except RecipeError as error:
        raise RunError(f"the capsule cannot be read: {error}") from None
    items = [_item(directory, process, share) for process, share in enumerate(facts.processes)]
    return Capsule(directory, facts, parsed, items)


def _share(job: Job, item: Item, found: Mapping[str, Any]) -> tuple[Share, dict[str, torch.Tensor]]:
    """Return what this process did of the step, and its tensors."""
    share = Share(
        rows=[int(row) for row in item["rows"]],
        places=[job.train.rows.where(int(row)) for row in item["rows"]],
        size=item["size"],
        idle=item.get("idle", False),
        random=dict(found["random"]),
    )
    tensors = {f"batch.{name}": tensor for name, tensor in item["batch"].items()}
    return share, savable({**tensors, "targets": item["targets"]})


def _describe(job: Job, phase: Phase, state: RunState, found: Mapping[str, Any], shares: list[Share]) -> Facts:
    model, still = job.model, set(map(id, job.model.frozen))
    lacks = ["the lesson of the teacher"] if job.lesson is not None else []
    return Facts(
        format=FORMAT,
        run=job.recipe.name,
        step=state.step + 1,
        phase=phase.name,
        micro_batch_size=state.micro_batch_size,
        precision=job.precision,  # type: ignore[arg-type]
        device=job.accelerator.device.type,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        loss_sum=_number(found["loss_sum"]),
        count=_number(found["count"]),
        gradient_norm=_number(found["gradient_norm"]),
        scale=_number(found["scale"]),
        trained=[name for name, parameter in model.named_parameters() if parameter.requires_grad],
        still=[name for name, module in model.named_modules() if id(module) in still],
        lacks=[*lacks, "the pull to where the weights began"] if phase.pull else lacks,
        model=dict(job.parts),
        processes=shares,
    )


def _number(value: float) -> Any:
    """Return a number as JSON has it: what is not finite as text."""
    return float(value) if math.isfinite(value) else str(float(value))


def _batch(process: int) -> str:
    return f"batch-{process}.safetensors"


def _item(directory: Path, process: int, share: Share) -> Item:
    tensors = read_state(directory / _batch(process))
    batch = {name.removeprefix("batch."): tensor for name, tensor in tensors.items() if name.startswith("batch.")}
    if "targets" not in tensors or not batch or not len(share.rows) == len(share.places) == len(tensors["targets"]):
        raise RunError(f"{directory / _batch(process)}: not the batch of {len(share.rows)} examples")
    return {"batch": batch, "targets": tensors["targets"], "tokens": (0, 0), **vars(share)}
