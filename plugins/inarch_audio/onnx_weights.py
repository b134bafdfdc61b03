"""The weights inside an ONNX file, read without the onnx package. The field numbers are those of onnx.proto3.

A file is a protocol buffer: a row of fields, each with a key (its number and how it is written) and its value.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inarch import WeightsError

_GRAPH, _INITIALIZER = 7, 5  # in a model, in a graph
_DIMS, _TYPE, _FLOATS, _LONGS, _NAME, _RAW, _LOCATION = 1, 2, 4, 7, 8, 9, 14  # in a tensor
_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # how a value is written

Field = tuple[int, int | memoryview]


def read_onnx(path: Path) -> dict[str, Tensor]:
    """Return the initializers of a model by name; of types that no weights have (strings, booleans) none."""
    try:
        model = list(_fields(memoryview(path.read_bytes())))
        graphs = [value for number, value in model if number == _GRAPH and isinstance(value, memoryview)]
        if len(graphs) != 1:
            raise ValueError("there is no graph in it")
        tensors = [value for number, value in _fields(graphs[0]) if number == _INITIALIZER]
        read = [_tensor(value) for value in tensors if isinstance(value, memoryview)]
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not an ONNX file that can be read: {error}") from None
    return {name: tensor for name, tensor in read if tensor is not None}


def _tensor(message: memoryview) -> tuple[str, Tensor | None]:
    """Return name and values of a tensor, None if it is of another type."""
    dims, kind, name, data = list[int](), 0, "", b""
    for number, value in _fields(message):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _LOCATION and value:
            raise ValueError("it keeps its weights in another file")
        elif isinstance(value, memoryview):
            if number == _NAME:
                name = str(value, "utf-8")
            elif number == _LONGS:
                data += np.array(_varints(value), np.uint64).astype("<i8").tobytes()
            elif number in (_FLOATS, _RAW):
                data += value
        elif number in (_FLOATS, _LONGS):
            raise ValueError(f"its tensor '{name}' lists values one by one, which no current writer does")
    if kind not in _TYPES:
        return name, None
    dtype = np.dtype(_TYPES[kind])
    if len(data) != math.prod(dims) * dtype.itemsize:
        raise ValueError(f"its tensor '{name}' has {len(data)} bytes, and should have {dims} of {dtype.itemsize}")
    return name, torch.from_numpy(np.frombuffer(data, dtype).reshape(dims).copy())


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield number and value of each field of a message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, written = key >> 3, key & 7
        if written == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if written == _BYTES:
            size, at = _varint(message, at)
        elif written in (_FIXED_32, _FIXED_64):
            size = 4 if written == _FIXED_32 else 8
        else:
            raise ValueError(f"byte {at} starts no field")
        if number == 0 or at + size > len(message):
            raise ValueError(f"a field of {size} bytes at byte {at} goes beyond its end; the file may be cut short")
        yield number, message[at : at + size]
        at += size


def _varints(message: memoryview) -> list[int]:
    values, at = list[int](), 0
    while at < len(message):
        value, at = _varint(message, at)
        values.append(value)
    return values


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at a byte, seven bits a byte, lowest first, and where the next byte is."""
    value = 0
    for shift in range(0, 70, 7):
        if at + shift // 7 >= len(message):
            raise ValueError("it ends in the middle of a number; the file may be cut short")
        byte = message[at + shift // 7]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + shift // 7 + 1
    raise ValueError(f"byte {at} starts no number")
