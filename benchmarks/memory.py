"""Peak resident memory of training on 1,000 and on 20,000 images. Goal: under 10 % more.

    python benchmarks/memory.py [--images 1000 20000]

The images are random 48 px JPEGs in five classes, made in a temporary folder; one epoch of a tiny model with random
weights; no loader processes, so that everything is in the one process that is measured. It takes about a minute.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path

from figures import child, report

CLASSES, SIDE = 5, 48
RECIPE = """
dataset: {{name: folder, path: "{folder}"}}
backbone: {{name: timm, model: {model}, weights: none, image_size: 48}}
head: classifier
strategy: scratch
metrics: [accuracy]
train: {{epochs: 1, batch_size: 64, workers: 0}}
"""


def make(folder, count):
    """Write `count` JPEGs of noise; the classes differ in brightness."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        kind = number % CLASSES
        target = Path(folder, f"class{kind}", f"{number:06}.jpg")
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(20 * kind, 156 + 20 * kind, (SIDE, SIDE, 3), dtype=np.uint8)).save(target)


def one(folder, model):
    """Train in this process; print its peak for the parent."""
    import inarch

    with tempfile.TemporaryDirectory() as out:
        recipe = Path(out, "recipe.yaml")
        recipe.write_text(RECIPE.format(folder=folder, model=model))
        result = inarch.train(recipe, out=Path(out, "run"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak": peak, "seconds": result.seconds}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs=2, default=(1000, 20000))
    parser.add_argument("--model", default="test_resnet", help="a model of timm")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return one(options.only, options.model)
    peaks = []
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            make(folder, count)
            found = child("--only", folder, "--model", options.model)
        peaks.append(found["peak"])
        report(f"memory/{count} images", found["peak"], "MiB, peak resident", seconds=found["seconds"])
    few, many = options.images
    report(f"memory/{many} over {few} images", peaks[1] / peaks[0], "ratio of the peaks", goal="under 1.1")


if __name__ == "__main__":
    main()
