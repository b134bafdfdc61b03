"""Rows without their targets, as a backbone alone sees them."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from inarch.data.inputs import Seen
from inarch.data.loaders import Examples, Item, seeded
from inarch.errors import DataError


class Views(Dataset[Item]):
    """One view of a split: ``views[rows]`` is an item (see `loaders`) without targets.

    View 0 is that of evaluation; view k is drawn as in training, from (seed, k, row), without mixing or partners.
    """

    def __init__(self, examples: Examples, number: int) -> None:
        self.examples, self.number = examples, number

    def __getitem__(self, rows: Sequence[int]) -> Item:
        """Read, transform and collate rows."""
        read: list[tuple[int, Seen]] = []
        skipped = []
        for index in rows:
            try:
                read.append((index, self._see(index)))
            except DataError as error:
                if not self.examples.skip_unreadable:
                    return {"error": f"{error} (on_error: skip would leave it out)"}
                skipped.append(str(error))
        item: Item = {"rows": [index for index, _ in read], "skipped": skipped}
        if read:
            item["batch"] = self.examples.collate([member for _, seen in read for member in seen.members])
            item["kept"] = [None if seen.kept is None else torch.from_numpy(seen.kept) for _, seen in read]
        return item

    def _see(self, index: int) -> Seen:
        row = self.examples.rows[index]
        if not self.number:
            return self.examples.see(index, row, False)
        with seeded(self.examples.seed, self.number, index):
            return self.examples.see(index, row, True)
