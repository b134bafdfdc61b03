"""The head `ctc`: texts out of units that are more than the text has letters, such as the frames of a recording.

Shapes: B batch, L pieces of a text, U units, V pieces of the vocabulary.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import exp
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inarch.builtin.ctc_decoding import BLANK, Decoded, beam, greedy
from inarch.builtin.pieces import Pieces
from inarch.builtin.units import gather, join, layers, pad, readable
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Targets
from inarch.interfaces.head import Head


class Ctc(Head):
    """Texts by connectionist temporal classification (Graves et al. 2006): in each unit a piece of text, or a blank."""

    needs = frozenset({"tokens", "units"})
    whole = True

    def __init__(
        self, targets: Targets, num_features: int, decoding: str, beam_width: int, hidden: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.pieces = Pieces(targets.details["characters"], targets.details["merges"])
        self.values = targets.details["values"]
        self.decode = greedy if decoding == "greedy" else partial(beam, width=beam_width)
        self.layers = layers(num_features, len(self.pieces) + 1, hidden, dropout)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return numbers of pieces, from 1 (B, L); 0 is padding. Characters that train does not have are left out."""
        return pad([self.pieces.encode(self.values.get(target, target)) for target in targets], BLANK)

    def refuse(self, target: Any, length: int) -> None:
        """Raise ValueError if a text has more pieces, and blanks between equal ones, than the input has units."""
        text = self.values.get(target, target)
        numbers = self.pieces.encode(text)
        blanks = sum(one == other for one, other in pairwise(numbers))
        if len(numbers) + blanks > length:
            what = "letters" if self.pieces.whole else "pieces"
            between = f" and {blanks} between equal ones" if blanks else ""
            raise ValueError(
                f"the transcript {_short(text)} needs {len(numbers) + blanks} frames, for {len(numbers)} {what}"
                f"{between}, but the input has {length}"
            )

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return `logits` (B, U, V + 1), of the blank first, `places` (B, U, 2) and `seen` (B, U)."""
        vectors, where = gather(features)
        return {"logits": self.layers(vectors), **where}

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the negative log-probability of texts, summed, and the number of their pieces.

        So every piece counts alike, in whichever text and step it is (as fairseq normalises; PyTorch's mean has texts
        count alike). An empty text counts as one piece. One that its units cannot carry would have an infinite loss: it
        counts for nothing, neither in the sum nor in the number.
        """
        logs, units = _logs(outputs)
        sizes = (targets != BLANK).sum(1)
        blanks = ((targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != BLANK)).sum(1)
        carried = units >= (sizes + blanks).clamp_min(1)
        none = max(0, 1 - targets.shape[1])  # of empty texts alone: the loss wants a column
        losses = F.ctc_loss(logs.transpose(0, 1), F.pad(targets, (0, none)), torch.where(carried, units, 1),
                            torch.where(carried, sizes, 0), BLANK, reduction="none")  # fmt: skip
        return torch.where(carried, losses, 0.0).sum(), (sizes.clamp_min(1) * carried).sum().to(logs.dtype)

    def predict(self, outputs: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Return the `text`, its `score`, and its words as `segments`, from where a word's first piece begins.

        The score is the probability of the text per piece: its root of as many as it has pieces, one if it has none. Of
        `greedy` it is that of the likeliest path, of `beam` the sum over all paths that were kept.
        """
        logs, units = _logs(outputs)
        rows = zip(logs.detach().cpu(), units.tolist(), _seen_first(outputs, "places").tolist(), strict=True)
        return [self._predict(self.decode(row[:size].numpy()), places) for row, size, places in rows]

    def _predict(self, decoded: Decoded, places: list[list[float]]) -> dict[str, Any]:
        score = min(1.0, exp(decoded.score / max(1, len(decoded.pieces))))
        return {"text": self.pieces.decode(decoded.pieces), "score": score, "segments": self._words(decoded, places)}

    def _words(self, decoded: Decoded, places: list[list[float]]) -> list[dict[str, Any]]:
        """Return words with the places of the frames in which their first and their last letter begin."""
        words: list[dict[str, Any]] = []
        apart = True
        for number, frame in zip(decoded.pieces, decoded.frames, strict=True):
            for character in self.pieces.spelt[number]:
                if character.isspace():
                    apart = True
                    continue
                if apart:
                    words.append({"start": readable(places[frame][0]), "end": 0, "label": ""})
                words[-1] |= {"end": readable(places[frame][1]), "label": words[-1]["label"] + character}
                apart = False
        return words

    def join(self, outputs: Any, kept: Tensor) -> Any:
        """Return one input's outputs from those of its windows: each unit from the window that answers for it."""
        return join(outputs, kept)


def _seen_first(outputs: Mapping[str, Tensor], name: str) -> Tensor:
    """Return outputs (B, U, ...) with the units that are seen before the others, in their order."""
    order = (~outputs["seen"].bool()).byte().argsort(dim=1, stable=True)[..., None]
    return outputs[name].take_along_dim(order, 1)


def _logs(outputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return log-probabilities (B, U, V + 1), of units that are seen first, and how many of these there are (B,)."""
    logits = _seen_first(outputs, "logits")
    at_least = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(at_least).log_softmax(-1), outputs["seen"].sum(1)


def _short(text: str) -> str:
    return repr(text if len(text) <= 50 else text[:50] + "…")
