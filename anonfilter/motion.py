"""Boxes in motion: where an object goes on from what was seen of it, and what two boxes have in common.

Boxes are records.Box, x0, y0, x1, y1 in luma samples; frames are decode ordinals.
"""

from __future__ import annotations

from collections.abc import Sequence

from anonfilter.records import Box

Seen = Sequence[tuple[int, Box]]
"""Frames and boxes of one object, in any order, each frame once."""


def union(a: Box, b: Box) -> Box:
    """The smallest box around both."""
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def moved(seen: Seen, start: int, n: int) -> Box:
    """The box of frame `start` (one of `seen`) moved on to frame n.

    The velocities of the centre and of the size are least-squares slopes; a size that shrinks is kept.
    """
    x0, y0, x1, y1 = box = dict(seen)[start]
    middle = sum(m for m, _ in seen) / len(seen)
    spread = sum((m - middle) ** 2 for m, _ in seen)
    if not spread:
        return box
    left, top, right, bottom = (sum((m - middle) * b[i] for m, b in seen) / spread * (n - start) for i in range(4))
    dx, dy = (left + right) / 2, (top + bottom) / 2
    wider, taller = max(0.0, (right - left) / 2), max(0.0, (bottom - top) / 2)
    return x0 + dx - wider, y0 + dy - taller, x1 + dx + wider, y1 + dy + taller


def extrapolate(seen: Seen, start: int, n: int) -> Box:
    """Hull of the box at frame `start` and the same box moved on to frame n: it covers an object that stops as well as
    one that goes on."""
    return union(dict(seen)[start], moved(seen, start, n))


def joined_shape(shape: str | None, box: Box, *parts: Box) -> str | None:
    """The shape in which `box`, made around `parts`, covers what they covered.

    An ellipse in a larger box does not hold the ellipses of its parts, so it becomes a rectangle. None stays: writers
    draw their own shape around such a box, never inside it.
    """
    return shape if shape is None or all(part == box for part in parts) else "rect"
