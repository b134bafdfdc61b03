"""ONNX files for tests, byte by byte: the fields of protocol buffers, and tensors in a model."""


def varint(value):
    value &= 2**64 - 1  # negative numbers are written so
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(name, kind, dims, *values):
    return b"".join([*(number(1, size) for size in dims), number(2, kind), message(8, name.encode()), *values])


def model(*tensors):
    node = message(1, message(1, b"input") + message(4, b"Conv"))
    return number(1, 8) + message(7, node + b"".join(message(5, one) for one in tensors)) + message(8, b"\x10\x0d")
