"""How often the intervals of `inarch compare` hold the truth, where the truth is known.

    python benchmarks/compare.py [--draws 200] [--examples 200] [--seeds 3 5 10]

Nothing is trained. Two strategies answer examples that are harder or easier for both; each seed has its own luck, and
so has each single answer: an answer is right where strategy + example + seed + chance is above 0, all normal. Which
share each gets right of all examples with all seeds is known then. For each of 200 draws of examples and seeds, the
interval of the difference either holds the true one or not. Beside it, the plain bootstrap, which draws seeds with
replacement. A minute on one core.
"""

import argparse
import math

import numpy as np
import torch
from figures import report

from inarch.answers import Answers
from inarch.studies import comparison

STRATEGIES = {"first": 1.0, "second": 0.8}
WORLDS = {  # deviations of example, seed, single answer
    "luck of seeds": (0.5, 0.3, 0.3),
    "hard and easy examples": (1.0, 0.02, 0.3),
    "chance of single answers": (0.3, 0.02, 1.0),
    "all alike": (1.0, 0.15, 0.7),
}


class Share:
    """The share of right answers; with what the core asks of a metric that resamples itself, for it is fast."""

    def reset(self):
        self.right = self.seen = 0

    def update(self, right, targets):
        self.right, self.seen = self.right + float(right.sum()), self.seen + len(right)

    def compute(self):
        return self.right / self.seen

    def resampled(self, right, targets, drawn):
        values = right.numpy()
        return [float(values[draw].mean()) for draw in drawn]


def truth(world):
    """Return by how much the first strategy is better, over all examples and seeds."""
    deviation = math.sqrt(sum(part**2 for part in WORLDS[world]))
    first, second = (0.5 * math.erfc(-mean / deviation / math.sqrt(2)) for mean in STRATEGIES.values())
    return first - second


def answer(world, examples, seeds, random):
    """Return what two strategies answered: label to seed to answers, as a run keeps them."""
    of_example, of_seed, of_answer = WORLDS[world]
    easy = random.normal(0, of_example, examples)
    found = {}
    for label, mean in STRATEGIES.items():
        found[label] = {}
        for seed in seeds:
            latent = mean + easy + random.normal(0, of_seed) + random.normal(0, of_answer, examples)
            right = torch.from_numpy((latent > 0).astype(float))
            found[label][seed] = Answers(torch.arange(examples), None, right, torch.ones(examples))
    return found


def plain(first, second, random):
    """Return the interval that draws seeds with replacement, crosswise with examples."""
    moved = np.stack([first.drawn[seed] - second.drawn[seed] for seed in first.values], axis=1)
    chosen = random.integers(0, moved.shape[1], moved.shape)
    return np.percentile(np.take_along_axis(moved, chosen, axis=1).mean(1), [2.5, 97.5])


def coverage(world, examples, count, draws):
    """Return the shares of draws whose interval, and whose plain interval, hold the truth; and the mean widths."""
    random, known, metric = np.random.default_rng(0), truth(world), Share()
    held, widths = np.zeros(2), np.zeros(2)
    for number in range(draws):
        answers = answer(world, examples, range(number * count, (number + 1) * count), random)
        drawn = comparison.draw_examples(answers["first"][number * count], 100, seed=number)
        measured = [comparison.measure("share", metric, cells, drawn) for cells in answers.values()]
        difference, _ = comparison.difference(*measured)
        for place, (low, high) in enumerate((difference.interval(), plain(*measured, random))):
            held[place] += low <= known <= high
            widths[place] += high - low
    return held / draws, widths / draws


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    options = parser.parse_args()
    for world in WORLDS:
        for count in options.seeds:
            held, widths = coverage(world, options.examples, count, options.draws)
            report(f"compare/coverage/{world}/{count} seeds", held[0], "share of 95 % intervals that hold the truth",
                   width=widths[0], plain=held[1], plain_width=widths[1], truth=truth(world),
                   examples=options.examples, draws=options.draws)  # fmt: skip


if __name__ == "__main__":
    main()
