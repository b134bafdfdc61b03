"""Does the source model help? Seeds of the target recipe against the same from random weights, on the same windows.

    python compare.py --seeds 10 --out runs/compared

Each arm has the rate that was best for it on valid, on other seeds. A seed draws the labelled windows, the head and the
order; both arms get the same. The interval is a bootstrap of the difference over countries and over seeds, drawn
together. A run that is there is not trained again.
"""

import argparse
import json
from pathlib import Path

import inarch
import numpy as np

RECIPE = Path(__file__).parent / "recipes" / "fertility_target.yaml"
ARMS = {
    "source model": {},
    "random weights": {"strategy": {"name": "scratch"}, "train.learning_rate": 1e-2},
}


def errors_of(run: Path) -> np.ndarray:
    """Return the scaled error of each test window of a run, in order."""
    lines = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    found = []
    for line in lines:
        forecast, future = np.array(line["forecast"]), np.array(line["target"]["values"])
        found.append((np.abs(forecast - future) / np.array(line["target"]["unit"])).mean())
    return np.array(found)


def trained(out: Path, arm: str, seed: int, shared: dict) -> Path:
    """Train one arm with one seed, unless it is there; return its directory."""
    run = out / f"{arm.replace(' ', '_')}_{seed}"
    if not (run / "results.json").is_file():
        inarch.train(RECIPE, {**shared, **ARMS[arm], "seed": seed, "splits.draw": seed}, out=run)
    return run


def main() -> None:
    """Train what is missing, and print both arms and their difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/compared"))
    parser.add_argument("--source", default="runs/fertility_source")
    parser.add_argument("--examples", type=int, default=50, help="labelled windows")
    options = parser.parse_args()
    shared = {"backbone.weights": options.source, "splits.examples": options.examples}
    found = {arm: [] for arm in ARMS}
    for seed in range(options.seeds):
        for arm in ARMS:
            found[arm].append(errors_of(trained(options.out, arm, seed, shared)))
            print(f"seed {seed}, {arm}: {found[arm][-1].mean():.4f}", flush=True)
    with_source, without = (np.array(found[arm]) for arm in ARMS)  # (seeds, windows)
    random = np.random.default_rng(0)
    seeds, windows = with_source.shape
    differences = []
    for _ in range(10_000):
        rows, columns = random.integers(0, seeds, seeds), random.integers(0, windows, windows)
        differences.append((without - with_source)[np.ix_(rows, columns)].mean())
    low, high = np.percentile(differences, [2.5, 97.5])
    for arm, values in found.items():
        means = np.array(values).mean(1)
        print(f"{arm}: test mase {means.mean():.3f} ({means.min():.3f} to {means.max():.3f} over {seeds} seeds)")
    gain = (without - with_source).mean()
    interval = f"95 % interval {low:.3f} to {high:.3f}"
    print(f"random weights are {gain:.3f} behind the source model, {interval}, on {windows} windows")


if __name__ == "__main__":
    main()
