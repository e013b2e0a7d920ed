"""The shapes of a work list's regions: spans of ellipses, maps of alpha of bitmaps. kernels/worklist.py uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.components import Component, half
from anonfilter.kernels.targets import SHAPES, Target

Ints = npt.NDArray[np.int64]
Table = npt.NDArray[Any]


def _roots(n: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """floor(sqrt(n)) of numbers below (2^32 - 1)^2."""
    root = np.minimum(np.sqrt(n.astype(np.float64)).astype(np.uint64), np.uint64(0xFFFFFFFE))
    root -= root * root > n
    root += (root + np.uint64(1)) ** 2 <= n
    return root


def _ellipse_span(low: Ints, high: Ints, across_low: Ints, across_high: Ints, at: Ints) -> tuple[Ints, Ints]:
    """The luma samples low'..high'-1 of ellipses on the line `at`, which runs along low..high; may be empty.

    |2x+1-low-high| * b <= sqrt((a*b)^2 - ((2*at+1-across_low-across_high)*a)^2), a and b being the axes' lengths.
    """
    a, b = high - low, across_high - across_low
    inside = (across_low <= at) & (at < across_high)
    # Inside the box the distance is below b, so both squares stay within 64 bits.
    distance = np.where(inside, np.abs(2 * at + 1 - across_low - across_high), 0).astype(np.uint64)
    area = (a * b).astype(np.uint64)
    reach = (_roots(area * area - (distance * a.astype(np.uint64)) ** 2) // b.astype(np.uint64)).astype(np.int64)
    middle = low + high - 1
    first = np.maximum(low, -((reach - middle) >> 1))
    end = np.minimum(high, ((middle + reach) >> 1) + 1)
    return first, np.where(inside, np.maximum(end, first), first)


def ellipses(tables: Sequence[tuple[Component, Table, Ints]], box: Ints, feather: int) -> Table:
    """The spans (n, 2) of all ellipses; a component comes with its regions and which targets they are."""
    jobs: list[Ints] = []
    filled: list[tuple[Table, str, Ints]] = []
    for part, table, keep in tables:
        which = np.flatnonzero(table["shape"] == SHAPES.index("ellipse"))
        if not len(which):
            continue
        x, y, width, height = (table[name][which].astype(np.int64) for name in ("x", "y", "width", "height"))
        x0, y0, x1, y1 = box[keep[which], :4].T
        fx, fy = half(feather, part.log2_w), half(feather, part.log2_h)
        on_x, on_y = (part.log2_w, part.before_x), (part.log2_h, part.before_y)
        table["middle"][which] = ((y0 + y1 - 1) >> 1) >> part.log2_h
        # A line runs along low..high at some place across; `near` lines beside it count too, and `grow` at its ends.
        rows, columns = (x0, x1, *on_x, y0, y1, *on_y), (y0, y1, *on_y, x0, x1, *on_x)
        todo = [("rows", rows, y, height, fy, fx, x, width), ("columns", columns, x, width, fx, fy, y, height)]
        if feather:
            todo.append(("object", rows, y - fy, height + 2 * fy, 0, 0, x, np.full(len(x), -1)))
        for name, axes, *rest in todo:
            filled.append((table, name, which))
            jobs.append(np.stack(np.broadcast_arrays(*axes, *rest)))
    if not jobs:
        return np.zeros((0, 2), np.int32)
    all_jobs = np.concatenate(jobs, axis=1)
    count = all_jobs[9]
    first = np.cumsum(count) - count
    at = 0
    for table, name, which in filled:
        table[name][which] = first[at : at + len(which)]
        at += len(which)
    job = np.repeat(np.arange(len(count)), count)
    low, high, log2, before, c_low, c_high, c_log2, c_before, start, _, near, grow, origin, size = all_jobs[:, job]
    line = start + np.arange(len(job)) - first[job]
    # The luma lines of the lines at most `near` away: the one nearest to the middle is the longest.
    luma_first = ((line - near) << c_log2) - c_before
    place = np.minimum(np.maximum((c_low + c_high - 1) >> 1, luma_first), ((line + near + 1) << c_log2) - 1)
    begin, end = _ellipse_span(low, high, c_low, c_high, place)
    none = begin >= end
    begin, end = (begin >> log2) - grow - origin, ((end - log2 * (1 - before)) >> log2) + log2 + grow - origin
    begin, end = np.where(size < 0, begin, np.maximum(begin, 0)), np.where(size < 0, end, np.minimum(end, size))
    spans = np.stack([begin, end], axis=1)
    spans[none | (begin >= end)] = 0
    return spans.astype(np.int32)


def _ramp(f: int) -> npt.NDArray[np.uint16]:
    """alpha at the distances 0..f+1, the last being 0."""
    return (256 * np.arange(f + 1, -1, -1) // (f + 1)).astype(np.uint16)


def masks(table: Table, part: Component, targets: Sequence[Target], alphas: list[npt.NDArray[np.uint16]]) -> None:
    """Adds the maps of alpha of the regions that are bitmaps."""
    for row, target in zip(table, targets, strict=True):
        if target.mask is None:
            continue
        x, y, width, height, fx, fy = (int(row[name]) for name in ("x", "y", "width", "height", "fx", "fy"))
        thing = _thing(part, target, x - fx, y - fy, width + 2 * fx, height + 2 * fy)
        # Along the rows: distance to the nearest object sample on either side.
        where = np.arange(width + 2 * fx)
        last = np.maximum.accumulate(np.where(thing, where, -(1 << 20)), axis=1)
        after = np.minimum.accumulate(np.where(thing, where, 1 << 20)[:, ::-1], axis=1)[:, ::-1]
        distance = np.minimum(np.minimum(where - last, after - where), fx + 1)
        line = _ramp(fx)[distance[:, fx : fx + width]]
        alpha = line[fy : fy + height].copy()
        for d, limit in enumerate(_ramp(fy)[1:-1].tolist(), 1):
            for shift in (-d, d):
                np.maximum(alpha, np.minimum(line[fy + shift : fy + shift + height], limit), out=alpha)
        row["alpha"] = sum(map(len, alphas))
        alphas.append(alpha.ravel())


def _thing(part: Component, target: Target, x: int, y: int, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which samples of a component's rectangle belong to a bitmap's object."""
    assert target.mask is not None
    out = np.zeros((height, width), bool)
    step_x, step_y = 1 << part.log2_w, 1 << part.log2_h
    for dy in range(-part.before_y, step_y):
        for dx in range(-part.before_x, step_x):
            # Samples i whose luma sample step*i + d lies on the mask: low <= i < high.
            low_x, high_x = -(-(target.x0 - dx) // step_x), -(-(target.x1 - dx) // step_x)
            low_y, high_y = -(-(target.y0 - dy) // step_y), -(-(target.y1 - dy) // step_y)
            low_x, high_x, low_y, high_y = max(low_x, x), min(high_x, x + width), max(low_y, y), min(high_y, y + height)
            if low_x < high_x and low_y < high_y:
                rows = slice(low_y * step_y + dy - target.y0, (high_y - 1) * step_y + dy - target.y0 + 1, step_y)
                columns = slice(low_x * step_x + dx - target.x0, (high_x - 1) * step_x + dx - target.x0 + 1, step_x)
                out[low_y - y : high_y - y, low_x - x : high_x - x] |= target.mask[rows, columns] != 0
    return out
