"""What the demo reaches on test over several seeds, beside the same from random weights and beside a linear probe.

    python benchmarks/demo.py [--seeds 0 1 2] [--which full none linear_probe] [train.epochs=4 ...]

The seed changes the order, the augmentation and the head's start; the split stays, so all share their test photos.
Any KEY=VALUE of the recipe may follow. A training takes one to three minutes on two cores.
"""

import argparse
import json
import tempfile
from pathlib import Path

from figures import DEMO_RECIPE, child, report, spread

WHICH = {
    "full": [],
    "none": ["backbone.weights=none"],
    "linear_probe": ["strategy=linear_probe", "train.learning_rate=4e-3"],
}
METRICS = ("accuracy", "balanced_accuracy")


def one(overrides):
    """Train in this process; print the test metrics for the parent."""
    import inarch

    with tempfile.TemporaryDirectory() as out:
        result = inarch.train(DEMO_RECIPE, overrides, out=Path(out, "run"))
    print(json.dumps({**{name: result.metrics[name].value for name in METRICS}, "seconds": result.seconds}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--which", choices=WHICH, nargs="+", default=list(WHICH))
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    options, overrides = parser.parse_known_args()
    if options.only:
        return one(overrides)
    runs = {which: [] for which in options.which}
    for seed in options.seeds:
        for which, found in runs.items():
            found.append(child("--only", *WHICH[which], f"seed={seed}", *overrides))
    for which, found in runs.items():
        for metric in METRICS:
            values = [run[metric] for run in found]
            report(f"demo/{which}/{metric}", sum(values) / len(values), "mean over seeds", **spread(values),
                   seeds=options.seeds, seconds=[run["seconds"] for run in found])  # fmt: skip


if __name__ == "__main__":
    main()
