"""One process of a group: features that it extracts with the others, written with what is known of them."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors

from inarch.builtin.head_modules import Classifier
from inarch.data.loaders import Examples
from inarch.features.extraction import extract
from inarch.features.store import Store
from inarch.interfaces.dataset import Dataset, Rows, Targets

NUMBERS = [f"{index} 0 1 {index % 3}" for index in range(23)]


def write(accelerator: Accelerator, folder: Path, case: str, raws: list[str], store: Store, view: int = 0) -> None:
    """Extract features of raw inputs in batches of four, and write them to CASE-PROCESS.npy and .json."""
    torch.manual_seed(0)
    backbone = Vectors("none", 4, 8, 2, 0.0, True, 0.3, False, 0)
    targets = Targets("classes", ("a", "b"), {"train": [1, 1]}, {"values": {"a": 0, "b": 1}})
    head = Classifier(targets, 8, 0.0, "none", None, 0.0, "pooled")
    rows = Rows({"raw": raws, "class": ["a"] * len(raws)})
    examples = Examples(Dataset({"train": rows}, "raw", "class"), "train", backbone, head, 0, True)
    found = extract(examples, backbone, accelerator, 4, view=view, store=store)
    path = folder / f"{case}-{accelerator.process_index}"
    np.save(path.with_suffix(".npy"), found.values)
    facts = {"rows": found.rows, "skipped": sorted(found.skipped), "computed": found.computed}
    path.with_suffix(".json").write_text(json.dumps(facts))
    accelerator.wait_for_everyone()


def share(accelerator: Accelerator, folder: Path) -> None:
    """Extract with one store."""
    store = Store(folder)
    write(accelerator, folder, "new", NUMBERS[:13], store)
    write(accelerator, folder, "stored", NUMBERS[:13], store)
    write(accelerator, folder, "more", NUMBERS[::-1], store)
    write(accelerator, folder, "view", NUMBERS, store, view=1)
    write(accelerator, folder, "unread", ["1 2", *NUMBERS, "x"], store)


if __name__ == "__main__":
    folder, accelerator = Path(sys.argv[1]), Accelerator(cpu=True)
    share(accelerator, folder)
    write(accelerator, folder, "machines", NUMBERS, Store(folder / f"machine{accelerator.process_index}"))
    accelerator.end_training()
