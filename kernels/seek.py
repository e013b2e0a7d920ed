"""Small luma pictures, and where a template lies in one: what lumasearch.py follows objects with.

C++ only (csrc/seek.cpp); ref_seek.py is the oracle and says how samples and correlations are made. Frames on a device
are not read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import _cpu
from anonfilter.kernels.formats import PixFmt

Samples = npt.NDArray[np.int16]
"""(rows, columns), contiguous: luma times UNIT, 0..2048."""

UNIT = 8
PARTS = 16
"""Positions count so many parts of a window's sample."""
CELL = 2
"""Samples of a cell that count on each axis, up to twice as many: of large cells more would tell nothing new."""
MOST_SAMPLES = 500
"""Of a template: sums of products of 0..2048 stay below 2**31."""
_FAR = 1 << 24  # luma samples: positions and sizes stay well within 32 bits


class Found(NamedTuple):
    """x, y: of the template's first sample in the window, in parts. score: its correlation there, -2 without a
    template. found: whether that is enough; if not, x, y are those that were asked for. now: what lies at x, y. flat:
    whether that has no texture."""

    x: int
    y: int
    score: float
    found: bool
    flat: bool
    now: Samples


def window(luma: npt.NDArray[Any], fmt: PixFmt, part: tuple[int, int, int, int], size: tuple[int, int]) -> Samples:
    """Means of the cells of a grid of size (columns, rows) laid over part (left, top, width, height) of a luma plane.

    luma: (height, width) of a frame in format `fmt`. The part may reach beyond the plane: its edge goes on there.
    Raises ValueError for a part or a size that is empty or out of all bounds.
    """
    columns, rows = size
    if not (0 < part[2] < _FAR and 0 < part[3] < _FAR and max(abs(part[0]), abs(part[1])) < _FAR):
        raise ValueError(f"part {part} should be some luma samples of a picture")
    if not (0 < columns <= 1024 and 0 < rows <= 1024):
        raise ValueError(f"size {size} should be 1x1 to 1024x1024")
    out: Samples = _cpu.seek_window(luma, _layout(fmt), part, columns, rows)
    return out


def covered(length: int, outputs: int) -> int:
    """Luma samples of a part's width (height) that its columns (rows) show: all but what is less than a step."""
    step = max(1, length // (CELL * outputs))
    return length // step * step


def seek(
    seen: Samples,
    before: Samples | None,
    shape: tuple[int, int],
    at: tuple[int, int],
    reach: int,
    least: float,
    texture: int,
) -> Found:
    """Search the template `before` in a window within `reach` samples around `at`, and take what lies where it is.

    before: (rows, columns) of shape (columns, rows), None to take what lies at `at`. at: of the template's first
    sample, in parts; what would leave the window is moved into it. least: the correlation from which it is found.
    texture: luma steps of deviation up to which a template is flat. Raises ValueError where they do not fit.
    """
    columns, rows = shape
    if not (columns > 0 and rows > 0 and columns * rows <= MOST_SAMPLES and reach >= 0):
        raise ValueError(f"shape {shape} should have 1 to {MOST_SAMPLES} samples, reach {reach} none or some")
    if seen.ndim != 2 or seen.shape[1] <= columns + 2 * reach or seen.shape[0] <= rows + 2 * reach:
        raise ValueError(f"a window of {seen.shape[::-1]} is too small for {shape} and {reach} around")
    if before is not None and before.shape != (rows, columns):
        raise ValueError(f"a template of {before.shape[::-1]} should be {shape}")
    return Found(*_cpu.seek(seen, before, columns, rows, *at, reach, least, texture))


def _layout(fmt: PixFmt) -> tuple[int, int, int, int, int, bool, bool]:
    return fmt.depth, fmt.shift, fmt.itemsize, 0, 0, False, False
