"""A backbone over letters, for what has a length: examples are prepared, padded, cut, and have units with places."""

from itertools import accumulate
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from inarch import Backbone, Features, Window

LETTERS = "abcdefghijklmnopqrstuvwxyz "


class Letters(Backbone):
    """Embeddings of letters and of their neighbours. A letter is a token; units are letters, or words given as such."""

    domain = "letters"
    facts: ClassVar = {"letters": len(LETTERS)}
    provides = frozenset({"pooled", "tokens", "units"})

    def __init__(
        self,
        weights: str,
        width: int,
        prepared: bool,
        longest: int | None,
        tied: bool = False,
        window: int | None = None,
        scaled: bool = False,
        files: str | None = None,
    ) -> None:
        super().__init__()
        self.num_features, self.folder = width, files
        self.letters = (Path(files) / "letters.txt").read_text(encoding="utf-8") if files else LETTERS
        self.resolved = {"weights": weights, "width": width, "prepared": prepared, "longest": longest, "tied": tied}
        self.resolved |= {"window": window, "scaled": scaled}
        self.embedding = nn.Embedding(len(LETTERS) + 1, width, padding_idx=0)
        self.mixing = nn.Conv1d(width, width, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(width)) if scaled else None
        self.fresh = frozenset({"scale"} if scaled else ())
        self.again = nn.Embedding(len(LETTERS) + 1, width, padding_idx=0) if tied else None
        if self.again is not None:
            self.again.weight = self.embedding.weight

    def transform(self, training: bool) -> "Letters._Read":
        return self._Read(self.resolved["longest"], self.letters, self.resolved["window"], training)

    def prepare(self, raws):
        if not self.resolved["prepared"]:
            return None
        self.resolved["longest"] = self.resolved["longest"] or max(len(_join(raw)) for raw in raws)
        return _Prepared(raws, self._Read(self.resolved["longest"], self.letters, None, False))

    def length(self, example: dict[str, Tensor]) -> int:
        return len(example["letters"])

    def measure(self, raw: object) -> int | None:
        if self.resolved["window"] is None:
            return None
        if not isinstance(raw, str | list) or not raw:
            raise ValueError(f"expected text, found {raw!r}")
        return min(len(_join(raw)), self.resolved["window"])

    def windows(self, raw: object) -> list[Window]:
        size = self.resolved["window"]
        if size is None or not isinstance(raw, str) or len(raw) <= size:
            return []
        starts = [*range(0, len(raw) - size, max(1, size // 2)), len(raw) - size]
        return [Window(raw, start, start + size) for start in starts]

    def part(self, raw: str | list[str], start: float, end: float) -> dict[str, str]:
        return {"text": _join(raw)[int(start) : int(end)]}

    def files(self) -> dict[str, bytes]:
        return {"letters.txt": self.letters.encode()}

    def collate(self, examples):
        padded = nn.utils.rnn.pad_sequence([example["letters"] for example in examples], batch_first=True)
        units = nn.utils.rnn.pad_sequence(
            [example["units"] for example in examples], batch_first=True, padding_value=-1
        )
        places = nn.utils.rnn.pad_sequence([example["places"] for example in examples], batch_first=True)
        return {"letters": padded, "units": units, "places": places}

    def forward(self, letters: Tensor, units: Tensor, places: Tensor) -> Features:
        mask = letters > 0
        hidden = self.embedding(letters)
        if self.again is not None:
            hidden = hidden + self.again(nn.functional.pad(letters, (1, 0))[:, :-1] * mask)
        tokens = (hidden + self.mixing(hidden.mT).mT.tanh()) * mask[..., None]
        if self.scale is not None:
            tokens = tokens * self.scale
        pooled = tokens.sum(1) / mask.sum(1, keepdim=True)
        return Features(pooled=pooled, tokens=tokens, mask=mask, units=units, places=places)

    class _Read:
        """Text or words to letters, cut after `longest`; the places of all units are kept."""

        def __init__(self, longest: int | None, letters: str, window: int | None, training: bool) -> None:
            self.longest, self.letters, self.window, self.training = longest, letters, window, training

        def __call__(self, raw: object) -> dict[str, Tensor]:
            if isinstance(raw, Window):
                read = self(raw.raw[int(raw.start) : int(raw.end)])
                return {**read, "places": read["places"] + raw.start}
            if self.training and self.window and isinstance(raw, str) and len(raw) > self.window:
                start = int(torch.randint(len(raw) - self.window + 1, ()))
                return self(Window(raw, start, start + self.window))
            if not isinstance(raw, str | list) or not raw:
                raise ValueError(f"expected text, found {raw!r}")
            text, lengths = _join(raw), torch.tensor([len(unit) for unit in raw])
            blank = 0 if isinstance(raw, str) else 1
            starts = torch.tensor(list(accumulate(lengths[:-1].tolist(), lambda at, n: at + n + blank, initial=0)))
            units = starts if self.longest is None else starts.where(starts < self.longest, -1)
            letters = torch.tensor([self.letters.index(letter) + 1 for letter in text[: self.longest]])
            return {"letters": letters, "units": units, "places": torch.stack([starts, starts + lengths], 1).float()}


def _join(raw: str | list[str]) -> str:
    return raw if isinstance(raw, str) else " ".join(raw)


class _Prepared:
    """Examples, made when asked for: what the core sees is the same."""

    def __init__(self, raws, read) -> None:
        self.raws, self.read = raws, read
        cut = sum(isinstance(raw, str | list) and len(_join(raw)) > read.longest for raw in raws)
        self.notes = [f"{cut} of {len(raws)} are cut"] if cut else []

    def __len__(self) -> int:
        return len(self.raws)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.read(self.raws[index])
