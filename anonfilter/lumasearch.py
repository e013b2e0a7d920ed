"""A small luma search: where an object went between two looks, from templates of it followed frame to frame.

The template of a look is some 256 samples of luma, whatever the object's size. On the next frame the best place is
searched around where it was (normalised cross-correlation; Lewis, "Fast Template Matching", 1995), the template is
taken anew there, and so on, from both looks; where the two ways differ they are blended by distance. Taken anew,
because a face that turns soon looks unlike its look; from both ends, because such a chain drifts. bench/optical.md has
the figures. Only NumPy and the letterbox kernel, and the same result for the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import ops
from anonfilter.kernels.formats import PixFmt
from anonfilter.records import Box

Samples = npt.NDArray[np.float32]
Shape = tuple[int, int]
"""Columns and rows of a template."""
Take = Callable[[int, Box], "Window | None"]

SIDE = 16
"""Root of a template's samples; a box of another shape gets as many in its own shape, up to 4:1."""
MARGIN = 14
"""Samples around the template in a window. More than REACH, so that the way back finds its place in the same window."""
REACH = 8
"""Samples that it may move from one frame to the next against the guess."""
FOUND = 0.6
"""Least correlation of what counts as found."""
_LEAST = 4.0  # luma samples: a smaller box has no texture to follow
_FLAT = 2.0  # luma steps of deviation: less is noise


@dataclass(slots=True)
class Window:
    """Luma around a guessed box, sampled so that the box has the template's shape.

    samples: (rows, columns) float32, contiguous, -128..127 luma steps. left, top: where on the frame the corner of the
    first one is, in luma samples. scale: samples per luma sample.
    """

    samples: Samples
    left: float
    top: float
    scale: float


def shape_of(box: Box) -> Shape | None:
    """The template's shape for a box; None where that is too small to tell anything."""
    w, h = box[2] - box[0], box[3] - box[1]
    if min(w, h) < _LEAST:
        return None
    aspect = min(2.0, max(0.5, math.sqrt(w / h)))
    return round(SIDE * aspect), round(SIDE / aspect)


def window(luma: npt.NDArray[Any], fmt: PixFmt, box: Box, shape: Shape) -> Window | None:
    """What is seen around a box. luma: (height, width) plane of a frame in format `fmt`.

    Samples beyond the picture have the mean of those in it. None where the box is outside, or empty.
    """
    height, width = luma.shape
    w, h = box[2] - box[0], box[3] - box[1]
    if w <= 0 or h <= 0:
        return None
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    scale = _scale(box, shape)
    columns, rows = shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
    left, top = round(cx - columns / 2 / scale), round(cy - rows / 2 / scale)
    wide, high = max(1, round(columns / scale)), max(1, round(rows / scale))
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + wide), min(height, top + high)
    if not (0 < cx < width and 0 < cy < height):
        return None
    whole = x1 - x0 == wide and y1 - y0 == high
    size = (columns, rows)
    if not whole:
        size = (
            max(1, min(columns, round((x1 - x0) * scale))),
            max(1, min(rows, round((y1 - y0) * scale))),
        )
    # About zero, so that sums of squares keep their digits.
    tensor, placed = ops.letterbox((luma[y0:y1, x0:x1],), _grey(fmt), size, mean=(128, 128, 128))
    at_x, at_y, samples = placed.pad_x, placed.pad_y, tensor[0]
    if not whole:
        inner = samples[at_y : at_y + placed.inner[1], at_x : at_x + placed.inner[0]]
        at_x = min(columns - inner.shape[1], max(0, round((x0 - left) * scale)))
        at_y = min(rows - inner.shape[0], max(0, round((y0 - top) * scale)))
        samples = np.full((rows, columns), inner.mean(), np.float32)
        samples[at_y : at_y + inner.shape[0], at_x : at_x + inner.shape[1]] = inner
    real = placed.scale
    return Window(samples, x0 - at_x / real, y0 - at_y / real, real)


def _scale(box: Box, shape: Shape) -> float:
    """Samples of a template per luma sample; a template never reaches out of its box."""
    return max(shape[0] / (box[2] - box[0]), shape[1] / (box[3] - box[1]))


@cache
def _grey(fmt: PixFmt) -> PixFmt:
    return replace(fmt, chroma=False)


def follow(take: Take, boxes: Sequence[Box], shape: Shape) -> list[Box | None]:
    """Boxes on the frames between two looks; None for the looks, and where neither way has found the object.

    boxes: the first and the last are the looks', those between say where the object should be. take: gives the window
    around a box on the i-th frame of these, or None. The result has the boxes' sizes.
    """
    way = _Way(take, boxes, shape)
    last = len(boxes) - 1
    forward = way.chain(range(last))
    backward = way.chain(range(last, 0, -1))
    out: list[Box | None] = [None] * len(boxes)
    for i in range(1, last):
        (ax, ay, a), (bx, by, b) = forward[i], backward[i]
        if a or b:
            share = i / last
            out[i] = way.shifted(i, (1 - share) * ax + share * bx, (1 - share) * ay + share * by)
    return out


class _Way:
    """The frames from one look to the next. Ways off a guess are in samples of a template, so that they keep their
    meaning where the object's size changes."""

    def __init__(self, take: Take, boxes: Sequence[Box], shape: Shape) -> None:
        self._take, self._boxes, self._shape = take, boxes, shape
        self._windows: dict[int, Window | None] = {}

    def shifted(self, i: int, x: float, y: float) -> Box:
        """The i-th guess so far off."""
        x0, y0, x1, y1 = box = self._boxes[i]
        scale = _scale(box, self._shape)
        return x0 + x / scale, y0 + y / scale, x1 + x / scale, y1 + y / scale

    def chain(self, frames: Sequence[int]) -> dict[int, tuple[float, float, bool]]:
        """By frame: the way off the guess, and whether the template was found there, which is taken anew on each."""
        x = y = 0.0
        out = {}
        template: tuple[Samples, float] | None = None
        for i in frames:
            box = self.shifted(i, x, y)
            seen = self._window(i, box)
            found = i == frames[0]
            if seen is not None:
                cx, cy = _centre(box, seen)
                place = None if template is None else _search(seen, template, cx, cy, self._shape)
                if place is not None:
                    found, scale = True, _scale(box, self._shape) / seen.scale
                    x, y = x + (place[0] - cx) * scale, y + (place[1] - cy) * scale
                # Lost, it is taken where it should be; without texture it is no template, and the one before stays.
                template = _template(seen, *(place or (cx, cy)), self._shape) or template
            out[i] = (x, y, found)
        return out

    def _window(self, i: int, box: Box) -> Window | None:
        """The window that the other way took there, if all places to search are in it, else one around the box."""
        seen = self._windows.get(i)
        if seen is not None:
            rows, columns = seen.samples.shape
            x, y = _centre(box, seen)
            off = max(abs(x - columns / 2), abs(y - rows / 2))
            if off <= MARGIN - REACH - 1:
                return seen
        seen = self._windows[i] = self._take(i, box)
        return seen


def _centre(box: Box, seen: Window) -> tuple[float, float]:
    """A box's centre in samples of a window."""
    return ((box[0] + box[2]) / 2 - seen.left) * seen.scale, ((box[1] + box[3]) / 2 - seen.top) * seen.scale


def _template(seen: Window, x: float, y: float, shape: Shape) -> tuple[Samples, float] | None:
    """What is around x, y of a window: (rows, columns) float32 without its mean, and the root of its energy; None where
    it is flat."""
    w, h = shape
    rows, columns = seen.samples.shape
    left, top = x - w / 2, y - h / 2
    at_x, at_y = (min(most, max(0, math.floor(v))) for v, most in ((left, columns - w - 1), (top, rows - h - 1)))
    fx, fy = (np.float32(min(1.0, max(0.0, v - at))) for v, at in ((left, at_x), (top, at_y)))
    part = seen.samples[at_y : at_y + h + 1, at_x : at_x + w + 1]
    lines = part[:-1] + fy * (part[1:] - part[:-1])
    grid = lines[:, :-1] + fx * (lines[:, 1:] - lines[:, :-1])
    grid -= grid.sum() / (w * h)
    energy = math.sqrt(float(np.vdot(grid, grid)))
    return (grid, energy) if energy > _FLAT * math.sqrt(w * h) else None


def _search(
    seen: Window, template: tuple[Samples, float], x: float, y: float, shape: Shape
) -> tuple[float, float] | None:
    """The best place within REACH of x, y of a window, to parts of a sample; None where nothing fits."""
    w, h = shape
    rows, columns = seen.samples.shape
    most_x, most_y = columns - w - 2 * REACH, rows - h - 2 * REACH
    at_x = min(most_x, max(0, round(x - w / 2) - REACH))
    at_y = min(most_y, max(0, round(y - h / 2) - REACH))
    score = _correlate(seen, template, at_x, at_y, shape)
    iy, ix = divmod(int(score.argmax()), 2 * REACH + 1)
    if score[iy, ix] < FOUND:
        return None
    px = ix + _peak(score[iy].tolist(), ix)
    py = iy + _peak(score[:, ix].tolist(), iy)
    return at_x + px + w / 2, at_y + py + h / 2


def _correlate(seen: Window, template: tuple[Samples, float], at_x: int, at_y: int, shape: Shape) -> Samples:
    """(2 REACH + 1, 2 REACH + 1) correlations of the template with the places whose corners are at_x, at_y and on."""
    (w, h), (grid, energy), n = shape, template, 2 * REACH + 1
    stride, item = seen.samples.strides
    # All rows that a template's row may lie on, once for each column it may begin at, against all rows of the template:
    # one product of matrices. A place's correlation is the sum over a diagonal of it.
    start, steps = at_y * stride + at_x * item, (stride, item, item)
    lines = np.ndarray((h + n - 1, n, w), np.float32, seen.samples, start, steps).reshape(-1, w)
    product = lines @ grid.T
    down, across = n * h * item, h * item
    both = np.ndarray((n, n, h), np.float32, product, 0, (down, across, down + item)).sum(axis=2)
    # Sums of samples and of squares: of the lines, then of h lines, which is a product again.
    sums = np.empty((h + n - 1, 2, n), np.float32)
    sums[:, 0] = (lines @ _ones(w)).reshape(-1, n)
    sums[:, 1] = np.einsum("ij,ij->i", lines, lines).reshape(-1, n)
    sums = (_runs(h) @ sums.reshape(-1, 2 * n)).reshape(n, 2, n)
    energies = sums[:, 1] - sums[:, 0] ** 2 / (w * h)
    np.maximum(energies, _FLAT * _FLAT * w * h, out=energies)
    out: Samples = both / (np.sqrt(energies) * energy)
    return out


@cache
def _ones(count: int) -> Samples:
    return np.ones(count, np.float32)


@cache
def _runs(count: int) -> Samples:
    """(2 REACH + 1, count + 2 REACH): each row picks `count` neighbours, one further on than the row before."""
    n = 2 * REACH + 1
    at = np.arange(count + n - 1) - np.arange(n)[:, None]
    return ((at >= 0) & (at < count)).astype(np.float32)


def _peak(line: list[float], at: int) -> float:
    """Where the parabola through three neighbours has its top, -0.5..0.5."""
    if not 0 < at < len(line) - 1:
        return 0.0
    low, top, high = line[at - 1 : at + 2]
    bend = low - 2 * top + high
    return 0.5 * (low - high) / bend if bend < -1e-9 else 0.0
