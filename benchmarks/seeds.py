"""What recipes reach on test over several seeds, beside the same from random weights.

    python benchmarks/seeds.py [RECIPE ...] [--seeds 0 1 2 3 4] [--which recipe random] [train.epochs=4 ...]
    python benchmarks/seeds.py RECIPE --seeds 0 --over splits.test.fold 1 2 3 4 5

Default: the demo's recipe. The seed changes the order, the augmentation and the head's start; the split stays, so all
share their test data. A recipe that keeps so many examples of each class draws others with each seed, as few-shot
protocols do. Any KEY=VALUE of the recipe may follow. `--over` trains for each value of a key as well, for each fold
for example. A training takes one to three minutes on two cores.
"""

import argparse
import json
import tempfile
from pathlib import Path

from figures import DEMO_RECIPE, child, report, spread

WHICH = {
    "recipe": [],
    "random": ["strategy.name=scratch"],
    "linear_probe": ["strategy=linear_probe"],
}


def one(recipe, overrides):
    """Train in this process; print the test metrics for the parent."""
    import inarch

    with tempfile.TemporaryDirectory() as out:
        result = inarch.train(recipe, overrides, out=Path(out, "run"))
    values = {name: estimate.value for name, estimate in result.metrics.items()}
    print(json.dumps({"metrics": values, "seconds": result.seconds}))


def several(recipe, which, seeds, over, overrides):
    """Train once for each seed, or each value of another key; report mean and range of each metric."""
    varied = ["seed", "splits.seed"] if "per_class" in Path(recipe).read_text() else ["seed"]
    key, *values = over or [""]
    changes = [[f"{name}={seed}" for name in varied] + [f"{key}={value}"] * bool(key)
               for seed in seeds for value in values or [""]]  # fmt: skip
    found = [child("--only", recipe, *WHICH[which], *change, *overrides) for change in changes]
    for metric in found[0]["metrics"]:
        values = [run["metrics"][metric] for run in found]
        report(f"seeds/{Path(recipe).stem}/{which}/{metric}", sum(values) / len(values), "mean over seeds",
               **spread(values), values=values, seeds=seeds, over=over,
               seconds=[run["seconds"] for run in found])  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="recipes, and KEY=VALUE overrides for all of them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--which", choices=WHICH, nargs="+", default=["recipe", "random"])
    parser.add_argument("--over", nargs="+", metavar=("KEY", "VALUE"), help="train for each value of this key")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    recipes = [name for name in options.recipes if "=" not in name] or [str(DEMO_RECIPE)]
    overrides = [name for name in options.recipes if "=" in name]
    if options.only:
        return one(recipes[0], overrides)
    for recipe in recipes:
        for which in options.which:
            several(recipe, which, options.seeds, options.over, overrides)


if __name__ == "__main__":
    main()
