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
WORST = _OVERLAP + _DISTANCE + _SIZE
"""The most that a possible pair costs."""
_UNPAIRED = WORST + 1e-3
# Up to so many rows or columns every assignment is tried: 120 of them.
_TRIED = 5
# A group with more cells than this is solved as a sparse one: a clip's pieces of tracks are many, their pairs few.
_DENSE = 250_000
# How much farther, in mean sides per frame since the last look, an object may be than its prediction says,
# and at most how many times the usual reach that may come to.
_DRIFT, _MAX_DRIFT = 0.1, 2.0


def as_array(boxes: Sequence[Box]) -> Array:
    """(N, 4) array of boxes, also of none."""
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _side(boxes: Array, i: int) -> Array:
    """Widths (i = 0) or heights (1), at least one sample: a box may be empty."""
    side: Array = np.maximum(boxes[..., i + 2] - boxes[..., i], 1.0)
    return side


# The measures work one coordinate at a time, since reductions over an axis of two are slow, and on any shapes that
# broadcast: (N, 1, 4) with (1, M, 4) for all pairs, (N, 4) with (N, 4) for some.


def _iou(a: Array, b: Array) -> Array:
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    both = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
    area_a, area_b = ((x[..., 2] - x[..., 0]) * (x[..., 3] - x[..., 1]) for x in (a, b))
    share: Array = both / np.maximum(area_a + area_b - both, 1e-9)
    return share


def _distance(a: Array, b: Array) -> Array:
    dx, dy = ((a[..., i] + a[..., i + 2] - b[..., i] - b[..., i + 2]) / 2 for i in (0, 1))
    side = (_side(a, 0) + _side(a, 1) + _side(b, 0) + _side(b, 1)) / 4
    apart: Array = np.hypot(dx, dy) / side
    return apart


def _log_ratio(a: Array, b: Array) -> Array:
    wide, high = (np.abs(np.log(_side(a, i)) - np.log(_side(b, i))) for i in (0, 1))
    larger: Array = np.maximum(wide, high)
    return larger


def iou(a: Array, b: Array) -> Array:
    """(N, M) intersection over union, 0..1."""
    return _iou(a[:, None], b[None])


def distance(a: Array, b: Array) -> Array:
    """(N, M) distance of the centres in units of the pair's mean side (the mean of its four sides)."""
    return _distance(a[:, None], b[None])


def ratio(a: Array, b: Array) -> Array:
    """(N, M) ratio of the larger to the smaller, of widths or heights, whichever differ more."""
    sides: Array = np.exp(_log_ratio(a[:, None], b[None]))
    return sides


def reach(dist: float, frames: Array) -> Array:
    """How far from where it was due, in mean sides, an object may be that was last seen so many frames ago."""
    far: Array = np.minimum(dist + _DRIFT * (np.asarray(frames, dtype=np.float64) - 1), _MAX_DRIFT * dist)
    return far


def raised(costs: Array, by: Array) -> Array:
    """Costs raised by so much, but what was possible stays possible."""
    more: Array = np.where(np.isfinite(costs), np.minimum(costs + by, WORST), np.inf)
    return more


def cost(a: Array, b: Array, *, min_iou: float, reach: Array | float, size: float) -> Array:
    """(N, M) cost of taking a[i] and b[j] for the same object; infinite where they cannot be.

    A pair is possible if its sides' ratio is at most `size`, and it overlaps by `min_iou` or its centres are
    at most `reach` mean sides apart (one number, or (N,), one for each a).
    """
    wide = np.broadcast_to(np.asarray(reach, dtype=np.float64), (len(a),))[:, None]
    return _cost(a[:, None], b[None], min_iou, wide, size)


def cost_pairs(a: Array, b: Array, *, min_iou: float, reach: Array | float, size: float) -> Array:
    """(N,) the same for a[i] and b[i] only."""
    return _cost(a, b, min_iou, np.broadcast_to(np.asarray(reach, dtype=np.float64), (len(a),)), size)


def _cost(a: Array, b: Array, min_iou: float, reach: Array, size: float) -> Array:
    overlap, apart, change = _iou(a, b), _distance(a, b), _log_ratio(a, b)
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


def assign_pairs(pairs: Sequence[tuple[int, int]], costs: Array) -> list[tuple[int, int]]:
    """The same for few pairs of many rows and columns: pairs (row, column) and their costs (N,), each pair once."""
    able = [(i, j, float(c)) for (i, j), c in zip(pairs, costs, strict=True) if math.isfinite(c)]
    rows, columns = _components([(i, j) for i, j, _ in able])
    where = {i: group for group, members in rows.items() for i in members}
    inside: dict[int, list[tuple[int, int, float]]] = {}
    for cell in able:
        inside.setdefault(where[cell[0]], []).append(cell)
    found: list[tuple[int, int]] = []
    for group, own in rows.items():
        others = columns[group]
        at, to = ({k: place for place, k in enumerate(side)} for side in (own, others))
        cells = [(at[i], to[j], c) for i, j, c in inside[group]]
        if len(own) * len(others) <= _DENSE:
            table = np.full((len(own), len(others)), np.inf)
            for i, j, c in cells:
                table[i, j] = c
            best = assign(table)
        else:
            best = _sparse(len(own), len(others), cells)
        found += [(own[i], others[j]) for i, j in best]
    return sorted(found)


def _components(pairs: Sequence[tuple[int, int]]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Rows, and columns, of each set of pairs that compete with each other; by some key of the set."""
    above: dict[tuple[int, int], tuple[int, int]] = {}

    def top(node: tuple[int, int]) -> tuple[int, int]:
        above.setdefault(node, node)
        while above[node] != node:
            above[node] = node = above[above[node]]
        return node

    for i, j in pairs:
        above[top((0, i))] = top((1, j))
    keys: dict[tuple[int, int], int] = {}
    rows: dict[int, list[int]] = {}
    columns: dict[int, list[int]] = {}
    for side, k in sorted(above):
        key = keys.setdefault(top((side, k)), len(keys))
        (columns if side else rows).setdefault(key, []).append(k)
    return rows, columns


def _sparse(rows: int, columns: int, cells: Sequence[tuple[int, int, float]]) -> list[tuple[int, int]]:
    """assign() with memory for the cells only (Jonker and Volgenant, 1987, as SciPy has it for sparse matrices). Every
    row has a column of its own that means unpaired; costs are moved by 1, since a stored zero would be no cell."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    i = [c[0] for c in cells] + list(range(rows))
    j = [c[1] for c in cells] + list(range(columns, columns + rows))
    weights = [c[2] + 1.0 for c in cells] + [_UNPAIRED + 1.0] * rows
    table = csr_array((weights, (i, j)), shape=(rows, columns + rows))
    found = zip(*min_weight_full_bipartite_matching(table), strict=True)
    return [(int(row), int(column)) for row, column in found if column < columns]


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
