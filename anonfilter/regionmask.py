"""Bitmaps of regions: run lengths in the record file, boolean arrays in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.errors import RecordError
from anonfilter.records import Box


def size(box: Box) -> tuple[int, int]:
    """Height and width of the bitmap of a box: the box grown outward to whole luma samples."""
    return math.ceil(box[3]) - math.floor(box[1]), math.ceil(box[2]) - math.floor(box[0])


def bitmap(box: Box, runs: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Run lengths (row by row, zeros first) to a (h, w) boolean array. Raises RecordError where they do not fit."""
    height, width = size(box)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise RecordError(f"mask runs add up to {sum(runs)}, the box has {height} x {width} samples")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, np.asarray(runs, dtype=np.int64)).reshape(height, width)


def runs(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """The inverse of bitmap()."""
    flat = np.concatenate(([False], np.asarray(mask, dtype=bool).ravel()))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.concatenate((edges, [flat.size - 1]))
    return tuple(int(v) for v in np.diff(ends, prepend=0))
