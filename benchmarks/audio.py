"""Recordings per second in training on the CPU: inarch, and the transformers Trainer.

    python benchmarks/audio.py [--models wav2vec2 whisper] [--steps 20] [--rounds 3] [--duration 1]

Both fine-tune the same model (random weights: speed does not depend on them) with the same files, batches of 32 and
AdamW; each runs in a process of its own, in turns. `wav2vec2` has half the width and depth of wav2vec 2.0 base and
hears recordings as long as they are: the Trainer pads a batch to its longest one, inarch has none. `whisper` is the
encoder of tiny.en with positions cut to `--duration` seconds on both sides (the example by itself would pad to 30 s).
The Trainer's side is made like the official example for audio classification: a transform decodes, cuts at random and
extracts features of each example. Training is timed over the second of two epochs of `--steps` steps, loading included.
Files are spoken digits, 8 kHz, if INARCH_DATA names a folder with fsdd/recordings, else tones of the same length.
Goal: 1.2 times the Trainer in fp32; more with precision auto.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from figures import child, report, spread

BATCH, RATE, SEED, SAMPLE_RATE = 32, 2e-4, 0, 16000
RECIPE = """
dataset: {{name: folder, path: "{folder}"}}
splits: {{valid: 0, test: 0}}
backbone: {{name: transformers_audio, model: "{model}", weights: none, duration: {duration}}}
head: classifier
strategy: full
metrics: [accuracy]
train: {{epochs: 2, batch_size: {batch}, learning_rate: {rate}, weight_decay: 0, schedule: linear, warmup_fraction: 0,
  precision: {precision}, checkpoint_every: 1000000, workers: 0}}
seed: {seed}
"""


def write_files(folder, count):
    """Write `count` files into a sub-folder for each of ten classes."""
    import numpy as np
    import soundfile

    spoken = Path(os.environ.get("INARCH_DATA", ""), "fsdd/recordings")
    found = sorted(spoken.glob("*.flac")) if spoken.is_dir() else []
    random.Random(SEED).shuffle(found)
    for number in range(count):
        kind = found[number].name[0] if found else str(number % 10)
        target = Path(folder, kind, f"{number}.flac")
        target.parent.mkdir(exist_ok=True)
        if found:
            target.symlink_to(found[number].resolve())
            continue
        seconds = 0.2 + 0.5 * random.Random(number).random()
        wave = np.sin(2 * np.pi * 200 * (1 + int(kind)) * np.arange(int(8000 * seconds)) / 8000)
        soundfile.write(target, 0.3 * wave, 8000)


class Clock(list):
    """When each step ended, and how much processor time was spent by then."""

    def tick(self):
        self.append((time.perf_counter(), time.process_time()))

    def figures(self, steps):
        """Return what the last `steps` steps took, and the largest memory of this process until now."""
        (begun, busy), (ended, busy_at_end) = self[-1 - steps], self[-1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        count = steps * BATCH
        return {"rate": count / (ended - begun), "frugality": count / (busy_at_end - busy), "megabytes": peak}


def make_config(options):
    """Return the configuration of the model that both sides make."""
    import transformers

    if options.model == "wav2vec2":
        return transformers.Wav2Vec2Config(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536, conv_dim=[256] * 7,
            mask_time_prob=0.0, layerdrop=0.0, num_labels=10)  # fmt: skip
    return transformers.WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, decoder_layers=1,
        num_mel_bins=80, num_labels=10, max_source_positions=int(options.duration * 50))  # fmt: skip


def train_inarch(options, precision):
    import inarch

    clock = Clock()

    class Steps(inarch.Progress):
        def step(self, *_):
            clock.tick()

    with tempfile.TemporaryDirectory() as out:
        recipe, model = Path(out, "recipe.yaml"), Path(out, "model")
        make_config(options).save_pretrained(model)
        recipe.write_text(RECIPE.format(folder=options.folder, model=model, duration=options.duration, batch=BATCH,
                                        rate=RATE, seed=SEED, precision=precision))  # fmt: skip
        inarch.train(recipe, out=Path(out, "run"), progress=Steps())
    return clock.figures(options.steps)


def train_trainer(options, **settings):
    import datasets
    import soundfile
    import torch
    import torchaudio
    import transformers

    if options.model == "wav2vec2":
        model_class, name = transformers.Wav2Vec2ForSequenceClassification, "input_values"
        extract = partial(transformers.Wav2Vec2FeatureExtractor(do_normalize=True), padding=True)
    else:
        model_class, name = transformers.WhisperForAudioClassification, "input_features"
        extract = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=options.duration)
    files = sorted(Path(options.folder).glob("*/*.flac"))
    names = {name: number for number, name in enumerate(sorted({file.parent.name for file in files}))}
    table = {"file": [str(file) for file in files], "label": [names[file.parent.name] for file in files]}
    clock = Clock()

    def transform(batch):
        waves = []
        for file in batch["file"]:
            samples, rate = soundfile.read(file, dtype="float32")
            wave = torchaudio.functional.resample(torch.from_numpy(samples), rate, SAMPLE_RATE).numpy()
            start = random.randint(0, max(0, len(wave) - int(options.duration * SAMPLE_RATE)))
            waves.append(wave[start : start + int(options.duration * SAMPLE_RATE)])
        return {name: list(extract(waves, sampling_rate=SAMPLE_RATE)[name]), "labels": batch["label"]}

    class Steps(transformers.TrainerCallback):
        def on_step_end(self, *_, **__):
            clock.tick()

    train = datasets.Dataset.from_dict(table).with_transform(transform, output_all_columns=False)
    arguments = transformers.TrainingArguments(
        tempfile.mkdtemp(dir=options.scratch), per_device_train_batch_size=BATCH, num_train_epochs=2,
        learning_rate=RATE, save_strategy="no", report_to="none", use_cpu=True, seed=SEED, disable_tqdm=True,
        dataloader_pin_memory=False, remove_unused_columns=False, **settings)  # fmt: skip
    transformers.set_seed(SEED)
    model = model_class(make_config(options))
    transformers.Trainer(model, arguments, train_dataset=train, callbacks=[Steps()]).train()
    return clock.figures(options.steps)


MODELS = ["wav2vec2", "whisper"]
CONTESTANTS = {
    "trainer": train_trainer,
    "trainer-bf16": lambda options: train_trainer(options, bf16=True),
    "inarch-fp32": lambda options: train_inarch(options, "fp32"),
    "inarch-auto": lambda options: train_inarch(options, "auto"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", type=int, default=1, help="seconds")
    for hidden in ("--only", "--model", "--folder", "--scratch"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        with contextlib.redirect_stdout(sys.stderr):
            found = CONTESTANTS[options.only](options)
        return print(json.dumps(found))
    with tempfile.TemporaryDirectory() as scratch:
        (folder := Path(scratch, "files")).mkdir()
        write_files(folder, options.steps * BATCH)
        for model in options.models:
            tournament(options, model, ("--folder", folder, "--scratch", scratch))


def tournament(options, model, folders):
    """Let contestants take turns; print the ratios of each to the Trainer."""
    settings = (*folders, "--model", model, "--steps", options.steps, "--duration", options.duration)
    rounds = [{name: child("--only", name, *settings) for name in CONTESTANTS} for _ in range(options.rounds)]
    for name in CONTESTANTS:
        ratios = {base: {key: spread([results[name][key] / results[base][key] for results in rounds])
                         for key in ("rate", "frugality")} for base in ("trainer", "trainer-bf16")}  # fmt: skip
        report(f"audio/{model}/{name}", ratios["trainer"]["rate"]["median"], "times the recordings/s of the Trainer",
               ratios={base: found["rate"] for base, found in ratios.items()},
               ratios_per_processor_second={base: found["frugality"]["median"] for base, found in ratios.items()},
               recordings_per_second=[results[name]["rate"] for results in rounds],
               peak_megabytes=median(results[name]["megabytes"] for results in rounds),
               steps=options.steps, duration=options.duration)  # fmt: skip


if __name__ == "__main__":
    main()
