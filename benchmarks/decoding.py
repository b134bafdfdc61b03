"""Time from an encoded image to what the model is given: this plugin against a plain Pillow pipeline.

    python benchmarks/decoding.py [FOLDER]

Prints one JSON line a variant. The two take turns on one thread, as in a loader worker: the ratio bears noise.
Without a folder of .jpg files the photos are synthetic: smooth colours with noise, 500 x 375, JPEG quality 90.
"""

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

ROUNDS = 10
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
    train, evaluation = training_transform(PREPROCESSING, Augment()), Evaluation(PREPROCESSING)
    crop = v2.RandomResizedCrop(224, scale=Augment().crop, **bicubic)
    return {
        "decode": (pillow(), lambda data: decode({"bytes": data})),
        "train": (pillow(crop, v2.RandomHorizontalFlip()), lambda data: train({"bytes": data})["image"]),
        "evaluation": (
            pillow(v2.Resize(256, **bicubic), v2.CenterCrop(224)),
            lambda x: evaluation({"bytes": x})["image"],
        ),
    }


def synthetic(seed):
    """Return a JPEG of smooth colours with noise."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float32)
    buffer = io.BytesIO()
    noisy = (smooth + generator.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
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
        one, other = ((torch.manual_seed(seed), run(data))[1].int() for run in (theirs, ours))
        largest = max(largest, int((one - other).abs().max()))
    return largest


def main():
    torch.set_num_threads(1)
    files = sorted(Path(sys.argv[1]).rglob("*.jpg"))[:64] if sys.argv[1:] else None
    images = [synthetic(seed) for seed in range(64)] if files is None else [file.read_bytes() for file in files]
    for name, (theirs, ours) in variants().items():
        times = [(seconds(theirs, images), seconds(ours, images)) for _ in range(ROUNDS + 1)]
        rows = np.array(times[1:])  # the first is to warm up
        rates = [round(len(images) / float(median)) for median in np.median(rows, axis=0)]
        result = {"name": f"decoding/{name}", "unit": "images/s", "pillow": rates[0], "inarch": rates[1]}
        result["ratio"] = round(float(np.median(rows[:, 0] / rows[:, 1])), 2)
        result["largest_difference"] = difference(theirs, ours, images)
        versions = f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}"
        print(json.dumps({**result, "images": len(images), "command": " ".join(sys.argv), "versions": versions}))


if __name__ == "__main__":
    main()
