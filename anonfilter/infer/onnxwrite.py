"""Writes ONNX files without the onnx package, for nets that are not published as one.

Field numbers are those of onnx.proto3. The bytes depend on what is written and on nothing else, so that a net that is
built twice has one checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.infer.onnxgraph import FLOAT, delimited, varint

INT64 = 7
"""TensorProto.DataType."""

_ELEMS = {np.dtype("<f4"): FLOAT, np.dtype("<i8"): INT64}
_INT, _STRING, _INTS = 2, 3, 7
"""AttributeProto.AttributeType."""

_IR_VERSION, _OPSET = 8, 17


class Writer:
    """A graph that grows node by node; every value has a name of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, shape: Sequence[int]) -> str:
        """A float32 input."""
        self._inputs.append(_value(name, shape))
        return name

    def constant(self, array: npt.ArrayLike) -> str:
        """A float32 or int64 array; other floats and integers become these."""
        values = np.asarray(array)
        values = np.ascontiguousarray(values, "<f4" if values.dtype.kind == "f" else "<i8")
        name = f"c{len(self._constants)}"
        dims = b"".join(_integer(1, size) for size in np.shape(array))
        elem = _integer(2, _ELEMS[values.dtype])
        self._constants.append(dims + elem + delimited(8, name.encode()) + delimited(9, values.tobytes()))
        return name

    def node(self, op: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """An operator with one output, whose name is given back. attributes: integers, strings, lists of integers."""
        name = name or f"v{len(self._nodes)}"
        body = b"".join(delimited(1, value.encode()) for value in inputs)
        body += delimited(2, name.encode()) + delimited(4, op.encode())
        body += b"".join(delimited(5, _attribute(key, value)) for key, value in sorted(attributes.items()))
        self._nodes.append(body)
        return name

    def output(self, name: str, shape: Sequence[int]) -> None:
        """Make a float32 value an output."""
        self._outputs.append(_value(name, shape))

    def to_bytes(self, **metadata: str) -> bytes:
        """The file. metadata: its metadata_props."""
        parts = ((1, self._nodes), (5, self._constants), (11, self._inputs), (12, self._outputs))
        graph = delimited(2, self._name.encode())
        graph += b"".join(delimited(number, body) for number, bodies in parts for body in bodies)
        notes = (delimited(1, key.encode()) + delimited(2, text.encode()) for key, text in sorted(metadata.items()))
        return (
            _integer(1, _IR_VERSION) + delimited(7, graph) + delimited(8, _integer(2, _OPSET))
            + b"".join(delimited(14, note) for note in notes)
        )  # fmt: skip


def _integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value % (1 << 64))  # a negative int64 as its two's complement


def _value(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(delimited(1, _integer(1, size)) for size in shape)
    return delimited(1, name.encode()) + delimited(2, delimited(1, _integer(1, FLOAT) + delimited(2, dims)))


def _attribute(key: str, value: Any) -> bytes:
    head = delimited(1, key.encode())
    if isinstance(value, str):
        return head + delimited(4, value.encode()) + _integer(20, _STRING)
    if isinstance(value, int):
        return head + _integer(3, value) + _integer(20, _INT)
    return head + b"".join(_integer(8, item) for item in value) + _integer(20, _INTS)
