"""Evaluate: a run's bundle on a split of its data, through the pipeline that serves."""

from collections.abc import Mapping
from pathlib import Path

from inarch import bundle
from inarch.errors import RunError, listing, unknown
from inarch.evaluation import build_metrics, evaluate
from inarch.intervals import Estimate
from inarch.training.job import evaluation_batch_size
from inarch.workflows import directory as directories
from inarch.workflows.check import check
from inarch.workflows.directory import recipe_of, refuse_other_data
from inarch.workflows.finish import ANSWERS, measure
from inarch.workflows.manifest import rewriting
from inarch.workflows.start import make_examples, start_processes


def evaluate_run(directory: Path, split: str) -> Mapping[str, Estimate]:
    """Return every metric of the recipe on `split` with its 95 % interval; predictions are written into the run."""
    opened = bundle.load(directory / "model")
    recipe = recipe_of(directory)
    checked = check(recipe)
    if split not in checked.dataset.splits:
        raise RunError(f"{directory}: {unknown('split', split, checked.dataset.splits)}")
    refuse_other_data(directory, {split: checked.fingerprints()[split]})
    if tuple(checked.targets.classes) != tuple(opened.targets.classes):
        known, found = listing(opened.targets.classes), listing(checked.targets.classes)
        raise RunError(f"{directory}: the bundle knows the classes {known}; the data now has {found}")
    accelerator = start_processes()
    model = opened.model.to(accelerator.device)
    examples = make_examples(checked, split, model)
    seen = evaluate(model, examples, evaluation_batch_size(recipe), accelerator, workers=0)
    metrics = build_metrics(checked.components["metrics"], opened.targets)
    with directories.locked(directory), rewriting(directory, [f"predictions/{split}{end}" for end in ANSWERS]):
        return {"loss": Estimate(seen.loss), **measure(directory, split, model, seen, examples, metrics)}
