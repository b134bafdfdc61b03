"""What `strategy: auto` chooses, beside the best of all its rungs, and what it costs, beside trying all.

    python benchmarks/ladder.py --data DATA [--records FILE] [--cells elpv/100/0 ...]
    python benchmarks/ladder.py --report [--records FILE]

A cell is a data set, a number of training examples, and a seed (of which examples these are, and of training). Every
rung is trained once in every cell, and measured on valid, and on test; what that took and what it reached is a line of
the records, so that an interrupted benchmark goes on where it was. The ladder's own rule then reads the records of
valid alone, rung by rung, and says where it would have stopped and what it would have chosen; test is read last, for
the table. Costs are processor seconds of a rung's run, its start and its evaluations on valid included, that of test
not.

DATA is a folder with `clothing10` and `fsdd` (see the recipes of clothing and digits for where they are from); solar
cells and tweets come from installed packages. Small images and few epochs make a rung take 10 to 60 s.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import ROOT

RUNGS = {"head_multiplier": 10}
SOURCES = {
    "elpv": ("vision/elpv_efficientnet_lite0_full.yaml", {
        "backbone.image_size": 64, "splits.valid": 0.06, "splits.test": 0.15}, {100: 6, 400: 3, 1500: 4}),
    "tweets": ("text/tweets_minilm_full.yaml", {
        "backbone.depth": 3, "splits.valid": 0.007, "splits.test": 0.02}, {100: 6, 400: 3, 1500: 3}),
    "digits": ("audio/digits_whisper_full.yaml", {
        "dataset.path": "{data}/fsdd/recordings", "dataset.pattern": "*.flac", "dataset.group": None,
        "splits.valid": {"speaker": ["lucas"], "take": [str(take) for take in range(15)]},
        "splits.test": {"speaker": ["theo"]}}, {100: 6, 400: 3}),
    "clothing": ("vision/clothing10_efficientnet_lite0_full.yaml", {
        "backbone.image_size": 64, "dataset.path": "{data}/clothing10"}, {100: 6, 400: 3}),
}  # fmt: skip
CELLS = [f"{name}/{size}/{seed}" for seed in (0, 1) for size in (100, 400) for name in SOURCES]
CELLS += ["elpv/1500/0", "tweets/1500/0"]


def checked_of(cell, data):
    """Return the recipe of a cell, checked."""
    from inarch import recipe
    from inarch.workflows.check import check

    name, size, seed = cell.split("/")
    path, changes, epochs = SOURCES[name]
    changes = {key: value.format(data=data) if isinstance(value, str) else value for key, value in changes.items()}
    changes |= {"strategy": {"name": "auto", **RUNGS}, "splits.examples": int(size), "splits.draw": int(seed),
                "seed": int(seed), "train.epochs": epochs[int(size)], "train.batch_size": 16, "train.workers": 0,
                "metrics": ["accuracy"],
                "train.precision": "fp32"}  # fmt: skip
    return check(recipe.load(ROOT / "recipes" / path, changes))


def run_cell(cell, data, records, done):
    """Train the rungs of a cell that are not in the records yet."""
    from inarch import RecipeError
    from inarch.workflows import rungs, start

    checked = checked_of(cell, data)
    ladder = start.build_strategy(checked).ladder(checked.recipe.train)
    model = start.build_model(checked)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["INARCH_CACHE"] = str(Path(folder, "cache"))  # a cell's features serve its own rungs alone
        for rung in ladder.rungs:
            if (cell, rung.name) not in done:
                try:
                    prepared, epochs = rungs.prepare(checked, rung, model)
                except RecipeError as error:
                    print(cell, rung.name, error, flush=True)
                    continue
                line = run_rung(checked, prepared, rung.name, epochs, Path(folder, rung.name))
                with records.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"cell": cell, "rung": rung.name, **line}) + "\n")
                print(cell, rung.name, {key: line[key] for key in ("valid", "test", "seconds")}, flush=True)


def run_rung(checked, prepared, name, epochs, folder):
    """Train a rung, and measure it on valid and, apart, on test."""
    from inarch import Progress, answers, bundle
    from inarch.evaluation import build_metrics, evaluate
    from inarch.intervals import compute
    from inarch.training.job import evaluation_batch_size
    from inarch.workflows import rungs, start
    from inarch.workflows.train import train_checked

    clock, processor = time.monotonic(), time.process_time()
    train_checked(prepared, folder, False, Progress())
    took = {"seconds": time.process_time() - processor, "clock": time.monotonic() - clock}
    found = answers.read(folder / "predictions" / "valid.safetensors")
    tried, ideal = rungs.measure(checked, name, found, epochs > 0), rungs.without_errors(checked, found)
    model = bundle.load(folder).model
    seen = evaluate(model, start.make_examples(checked, "test", model), evaluation_batch_size(checked.recipe),
                    start.start_processes(), 0)  # fmt: skip
    metric = build_metrics(checked.components["metrics"], checked.targets)[rungs.metric_of(checked)]
    return {**took, "epochs": epochs, "valid": tried.value, "drawn": np.round(tried.drawn, 5).tolist(),
            "ideal": np.round(ideal.drawn, 5).tolist(), "ideal_value": ideal.value, "examples": len(found.rows),
            "test": compute(metric, seen.compared(model), seen.targets), "tests": len(seen.rows)}  # fmt: skip


def climb(lines, look_further=False):
    """Return the names of the rungs that the rule would try, and why it stops, by the records of valid alone."""
    from inarch.workflows.climbing import Tried, decide

    tried, ideal, why = [], None, "all rungs are tried"
    for line in lines:
        step = decide(tried, line["rung"], line["epochs"] > 0, ideal, look_further)
        if not step.go:
            why = step.why
            break
        tried.append(Tried(line["rung"], line["valid"], np.array(line["drawn"]), line["epochs"] > 0))
        ideal = Tried("a model without errors", line["ideal_value"], np.array(line["ideal"]), True)
    return tried, why


def outcome(cell, lines, look_further):
    """Return a row of the table."""
    from inarch.workflows.climbing import best

    tried, why = climb(lines, look_further)
    test = {line["rung"]: line["test"] for line in lines}
    seconds = {line["rung"]: line["seconds"] for line in lines}
    chosen, top = best(tried).name, max(test, key=test.get)
    spent = sum(seconds[one.name] for one in tried)
    return {"cell": cell, "chosen": chosen, "tried": [one.name for one in tried], "test": test[chosen], "best": top,
            "best_test": test[top], "behind": 100 * (test[top] - test[chosen]), "why": why,
            "share": spent / sum(seconds.values()), "all": test, "seconds": seconds}  # fmt: skip


def read(records):
    """Return the records by cell, rungs in the ladder's order."""
    from inarch.builtin.ladder import NAMES

    lines = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()] if records.exists() else []
    cells = dict.fromkeys(line["cell"] for line in lines)
    return {cell: sorted((line for line in lines if line["cell"] == cell), key=lambda line: NAMES.index(line["rung"]))
            for cell in cells}  # fmt: skip


def table(records, look_further):
    """Print what the rule would have done in each cell that is whole."""
    from inarch.builtin.ladder import NAMES

    rows = [outcome(cell, lines, look_further) for cell, lines in read(records).items() if len(lines) == len(NAMES)]
    print(f"\n{'with' if look_further else 'without'} a look further where valid is undecided\n")
    print(f"| cell | {' | '.join(NAMES)} | tried | chosen | behind the best, points | cost, share of all |")
    print("|---|" + "---|" * (len(NAMES) + 4))
    for row in rows:
        reached = " | ".join(f"{100 * row['all'][name]:.1f} ({row['seconds'][name]:.0f} s)" for name in NAMES)
        print(f"| {row['cell']} | {reached} | {len(row['tried'])} | {row['chosen']} | {row['behind']:.1f} | "
              f"{row['share']:.0%} |")  # fmt: skip
    if rows:
        behind, share = ([row[name] for row in rows] for name in ("behind", "share"))
        print(json.dumps({"name": f"ladder/{'look' if look_further else 'plain'}", "cells": len(rows),
                          "behind_mean": float(np.mean(behind)), "behind_worst": max(behind),
                          "within_half_a_point": sum(value <= 0.5 for value in behind),
                          "share_mean": float(np.mean(share)), "share_worst": max(share)}))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with clothing10 and fsdd")
    parser.add_argument("--records", type=Path, default=Path("ladder.jsonl"))
    parser.add_argument("--cells", nargs="+", default=CELLS)
    parser.add_argument("--report", action="store_true", help="print the tables of what there is, and train nothing")
    options = parser.parse_args()
    if not options.report:
        if options.data is None:
            parser.error("--data is needed to train")
        done = {(line["cell"], line["rung"]) for lines in read(options.records).values() for line in lines}
        for cell in options.cells:
            run_cell(cell, options.data.resolve(), options.records, done)
    for look_further in (False, True):
        table(options.records, look_further)


if __name__ == "__main__":
    main()
