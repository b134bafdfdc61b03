"""Files of weights that would run code if they were unpickled: the code makes a file, which must not be there."""

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.trace,)


class Nested(nn.Module):
    """A whole module, as torch.save(model) writes it, with a payload in a layer."""

    def __init__(self, trace: Path) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 2))
        self.layers[0].extra = Payload(trace)


def _zip(path: Path, trace: Path) -> None:
    torch.save({"weight": torch.ones(2), "extra": Payload(trace)}, path)


def _legacy(path: Path, trace: Path) -> None:
    torch.save({"weight": Payload(trace)}, path, _use_new_zipfile_serialization=False)


def _nested(path: Path, trace: Path) -> None:
    torch.save({"state_dict": Nested(trace)}, path)


def _plain(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": Payload(trace)}))


def _old_protocol(path: Path, trace: Path) -> None:
    path.write_bytes(f"cos\nmkdir\n(S'{trace}'\ntR.".encode())


def _tar(path: Path, trace: Path) -> None:
    """Write the format of torch 0.1: a tar of pickles."""
    with tarfile.open(path, "w:") as archive:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            data = pickle.dumps(Payload(trace), protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def _script(path: Path, trace: Path) -> None:
    """Write what torch.jit.save writes, whose constants are pickled too."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(trace), protocol=2))
        archive.writestr("archive/constants.pkl", pickle.dumps(Payload(trace), protocol=2))
        archive.writestr("archive/version", "3\n")


FORMATS: Mapping[str, Callable[[Path, Path], None]] = {
    "zip": _zip, "legacy": _legacy, "a nested module": _nested, "a plain pickle": _plain,
    "protocol 0": _old_protocol, "a tar": _tar, "a script": _script,
}  # fmt: skip


def bomb(path: Path, size: int = 64 << 20) -> None:
    """Write weights that are a thousand times as large when they are unpacked."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("archive/version", "3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as entry:
            for _ in range(size >> 24):
                entry.write(bytes(1 << 24))


CODE = "from pathlib import Path\nPath({trace!r}).mkdir()\n"


def with_code(folder: Path, trace: Path) -> None:
    """Let a model's folder bring code of its own, as `trust_remote_code` would run it."""
    import json

    (folder / "own.py").write_text(CODE.format(trace=str(trace)))
    for name, entries in {
        "config.json": {"AutoConfig": "own.Config", "AutoModel": "own.Model"},
        "tokenizer_config.json": {"AutoTokenizer": ["own.Slow", "own.Fast"]},
    }.items():
        told = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps({**told, "model_type": "own", "auto_map": entries}))
