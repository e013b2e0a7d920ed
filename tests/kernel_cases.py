"""Seeded random frames and targets for the kernels' tests and benchmarks: awkward sizes, strides and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS, PixFmt

CANARY = 0xA5


@dataclass
class Planes:
    """Planes inside of larger memory whose every other byte is CANARY."""

    fmt: PixFmt
    arrays: tuple[np.ndarray, ...]
    memory: list[np.ndarray]

    def copy(self) -> Planes:
        """The same content in memory of its own."""
        memory = [block.copy() for block in self.memory]
        arrays = []
        for array, old, new in zip(self.arrays, self.memory, memory, strict=True):
            offset = array.__array_interface__["data"][0] - old.__array_interface__["data"][0]
            arrays.append(np.ndarray(array.shape, array.dtype, new, offset, array.strides))
        return Planes(self.fmt, tuple(arrays), memory)

    def same_bytes(self, other: Planes) -> bool:
        """Whether all memory is equal, samples and canaries."""
        return all(np.array_equal(a, b) for a, b in zip(self.memory, other.memory, strict=True))

    def codes(self) -> list[np.ndarray]:
        """Each component as int64 codes of fmt.depth bits."""
        out = []
        for array in self.arrays:
            parts = [array] if array.ndim == 2 else [array[..., 0], array[..., 1]]
            out += [(part.astype(np.int64) >> self.fmt.shift) & ((1 << self.fmt.depth) - 1) for part in parts]
        return out


def planes(rng: np.random.Generator, fmt: PixFmt, width: int, height: int, content: str = "noise") -> Planes:
    """content: noise, extremes (only the lowest and highest code), smooth, high, low, or dirty (any bits at all)."""
    dtype = np.dtype("u1") if fmt.itemsize == 1 else np.dtype("<u2")
    chroma_w, chroma_h = fmt.chroma_size(width, height)
    shapes: list[tuple[int, ...]] = [(height, width)]
    if fmt.chroma:
        shapes += [(chroma_h, chroma_w, 2)] if fmt.interleaved else [(chroma_h, chroma_w)] * 2
    arrays, memory = [], []
    top = (1 << fmt.depth) - 1
    for shape in shapes:
        row = int(np.prod(shape[1:])) * dtype.itemsize
        stride = row + int(rng.integers(0, 40)) // dtype.itemsize * dtype.itemsize
        before = int(rng.integers(1, 9)) * 8
        block = np.full(before + stride * shape[0] + 64, CANARY, np.uint8)
        strides = (stride, dtype.itemsize) if len(shape) == 2 else (stride, 2 * dtype.itemsize, dtype.itemsize)
        array = np.ndarray(shape, dtype, block, before, strides)
        if content == "dirty":
            array[...] = rng.integers(0, 1 << (8 * dtype.itemsize), shape)
        else:
            if content == "noise":
                codes = rng.integers(0, top + 1, shape)
            elif content == "extremes":
                codes = rng.integers(0, 2, shape) * top
            elif content == "smooth":
                slope = np.arange(shape[0])[:, None] * 3 + np.arange(shape[1])[None, :] * 2
                codes = np.broadcast_to((slope if len(shape) == 2 else slope[..., None]) % (top + 1), shape)
            else:
                codes = np.full(shape, top if content == "high" else 0)
            array[...] = codes << fmt.shift
        arrays.append(array)
        memory.append(block)
    return Planes(fmt, tuple(arrays), memory)


def target(rng: np.random.Generator, width: int, height: int) -> ops.Target:
    """A box of any size from one sample on, inside, across the edge or outside; any shape and window."""

    def side(size: int) -> tuple[int, int]:
        length = int(rng.choice([1, 2, 3, 5, 8, 13, 30, 70, size, 2 * size]))
        low = int(rng.integers(-length - 3, size + 4))
        return low, low + length

    (x0, x1), (y0, y1) = side(width), side(height)
    h = int(rng.choice([1, 2, 3, 5, 9, 20, 64, 500]))
    shape = str(rng.choice(["rect", "ellipse", "mask"]))
    mask = None
    if shape == "mask":
        mask = (rng.random((y1 - y0, x1 - x0)) < rng.choice([0.02, 0.3, 0.7, 1.0])).astype(np.uint8)
        mask *= rng.integers(1, 256, mask.shape, dtype=np.uint8)
    return ops.Target(x0, y0, x1, y1, shape, mask, h)


@dataclass
class Case:
    """One call of one operation."""

    op: str
    planes: Planes
    targets: list[ops.Target]
    options: dict[str, object]

    def run(self, backend: str) -> Planes:
        """The planes after the operation; the case's own stay as they are."""
        out = self.planes.copy()
        getattr(ops, self.op)(out.arrays, out.fmt, self.targets, backend=backend, **self.options)
        return out


def case(op: str, name: str, seed: int) -> Case:
    """The case of an operation, a format and a seed, always the same one."""
    fmt = FORMATS[name]
    rng = np.random.default_rng([seed, sum(map(ord, op)), list(FORMATS).index(name)])
    width, height = (int(rng.choice([1, 2, 3, 7, 16, 33, 64, 95])) for _ in range(2))
    content = str(rng.choice(["noise", "noise", "extremes", "smooth", "high", "low", "dirty"]))
    targets = [target(rng, width, height) for _ in range(int(rng.choice([0, 1, 1, 2, 3, 6])))]
    options: dict[str, object] = {
        "feather": int(rng.choice([0, 0, 1, 2, 5, 11])),
        "siting": str(rng.choice(ops.SITINGS)),
    }
    if op == "blur":
        options["passes"] = int(rng.integers(1, 5))
    elif op == "pixelize":
        options["cells"] = int(rng.choice([1, 2, 3, 8, 40]))
    else:
        options["color"] = tuple(int(v) for v in rng.integers(0, 256, 3))
    return Case(op, planes(rng, fmt, width, height, content), targets, options)


def crowd(op: str, name: str, seed: int) -> Case:
    """Hundreds of overlapping regions of all shapes, many of one sample, on a frame of odd sides."""
    rng = np.random.default_rng([seed, sum(map(ord, op)), list(FORMATS).index(name), 2])
    out = case(op, name, seed)
    width, height = 131, 97
    out.planes = planes(rng, FORMATS[name], width, height)
    out.targets = []
    for x, y, w, h in rng.integers((-20, -20, 1, 1), (130, 100, 32, 32), (200, 4)).tolist():
        shape = ("rect", "ellipse", "mask", "rect")[int(rng.integers(0, 4))]
        if rng.random() < 0.2:
            w = h = 1
        mask = (rng.random((h, w)) < 0.6).astype(np.uint8) if shape == "mask" else None
        out.targets.append(ops.Target(x, y, x + w, y + h, shape, mask, int(rng.integers(1, 40))))
    return out


def large(op: str, name: str, seed: int) -> Case:
    """One to three regions of many registers' width, windows from narrow to wider than the region."""
    rng = np.random.default_rng([seed, sum(map(ord, op)), list(FORMATS).index(name), 3])
    out = case(op, name, seed)
    width, height = (int(v) for v in rng.integers((300, 90), (500, 180)))
    out.planes = planes(rng, FORMATS[name], width, height, str(rng.choice(["noise", "extremes", "high", "dirty"])))
    out.targets = []
    for _ in range(int(rng.integers(1, 4))):
        x0, y0 = (int(v) for v in rng.integers((-30, -30), (60, 30)))
        w, h = (int(v) for v in rng.integers((200, 60), (500, 200)))
        window = int(rng.choice([1, 2, 7, 31, 32, 100, 150, 249, 600]))
        shape = str(rng.choice(["rect", "ellipse"]))
        out.targets.append(ops.Target(x0, y0, x0 + w, y0 + h, shape, None, window))
    return out
