"""Reads and rewrites the graph of an ONNX file without the onnx package.

An ONNX file is one protobuf message (onnx.proto3, ModelProto). What has to change before ONNX Runtime runs a
net at full speed sits in a handful of fields, so this walks the wire format and copies everything else byte
for byte. Field numbers are those of onnx.proto3; the wire format is protobuf's: varints, and length-delimited
fields.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from anonfilter.errors import ModelError

Dim = int | str | None
"""A dimension: its value, the name of a free one, or None where the file says nothing."""

Shape = tuple[int | None, ...]
"""Of a tensor; None for a dimension that is free."""

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO, _GRAPH_SPARSE = 5, 11, 12, 13, 15
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_ELEM, _TENSOR_SHAPE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

FLOAT, FLOAT16 = 1, 10
"""TensorProto.DataType of the inputs that a session accepts."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a graph. elem: TensorProto.DataType. dims: None where the rank is unknown."""

    name: str
    elem: int
    dims: tuple[Dim, ...] | None


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """What a file says of its graph: real inputs (initialisers left out), outputs, and metadata_props."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def class_names(self) -> tuple[str, ...]:
        """Class names that Ultralytics' exporter leaves in the metadata: "names", a Python dict by index. ()
        if none."""
        try:
            names = ast.literal_eval(self.metadata.get("names", ""))
            return tuple(str(names[index]) for index in range(len(names)))
        except (ValueError, SyntaxError, KeyError, TypeError, IndexError):
            return ()


def describe(model: bytes) -> GraphInfo:
    """Inputs, outputs and metadata of an ONNX file. Raises ModelError if it is not one."""
    metadata: dict[str, str] = {}
    graph: memoryview | None = None
    for number, _, body in _fields(memoryview(model)):
        if number == _MODEL_GRAPH:
            graph = _message(body)
        elif number == _MODEL_METADATA:
            entry = {n: _text(b) for n, _, b in _fields(_message(body))}
            metadata[entry.get(1, "")] = entry.get(2, "")
    if graph is None:
        raise ModelError("not an ONNX file: it holds no graph")
    held = _initializers(graph)
    inputs, outputs = [], []
    for number, _, body in _fields(graph):
        if number == _GRAPH_INPUT:
            value = _value(_message(body))
            if value.name not in held:
                inputs.append(value)
        elif number == _GRAPH_OUTPUT:
            outputs.append(_value(_message(body)))
    if not inputs or not outputs:
        raise ModelError("not an ONNX file that can be run: its graph has no input or no output")
    return GraphInfo(tuple(inputs), tuple(outputs), metadata)


def rewrite(model: bytes, shapes: Mapping[str, Shape]) -> bytes:
    """The same net with other input shapes and constant weights.

    Initialisers leave the list of graph inputs: while they are there a caller could replace them, so ONNX Runtime
    may fold nothing into them (CenterFace as shipped runs at less than half speed). The inputs named in `shapes`
    get those shapes, None for a dimension that is free; shapes of outputs and of values in between, which would now
    contradict, are left for the runtime to infer. Raises ModelError for a name that is not an input, or a file that
    is not ONNX.
    """
    out = bytearray()
    found = False
    for number, raw, body in _fields(memoryview(model)):
        if number == _MODEL_GRAPH:
            found = True
            out += delimited(_MODEL_GRAPH, _rewrite_graph(_message(body), shapes))
        else:
            out += raw
    if not found:
        raise ModelError("not an ONNX file: it holds no graph")
    return bytes(out)


def _rewrite_graph(graph: memoryview, shapes: Mapping[str, Shape]) -> bytes:
    held = _initializers(graph)
    missing = set(shapes)
    out = bytearray()
    for number, raw, body in _fields(graph):
        if number == _GRAPH_VALUE_INFO:
            continue
        if number == _GRAPH_INPUT:
            name = _name(_message(body), _VALUE_NAME)
            if name in held:
                continue
            if name in shapes:
                missing.discard(name)
                out += delimited(number, _with_shape(_message(body), shapes[name]))
                continue
        elif number == _GRAPH_OUTPUT:
            out += delimited(number, _with_shape(_message(body), None))
            continue
        out += raw
    if missing:
        raise ModelError(f"the net has no input named {', '.join(sorted(missing))}")
    return bytes(out)


def _with_shape(value: memoryview, shape: Shape | None) -> bytes:
    """A ValueInfoProto with another shape, or with none."""
    out = bytearray()
    for number, raw, body in _fields(value):
        if number != _VALUE_TYPE:
            out += raw
            continue
        kind = bytearray()
        for type_number, type_raw, type_body in _fields(_message(body)):
            if type_number != _TYPE_TENSOR:
                kind += type_raw
                continue
            tensor = b"".join(bytes(r) for n, r, _ in _fields(_message(type_body)) if n != _TENSOR_SHAPE)
            if shape is not None:
                dims = b"".join(delimited(1, b"" if size is None else b"\x08" + varint(size)) for size in shape)
                tensor += delimited(_TENSOR_SHAPE, dims)
            kind += delimited(_TYPE_TENSOR, tensor)
        out += delimited(_VALUE_TYPE, bytes(kind))
    return bytes(out)


def _initializers(graph: memoryview) -> set[str]:
    held = set()
    for number, _, body in _fields(graph):
        if number == _GRAPH_INITIALIZER:
            held.add(_name(_message(body), _TENSOR_NAME))
        elif number == _GRAPH_SPARSE:
            # SparseTensorProto.values (1) is a TensorProto, and carries the name.
            held.update(_name(_message(b), _TENSOR_NAME) for n, _, b in _fields(_message(body)) if n == 1)
    return held


def _value(value: memoryview) -> Value:
    elem, dims = 0, None
    for number, _, body in _fields(value):
        if number == _VALUE_TYPE:
            for type_number, _, type_body in _fields(_message(body)):
                if type_number == _TYPE_TENSOR:
                    elem, dims = _tensor_type(_message(type_body))
    return Value(_name(value, _VALUE_NAME), elem, dims)


def _tensor_type(tensor: memoryview) -> tuple[int, tuple[Dim, ...] | None]:
    elem: int = 0
    dims: tuple[Dim, ...] | None = None
    for number, _, body in _fields(tensor):
        if number == _TENSOR_ELEM and isinstance(body, int):
            elem = body
        elif number == _TENSOR_SHAPE:
            dims = tuple(_dim(_message(b)) for n, _, b in _fields(_message(body)) if n == 1)
    return elem, dims


def _dim(dim: memoryview) -> Dim:
    for number, _, body in _fields(dim):
        if number == 1 and isinstance(body, int):
            return body
        if number == 2:
            return _text(body)
    return None


def _name(message: memoryview, number: int) -> str:
    return next((_text(body) for n, _, body in _fields(message) if n == number), "")


def _text(body: memoryview | int) -> str:
    return "" if isinstance(body, int) else bytes(body).decode("utf-8", "replace")


def _message(body: memoryview | int) -> memoryview:
    if isinstance(body, int):
        raise ModelError("not an ONNX file: a message was expected and a number found")
    return body


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview | int]]:
    """(field number, the field's bytes with its tag, its content) of each field of a message."""
    at, end = 0, len(message)
    while at < end:
        start = at
        tag, at = _read_varint(message, at)
        number, wire = tag >> 3, tag & 7
        body: memoryview | int
        if wire == _VARINT:
            body, at = _read_varint(message, at)
        elif wire == _BYTES:
            size, at = _read_varint(message, at)
            body, at = message[at : at + size], at + size
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            body, at = message[at : at + size], at + size
        else:
            raise ModelError("not an ONNX file: unknown protobuf wire type")
        if at > end or number == 0:
            raise ModelError("not an ONNX file, or cut short")
        yield number, message[start:at], body


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise ModelError("not an ONNX file, or cut short")


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, body: bytes) -> bytes:
    return varint(number << 3 | _BYTES) + varint(len(body)) + body
