"""A recipe: the YAML file as a typed, checked, frozen object.

A recipe is whole: no inheritance, no interpolation, no import paths, no code. Which components exist and what options
they take is asked of the plugins, so that checking a recipe imports neither torch nor any domain's libraries.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inarch import document as documents
from inarch.document import Document, Key
from inarch.errors import RecipeError, unknown
from inarch.schema import convert, plain

SINGLE = ("dataset", "backbone", "head", "strategy")
SEEDS = 2**32 - 2**16
"""Seeds are below this: numpy takes 32 bits, and each process adds its number."""


@dataclass(frozen=True)
class Component:
    """A registered thing by its name, and what the recipe writes beside it."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    key: Key = ()


def _refuse_seed(seed: int, name: str = "seed") -> None:
    if not 0 <= seed < SEEDS:
        raise ValueError(f"{name} must be from 0 to below {SEEDS}, found {seed}")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """How much of the training data to set aside for a split that the data does not bring along."""

    valid: float | dict[str, list[str]] = 0.15
    """Share of the training examples, 0 to 1, that chooses the best epoch. 0: none is made. Or which rows, by their
    values: {speaker: [theo]}."""
    test: float | dict[str, list[str]] = 0.15
    """Share of all examples, 0 to 1, kept for the final figures; it never chooses anything. 0: none is made. Or which
    rows, by their values: {fold: [5]}."""
    seed: int = 0
    """Seed of the split; apart from the recipe's `seed`, so that runs with several seeds share their test data."""
    examples: int | None = None
    """How many examples of train are kept once the others are cut: drawn by `draw`, classes in their shares."""
    per_class: int | None = None
    """How many examples of each class are kept, likewise. Fewer are among those that more would keep."""
    draw: int | None = None
    """Seed of which examples are kept, for the same valid and test; none: `seed`."""

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on, and sizes that are none."""
        shares = {name: getattr(self, name) for name in ("valid", "test")}
        numbers = {name: share for name, share in shares.items() if not isinstance(share, dict)}
        for name, share in numbers.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be from 0 to below 1, found {share}")
        _refuse_seed(self.seed)
        if self.draw is not None:
            _refuse_seed(self.draw, "draw")
        if sum(numbers.values()) >= 1:
            raise ValueError(f"valid + test must be below 1, found {sum(numbers.values()):g}")
        for name in ("examples", "per_class"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, found {size}")
        if self.examples is not None and self.per_class is not None:
            raise ValueError("per_class and examples both say how much of train is kept; give one of them")


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when a validation metric has not improved for a while."""

    metric: str = "loss"
    """Which validation metric: `loss`, or one of the recipe's `metrics`."""
    patience: int = 10
    """Evaluations without improvement before stopping (AutoGluon's default)."""

    def __post_init__(self) -> None:
        """Refuse to stop before the first evaluation."""
        if self.patience < 1:
            raise ValueError(f"patience must be at least 1, found {self.patience}")


@dataclass(frozen=True, kw_only=True)
class Train:
    """How to train."""

    epochs: int = 5
    """Passes over the training data."""
    batch_size: int = 32
    """Examples per optimizer step, over all processes and accumulation."""
    micro_batch_size: int | Literal["auto"] = "auto"
    """Examples that one device holds at once; `auto` halves it after running out of memory."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW (arXiv 1711.05101), or SGD with momentum."""
    learning_rate: float = 1e-3
    """The peak rate of the backbone's last layer; strategies derive the others from it."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 0.05
    """Decoupled for AdamW; never applied to biases, norms and other parameters with fewer than two dimensions."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls to zero after the warm-up."""
    warmup_fraction: float = 0.1
    """Share of the steps over which the rate rises from zero."""
    clip: float | None = 1.0
    """Largest norm of the gradient; none: no limit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of training; `auto` is bf16 where that is faster. Evaluation and serving are always fp32."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, used for evaluation and the bundle; none: off."""
    early_stopping: EarlyStopping | None = None
    """Stop a phase early; none: train for all epochs."""
    best_metric: str = "loss"
    """The validation metric that chooses the epoch whose weights go into the bundle: `loss`, or one of `metrics`."""
    evaluate_every: int | Literal["epoch"] = "epoch"
    """Steps between evaluations on valid."""
    checkpoint_every: int | Literal["epoch"] = "epoch"
    """Steps between checkpoints."""
    non_finite: Literal["stop", "skip"] = "stop"
    """What to do about a step whose loss or gradient is not finite: stop, or leave it out; a capsule keeps it."""
    compile: bool = False
    """Compile the model with torch.compile."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    workers: int | Literal["auto"] = "auto"
    """Processes that read and transform examples."""
    tracker: Literal["none", "tensorboard", "wandb", "mlflow"] = "none"
    """Also log metrics to a tracker, through accelerate; a resumed run goes on in the tracker's run."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        counts = ("epochs", "batch_size", "micro_batch_size", "evaluate_every", "checkpoint_every")
        for name in (*counts, "clip", "learning_rate"):
            value = getattr(self, name)
            if not isinstance(value, str) and value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0, found {value}")
        for name in ("weight_decay", "momentum", "workers"):
            value = getattr(self, name)
            if not isinstance(value, str) and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0, found {value}")
        for name in ("warmup_fraction", "ema"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name} must be from 0 to below 1, found {value}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train, on what, how, and what to measure."""

    dataset: Component
    backbone: Component
    head: Component
    strategy: Component
    metrics: tuple[Component, ...]
    name: str = "run"
    splits: Splits = field(default_factory=Splits)
    train: Train = field(default_factory=Train)
    seed: int = 0
    on_error: Literal["error", "skip"] = "error"
    """What to do with an example that cannot be read: stop, or skip, count and report it."""
    error_limit: float = 0.05
    """With `on_error: skip`, the largest share of skipped examples, 0 to 1."""
    document: Document = field(default_factory=lambda: Document("recipe", {}), repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what no run can have."""
        _refuse_seed(self.seed)
        if not 0 <= self.error_limit <= 1:
            raise ValueError(f"error_limit must be from 0 to 1, found {self.error_limit}")
        if not self.name.strip(".") or not set(self.name).isdisjoint("/\\\0\n"):
            raise ValueError(f"name must be the name of a folder, found {self.name!r}")

    def components(self) -> list[tuple[str, Component]]:
        """Every component with its kind, in the order in which they are built."""
        single = [(kind, getattr(self, kind)) for kind in SINGLE]
        return [*single, *(("metrics", metric) for metric in self.metrics)]

    def plain(self) -> dict[str, Any]:
        """Return the recipe as plain data, every default written out; it loads back equal."""
        result: dict[str, Any] = {"name": self.name}
        for kind in SINGLE:
            result[kind] = _plain_component(getattr(self, kind))
        result["metrics"] = [_plain_component(metric) for metric in self.metrics]
        for key in ("splits", "train", "seed", "on_error", "error_limit"):
            result[key] = plain(getattr(self, key))
        return result

    def to_yaml(self) -> str:
        """Return `plain()` as YAML that this module's loader reads back equal."""
        return documents.dump(self.plain())


def load(path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read a recipe and apply overrides: ``["train.epochs=3"]`` or ``{"train.epochs": 3}``."""
    return parse(documents.load(Path(path)), overrides)


def parse(document: Document, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Turn a document into a recipe; every mistake names file, line, key and the nearest match."""
    if isinstance(overrides, Mapping):
        for dotted, value in overrides.items():
            document.override(dotted, value)
    else:
        for text in overrides:
            document.override_text(text)
    fields = {f.name: f for f in dataclasses.fields(Recipe) if f.name != "document"}
    data = dict(document.data)
    for name in data:
        if name not in fields:
            raise RecipeError(f"{document.where((name,))}: {unknown('key', name, fields)}")
    for kind in (*SINGLE, "metrics"):
        if data.get(kind) is None:
            raise RecipeError(f"{document.source}: the key '{kind}' is required")
    for kind in SINGLE:
        data[kind] = _component(data[kind], document, (kind,))
    listed = data["metrics"] if isinstance(data["metrics"], list) else [data["metrics"]]
    if not listed:
        raise RecipeError(f"{document.where(('metrics',))}: expected at least one metric, for example [accuracy]")
    data["metrics"] = tuple(_component(metric, document, ("metrics", index)) for index, metric in enumerate(listed))
    _refuse_repeated(data["metrics"], document)
    typed = {
        "name": str,
        "splits": Splits,
        "train": Train,
        "seed": int,
        "on_error": Literal["error", "skip"],
        "error_limit": float,
    }
    for key, annotation in typed.items():
        if key in data:
            data[key] = convert(data[key], annotation, document, (key,))
    try:
        recipe = Recipe(**data, document=document)
    except ValueError as error:  # its message starts with the key
        raise RecipeError(f"{document.where((str(error).split(' ', 1)[0],))}: {error}") from None
    _check_metric_names(recipe)
    return recipe


def _component(value: Any, document: Document, key: Key) -> Component:
    if isinstance(value, str):
        return Component(value, {}, key)
    if not isinstance(value, Mapping):
        raise RecipeError(f"{document.where(key)}: expected a name or a mapping with 'name', found {value!r}")
    if not isinstance(value.get("name"), str):
        raise RecipeError(f"{document.where(key)}: a component needs 'name: ...'")
    return Component(value["name"], {k: v for k, v in value.items() if k != "name"}, key)


def _plain_component(component: Component) -> Any:
    return {"name": component.name, **plain(component.options)} if component.options else component.name


def _refuse_repeated(metrics: Sequence[Component], document: Document) -> None:
    names = set()
    for metric in metrics:
        if metric.name in names:
            raise RecipeError(f"{document.where(metric.key)}: the metric '{metric.name}' is listed twice")
        names.add(metric.name)


def _check_metric_names(recipe: Recipe) -> None:
    allowed = ["loss", *(metric.name for metric in recipe.metrics)]
    chosen: dict[Key, str] = {("train", "best_metric"): recipe.train.best_metric}
    if recipe.train.early_stopping:
        chosen["train", "early_stopping", "metric"] = recipe.train.early_stopping.metric
    for key, name in chosen.items():
        if name not in allowed:
            raise RecipeError(
                f"{recipe.document.where(key)}: {unknown('metric', name, allowed)} It must stand under 'metrics'."
            )
