"""What fine-tuning reaches, backbone by backbone: what benchmarks/ranking.py compares rankings with.

    INARCH_DATA=FOLDER python benchmarks/ranking_truth.py --out TRUTH.jsonl [--datasets elpv tweets ...]

Every backbone of benchmarks/ranking.yaml is fine-tuned on every data set of its domain, at two rates; a rate that is
done on all of them before the next begins. Each fine-tuning is a line of the file, written as soon as it is done, and
is not run again. About half a minute of one core each.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from inarch import document, recipe

FIELD = Path(__file__).with_suffix("").with_name("ranking.yaml")


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
            "parameters": environment.get("parameters"), "processor_seconds": round(time.process_time() - started, 1)}  # fmt: skip


def _best_valid(lines):
    return max(json.loads(line)["valid"]["accuracy"] for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--backbones", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    field = read_field(os.environ.get("INARCH_DATA", "data"))
    done = set()
    if options.out.exists():
        known = (json.loads(line) for line in options.out.read_text().splitlines())
        done = {(line["dataset"], line["backbone"], line["rate"], line["seed"]) for line in known}
    for turn in range(2):
        for dataset in options.datasets or field["datasets"]:
            domain = field["datasets"][dataset]["domain"]
            for backbone in field["backbones"][domain]:
                cell = (dataset, backbone, field["rates"][domain][turn], options.seed)
                if cell in done or (options.backbones and backbone not in options.backbones):
                    continue
                line = fine_tune(field, *cell)
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
