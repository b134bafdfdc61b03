"""Reads the encoder of a Whisper model from CTranslate2's file, with numpy and struct alone.

The layout is that of CTranslate2's model.bin, version 6: the name of the specification, then variables (name, shape,
type, bytes), then aliases. Several Python packages carry Whisper in it.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inarch import WeightsError

_VERSION, _SPECIFICATION = 6, "WhisperSpec"
_TYPES = {0: "f4", 1: "i1", 2: "i2", 3: "i4", 4: "f2"}  # 5 is bfloat16, which numpy lacks
_HEAD = 64  # features of an attention head, in every Whisper model
_LAYER = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
_PARTS = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}
_OUTSIDE = {"conv1": "conv1", "conv2": "conv2", "layer_norm": "layer_norm"}
_SETTINGS = {"num_heads", "activation", "pre_norm", "scale_embeddings", "multi_query_attention", "alibi"}


def is_whisper(path: Path) -> bool:
    """Say whether a file begins as CTranslate2's Whisper models do, of whatever version."""
    begin = struct.pack("<H", len(_SPECIFICATION) + 1) + _SPECIFICATION.encode()
    with path.open("rb") as file:
        return file.read(4 + len(begin))[4:] == begin


def read_whisper(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return options of a WhisperConfig and the encoder's tensors, by the names and in the layout of transformers."""
    data = memoryview(path.read_bytes())
    try:
        found = _Reader(data, path).variables()
    except (struct.error, UnicodeDecodeError, ValueError, KeyError):  # what is cut off, or is no such file
        raise WeightsError(
            f"{path}: is no file of CTranslate2 that can be read, or is damaged ({len(data)} bytes)"
        ) from None
    encoder = {name.removeprefix("encoder/"): value for name, value in found.items() if name.startswith("encoder/")}
    state = _translate(encoder, path)
    width, bands, _ = state["conv1.weight"].shape
    heads = int(encoder["num_heads"]) if "num_heads" in encoder else width // _HEAD
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    options = {
        "d_model": width,
        "num_mel_bins": bands,
        "encoder_layers": layers,
        "encoder_attention_heads": heads,
        "encoder_ffn_dim": state["layers.0.fc1.weight"].shape[0],
        "max_source_positions": state["embed_positions.weight"].shape[0],
    }
    return options, state


@dataclass
class _Reader:
    data: memoryview
    path: Path
    offset: int = 0

    def variables(self) -> dict[str, np.ndarray]:
        """Return every variable by its name; anything but the expected end of the file raises."""
        version, specification = self._number("I"), self._text()
        if version != _VERSION or specification != _SPECIFICATION:
            raise WeightsError(
                f"{self.path}: expected version {_VERSION} of {_SPECIFICATION} of CTranslate2, found version "
                f"{version} of {specification!r}"
            )
        self._number("I")  # the revision of the specification, which names of variables tell better
        found = dict(self._variable() for _ in range(self._number("I")))
        for alias, name in self._aliases():
            found[alias] = found[name]
        if self.offset != len(self.data):
            raise ValueError("bytes are left over")
        return found

    def _variable(self) -> tuple[str, np.ndarray]:
        name = self._text()
        shape = [self._number("I") for _ in range(self._number("B"))]
        kind, size = self._number("B"), self._number("I")
        if kind not in _TYPES:
            raise WeightsError(f"{self.path}: {name} is of a type that is not read (number {kind}); take float16")
        values = np.frombuffer(self._take(size), f"<{_TYPES[kind]}").reshape(shape)
        return name, values

    def _aliases(self) -> Iterator[tuple[str, str]]:
        for _ in range(self._number("I")):
            yield self._text(), self._text()

    def _number(self, kind: str) -> int:
        return int(struct.unpack(f"<{kind}", self._take(struct.calcsize(kind)))[0])

    def _text(self) -> str:
        return bytes(self._take(self._number("H"))).decode().removesuffix("\0")

    def _take(self, size: int) -> memoryview:
        if self.offset + size > len(self.data):
            raise ValueError("the file ends too early")
        self.offset += size
        return self.data[self.offset - size : self.offset]


def _translate(encoder: dict[str, np.ndarray], path: Path) -> dict[str, Tensor]:
    """Return the tensors of an encoder; what is missing, left over or quantised is an error."""
    state: dict[str, Tensor] = {}
    for name, value in encoder.items():
        if name.split("/")[-1] in _SETTINGS:
            continue
        if value.dtype.kind != "f":
            raise WeightsError(f"{path}: encoder/{name} holds {value.dtype}, quantised; take a file of float16")
        tensor = torch.from_numpy(value.astype(np.float32))
        place, _, part = name.rpartition("/")
        layer = re.fullmatch(r"layer_(\d+)/(.+)", place)
        if name == "position_encodings/encodings":
            state["embed_positions.weight"] = tensor
        elif layer and layer[2] == "self_attention/linear_0" and part in _PARTS:
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                if (letter, part) != ("k", "bias"):
                    state[f"layers.{layer[1]}.self_attn.{letter}_proj.{part}"] = third.clone()
                elif third.any():
                    raise WeightsError(f"{path}: encoder/{name} has a bias of keys, which Whisper has not")
        elif layer and layer[2] in _LAYER and part in _PARTS:
            state[f"layers.{layer[1]}.{_LAYER[layer[2]]}.{_PARTS[part]}"] = tensor
        elif place in _OUTSIDE and part in _PARTS:
            state[f"{_OUTSIDE[place]}.{_PARTS[part]}"] = tensor
        else:
            raise WeightsError(f"{path}: encoder/{name} is not known of Whisper")
    for needed in ("conv1.weight", "embed_positions.weight", "layers.0.fc1.weight"):
        if needed not in state:
            raise WeightsError(f"{path}: the encoder lacks {needed} (as transformers calls it)")
    return state
