"""What heads are tried with: targets, random features that suit them, and the head that is built for both.

Shapes: B examples, R rows of features (B, or B times the parts or partners of an example), D features, T tokens,
U units.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inarch.data.loaders import seeded
from inarch.errors import InarchError, listing
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Dataset, Rows, Targets
from inarch.interfaces.head import Head
from inarch.plugins import build
from inarch.schema import plain
from inarch.testing.cases import ComponentCase
from inarch.testing.check import skip

WIDTH = 32
UNITS = 24
CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox")
GUESSES: tuple[Sequence[Any], ...] = (
    [CLASSES[row % 6] for row in range(18)],
    [0.5 * row - 3 for row in range(12)],
    [[CLASSES[row % 3], *CLASSES[3 : 3 + row % 4]] for row in range(12)],
)
"""Classes, numbers, labels: what a head whose trial has no truths is tried with, the first that it reads."""

Lesson = tuple[Head, Features, Tensor, int]
"""A head, features (R, ...), encoded targets (B, ...), and how many rows an example has."""


class HeadCase(ComponentCase):
    """A head with all that it is tried with."""

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be tried, and what to write; None: it can."""
        try:
            told = super().problem
            return told if told or self._understood else None
        except (InarchError, ValueError) as error:
            return self.asks("truths=[...]", f"`read` refuses what the kit guesses: {error}")

    @cached_property
    def _understood(self) -> tuple[Sequence[Any], Targets]:
        refused: InarchError | ValueError | None = None
        for guess in [self.trial.truths] if self.trial.truths else GUESSES:
            try:
                return guess, self.read(guess)
            except (InarchError, ValueError) as error:
                refused = refused or error
        raise refused or ValueError("no truths")

    @property
    def raws(self) -> Sequence[Any]:
        """Raw targets, one for each of B examples."""
        return self._understood[0]

    @property
    def targets(self) -> Targets:
        """What the head is built for."""
        read = self._understood[1]
        return read if self.trial.truths else self.trial.targets or read

    @property
    def trained(self) -> bool:
        """Whether steps train it."""
        return bool(self.entry.facts["trained"])

    @cached_property
    def members(self) -> int:
        """Rows of features that an example has in evaluation: its parts, where they go through one by one."""
        return len(self.dataset(self.raws).inputs) if self._built(self.targets).separate else 1

    def dataset(self, raws: Sequence[Any], classes: Sequence[str] = ()) -> Dataset:
        """Return a data set with these targets. Inputs that the trial does not give are names of files."""
        inputs = list(self.trial.inputs) or [f"{row}.dat" for row in range(len(raws))]
        several = isinstance(inputs[0], Mapping)
        names = tuple(inputs[0]) if several else ("input",)
        columns = {name: [one[name] for one in inputs] if several else inputs for name in names}
        rows = Rows({**columns, "target": list(raws)})
        part = rows.select(range(max(1, len(rows) // 2)))
        files = frozenset() if self.trial.inputs else frozenset(names)
        return Dataset({"train": rows, "valid": part, "test": part}, names if several else names[0], "target",
                       classes={name: [name] for name in classes} or None, origin="the trial", files=files)  # fmt: skip

    def read(self, raws: Sequence[Any], classes: Sequence[str] = ()) -> Targets:
        """Return what the head's `read` makes of raw targets."""
        read = self.entry.facts["read"]
        given = {"options": self.options} if "options" in signature(read).parameters else {}
        found: Targets = read(self.dataset(raws, classes), **given)
        return found

    def reopened(self) -> Targets:
        """Return the targets as a bundle has them: written as JSON, and read again."""
        kept = json.loads(json.dumps(plain(asdict(self.targets))))
        return Targets(**{**kept, "classes": tuple(kept["classes"])})

    def made(self, targets: Targets | None = None, raws: Sequence[Any] | None = None) -> Head:
        """Return a head of the same random weights, in evaluation mode; one that steps cannot train is fitted."""
        head = self._built(targets or self.targets)
        raws = self.raws if raws is None else raws
        if not self.trained:
            pooled = self.features(raws).pooled
            assert pooled is not None
            head.fit(pooled, head.encode(raws))
        return head.eval()

    def opened(self) -> Head:
        """Return a head as a bundle builds it before it loads the state: of other random weights, not fitted."""
        return self._built(self.reopened(), seed=1).eval()

    def features(self, raws: Sequence[Any] | None = None, seed: int = 1, members: int | None = None) -> Features:
        """Return features of examples with such targets: every field, whatever the head needs."""
        raws, members = self.raws if raws is None else raws, members or self.members
        return random_features([_units(raw) for raw in raws for _ in range(members)], seed)

    def predictions(self, head: Head, features: Features | None = None) -> list[dict[str, Any]]:
        """Return what a head predicts of features."""
        return head.predict(self.outputs(head, features or self.features()))

    @torch.no_grad()
    def outputs(self, head: Head, features: Features) -> Any:
        """Return a head's outputs, without gradients."""
        return head(features)

    @torch.no_grad()
    def losses(self, head: Head, features: Features, targets: Tensor) -> tuple[float, float]:
        """Return the sum and the count of a head's loss."""
        total, count = head.loss(head(features), targets)
        return float(total), float(count)

    def lesson(self) -> Lesson:
        """Return what a step of training has, without dropout: for a head that wants partners, example and partner."""
        head = self.made()
        targets = head.encode(self.raws)
        if head.partners(self.raws) is None:
            return head, self.features(), targets, self.members
        head.training = True  # it alone, and not what is inside it
        return head, self.features(members=2), torch.stack([targets, targets.roll(1, 0)], 1), 2

    def trained_a_little(self) -> Head:
        """Return a head after three steps, or after it was fitted."""
        head, features, targets, _ = self.lesson()
        if self.trained and list(head.parameters()):
            optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
            for _ in range(3):
                optimizer.zero_grad()
                loss, count = head.loss(head(features), targets)
                (loss / count).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return head.eval()

    def for_kinds(self, *kinds: str) -> None:
        """Skip the check unless the targets are of such a kind."""
        if self.targets.kind not in kinds:
            skip(f"its targets are {self.targets.kind}, not {listing(kinds)}")

    def for_field(self, field: str) -> None:
        """Skip the check unless the head needs a field of the features."""
        needs = self._built(self.targets).needs
        if field not in needs:
            skip(f"it reads {listing(sorted(needs))}, not {field}")

    def _built(self, targets: Targets, seed: int = 0) -> Head:
        with seeded(seed):
            head: Head = build(self.entry, self.options, targets, WIDTH)
        return head


def random_features(units: Sequence[int], seed: int) -> Features:
    """Return features (R = len(units), ...) of as many units each, and two tokens more; all fields are there."""
    generator = torch.Generator().manual_seed(seed)
    order, counts = torch.arange(max(units)), torch.tensor(units)[:, None]
    real, mask = order < counts, torch.arange(max(units) + 2) < counts + 2
    size = len(units)
    return Features(
        pooled=torch.randn(size, WIDTH, generator=generator),
        tokens=torch.randn(size, max(units) + 2, WIDTH, generator=generator) * mask[..., None],
        mask=mask,
        maps=(torch.randn(size, WIDTH // 2, 8, 8, generator=generator),
              torch.randn(size, WIDTH, 4, 4, generator=generator)),
        units=torch.where(real, order + 1, -1),
        places=torch.stack([order, order + 1], -1).float() * real[..., None],
        scale=torch.randn(size, 1, 2, generator=generator).exp(),
    )  # fmt: skip


def rows_of(features: Features, rows: Any) -> Features:
    """Return some rows of features, by a slice or a tensor of their numbers."""
    single = {name: None if (field := getattr(features, name)) is None else field[rows]
              for name in Features._fields if name != "maps"}  # fmt: skip
    return Features(**single, maps=None if features.maps is None else tuple(level[rows] for level in features.maps))


def members_of(examples: Sequence[int], members: int) -> Tensor:
    """Return the numbers of the rows of features of examples."""
    return torch.tensor([example * members + member for example in examples for member in range(members)])


def each_of(features: Features, change: Callable[[Tensor], Tensor]) -> Features:
    """Return features of which every vector went through a function."""
    assert features.pooled is not None and features.tokens is not None and features.maps is not None
    maps = tuple(change(level) for level in features.maps)
    return features._replace(pooled=change(features.pooled), tokens=change(features.tokens), maps=maps)


def only(features: Features, needs: frozenset[str]) -> Features:
    """Return features without what a head does not need; a mask goes with tokens, places with units."""
    beside = {"mask": "tokens", "places": "units"}
    return features._replace(**{n: None for n in Features._fields if n not in needs and beside.get(n) not in needs})


def with_garbage(features: Features) -> Features:
    """Return features with large numbers wherever a token is padding."""
    assert features.tokens is not None and features.mask is not None
    return features._replace(tokens=features.tokens.masked_fill(~features.mask[..., None], 1e3))


def wider(features: Features, more: int = 3) -> Features:
    """Return features with more padding: tokens and units that are none."""
    tokens, mask, units, places = features.tokens, features.mask, features.units, features.places
    assert tokens is not None and mask is not None and units is not None and places is not None
    return features._replace(
        tokens=F.pad(tokens, (0, 0, 0, more), value=7.0),
        mask=F.pad(mask, (0, more)),
        units=F.pad(units, (0, more), value=-1),
        places=F.pad(places, (0, 0, 0, more)),
    )


def _units(raw: Any) -> int:
    """Return how many units an example has: one for each of a list of tags, else as many as a trial's targets need."""
    tags = isinstance(raw, list) and raw and all(isinstance(tag, str | int) for tag in raw)
    return len(raw) if tags else UNITS
