"""Peak resident memory of training on 1,000 and on 20,000 images, or recordings. Goal: under 10 % more.

    python benchmarks/memory.py [--kind images recordings] [--counts 1000 20000]

The images are random 48 px JPEGs, the recordings 0.3 s of noise in FLAC, in five classes, in a temporary folder; one
epoch of a small model with random weights; no loader processes, so that everything is in the one process that is
measured. It takes about a minute for images, and two to three for recordings.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path

from figures import child, report

CLASSES, SIDE, RATE = 5, 48, 16000
RECIPE = """
dataset: {{name: folder, path: "{folder}"}}
backbone: {backbone}
head: classifier
strategy: scratch
metrics: [accuracy]
train: {{epochs: 1, batch_size: 64, workers: 0}}
"""


def write_image(path, number):
    """Write a JPEG of noise; the classes differ in brightness."""
    import numpy as np
    from PIL import Image

    least = 20 * (number % CLASSES)
    pixels = np.random.default_rng(number).integers(least, 156 + least, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(f"{path}.jpg")


def write_recording(path, number):
    """Write 0.3 s of noise; the classes differ in loudness."""
    import numpy as np
    import soundfile

    noise = np.random.default_rng(number).standard_normal(RATE * 3 // 10)
    soundfile.write(f"{path}.flac", 0.02 * (1 + number % CLASSES) * noise, RATE)


KINDS = {
    "images": (write_image, "{name: timm, model: test_resnet, weights: none, image_size: 48}"),
    "recordings": (write_recording, "{name: speech_embedding, weights: none, duration: 0.8}"),
}


def make(folder, kind, count):
    """Write `count` files into a folder for each class."""
    for number in range(count):
        target = Path(folder, f"class{number % CLASSES}", f"{number:06}")
        target.parent.mkdir(exist_ok=True)
        KINDS[kind][0](target, number)


def one(folder, kind):
    """Train in this process; print its peak for the parent."""
    import inarch

    with tempfile.TemporaryDirectory() as out:
        recipe = Path(out, "recipe.yaml")
        recipe.write_text(RECIPE.format(folder=folder, backbone=KINDS[kind][1]))
        result = inarch.train(recipe, out=Path(out, "run"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak": peak, "seconds": result.seconds}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=[*KINDS])
    parser.add_argument("--counts", type=int, nargs=2, default=(1000, 20000))
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return one(options.only, options.kind[0])
    few, many = options.counts
    for kind in options.kind:
        peaks = []
        for count in options.counts:
            with tempfile.TemporaryDirectory() as folder:
                make(folder, kind, count)
                found = child("--only", folder, "--kind", kind)
            peaks.append(found["peak"])
            report(f"memory/{count} {kind}", found["peak"], "MiB, peak resident", seconds=found["seconds"])
        report(f"memory/{many} over {few} {kind}", peaks[1] / peaks[0], "ratio of the peaks", goal="under 1.1")


if __name__ == "__main__":
    main()
