"""Which box of one frame is which of another: pairwise measures, a gated cost, Hungarian assignment.

Boxes are float64 arrays (N, 4) of x0, y0, x1, y1 in luma samples. Everything is vectorised over all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.records import Box

Array = npt.NDArray[np.float64]

# Shares of a pair's cost: overlap tells most, size least (detectors' sizes jitter). A pair at all three gates
# costs their sum; leaving both unpaired costs a little more, so that a possible pair is taken.
_OVERLAP, _DISTANCE, _SIZE = 1.0, 0.5, 0.25
_UNPAIRED = _OVERLAP + _DISTANCE + _SIZE + 1e-3


def as_array(boxes: Sequence[Box]) -> Array:
    """(N, 4) array of boxes, also of none."""
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _sides(boxes: Array) -> Array:
    """(N, 2) width and height, at least one sample: a box may be empty."""
    return np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)


def iou(a: Array, b: Array) -> Array:
    """(N, M) intersection over union, 0..1."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both: Array = np.prod(np.maximum(high - low, 0.0), axis=2)
    area_a, area_b = (np.prod(np.maximum(x[:, 2:] - x[:, :2], 0.0), axis=1) for x in (a, b))
    either: Array = np.maximum(area_a[:, None] + area_b[None, :] - both, 1e-9)
    return both / either


def distance(a: Array, b: Array) -> Array:
    """(N, M) distance of the centres in units of the pair's mean side (the mean of its four sides)."""
    centre_a, centre_b = (a[:, :2] + a[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2
    delta = centre_a[:, None] - centre_b[None]
    side = (_sides(a).mean(axis=1)[:, None] + _sides(b).mean(axis=1)[None]) / 2
    apart: Array = np.hypot(delta[..., 0], delta[..., 1]) / side
    return apart


def ratio(a: Array, b: Array) -> Array:
    """(N, M) ratio of the sides, the larger over the smaller, of width or height, whichever differs more; >=
    1."""
    logs = np.abs(np.log(_sides(a))[:, None] - np.log(_sides(b))[None])
    sides: Array = np.exp(logs.max(axis=2))
    return sides


def cost(a: Array, b: Array, *, min_iou: float, reach: Array | float, size: float) -> Array:
    """(N, M) cost of taking a[i] and b[j] for the same object; infinite where they cannot be.

    A pair is possible if its sides' ratio is at most `size`, and it overlaps by `min_iou` or its centres are
    at most `reach` mean sides apart (one number, or (N,), one for each a).
    """
    reach = np.broadcast_to(np.asarray(reach, dtype=np.float64), (len(a),))[:, None]
    overlap, apart, sides = iou(a, b), distance(a, b), ratio(a, b)
    possible = (sides <= size) & ((overlap >= min_iou) | (apart <= reach))
    total = (
        _OVERLAP * (1 - overlap)
        + _DISTANCE * np.minimum(apart / np.maximum(reach, 1e-9), 1.0)
        + _SIZE * np.log(sides) / max(np.log(size), 1e-9)
    )
    return np.where(possible, total, np.inf)


def assign(costs: Array) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost (Kuhn, "The Hungarian method for the assignment problem", 1955).

    costs: (N, M) from cost(). Infinite ones are never paired. Leaving a row and a column unpaired costs as much
    as the worst possible pair, so that a good pair is not broken up to make two bad ones.
    """
    possible = np.isfinite(costs)
    if not possible.any():
        return []
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(possible, costs, _UNPAIRED))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if possible[i, j]]
