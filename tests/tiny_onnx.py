"""Writes ONNX files of a few nodes, byte by byte, so that tests need no onnx package and no download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FLOAT, FLOAT16 = 1, 10
Dims = Sequence[int | str]


def varint(value: int) -> bytes:
    """A protobuf varint."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(number: int, body: bytes | str) -> bytes:
    """A length-delimited field."""
    data = body.encode() if isinstance(body, str) else body
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def value(name: str, dims: Dims, elem: int = FLOAT) -> bytes:
    """ValueInfoProto."""
    shape = b"".join(message(1, number(1, d) if isinstance(d, int) else message(2, d)) for d in dims)
    return message(1, name) + message(2, message(1, number(1, elem) + message(2, shape)))


def tensor(name: str, array: Any) -> bytes:
    """TensorProto of float32."""
    data = np.asarray(array, np.float32)
    dims = b"".join(number(1, d) for d in data.shape)
    return dims + number(2, FLOAT) + message(8, name) + message(9, data.tobytes())


def node(op: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """NodeProto without attributes."""
    return b"".join(message(1, i) for i in inputs) + b"".join(message(2, o) for o in outputs) + message(4, op)


def model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    weights: Sequence[bytes] = (),
    infos: Sequence[bytes] = (),
    metadata: dict[str, str] | None = None,
) -> bytes:
    """ModelProto, IR 8, opset 13."""
    graph = b"".join(message(1, n) for n in nodes) + message(2, "tiny")
    graph += b"".join(message(5, w) for w in weights) + b"".join(message(11, i) for i in inputs)
    graph += b"".join(message(12, o) for o in outputs) + b"".join(message(13, i) for i in infos)
    extra = b"".join(message(14, message(1, k) + message(2, v)) for k, v in (metadata or {}).items())
    return number(1, 8) + message(7, graph) + message(8, number(2, 13)) + extra


def add_net(dims: Dims = (1, 3, 4, 4)) -> bytes:
    """y = x + w with w = 1, 2, 3 by channel, listed among the inputs as old exporters do, and a stated y and
    t."""
    weight = tensor("w", np.array([1, 2, 3]).reshape(1, 3, 1, 1))
    return model(
        [node("Add", ["x", "w"], ["t"]), node("Identity", ["t"], ["y"])],
        [value("x", dims), value("w", (1, 3, 1, 1))],
        [value("y", dims)],
        [weight],
        [value("t", dims)],
        {"names": "{0: 'face', 1: 'plate'}", "license": "MIT"},
    )


def constant_net(output: Any, side: int = 64, names: str = "{0: 'face', 1: 'plate'}") -> bytes:
    """A detector of the yolo family that always answers `output`, whatever its (1, 3, side, side) input
    holds."""
    data = np.asarray(output, np.float32)
    return model(
        [node("Identity", ["answer"], ["output0"])],
        [value("images", (1, 3, side, side))],
        [value("output0", data.shape)],
        [tensor("answer", data)],
        metadata={"names": names, "license": "AGPL-3.0 License (https://example.com)"},
    )
