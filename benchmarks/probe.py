"""Seconds that a linear probe on stored features takes, its penalty chosen by cross-validation, beside scikit-learn's.

    python benchmarks/probe.py [--rounds 3] [--sizes 300 3000] [RECIPE ...]

Features are extracted once (and stored); then three fits take turns on examples of train drawn at random: inarch's,
with its penalties and folds; LogisticRegressionCV with the same penalties and folds, choosing by the same loss; and one
LogisticRegression with its default penalty, which a bare script would call. The last two on standardised features.
"""

import argparse
import time
import warnings
from statistics import median

import numpy as np
import torch
from figures import DEMO_RECIPE, ROOT, report
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

import inarch
from inarch import plugins, recipe
from inarch.features.extraction import extract
from inarch.training.fitting import PENALTIES, fit_head
from inarch.training.folds import make_folds
from inarch.workflows.check import check
from inarch.workflows.start import build_model, make_examples, start_processes

warnings.filterwarnings("ignore")  # scikit-learn's, of fits that stop before they converge
DEFAULT = [ROOT / "recipes/text/tweets_minilm_full.yaml", DEMO_RECIPE]


def features(path):
    """Return the head's entry, targets, and features and classes of train and test."""
    checked = check(recipe.load(path, {"strategy": "linear_probe", "head": "classifier"}))
    model, accelerator = build_model(checked), start_processes()
    found = {}
    for split in ("train", "test"):
        examples = make_examples(checked, split, model)
        values, rows, *_ = extract(examples, model.backbone, accelerator)
        column = examples.rows.column(checked.dataset.target)
        found[split] = np.array(values), model.head.encode([column[row] for row in rows]).numpy()
    return checked, model, found


def fresh_head(checked, size):
    torch.manual_seed(0)
    return plugins.build(*checked.one("head"), checked.targets, size)


def ours(checked, x, y, test):
    head = fresh_head(checked, x.shape[1])
    facts = fit_head(head, [x], torch.from_numpy(y)).facts
    with torch.no_grad():
        found = head(inarch.Features(pooled=torch.from_numpy(test))).argmax(1).numpy()
    return found, {
        "penalty": facts["penalty"],
        "iterations": facts["iterations"],
        "tried": len(facts["cross_validation"]),
    }


def cross_validated(checked, x, y, test):
    folds = make_folds(y, None, len(y), 0)
    pairs = [(np.flatnonzero(folds.of != fold), np.flatnonzero(folds.of == fold)) for fold in range(folds.count)]
    scaler = StandardScaler().fit(x)
    strengths = [1 / (penalty * len(pairs[0][0])) for penalty in PENALTIES]
    fit = LogisticRegressionCV(
        Cs=strengths, cv=pairs, scoring="neg_log_loss", max_iter=1000, use_legacy_attributes=False
    )
    fit.fit(scaler.transform(x), y)
    return fit.predict(scaler.transform(test)), {
        "penalty": PENALTIES[int(np.argmin(np.abs(np.array(strengths) - fit.C_)))]
    }


def plain(checked, x, y, test):
    scaler = StandardScaler().fit(x)
    fit = LogisticRegression(max_iter=1000).fit(scaler.transform(x), y)
    return fit.predict(scaler.transform(test)), {"iterations": int(fit.n_iter_.max())}


WAYS = {"inarch": ours, "LogisticRegressionCV": cross_validated, "LogisticRegression": plain}


def compare(path, size, rounds, ways):
    checked, _, found = features(path)
    drawn = np.random.default_rng(0).permutation(len(found["train"][1]))[:size]
    x, y = (part[drawn] for part in found["train"])
    seconds, processor, results = ({way: [] for way in ways} for _ in range(3))
    for _ in range(rounds):
        for way in ways:
            started = time.perf_counter(), time.process_time()
            results[way] = WAYS[way](checked, x, y, found["test"][0])
            seconds[way].append(time.perf_counter() - started[0])
            processor[way].append(time.process_time() - started[1])
    for way in ways:
        answers, facts = results[way]
        accuracy = float((answers == found["test"][1]).mean())
        details = {"processor": median(processor[way]), "smallest": min(processor[way]), "accuracy": accuracy}
        report(f"probe/{path.stem}/{len(y)}/{way}", median(seconds[way]), "s", **details, tested=len(answers),
               dimensions=x.shape[1], **facts)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=type(ROOT), default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    for path in options.recipes:
        for size in options.sizes:
            compare(path, size, options.rounds, options.ways)


if __name__ == "__main__":
    main()
