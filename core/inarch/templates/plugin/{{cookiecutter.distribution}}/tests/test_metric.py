"""The metric: right where it can be counted by hand, and the same for any batches."""

import torch
from inarch import Targets

from {{cookiecutter.package}}.builders import distance

TARGETS = Targets("classes", ("small", "medium", "large"))
SCORES = torch.eye(3)[[0, 0, 2, 2]]  # small, small, large, large
TRUTHS = torch.tensor([0, 0, 0, 1])


def test_each_class_counts_as_much_as_the_others() -> None:
    metric = distance(TARGETS)
    metric.update(SCORES, TRUTHS)
    torch.testing.assert_close(metric.compute(), torch.tensor((2 / 3 + 1) / 2))


def test_batches_do_not_change_it() -> None:
    whole, parts = distance(TARGETS), distance(TARGETS)
    whole.update(SCORES, TRUTHS)
    for at in (slice(0, 1), slice(1, 4)):
        parts.update(SCORES[at], TRUTHS[at])
    assert torch.equal(whole.compute(), parts.compute())
