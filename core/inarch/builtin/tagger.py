"""The head `tagger`. Shapes: B batch, C tags, S segments, U units."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inarch.builtin.head_modules import choose_weights
from inarch.builtin.segment_targets import name_stretches, name_tags
from inarch.builtin.segments import LETTERS, OUTSIDE, Segment, find_segments, label_of, tags_of, write_tags
from inarch.builtin.units import gather, join, layers, pad, readable, real
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Targets
from inarch.interfaces.head import Head

IGNORED = -100


class Tagger(Head):
    """One tag per unit, read as segments."""

    needs = frozenset({"tokens", "units"})
    weights: Tensor

    def __init__(
        self,
        targets: Targets,
        num_features: int,
        scheme: str,
        label_smoothing: float,
        class_weights: str | Mapping[str, float],
        hidden: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.labels, self.scheme, self.label_smoothing = targets.classes, scheme, label_smoothing
        self.form, self.values = targets.details["form"], targets.details["values"]
        self.tags = list(self.labels) if scheme == "units" else tags_of(self.labels, scheme)
        self.layers = layers(num_features, len(self.tags), hidden, dropout)
        weights = _label_weights(targets, class_weights)
        per_tag = [weights[tag if scheme == "units" else label_of(tag) or OUTSIDE] for tag in self.tags]
        self.register_buffer("weights", torch.tensor(per_tag), persistent=False)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return tag numbers from 1 (B, U), or of segments start, end and label number from 1 (B, S, 3); 0 is padding.

        Tags are translated into the head's scheme.
        """
        if self.form == "segments":
            return self._encode_stretches(targets)
        numbers = {tag: number for number, tag in enumerate(self.tags, start=1)}
        rows = [name_tags(target, self.values) for target in targets]
        if self.scheme != "units":
            rows = [write_tags(find_segments(row), len(row), self.scheme) for row in rows]
        return pad([[numbers[tag] for tag in row] for row in rows], 0)

    def _encode_stretches(self, targets: Sequence[Any]) -> Tensor:
        numbers = {label: number for number, label in enumerate(self.labels, start=1)}
        named = (name_stretches(target, self.values) for target in targets)
        return pad([[(s.start, s.end, numbers[s.label]) for s in row] for row in named], (0.0, 0.0, 0.0))

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return `logits` (B, U, C), `places` (B, U, 2) and `seen` (B, U)."""
        vectors, where = gather(features)
        return {"logits": self.layers(vectors), **where}

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted cross-entropy summed over units that have a token and a tag, and the sum of weights."""
        logits, weights = outputs["logits"], self.weights.to(outputs["logits"].dtype)
        numbers = targets if targets.dim() == 2 else self.align(targets, outputs["places"])
        numbers = F.pad(numbers, (0, logits.shape[1] - numbers.shape[1]))  # padding only: other rows may be longer
        counted = outputs["seen"].bool() & (numbers > 0)
        truth = torch.where(counted, numbers - 1, IGNORED)
        total = F.cross_entropy(logits.flatten(0, 1), truth.flatten(), weights, ignore_index=IGNORED, reduction="sum",
                                label_smoothing=self.label_smoothing)  # fmt: skip
        return total, (weights[truth.clamp_min(0)] * counted).sum()

    def align(self, stretches: Tensor, places: Tensor) -> Tensor:
        """Return tag numbers from 1 (B, U) for stretches (B, S, 3): a unit is of the one that holds its middle."""
        start, end, label = stretches[:, None].unbind(-1)
        middle = places.mean(-1)[..., None]
        holds = (start <= middle) & (middle < end) & real(places)[..., None]
        segment = (holds * torch.arange(1, holds.shape[-1] + 1, device=holds.device)).sum(-1)
        begins = segment != F.pad(segment, (1, 0))[:, :-1]
        ends = segment != F.pad(segment, (0, 1))[:, 1:]
        letters = LETTERS[self.scheme]
        letter = torch.where(begins, letters.index("B"), letters.index("I"))
        if self.scheme == "bioes":
            letter = torch.where(ends, torch.where(begins, letters.index("S"), letters.index("E")), letter)
        tag = 1 + ((holds * label).sum(-1).long() - 1) * len(letters) + letter
        return torch.where(segment > 0, tag, 0) + 1

    def join(self, outputs: Mapping[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
        """Return the outputs of one input (1, U, ...): from each window the units of its stretch."""
        return join(outputs, kept)

    def predict(self, outputs: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Return `tags`, the likeliest of each unit, and the `segments` that they write by `find_segments`.

        The score of a segment is the mean probability of its tags. A unit that was cut off has the tag O, or with the
        scheme `units` an empty one, and is in no segment.
        """
        scores, numbers = outputs["logits"].float().softmax(-1).max(-1)
        columns = (scores, numbers, outputs["seen"].bool(), outputs["places"], real(outputs["places"]))
        return [self._predict(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _predict(
        self, scores: list[float], numbers: list[int], seen: list[bool], places: list[list[float]], real: list[bool]
    ) -> dict[str, Any]:
        length = max((unit for unit, is_real in enumerate(real, start=1) if is_real), default=0)
        cut_off = "" if self.scheme == "units" else OUTSIDE
        tags = [self.tags[numbers[unit]] if seen[unit] else cut_off for unit in range(length)]
        segments = [
            {
                "start": readable(places[first][0]),
                "end": readable(places[last][1]),
                "label": label,
                "score": sum(scores[first : last + 1]) / (last + 1 - first),
            }
            for first, last, label in self._segments(tags)
        ]
        return {"segments": segments, "tags": tags}

    def _segments(self, tags: Sequence[str]) -> list[Segment]:
        if self.scheme == "units":
            return [Segment(unit, unit, tag) for unit, tag in enumerate(tags) if tag not in ("", OUTSIDE)]
        return find_segments(tags)


def _label_weights(targets: Targets, choice: str | Mapping[str, float]) -> dict[str, float]:
    """Return the weight of each label and of O; balanced: n / (labels x n of the label) over train, and 1 for O."""
    counts = torch.tensor(targets.counts["train"], dtype=torch.float64)
    balanced = counts.sum() / (len(counts) * counts.clamp_min(1))
    own = OUTSIDE in targets.classes
    names = targets.classes if own else (OUTSIDE, *targets.classes)
    weights = choose_weights(names, choice, balanced if own else F.pad(balanced, (1, 0), value=1.0))
    return dict(zip(names, weights.tolist(), strict=True))
