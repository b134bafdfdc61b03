"""How well backbones are ranked without fine-tuning: weighted Kendall tau and regret against what fine-tuning reached.

    python benchmarks/ranking.py [--fit]                                  from benchmarks/results/ranking_truth.json
    INARCH_DATA=FOLDER python benchmarks/ranking.py --truth LINES.jsonl   fine-tune; one to two hours of one core
    INARCH_DATA=FOLDER python benchmarks/ranking.py --scores LINES.jsonl  score frozen features; minutes

Beside each other: `inarch rank`'s combination, each score alone, the standing elsewhere alone (the prior), the largest
model, and a random choice. What is learnt from other data sets, standings and weights, is learnt from all but the one
that is ranked. tau: scipy.stats.weightedtau, its defaults; regret: accuracy of the best backbone less that of the one
ranked first, in points. --fit prints the constants of core/inarch/studies/ranking.py and of the plugins' tables.
benchmarks/ranking.yaml says what the field is and where its data are to be had.
"""

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from figures import report
from ranking_truth import fine_tune_all, read_field, recipe_of
from scipy.stats import weightedtau

from inarch.studies import ranking
from inarch.studies.ranking import Scored

RESULTS = Path(__file__).parent / "results/ranking_truth.json"
SHRINKS = (0.3, 1.0, 3.0)  # of weights towards equal ones; the best on data sets left out


def read_truth(path, field):
    """Return {data set: {backbone: test accuracy}}, of the rate that is best on valid among those all have."""
    cells = defaultdict(dict)
    for line in map(json.loads, Path(path).read_text().splitlines()):
        domain = field["datasets"][line["dataset"]]["domain"]
        if line["backbone"] in field["backbones"][domain]:
            cells[line["dataset"]].setdefault(line["backbone"], {})[line["rate"]] = line
    truth = {}
    for name, found in cells.items():
        backbones = field["backbones"][field["datasets"][name]["domain"]]
        if len(found) == len(backbones):
            rates = set.intersection(*(set(lines) for lines in found.values()))
            best = {key: max((lines[rate] for rate in sorted(rates)), key=lambda line: line["valid"])
                    for key, lines in found.items()}  # fmt: skip
            truth[name] = {key: best[key]["test"] for key in backbones}
    return truth


def measure(field, dataset, backbones):
    """Return what `inarch rank` knows of each backbone on the train split of a data set."""
    from inarch import plugins
    from inarch.workflows.candidates import Known
    from inarch.workflows.check import check
    from inarch.workflows.rank import examine, prepare
    from inarch.workflows.start import start_processes

    found = []
    for name in backbones:
        recipe = recipe_of(field, dataset, name)
        known = Known(name, *plugins.check_component("backbone", recipe.backbone, recipe))
        found.append(examine(known, prepare(check(recipe))[0], start_processes())[0])
    return found


def write_scores(lines, field, out):
    """Write accuracy and scores of every data set whose fine-tunings are all done; those of a data set once."""
    rows = json.loads(out.read_text()) if out.exists() else {}
    for name, accuracy in read_truth(lines, field).items():
        if name not in rows or set(accuracy) != {row["name"] for row in rows[name]["backbones"]}:
            found = [{"name": one.name, "test": 0.0, "parameters": one.parameters,
                      "milliseconds": round(one.milliseconds, 2), **one.scores}
                     for one in measure(field, name, accuracy)]  # fmt: skip
            rows[name] = {"domain": field["datasets"][name]["domain"], "backbones": found}
        for row in rows[name]["backbones"]:
            row["test"] = accuracy[row["name"]]
        out.write_text(json.dumps(rows, indent=1) + "\n")
        print(f"scored {name}", flush=True)


def read_results(path):
    """Return {data set: {backbone: accuracy}}, {data set: scored backbones} and {data set: domain}."""
    found = json.loads(path.read_text())
    truth = {name: {row["name"]: row["test"] for row in one["backbones"]} for name, one in found.items()}
    facts = ("name", "test", "parameters", "milliseconds")
    measured = {name: [_scored(row, {key: row[key] for key in row if key not in facts}) for row in one["backbones"]]
                for name, one in found.items()}  # fmt: skip
    return truth, measured, {name: one["domain"] for name, one in found.items()}


def _scored(row, scores):
    draws = {key: np.full(ranking.DRAWS, value) for key, value in scores.items()}
    return Scored(row["name"], scores, draws, None, row["parameters"], row["milliseconds"])


def standings(truth, domains, without=None):
    """Return {(domain, backbone): mean standing over the data sets of the domain, but one}."""
    seen = defaultdict(list)
    for name, accuracy in truth.items():
        if name != without:
            values = ranking.standings(np.array(list(accuracy.values())))
            for backbone, value in zip(accuracy, values, strict=True):
                seen[domains[name], backbone].append(value)
    return {key: float(np.mean(values)) for key, values in seen.items()}


def with_standings(scored, domain, known):
    """Return the backbones with their standings elsewhere."""
    return [Scored(**{**vars(one), "standing": known.get((domain, one.name))}) for one in scored]


def rows_of(measured, truth, domains, without):
    """Return (what is known, standings reached) of each data set but one; standings elsewhere leave it out too."""
    others = {key: value for key, value in truth.items() if key != without}
    rows = []
    for name, accuracy in others.items():
        parts = ranking.known(with_standings(measured[name], domains[name], standings(others, domains, name)))
        inputs = np.stack([parts[key][0] for key in ranking.WEIGHTS], 1)
        rows.append((inputs, ranking.standings(np.array(list(accuracy.values())))))
    return rows


def fit(measured, truth, domains, without=None):
    """Return weights, and how far the standings reached are from them on data sets that did not teach them."""
    rows = rows_of(measured, truth, domains, without)

    def errors(shrink):
        left_out = (_ridge(rows[:index] + rows[index + 1 :], shrink) for index in range(len(rows)))
        pairs = zip(rows, left_out, strict=True)
        return np.concatenate([target - inputs @ weights for (inputs, target), weights in pairs])

    shrink = min(SHRINKS, key=lambda shrink: (errors(shrink) ** 2).mean())
    return dict(zip(ranking.WEIGHTS, _ridge(rows, shrink).tolist(), strict=True)), float(np.std(errors(shrink)))


def _ridge(rows, shrink):
    """Return weights by ridge regression towards equal ones, none below zero."""
    inputs, targets = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    summed, count = inputs.sum(1), inputs.shape[1]
    equal = np.full(count, max(summed @ targets / (summed @ summed), 0.0))
    left = inputs.T @ (targets - inputs @ equal)
    return np.maximum(equal + np.linalg.solve(inputs.T @ inputs + shrink * len(targets) * np.eye(count), left), 0.0)


def compare(measured, truth, domains):
    """Return {method: {data set: (tau, regret)}}, each data set ranked by what the others taught."""
    found = defaultdict(dict)
    for name, accuracy in truth.items():
        values = 100 * np.array(list(accuracy.values()))
        known = standings(truth, domains, name)
        field = with_standings(measured[name], domains[name], known)
        weights, _ = fit(measured, truth, domains, name)
        parts = ranking.known(field)
        methods = {
            "inarch rank": sum(weights[key] * parts[key][0] for key in parts),
            "equal weights": sum(parts[key][0] for key in parts),
            "prior": parts["standing"][0],
            "largest": np.array([one.parameters for one in field], float),
            **{key: np.array([one.scores[key] for one in field])
               for key in ("probe", "neighbours", "logme", "h_score", "leep", "nce")
               if all(key in one.scores for one in field)},
        }  # fmt: skip
        for method, scores in methods.items():
            first = np.flatnonzero(scores == scores.max())
            tau = weightedtau(values, scores).statistic if scores.std() else 0.0  # equal scores know nothing
            found[method][name] = (float(tau), float(values.max() - values[first].mean()))
        found["random"][name] = (0.0, float(values.max() - values.mean()))
    return found


def table(found, names):
    """Return the figures as a table in Markdown: means, then each data set."""
    lines = ["| method | mean tau | mean regret | worst regret | wins / losses | " + " | ".join(names) + " |",
             "|---|---|---|---|---|" + "---|" * len(names)]  # fmt: skip
    ours = np.array([found["inarch rank"][name][0] for name in names])
    for method, by_name in found.items():
        if set(by_name) == set(names):
            taus, regrets = np.array([by_name[name] for name in names]).T
            cells = " | ".join(f"{tau:+.2f} / {regret:.1f}" for tau, regret in zip(taus, regrets, strict=True))
            against = f"{(ours > taus + 0.005).sum()} / {(ours < taus - 0.005).sum()}"
            means = f"{taus.mean():+.3f} | {regrets.mean():.2f} | {regrets.max():.1f}"
            lines.append(f"| {method} | {means} | {against} | {cells} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, metavar="LINES", help="fine-tune what is not in this file")
    parser.add_argument("--scores", type=Path, metavar="LINES", help="score the backbones of this file")
    parser.add_argument("--datasets", nargs="+", help="with --truth: these alone")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    folder = os.environ.get("INARCH_DATA", "data")
    if options.truth:
        return fine_tune_all(options.truth, folder, options.datasets)
    if options.scores:
        write_scores(options.scores, read_field(folder), options.results)
    truth, measured, domains = read_results(options.results)
    found = compare(measured, truth, domains)
    print(table(found, list(truth)))
    for method, by_name in found.items():
        taus, regrets = np.array(list(by_name.values())).T
        report(f"ranking/{method}", float(taus.mean()), "mean weighted tau", regret=float(regrets.mean()),
               datasets=list(by_name), taus=taus.tolist(), regrets=regrets.tolist())  # fmt: skip
    if options.fit:
        weights, surprise = fit(measured, truth, domains)
        spreads = [np.std(list(truth[name].values())) / np.std([one.scores["probe"] for one in measured[name]])
                   for name in truth]  # fmt: skip
        shipped = {" ".join(key): round(value, 2) for key, value in standings(truth, domains).items()}
        print(json.dumps({"weights": weights, "surprise": surprise, "spread": float(np.median(spreads)),
                          "standings": shipped}, indent=1))  # fmt: skip
    return None


if __name__ == "__main__":
    main()
