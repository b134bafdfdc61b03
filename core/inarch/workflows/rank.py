"""Rank: which backbone for these data, said without fine-tuning any, from train alone."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from inarch import checkpoint, plugins, recipe, schema
from inarch import source as sources
from inarch.data.loaders import Examples, load
from inarch.data.views import Views
from inarch.errors import DataError, InarchError, RecipeError
from inarch.features.extraction import extract
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.dataset import Stream
from inarch.interfaces.head import Head
from inarch.model import Model
from inarch.recipe import Recipe
from inarch.studies import ranking, ranking_plot
from inarch.studies.ranking import Data, Place, Scored
from inarch.studies.transferability import one_hot, standardised
from inarch.training.progress import Progress
from inarch.weights import load_weights
from inarch.workflows.candidates import Known, find, split
from inarch.workflows.check import Checked, check
from inarch.workflows.start import make_examples, start_processes

MOST = 1000
"""Examples that are looked at: more would hardly change the order, and cost more than linearly."""
FEWEST = 6
_TIMED, _REPEATS = 8, 3


@dataclass(frozen=True)
class Ranking:
    """What `inarch rank` found."""

    directory: Path
    places: Sequence[Place]
    """The backbones, best first."""
    failed: Mapping[str, str]
    """Backbones that could not be tried, with the reason."""
    notes: Sequence[str]
    """What was looked at, in sentences."""
    verdict: Sequence[str]
    """Which to take and how sure that is."""
    measure: str
    """What the probe and the neighbours are measured by: accuracy, or R2."""
    seconds: float


def rank(
    source: Path | str | Recipe,
    backbones: str | Sequence[str],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """Rank backbones for a recipe's training data; the same as ``inarch rank``.

    backbones: names, @SET, `recipe`, or {name: BUILDER, ...}, a list or text with commas. out: where `ranking.json` and
    the picture go; default runs/NAME_ranking.
    """
    parsed = source if isinstance(source, Recipe) else recipe.load(source, overrides)
    candidates = find(parsed, split(backbones) if isinstance(backbones, str) else backbones)
    return rank_checked(check(parsed), candidates, Path(out) if out else None, progress or Progress())


def rank_checked(checked: Checked, candidates: Sequence[Known], out: Path | None, progress: Progress) -> Ranking:
    """Rank candidates for a recipe that has been checked."""
    started = time.monotonic()
    checked, notes = prepare(checked)
    accelerator = start_processes()
    data, places, failed = None, [], {}
    for candidate in candidates:
        progress.say(f"{candidate.name} ...")
        try:
            one, found = examine(candidate, checked, accelerator)
            if data is not None and len(found.columns) != len(data.columns):
                raise DataError("it cannot read the same examples as the others; without on_error: skip it says which")
        except (InarchError, RuntimeError) as error:
            failed[candidate.name] = str(error)
            progress.say(f"{candidate.name} cannot be ranked: {error}")
            continue
        data = found
        places.append(one)
    if data is None or len(places) < 2:
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise DataError(f"a ranking needs at least two backbones, and {len(places)} could be tried. {told}")
    ranked = ranking.combine(places)
    measure = "R2" if data.classes is None else "accuracy"
    baseline = 0.0 if data.classes is None else float(np.bincount(data.classes).max() / len(data.classes))
    directory = out or Path("runs", f"{checked.recipe.name}_ranking")
    seconds = time.monotonic() - started
    result = Ranking(directory, ranked, failed, notes, ranking.verdict(ranked, baseline), measure, seconds)
    if accelerator.is_main_process:
        directory.mkdir(parents=True, exist_ok=True)
        checkpoint.write_atomically(directory / "ranking.json", json.dumps(plain(result), indent=1))
        result = replace(result, notes=[*result.notes, *ranking_plot.draw(plain(result), directory)])
    return result


def plain(result: Ranking) -> dict[str, Any]:
    """Return a ranking as plain data."""
    rows = []
    for place in result.places:
        row = asdict(replace(place, scored=None))  # type: ignore[arg-type]
        one = place.scored
        facts = {"standing": one.standing, "parameters": one.parameters, "milliseconds": one.milliseconds}
        rows.append({**row, **facts, **one.facts, "scores": dict(one.scores), "scored": None})
    for row in rows:
        del row["scored"]
    return {
        "places": rows,
        "failed": dict(result.failed),
        "notes": list(result.notes),
        "verdict": list(result.verdict),
        "measure": result.measure,
        "weights": ranking.WEIGHTS,
        "seconds": result.seconds,
    }


def prepare(checked: Checked) -> tuple[Checked, list[str]]:
    """Return what of train is looked at, and sentences about it; or refuse data that no score is defined on."""
    rows, targets = checked.dataset.splits["train"], checked.targets
    if isinstance(rows, Stream):
        raise DataError("a ranking reads train in any order, and a stream is read from its beginning")
    if targets.kind not in ("classes", "labels", "numbers"):
        raise RecipeError(
            f"a ranking is for heads of one answer for each example (classifier, multilabel, regressor); "
            f"'{checked.recipe.head.name}' predicts {targets.kind}"
        )
    if len(rows) < FEWEST:
        raise DataError(f"{checked.dataset.origin}: a ranking needs at least {FEWEST} examples, train has {len(rows)}")
    counts = list(targets.counts.get("train", ()))
    if targets.kind == "classes" and sum(count >= 2 for count in counts) < 2:
        raise DataError(
            f"{checked.dataset.origin}: a ranking needs two classes with two examples each; train has "
            + ", ".join(f"{name} {count}" for name, count in zip(targets.classes, counts, strict=False))
        )
    return _few(checked)


def _few(checked: Checked) -> tuple[Checked, list[str]]:
    """Return the data with at most MOST examples of train, classes in their shares, and sentences about it."""
    rows, dataset = checked.dataset.splits["train"], checked.dataset
    notes = [f"{min(len(rows), MOST):,} examples of train were looked at; valid and test were not"]
    counts = [count for count in checked.targets.counts.get("train", ()) if count == 1]
    if counts and checked.targets.kind == "classes":
        notes.append(f"{len(counts)} classes have a single example, which no score can tell right")
    if len(rows) > MOST:
        names = [str(value) for value in rows.column(dataset.target)]
        random = np.random.default_rng(checked.recipe.seed)
        places = np.empty(len(names))
        for name in sorted(set(names)):
            members = np.flatnonzero(np.array(names) == name)
            places[random.permutation(members)] = (np.arange(len(members)) + random.random()) / len(members)
        rows = rows.select(sorted(np.argsort(places, kind="stable")[:MOST].tolist()))
    return replace(checked, dataset=replace(dataset, splits={"train": rows})), notes


def examine(candidate: Known, checked: Checked, accelerator: Accelerator) -> tuple[Scored, Data]:
    """Return the scores of one backbone on train, and what they were compared with."""
    torch.manual_seed(checked.recipe.seed)
    source = sources.find(candidate.options.get("weights"))
    options = source.options(candidate.options) if source else candidate.options
    backbone: Backbone = plugins.build(candidate.entry, options)
    load_weights(backbone, candidate.entry.name)
    head: Head = plugins.build(*checked.one("head"), checked.targets, backbone.num_features)
    mine = replace(checked, components={**checked.components, "backbone": [(candidate.entry, options)]})
    examples = make_examples(mine, "train", Model(backbone, head))
    found = extract(examples, backbone, accelerator)
    values = np.asarray(found.values, np.float64)
    _refuse_values(values)
    data = _data(checked, head, found.rows)
    weights = None if source else backbone.source_classifier()
    layer = None if weights is None else [tensor.double().cpu().numpy() for tensor in weights]
    scores, draws = ranking.score(values, data, None if layer is None else _probabilities(values, *layer))
    facts = {
        "backbone": candidate.entry.name,
        "options": schema.plain(dict(backbone.resolved)),
        "measured": candidate.measured,
    }
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    milliseconds = _milliseconds(examples, found.rows, backbone)
    return Scored(candidate.name, scores, draws, candidate.standing, parameters, milliseconds, facts), data


def _refuse_values(values: Any) -> None:
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(1).sum())
        raise DataError(f"the features of {bad} of {len(values)} examples are no numbers (NaN or infinite)")
    if not (values.std(0) > 0).any():
        raise DataError("its features are the same for all examples")


def _data(checked: Checked, head: Head, rows: Sequence[int]) -> Data:
    """Return the targets of rows as the scores compare them."""
    train, targets = checked.dataset.splits["train"].select(rows), checked.targets
    encoded = head.encode(train.column(checked.dataset.target)).double().cpu().numpy()
    groups = train.column(checked.dataset.group) if checked.dataset.group else None
    if targets.kind == "classes":
        classes = encoded.astype(np.int64)
        return Data.of(one_hot(classes, len(targets.classes)), classes, groups)
    numbers = encoded[:, None] if encoded.ndim == 1 else encoded
    return Data.of(standardised(numbers) if targets.kind == "numbers" else numbers, None, groups)


def _probabilities(values: Any, weight: Any, bias: Any) -> Any:
    logits = values @ weight.T + bias
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@torch.inference_mode()
def _milliseconds(examples: Examples, rows: Sequence[int], backbone: Backbone) -> float:
    """Return the time of a forward pass per example, the best of a few."""
    item = next(load(Views(examples, 0), [list(rows[:_TIMED])], 0))
    device = next(backbone.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in item["batch"].items()}
    backbone.eval()
    best = float("inf")
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        backbone(**batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 1000 * best / len(item["rows"])
