"""Something new between two looks: the frame that neither look explains, from small luma pictures.

A detector that looks once a second does not see what comes and goes within that second. A picture of 64 x 36 samples
does: it costs next to nothing, and where a cell of a frame is darker or brighter than all cells around that place at
both looks, something is there that no look has seen. It may be a hand or a shadow; the detector tells, for one look
more. bench/optical.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.records import Box

Picture = npt.NDArray[np.float32]

# What is new must fill so many cells on each side, on the mean: one cell alone is noise, or an edge that moved.
_CELLS = 2


class Novelty:
    """limit: luma steps (0..255), on the mean of 2 x 2 cells, beyond which something is new. size: width and height
    of the frame in luma samples, which known boxes are in.

    Give every frame's picture to `add`; `forget` those that no look will be compared with again.
    """

    def __init__(self, limit: float, size: tuple[int, int]) -> None:
        self._limit, self._size = limit, size
        self._pictures: dict[int, Picture] = {}
        self._ranges: dict[int, tuple[Picture, Picture]] = {}

    def add(self, n: int, picture: Picture) -> None:
        """Frame n's luma, (H, W) float32, always of one shape; kept, not copied."""
        self._pictures[n] = picture

    def forget(self, before: int) -> None:
        """Frames before that one are done with."""
        for kept in (self._pictures, self._ranges):
            for n in [n for n in kept if n < before]:
                del kept[n]

    def between(self, a: int, b: int, known: Sequence[Box] = ()) -> tuple[int, Box] | None:
        """The frame between the looks a < b with the largest change against both, outside of known boxes, and a box
        around all of its cells that changed; None where that is within the limit. Frames without a picture count as
        unchanged."""
        if a not in self._pictures or b not in self._pictures:
            return None
        lows, highs = zip(self._range(a), self._range(b), strict=True)
        low, high = np.minimum(*lows), np.maximum(*highs)
        free = self._free(known, low.shape)
        best: tuple[float, int, Picture] | None = None
        for n in range(a + 1, b):
            now = self._pictures.get(n)
            if now is None:
                continue
            change = np.maximum(np.maximum(low - now, now - high), 0) * free
            means: Picture = _sums(change) / np.float32(_CELLS**2)
            value = float(means.max(initial=0))
            if value > self._limit and (best is None or value > best[0]):
                best = value, n, means
        return None if best is None else (best[1], self._hull(best[2]))

    def _hull(self, means: Picture) -> Box:
        """What the squares of cells span whose change is at least half of what is new."""
        rows, columns = np.nonzero(means >= self._limit / 2)
        sx, sy = (self._size[0] / (means.shape[1] + _CELLS - 1), self._size[1] / (means.shape[0] + _CELLS - 1))
        last = columns.max() + _CELLS, rows.max() + _CELLS
        return float(columns.min() * sx), float(rows.min() * sy), float(last[0] * sx), float(last[1] * sy)

    def _range(self, n: int) -> tuple[Picture, Picture]:
        """Least and largest of 3 x 3 cells: what moves by less than a cell is not new."""
        if n not in self._ranges:
            self._ranges[n] = _spread(self._pictures[n], np.minimum), _spread(self._pictures[n], np.maximum)
        return self._ranges[n]

    def _free(self, known: Sequence[Box], shape: tuple[int, ...]) -> Picture:
        """1 where nothing is known, 0 on the cells of known boxes and one cell around."""
        free = np.ones(shape, np.float32)
        sx, sy = shape[1] / self._size[0], shape[0] / self._size[1]
        for x0, y0, x1, y1 in known:
            rows = slice(max(0, int(y0 * sy) - 1), max(0, int(y1 * sy) + 2))
            free[rows, max(0, int(x0 * sx) - 1) : max(0, int(x1 * sx) + 2)] = 0
        return free


def _spread(picture: Picture, pick: Callable[[Picture, Picture], Picture]) -> Picture:
    """Least or largest of each cell and its eight neighbours."""
    out = picture
    for axis in (0, 1):
        size = out.shape[axis]
        before, after = (np.take(out, np.clip(np.arange(size) + k, 0, size - 1), axis=axis) for k in (-1, 1))
        out = pick(pick(before, out), after)
    return out


def _sums(change: Picture) -> Picture:
    """Of 2 x 2 neighbouring cells."""
    return change[:-1, :-1] + change[1:, :-1] + change[:-1, 1:] + change[1:, 1:]
