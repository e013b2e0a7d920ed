"""The letterbox's tables for the GPU kernels: which samples a tensor sample is made of, and their integer weights.

kernels/ref_letterbox.py says how the weights are made; csrc/cuda/letterbox.cu reads the packed form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.components import components
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.kernels.worklist import COMPONENT

Ints = npt.NDArray[np.int64]
Triple = tuple[float, float, float]

COLUMN_TOTAL = 1 << 14

HEADER = (
    *("tensor_width", "tensor_height", "across", "down", "pad_x", "pad_y", "swap"),
    *("half", "channels", "shift", "depth"),  # depth: bits of a sample that count, from bit `shift` of its word on
    *("components_at", "affine_at", "axes_at"),
)

AXIS = np.dtype([("start_at", "<i4"), ("weights_at", "<i4"), ("width", "<i4")])
"""Output i = sum of weights[i*width + k] * sample[start[i] + k]; a sample of weight 0 may lie outside of the plane."""


def taps(
    outputs: int, first: int, length: int, p: int, q: int, reverse: bool, log2: int, cosited: bool, total: int
) -> tuple[Ints, Ints]:
    """First sample (outputs,) and weights (outputs, width) of one axis: `outputs` of q / p luma samples each over the
    luma samples first .. first+length-1, seen backwards with `reverse`; log2: 1 where the plane is subsampled;
    cosited: its sample i lies on luma sample 2i. Weights are integers that add up to `total`.
    """
    unit = 4 * p if log2 else p  # positions count unit steps to a sample of the plane
    low, high = first >> log2, (first + length + log2) >> log2
    i = np.arange(outputs, dtype=np.int64)
    a = (first + length) * p - (i + 1) * q if reverse else first * p + i * q
    step = q
    if log2:
        a, step = 2 * a + p * cosited, 2 * q
    if step < unit:
        left, rest = np.divmod(2 * a + step - unit, 2 * unit)
        right = (2 * total * rest + 2 * unit) // (4 * unit)
        right = np.where((left < low) | (left >= high - 1), 0, right)
        return np.clip(left, low, high - 1), np.stack([total - right, right], axis=1)
    begin, end = np.maximum(a, low * unit), np.minimum(a + step, high * unit)
    # Chroma that lies beside its luma may miss the last sample altogether: the nearest one then counts alone.
    missed = end <= begin
    start = np.where(missed, np.clip(a // unit, low, high - 1), begin // unit)
    begin, end = np.where(missed, start * unit, begin), np.where(missed, (start + 1) * unit, end)
    size = (end - begin)[:, None]
    width = int((-(-end // unit) - start).max())
    upto = np.clip((start[:, None] + np.arange(1, width + 1)) * unit - begin[:, None], 0, size)
    return start, np.diff((2 * total * upto + size) // (2 * size), axis=1, prepend=0)


def pack(
    fmt: PixFmt,
    width: int,
    height: int,
    box: Letterbox,
    siting: str,
    colour: tuple[npt.NDArray[np.float64], Triple, Triple, Triple],
    half: bool,
    addresses: tuple[int, ...],
    pitches: tuple[int, ...],
) -> npt.NDArray[np.int32]:
    """The kernel's words: frame of width x height luma samples, arguments as `ops.letterbox` completes them.

    colour: matrix (3, 4), mean, scale, pad. half: the tensor is float16, not float32. addresses, pitches: of each
    plane, in bytes.
    """
    matrix, mean, scale, pad = colour
    parts = components(fmt, width, height, siting)
    across, down = box.inner[::-1] if box.swap else box.inner
    kept = min(fmt.depth, 10)
    rows = [
        (addresses[c.plane] + c.first * fmt.itemsize, pitches[c.plane], c.step, c.width, c.height) for c in parts
    ]
    axes, tables = [], []
    for log2_w, log2_h in ((0, 0), (fmt.log2_w, fmt.log2_h)):
        ends = (box.numerator, box.denominator)
        for some in (
            taps(across, box.x0, box.width, *ends, box.reverse_x, log2_w, siting != "center", COLUMN_TOTAL),
            taps(down, box.y0, box.height, *ends, box.reverse_y, log2_h, siting == "topleft", 1 << (16 - kept)),
        ):
            axes.append(some[1].shape[1])
            tables += [some[0], some[1].ravel()]
    affine = np.zeros((3, 7))
    # Resized samples are codes times 2^(16 - depth) * COLUMN_TOTAL.
    unit = 2.0**fmt.depth / 65536 / COLUMN_TOTAL
    for c in range(3):
        edges = sorted([-mean[c] * scale[c], (255 - mean[c]) * scale[c]])
        affine[c] = (
            *(matrix[c, :3] * unit * scale[c]),
            (matrix[c, 3] - mean[c]) * scale[c],
            *edges,
            (pad[c] - mean[c]) * scale[c],
        )
    head: list[npt.NDArray[Any]] = [np.array(rows, COMPONENT), affine.astype(np.float32), np.zeros(4, AXIS)]
    words = [np.ascontiguousarray(table).view(np.int32).ravel() for table in head]
    words += [table.astype(np.int32) for table in tables]
    at = len(HEADER) + np.cumsum([0, *map(len, words[:-1])])
    words[2] = np.stack([at[3::2], at[4::2], axes], axis=1).astype(np.int32).ravel()
    place = (*box.size, across, down, box.pad_x, box.pad_y, box.swap)
    header = (*place, half, len(parts), fmt.shift + fmt.depth - kept, kept, *at[:3])
    return np.concatenate([np.array(header, np.int32), *words])
