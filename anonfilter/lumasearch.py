"""A small luma search: where an object went between two looks, from templates of it followed frame to frame.

The template of a look is some 256 samples of luma, whatever the object's size. On the next frame the best place is
searched around where it was (normalised cross-correlation), the template is taken anew there, and so on. Between two
looks it goes from both; where the two ways differ they are blended by distance. Taken anew, because a face that turns
soon looks unlike its look; from both ends, because such a chain drifts. bench/optical.md has the figures. The same
result for the same samples on every CPU (kernels/seek.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from anonfilter.kernels import seek
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.seek import PARTS, Samples
from anonfilter.records import Box

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
_MOST = 1 << 16  # likewise: a larger one is none
_FLAT = 2  # luma steps of deviation: less is noise


@dataclass(slots=True)
class Window:
    """Luma around a guessed box, sampled so that the box has the template's shape.

    samples: see seek.window. left, top: where on the frame the first one begins, in luma samples. scale: samples per
    luma sample, along both axes.
    """

    samples: Samples
    left: float
    top: float
    scale: tuple[float, float]

    def corner(self, box: Box, shape: Shape) -> tuple[int, int]:
        """Of a template around a box's centre, in parts of a sample."""
        x, y = ((box[0] + box[2]) / 2 - self.left, (box[1] + box[3]) / 2 - self.top)
        return (
            math.floor(PARTS * (x * self.scale[0] - shape[0] / 2) + 0.5),
            math.floor(PARTS * (y * self.scale[1] - shape[1] / 2) + 0.5),
        )


def shape_of(box: Box) -> Shape | None:
    """The template's shape for a box; None where that is too small to tell anything, or no box."""
    w, h = box[2] - box[0], box[3] - box[1]
    if not (min(w, h) >= _LEAST and max(w, h) < _MOST):
        return None
    aspect = min(2.0, max(0.5, math.sqrt(w / h)))
    return round(SIDE * aspect), round(SIDE / aspect)


def window(luma: npt.NDArray[Any], fmt: PixFmt, box: Box, shape: Shape) -> Window | None:
    """What is seen around a box; beyond the picture its edge goes on. luma: (height, width) plane of a frame in format
    `fmt`. None where the box's centre is outside, or the box none.
    """
    height, width = luma.shape
    w, h = box[2] - box[0], box[3] - box[1]
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if not (1 <= w < _MOST and 1 <= h < _MOST and 0 < cx < width and 0 < cy < height):
        return None
    scale = _scale(box, shape)
    columns, rows = size = shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
    wide, high = max(1, round(columns / scale)), max(1, round(rows / scale))
    left, top = round(cx - wide / 2), round(cy - high / 2)
    samples = seek.window(luma, fmt, (left, top, wide, high), size)
    real = columns / seek.covered(wide, columns), rows / seek.covered(high, rows)
    return Window(samples, left, top, real)


def _scale(box: Box, shape: Shape) -> float:
    """Samples of a template per luma sample; a template never reaches out of its box."""
    return max(shape[0] / (box[2] - box[0]), shape[1] / (box[3] - box[1]))


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
        before: Samples | None = None
        for i in frames:
            box = self.shifted(i, x, y)
            seen = self._window(i, box)
            found = i == frames[0]
            if seen is not None:
                at = seen.corner(box, self._shape)
                got = seek.seek(seen.samples, before, self._shape, at, REACH, FOUND, _FLAT)
                if got.found:
                    found, scale = True, _scale(box, self._shape) / PARTS
                    x += (got.x - at[0]) * scale / seen.scale[0]
                    y += (got.y - at[1]) * scale / seen.scale[1]
                # Lost, it is taken where it should be; without texture it is no template, and the one before stays.
                before = before if got.flat else got.now
            out[i] = (x, y, found)
        return out

    def _window(self, i: int, box: Box) -> Window | None:
        """The window that the other way took there, if all places to search are in it, else one around the box."""
        seen = self._windows.get(i)
        if seen is not None:
            x, y = seen.corner(box, self._shape)
            if max(abs(x - PARTS * MARGIN), abs(y - PARTS * MARGIN)) <= PARTS * (MARGIN - REACH - 1):
                return seen
        seen = self._windows[i] = self._take(i, box)
        return seen
