"""Seconds that a linear probe takes: features computed once and kept, beside a backbone that is run again every epoch.

    python benchmarks/features.py [--rounds 3] [--photos 280] [--size 160] [--epochs 2]

Four ways from photos of solar cells to a fitted head, each in a process of its own, in turns: `again` is a textbook
loop (timm, Pillow, SGD) that runs the frozen backbone in each of 20 epochs, of which --epochs are run and the rest is
extrapolated; `bare` a script that extracts once (timm, Pillow) and calls scikit-learn's LogisticRegression; `once`
inarch's extraction into an empty store and its fit, with the penalty chosen by cross-validation; `warm` the same again.
Building the model and the accuracy on 100 test photos are not timed. Read the ratios by processor time where the
machine is busy. Goals: 20 epochs at least 40 times `once`, and `bare` slower than `once`.
"""

import argparse
import contextlib
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import child, report, spread
from throughput import MODEL, WEIGHTS, link_cells, peers_parts

EPOCHS, TEST, BATCH = 20, 100, 32
RECIPE = """
dataset: {{name: folder, path: "{folder}"}}
splits: {{valid: 0, test: 0}}
backbone: {{name: timm, model: {model}, weights: "{weights}", image_size: {size}}}
head: classifier
strategy: linear_probe
metrics: [accuracy]
train: {{epochs: 1, precision: fp32}}
"""


class Clock:
    """Seconds on the wall and of the processor."""

    def __enter__(self):
        self.start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds, self.processor = time.perf_counter() - self.start[0], time.process_time() - self.start[1]


def again(options):
    """Return what an epoch takes whose every step runs the frozen backbone, times 20."""
    import torch
    from torch.utils.data import DataLoader

    model, train, test = peers_parts(options)
    train.transform = test.transform
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.eval().classifier.requires_grad_(True)
    optimizer = torch.optim.SGD(model.classifier.parameters(), lr=0.1, momentum=0.9)
    with Clock() as clock:
        for _ in range(options.epochs):
            for images, labels in DataLoader(train, BATCH, shuffle=True):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
    share = EPOCHS / options.epochs
    return {"seconds": clock.seconds * share, "processor": clock.processor * share}


def bare(options):
    """Return what a script takes that extracts once and calls scikit-learn."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from torch.utils.data import DataLoader

    model, train, test = peers_parts(options)
    train.transform = test.transform
    model.reset_classifier(0)
    model.eval()

    @torch.inference_mode()
    def extract(split):
        parts = [(model(images), labels) for images, labels in DataLoader(split, BATCH)]
        return tuple(torch.cat(column).numpy() for column in zip(*parts, strict=True))

    with Clock() as clock:
        fitted = LogisticRegression(max_iter=1000).fit(*extract(train))
    return {"seconds": clock.seconds, "processor": clock.processor, "accuracy": fitted.score(*extract(test))}


def inarch(options):
    """Return what inarch takes with the store as it is, and how far its features are from those of a plain pass."""
    import numpy as np
    import torch

    import inarch as door
    from inarch import recipe
    from inarch.data.views import Views
    from inarch.features.extraction import extract
    from inarch.features.store import Store
    from inarch.training.fitting import fit_head
    from inarch.training.hardware import prepare_model, prepare_process
    from inarch.workflows.check import check
    from inarch.workflows.start import build_model, make_examples, start_processes

    written = Path(options.store, "recipe.yaml")
    written.write_text(RECIPE.format(folder=options.folder, model=MODEL, weights=WEIGHTS, size=options.size))
    checked = check(recipe.load(written))
    model, accelerator, store = build_model(checked), start_processes(), Store(Path(options.store))
    prepare_process(accelerator.device)  # as train does
    prepare_model(model, accelerator.device, "fp32")

    def features(split):
        examples = make_examples(checked, split, model)
        found = extract(examples, model.backbone, accelerator, BATCH, store=store)
        column = examples.rows.column(checked.dataset.target)
        return found, model.head.encode([column[row] for row in found.rows]), examples

    with Clock() as clock:
        found, targets, examples = features("train")
        facts = fit_head(model.head, [found.values], targets).facts
    test, truth, _ = features("test")
    model.eval()
    with torch.inference_mode():
        answers = model.head(door.Features(pooled=torch.from_numpy(test.values))).argmax(1)
        starts = range(0, len(found.rows), BATCH)
        items = (Views(examples, 0)[found.rows[start : start + BATCH]] for start in starts)
        plain = torch.cat([model.backbone(**item["batch"]).pooled for item in items]).numpy()
    return {
        "seconds": clock.seconds,
        "processor": clock.processor,
        "accuracy": float((answers == truth).float().mean()),
        "computed": found.computed,
        "penalty": facts["penalty"],
        "difference": float(np.abs(found.values - plain).max()),
        "largest": float(np.abs(plain).max()),
        "bits": hashlib.sha256(found.values.tobytes()).hexdigest(),
    }


CONTESTANTS = {"again": again, "bare": bare, "once": inarch, "warm": inarch}


def tournament(options):
    """Let all take turns; print the ratios to `once`."""
    rounds = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as store:
            settings = [f"--{key}={getattr(options, key)}" for key in ("folder", "size", "epochs", "threads")]
            found = {name: child("--only", name, "--store", store, *settings) for name in CONTESTANTS}
        assert (found["once"]["computed"], found["warm"]["computed"]) == (options.photos, 0)
        assert found["once"]["bits"] == found["warm"]["bits"]
        rounds.append(found)
    details = {key: getattr(options, key) for key in ("photos", "size", "threads", "rounds")}
    for name, goal in (("again", "at least 40"), ("bare", "above 1"), ("warm", None)):
        ratios = [
            spread([found[name][key] / found["once"][key] for found in rounds]) for key in ("processor", "seconds")
        ]
        report(f"features/{name}", ratios[0].pop("median"), "times the processor time of once", **ratios[0], goal=goal,
               by_the_clock=ratios[1], seconds=[found[name]["seconds"] for found in rounds],
               seconds_of_once=[found["once"]["seconds"] for found in rounds],
               processor_seconds=median(found[name]["processor"] for found in rounds),
               processor_seconds_of_once=median(found["once"]["processor"] for found in rounds),
               accuracy=rounds[0][name].get("accuracy"), accuracy_of_once=rounds[0]["once"]["accuracy"],
               **({"epochs_run_of_20": options.epochs} if name == "again" else {}), **details)  # fmt: skip
    last = rounds[-1]["once"]
    report("features/difference", last["difference"], "largest difference of a feature from a plain pass",
           largest_feature=last["largest"], penalty=last["penalty"], **details)  # fmt: skip


def one(options):
    """Run one contestant in this process; print its figures for the parent."""
    import torch

    torch.set_num_threads(options.threads)
    with contextlib.redirect_stdout(sys.stderr):
        found = CONTESTANTS[options.only](options)
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=280, help="of train")
    parser.add_argument("--size", type=int, default=160, help="side of the images, in pixels")
    parser.add_argument("--epochs", type=int, default=2, help="of the 20 that are run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    for hidden in ("--only", "--store", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return one(options)
    with tempfile.TemporaryDirectory() as options.folder:
        link_cells(options.folder, options.photos, TEST)
        tournament(options)


if __name__ == "__main__":
    main()
