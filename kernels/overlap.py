"""Which targets of a blur write at all: work that nobody sees is not done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anonfilter.kernels.targets import Target

_Box = tuple[int, int, int, int]

_PIECES = 32
"""A target that others leave in more pieces than this is taken to write: there is no end to how boxes overlap."""


def writers(targets: Sequence[Target], width: int, height: int) -> list[Target]:
    """The targets without those of which no sample would be written, in the same order; the result is the same.

    width, height: of the frame in luma samples. Each sample is written by the target of the highest alpha, then the
    wider window, then the first (DESIGN 5). On its own box a rectangle has the highest alpha there is, and beside it at
    least that of whatever lies inside. So who is covered by rectangles that come before it in that order never writes,
    on any plane. Objects are covered from both sides in time and by several filters: on
    speech-cuts-360p, a clip with close-ups, a third of the rectangles writes nothing.
    """
    if len(targets) < 2:
        return list(targets)
    boxes = np.array([(t.x0, t.y0, t.x1, t.y1) for t in targets])
    windows = np.array([t.h or 0 for t in targets])
    order = np.lexsort((np.arange(len(targets)), -windows))
    boxes = boxes[order]
    low, high = boxes[:, :2], boxes[:, 2:]
    meet = ((low[:, None] < high) & (high[:, None] > low)).all(axis=2)
    meet &= np.array([targets[i].shape == "rect" for i in order])
    written: list[int] = []
    kept = np.zeros(len(targets), dtype=bool)
    rows: list[_Box] = [tuple(row) for row in boxes.tolist()]
    for k, i in enumerate(order.tolist()):
        x0, y0, x1, y1 = rows[k]
        left: list[_Box] = [(max(0, x0), max(0, y0), min(width, x1), min(height, y1))]
        # What is wholly outside of the frame may still fade into it.
        if left[0][0] < left[0][2] and left[0][1] < left[0][3]:
            for other in np.flatnonzero(meet[k, :k] & kept[:k]).tolist():
                left = [piece for box in left for piece in _outside(box, rows[other])]
                if not left or len(left) > _PIECES:
                    break
        if left:
            kept[k] = True
            written.append(i)
    return [targets[i] for i in sorted(written)]


def _outside(box: _Box, other: _Box) -> list[_Box]:
    """The parts of a box that are not in another one."""
    x0, y0, x1, y1 = box
    a0, b0, a1, b1 = max(x0, other[0]), max(y0, other[1]), min(x1, other[2]), min(y1, other[3])
    if a0 >= a1 or b0 >= b1:
        return [box]
    parts = [(x0, y0, x1, b0), (x0, b1, x1, y1), (x0, b0, a0, b1), (a1, b0, x1, b1)]
    return [part for part in parts if part[0] < part[2] and part[1] < part[3]]
