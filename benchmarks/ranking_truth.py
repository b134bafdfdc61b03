"""Fine-tuning every backbone of benchmarks/ranking.yaml on every data set of its domain, for benchmarks/ranking.py.

Each fine-tuning is a line of a file, written as soon as it is done, and is not run again. All backbones are done at one
rate before the next rate begins. One to two minutes of one core each.
"""

import json
import tempfile
import time
from pathlib import Path

from inarch import document, recipe

FIELD = Path(__file__).with_name("ranking.yaml")


def read_field(folder):
    """Return data sets, backbones by domain, and rates by domain; DATA/ is the folder of data sets."""
    text = FIELD.read_text(encoding="utf-8").replace("DATA/", f"{folder}/")
    return document.parse(text, str(FIELD)).data


def recipe_of(field, dataset, backbone, rate=1e-4, seed=0):
    """Return the recipe that fine-tunes a backbone on a data set."""
    facts = field["datasets"][dataset]
    plain = {
        "name": f"{dataset}_{backbone}",
        "dataset": facts["dataset"],
        "backbone": {**field["backbones"][facts["domain"]][backbone], **facts.get("backbone", {})},
        "head": "classifier",
        "strategy": {"name": "full", "layer_decay": 0.9, "head_multiplier": 10},
        "metrics": ["accuracy"],
        "splits": {**facts["splits"], "seed": seed},
        "train": {"epochs": facts["epochs"], "batch_size": 32, "learning_rate": rate, "best_metric": "accuracy",
                  "workers": 0},
        "seed": seed,
    }  # fmt: skip
    return recipe.parse(document.parse(document.dump(plain), plain["name"]))


def fine_tune(field, dataset, backbone, rate, seed):
    """Return one line of the truth."""
    from inarch import train

    started = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        result = train(recipe_of(field, dataset, backbone, rate, seed), out=Path(out, "run"))
        lines = Path(out, "run", "metrics.jsonl").read_text().splitlines()
        environment = json.loads(Path(out, "run", "environment.json").read_text())
    return {"dataset": dataset, "backbone": backbone, "rate": rate, "seed": seed,
            "valid": _best_valid(lines), "test": result.metrics["accuracy"].value,
            "parameters": environment.get("parameters"),
            "processor_seconds": round(time.process_time() - started, 1)}  # fmt: skip


def _best_valid(lines):
    return max(json.loads(line)["valid"]["accuracy"] for line in lines)


def fine_tune_all(out, folder, datasets=None, seed=0):
    """Fine-tune what is not in the file yet, of some data sets or of all."""
    field = read_field(folder)
    known = map(json.loads, out.read_text().splitlines() if out.exists() else [])
    done = {(line["dataset"], line["backbone"], line["rate"], line["seed"]) for line in known}
    for turn in range(max(map(len, field["rates"].values()))):
        for dataset in datasets or field["datasets"]:
            domain = field["datasets"][dataset]["domain"]
            for backbone in field["backbones"][domain]:
                cell = (dataset, backbone, field["rates"][domain][turn], seed)
                if cell not in done:
                    line = json.dumps(fine_tune(field, *cell))
                    with out.open("a") as file:
                        file.write(line + "\n")
                    print(line, flush=True)
