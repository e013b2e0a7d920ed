"""Which box of one frame is which of another: pairwise measures, a gated cost, Hungarian assignment.

Boxes are float64 arrays (N, 4) of x0, y0, x1, y1 in luma samples. Everything is vectorised over all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from anonfilter.records import Box

Array = npt.NDArray[np.float64]

# Shares of a pair's cost: overlap tells most, size least (detectors' sizes jitter). A pair at all three gates
# costs their sum; leaving both unpaired costs a little more, so that a possible pair is taken.
_OVERLAP, _DISTANCE, _SIZE = 1.0, 0.5, 0.25
_UNPAIRED = _OVERLAP + _DISTANCE + _SIZE + 1e-3
# Up to so many rows or columns every assignment is tried: 120 of them.
_TRIED = 5


def as_array(boxes: Sequence[Box]) -> Array:
    """(N, 4) array of boxes, also of none."""
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _sides(boxes: Array) -> Array:
    """(2, N) width and height, at least one sample: a box may be empty."""
    return np.maximum((boxes[:, 2:] - boxes[:, :2]).T, 1.0)


# The measures work on (N, M) arrays one coordinate at a time: reductions over an axis of two are slow.


def iou(a: Array, b: Array) -> Array:
    """(N, M) intersection over union, 0..1."""
    wide = np.minimum.outer(a[:, 2], b[:, 2]) - np.maximum.outer(a[:, 0], b[:, 0])
    high = np.minimum.outer(a[:, 3], b[:, 3]) - np.maximum.outer(a[:, 1], b[:, 1])
    both = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
    area_a, area_b = ((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b))
    share: Array = both / np.maximum(np.add.outer(area_a, area_b) - both, 1e-9)
    return share


def distance(a: Array, b: Array) -> Array:
    """(N, M) distance of the centres in units of the pair's mean side (the mean of its four sides)."""
    dx, dy = (np.subtract.outer(a[:, i] + a[:, i + 2], b[:, i] + b[:, i + 2]) / 2 for i in (0, 1))
    side = np.add.outer(_sides(a).mean(axis=0), _sides(b).mean(axis=0)) / 2
    apart: Array = np.hypot(dx, dy) / side
    return apart


def ratio(a: Array, b: Array) -> Array:
    """(N, M) ratio of the larger to the smaller, of widths or heights, whichever differ more."""
    sides: Array = np.exp(_log_ratio(a, b))
    return sides


def _log_ratio(a: Array, b: Array) -> Array:
    p, q = np.log(_sides(a)), np.log(_sides(b))
    larger: Array = np.maximum(*(np.abs(np.subtract.outer(p[i], q[i])) for i in (0, 1)))
    return larger


def cost(a: Array, b: Array, *, min_iou: float, reach: Array | float, size: float) -> Array:
    """(N, M) cost of taking a[i] and b[j] for the same object; infinite where they cannot be.

    A pair is possible if its sides' ratio is at most `size`, and it overlaps by `min_iou` or its centres are
    at most `reach` mean sides apart (one number, or (N,), one for each a).
    """
    reach = np.broadcast_to(np.asarray(reach, dtype=np.float64), (len(a),))[:, None]
    overlap, apart, change = iou(a, b), distance(a, b), _log_ratio(a, b)
    largest = math.log(size) + 1e-12
    possible = (change <= largest) & ((overlap >= min_iou) | (apart <= reach))
    total = (
        _OVERLAP * (1 - overlap)
        + _DISTANCE * np.minimum(apart / np.maximum(reach, 1e-9), 1.0)
        + _SIZE / largest * change
    )
    return np.where(possible, total, np.inf)


def assign(costs: Array) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost (Kuhn, "The Hungarian method for the assignment problem",
    1955), in order of rows.

    costs: (N, M) from cost(). Infinite ones are never paired. Leaving a row and a column unpaired costs as
    much as the worst possible pair, so that a good pair is not broken up to make two bad ones.
    """
    possible = np.isfinite(costs)
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(possible):
        gains = np.where(possible, _UNPAIRED - costs, 0.0)[np.ix_(rows, columns)]
        pairs += [(rows[i], columns[j]) for i, j in _best(gains) if possible[rows[i], columns[j]]]
    return sorted(pairs)


def _groups(possible: npt.NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that compete with each other, directly or through others."""
    groups: list[tuple[list[int], list[int]]] = []
    left = set(np.flatnonzero(possible.any(axis=1)).tolist())
    while left:
        rows, columns = {left.pop()}, set[int]()
        grown = True
        while grown:
            columns = set(np.flatnonzero(possible[sorted(rows)].any(axis=0)).tolist())
            more = set(np.flatnonzero(possible[:, sorted(columns)].any(axis=1)).tolist())
            grown, rows = more != rows, more
        left -= rows
        groups.append((sorted(rows), sorted(columns)))
    return groups


def _best(gains: Array) -> list[tuple[int, int]]:
    """The pairs of greatest total gain (N, M).

    Small groups are tried out: importing SciPy's optimizers takes about half a second on two cores, and a run whose
    objects keep apart never needs them.
    """
    rows, columns = gains.shape
    if rows > columns:
        return [(j, i) for i, j in _best(gains.T)]
    if columns > _TRIED:
        from scipy.optimize import linear_sum_assignment

        return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(gains, maximize=True), strict=True)]
    table = gains.tolist()
    best = max(permutations(range(columns), rows), key=lambda chosen: sum(table[i][j] for i, j in enumerate(chosen)))
    return list(enumerate(best))
