"""Time from an encoded image to what the model is given: this plugin against a plain Pillow pipeline.

    python benchmarks/decoding.py [--folder PHOTOS] [--rounds 10]

Prints one JSON line a variant. The two take turns on one thread, as in a loader worker, so that their ratio holds on a
noisy machine. Without a folder the photos are synthetic: smooth colours with noise, 500 x 375 pixels, JPEG quality 90.
"""

import argparse
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from inarch_vision.augment import Augment
from inarch_vision.decoding import decode
from inarch_vision.preprocessing import Preprocessing
from inarch_vision.transforms import Evaluation, training_transform

PREPROCESSING = Preprocessing(
    image_size=224, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic", crop_fraction=0.875, crop_mode="center"
)


def pillow(*steps):
    """Return a pipeline that decodes and resizes by Pillow."""
    change = v2.Compose([*steps, v2.PILToTensor()])
    return lambda data: change(Image.open(io.BytesIO(data)).convert("RGB"))


def variants():
    """Return name -> (Pillow's pipeline, ours), from bytes to a tensor (3, H, W)."""
    bicubic = {"interpolation": v2.InterpolationMode.BICUBIC}
    augment = Augment()
    ours = {"train": training_transform(PREPROCESSING, augment), "evaluation": Evaluation(PREPROCESSING)}
    crop = v2.RandomResizedCrop(224, scale=augment.crop, **bicubic)
    theirs = {
        "train": pillow(crop, v2.RandomHorizontalFlip()),
        "evaluation": pillow(v2.Resize(256, **bicubic), v2.CenterCrop(224)),
    }
    pairs = {name: (theirs[name], lambda data, run=ours[name]: run({"bytes": data})["image"]) for name in ours}
    return {"decode": (pillow(), lambda data: decode({"bytes": data})), **pairs}


def photos(folder, count=64):
    """Return encoded images: those of a folder, or synthetic ones."""
    if folder:
        files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")]
        return [path.read_bytes() for path in files[:count]]
    return [synthetic(np.random.default_rng(seed)) for seed in range(count)]


def synthetic(generator):
    """Return a JPEG of smooth colours with noise."""
    small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float32)
    noisy = (smooth + generator.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def seconds(run, images):
    """Return the time that `run` takes over all images."""
    start = time.perf_counter()
    for data in images:
        run(data)
    return time.perf_counter() - start


def difference(theirs, ours, images):
    """Return the largest difference of a pixel, in levels of 255, with the same random numbers."""
    largest = 0
    for seed, data in enumerate(images):
        outputs = [(torch.manual_seed(seed), run(data))[1].int() for run in (theirs, ours)]
        largest = max(largest, int((outputs[0] - outputs[1]).abs().max()))
    return largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = photos(options.folder)
    versions = {"pillow": PIL.__version__, "torchvision": torchvision.__version__}
    for name, (theirs, ours) in variants().items():
        times = [(seconds(theirs, images), seconds(ours, images)) for _ in range(options.rounds + 1)]
        rows = np.array(times[1:])  # the first is to warm up
        result = {
            "name": f"decoding/{name}",
            "pillow": round(len(images) / float(np.median(rows[:, 0]))),
            "inarch": round(len(images) / float(np.median(rows[:, 1]))),
            "unit": "images/s",
            "ratio": round(float(np.median(rows[:, 0] / rows[:, 1])), 2),
            "largest_difference": difference(theirs, ours, images),
        }
        print(json.dumps({**result, "images": len(images), "command": " ".join(sys.argv), "versions": versions}))


if __name__ == "__main__":
    main()
