"""The host side of the GPU kernels: what every launch has to do, as integer tables (NumPy only).

One list serves all launches of an operation on a frame, both planes included; csrc/cuda/worklist.cuh reads it, and
the field names are the same there. Rectangles and ellipses travel as a few integers and spans, only bitmap masks as
maps of alpha. DESIGN 5 and kernels/ref.py say what alpha, mask and ownership are; here is how they are told:

- An ellipse's rows lie around one middle row, each within the next one. So the union of the rows at most d away is
  the row that is nearest to the middle, `clip(middle, y - d, y + d)`, and dilated or subsampled ellipses still have
  one span per row and one per column.
- Where the feathers are 0 alpha is 0 or 256, and `rank` alone decides who writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.targets import SHAPES, Target

Ints = npt.NDArray[np.int64]
Table = npt.NDArray[Any]

ALIGN = 16
"""Scratch rows and offsets are multiples of this many 16-bit samples: 32 bytes, one sector of a GPU's memory."""

THREADS, WARPS, PER_LANE = 256, 8, 4
"""Block size of all kernels; samples that a lane of a row tile takes at a time."""

COLUMNS = 16
"""Columns of a column tile: one sector of scratch; the other 16 threads share the height."""

REGION = np.dtype(
    [
        (name, "<i4")
        for name in (
            "component",  # row of the component table
            *("x", "y", "width", "height"),  # box of the mask M in the component, clipped to it
            *("hx", "hy", "fx", "fy"),  # half windows and feathers of the component's axes
            *("left", "top", "right", "bottom"),  # box of the object in the component's samples, not clipped
            "shape",  # index in targets.SHAPES
            "rank",  # of two regions with the same alpha the lower rank writes
            *("scratch", "stride"),  # offset in ALIGN samples and row length in samples, in each scratch buffer
            *("rows", "columns"),  # ellipse: index in spans of M's span per row / per column, counted from the box
            *("object", "middle"),  # feathered ellipse: spans of the object's rows from y-fy on; its widest row
            "alpha",  # mask: index in alphas of a (height, width) map
            *("rivals", "rival_count"),  # range in rivals: regions that may own samples of this one
            *("cells_x", "cells_y", "cells"),  # pixelize: cells across and down, index of the first in the cell buffer
            "colour",  # fill: the component's code
        )
    ]
)

COMPONENT = np.dtype([("address", "<i8"), ("pitch", "<i4"), ("step", "<i4"), ("width", "<i4"), ("height", "<i4")])
"""A component's first sample and row distance in bytes, and the distance of its samples in a row in samples."""

HEADER = (
    *("region_count", "row_tiles", "column_tiles", "cell_tiles"),  # how many there are
    *("components_at", "regions_at", "row_tiles_at", "column_tiles_at", "cell_tiles_at"),  # first word of each table
    *("spans_at", "rivals_at", "alphas_at"),
    *("depth", "shift"),
)


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a frame: its plane, first sample and step there, size, and how its axes relate to luma."""

    plane: int
    first: int
    step: int
    width: int
    height: int
    log2_w: int
    log2_h: int
    before_x: bool
    before_y: bool

    @property
    def chroma(self) -> bool:
        """Whether it is U or V."""
        return self.plane > 0


def components(fmt: PixFmt, width: int, height: int, siting: str) -> list[Component]:
    """Y, and U and V where the format has them; width and height in luma samples."""
    out = [Component(0, 0, 1, width, height, 0, 0, False, False)]
    if fmt.chroma:
        size = fmt.chroma_size(width, height)
        left, top = bool(fmt.log2_w) and siting != "center", bool(fmt.log2_h) and siting == "topleft"
        places = ((1, 0, 2), (1, 1, 2)) if fmt.interleaved else ((1, 0, 1), (2, 0, 1))
        out += [Component(*place, *size, fmt.log2_w, fmt.log2_h, left, top) for place in places]
    return out


@dataclass(slots=True)
class WorkList:
    """The tables. scratch: 16-bit samples of each of the two buffers; cells: 16-bit means of pixelize."""

    fmt: PixFmt
    components: list[Component]
    regions: Table  # REGION
    row_tiles: Table  # (n, 2) region, first row: rows_per_tile(width) rows
    column_tiles: Table  # (n, 2) region, first column: COLUMNS columns
    cell_tiles: Table  # (n, 2) region, first cell: WARPS cells
    spans: Table  # (n, 2) first, end
    rivals: Table  # (n,) regions
    alphas: Table  # (n,) uint16
    scratch: int
    cells: int

    def pack(self, addresses: Sequence[int], pitches: Sequence[int]) -> npt.NDArray[np.int32]:
        """All tables in one array of words, for one upload. addresses, pitches: of each plane, in bytes."""
        rows = [
            (addresses[c.plane] + c.first * self.fmt.itemsize, pitches[c.plane], c.step, c.width, c.height)
            for c in self.components
        ]
        table = np.array(rows, COMPONENT)
        alphas = np.zeros(-(-len(self.alphas) // 2) * 2, np.uint16)
        alphas[: len(self.alphas)] = self.alphas
        tables = (table, self.regions, self.row_tiles, self.column_tiles, self.cell_tiles, self.spans, self.rivals)
        words = [np.ascontiguousarray(item).view(np.int32).ravel() for item in (*tables, alphas)]
        at = len(HEADER) + np.cumsum([0, *map(len, words[:-1])])
        counts = (len(self.regions), len(self.row_tiles), len(self.column_tiles), len(self.cell_tiles))
        header = np.array([*counts, *at, self.fmt.depth, self.fmt.shift], np.int32)
        return np.concatenate([header, *words])


def warps_per_row(width: npt.ArrayLike) -> Ints:
    """How many warps of a block share a row, so that up to 1024 samples are one step: 1, 2, 4 or 8."""
    chunk = 32 * PER_LANE
    return 1 << np.searchsorted([chunk, 2 * chunk, 4 * chunk], np.asarray(width, np.int64), side="left")


def build(
    fmt: PixFmt,
    width: int,
    height: int,
    targets: Sequence[Target],
    feather: int,
    siting: str,
    *,
    windows: bool = True,
    cells: int = 0,
    color: tuple[int, int, int] = (0, 0, 0),
) -> WorkList:
    """The work of one operation on one frame of width x height luma samples; arguments as `ops` has checked them.

    windows: whether the wider window owns a sample that two regions claim equally (blur), or only list order.
    cells: of pixelize. color: of fill, as 8-bit codes. Regions that do not meet the frame are left out.
    """
    parts = components(fmt, width, height, siting)
    rows = [(t.x0, t.y0, t.x1, t.y1, SHAPES.index(t.shape), t.h or 0) for t in targets]
    box = np.array(rows, np.int64).reshape(-1, 6)
    order = np.lexsort((np.arange(len(box)), -box[:, 5] if windows else np.zeros(len(box), np.int64)))
    rank = np.empty(len(box), np.int64)
    rank[order] = np.arange(len(box))
    spans: list[Ints] = []
    rivals: list[Ints] = []
    alphas: list[npt.NDArray[np.uint16]] = []
    tables: list[Table] = []
    made: dict[bool, Table] = {}
    first = 0
    for index, part in enumerate(parts):
        if part.chroma not in made:
            table, keep = _place(part, box, rank, feather, cells)
            _ellipses(table, part, box[keep], spans)
            _masks(table, part, [targets[i] for i in keep], alphas)
            _rivals(table, first, feather, rivals)
            made[part.chroma] = table
        # U and V differ in nothing but where they lie; V's rivals may be U's regions, whose alpha is the same.
        table = made[part.chroma].copy()
        table["component"], table["colour"] = index, color[index] << (fmt.depth - 8)
        tables.append(table)
        first += len(table)
    regions = np.concatenate(tables)
    size = regions["stride"].astype(np.int64) * regions["height"] // ALIGN
    regions["scratch"] = np.cumsum(size) - size
    count = regions["cells_x"].astype(np.int64) * regions["cells_y"]
    regions["cells"] = np.cumsum(count) - count
    if size.sum() >= 1 << 31 or count.sum() >= 1 << 31:
        raise ValueError(f"{len(targets)} regions need {int(size.sum()) * ALIGN} samples of scratch: too many")
    wide = regions["width"].astype(np.int64)
    return WorkList(
        fmt,
        parts,
        regions,
        _tiles(regions["height"], WARPS // warps_per_row(wide)),
        _tiles(wide, np.full(len(wide), COLUMNS)),
        _tiles(count, np.full(len(wide), WARPS)),
        _joined(spans, np.int32).reshape(-1, 2),
        _joined(rivals, np.int32),
        _joined(alphas, np.uint16),
        int(size.sum()) * ALIGN,
        int(count.sum()),
    )


def _joined(arrays: Sequence[Table], dtype: Any) -> Table:
    return np.concatenate([np.zeros(0, np.int64), *(array.ravel() for array in arrays)]).astype(dtype)


def _tiles(length: npt.ArrayLike, step: Ints) -> Table:
    """(region, first) for 0, step, 2*step ... below each region's length."""
    counts = -(-np.asarray(length, np.int64) // step)
    region = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(region)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([region, nth * step[region]], axis=1).astype(np.int32).reshape(-1, 2)


def _extent(low: Ints, high: Ints, log2: int, before: bool) -> tuple[Ints, Ints]:
    """The samples of an axis whose luma samples meet low..high-1."""
    return (low >> 1, ((high - (not before)) >> 1) + 1) if log2 else (low, high)


def _half(value: Any, log2: int) -> Any:
    """A half window or a feather of luma samples, on an axis."""
    return (value + 1) >> 1 if log2 else value


def _place(part: Component, box: Ints, rank: Ints, feather: int, cells: int) -> tuple[Table, Ints]:
    """The regions of one component that meet it, and which targets they are."""
    x0, y0, x1, y1, shape, h = box.T
    left, right = _extent(x0, x1, part.log2_w, part.before_x)
    top, bottom = _extent(y0, y1, part.log2_h, part.before_y)
    fx, fy = int(_half(feather, part.log2_w)), int(_half(feather, part.log2_h))
    x, y = np.maximum(left - fx, 0), np.maximum(top - fy, 0)
    wide, high = np.minimum(right + fx, part.width) - x, np.minimum(bottom + fy, part.height) - y
    table = np.zeros(len(box), REGION)
    for name, value in {
        **{"x": x, "y": y, "width": wide, "height": high, "stride": -(-wide // ALIGN) * ALIGN},
        **{"hx": _half(h, part.log2_w), "hy": _half(h, part.log2_h), "fx": fx, "fy": fy},
        **{"left": left, "top": top, "right": right, "bottom": bottom, "shape": shape, "rank": rank},
    }.items():
        table[name] = value
    if cells:
        # At most one cell for two luma samples.
        table["cells_x"] = np.clip((x1 - x0) // 2, 1, cells)
        table["cells_y"] = np.clip((y1 - y0) // 2, 1, cells)
    keep = np.flatnonzero((wide > 0) & (high > 0))
    return table[keep], keep


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


def _lines(start: Ints, count: Ints) -> tuple[Ints, Ints, Ints]:
    """For regions with `count` lines from `start` on: each line's region, the line, and each region's first index."""
    first = np.cumsum(count) - count
    region = np.repeat(np.arange(len(count)), count)
    return region, start[region] + np.arange(len(region)) - first[region], first


def _ellipses(table: Table, part: Component, box: Ints, spans: list[Ints]) -> None:
    """Adds the spans of the regions that are ellipses."""
    which = np.flatnonzero(table["shape"] == SHAPES.index("ellipse"))
    if not len(which):
        return
    some = {name: table[name][which].astype(np.int64) for name in ("x", "y", "width", "height")}
    x0, y0, x1, y1 = box[which, :4].T
    fx, fy = int(table["fx"][0]), int(table["fy"][0])
    on_x, on_y = (part.log2_w, part.before_x), (part.log2_h, part.before_y)
    rows = (x0, x1, on_x, y0, y1, on_y)
    columns = (y0, y1, on_y, x0, x1, on_x)
    table["middle"][which] = ((y0 + y1 - 1) >> 1) >> part.log2_h
    todo = [
        ("rows", rows, some["y"], some["height"], fy, fx, some["x"], some["width"]),
        ("columns", columns, some["x"], some["width"], fx, fy, some["y"], some["height"]),
    ]
    if fx or fy:
        todo.append(("object", rows, some["y"] - fy, some["height"] + 2 * fy, 0, 0, some["x"], np.zeros(0, np.int64)))
    for name, (low, high, along, c_low, c_high, across), start, count, near, grow, origin, size in todo:
        region, line, first = _lines(start, count)
        # The luma lines of the lines at most `near` away: the one nearest to the middle is the longest.
        scale = 1 << across[0]
        at = np.clip(
            ((c_low + c_high - 1) >> 1)[region],
            (line - near) * scale - across[1],
            (line + near) * scale + scale - 1,
        )
        luma = _ellipse_span(low[region], high[region], c_low[region], c_high[region], at)
        begin, end = _extent(*luma, *along)
        begin, end = begin - grow - origin[region], end + grow - origin[region]
        if len(size):
            begin, end = np.maximum(begin, 0), np.minimum(end, size[region])
        empty = (luma[0] >= luma[1]) | (begin >= end)
        table[name][which] = sum(map(len, spans)) + first
        spans.append(np.where(empty[:, None], 0, np.stack([begin, end], axis=1)))


def _ramp(f: int) -> npt.NDArray[np.uint16]:
    """alpha at the distances 0..f+1, the last being 0."""
    return (256 * np.arange(f + 1, -1, -1) // (f + 1)).astype(np.uint16)


def _masks(table: Table, part: Component, targets: Sequence[Target], alphas: list[npt.NDArray[np.uint16]]) -> None:
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


def _rivals(table: Table, first: int, feather: int, rivals: list[Ints]) -> None:
    """Adds, for each region, those that meet its box and may be the writer there."""
    x, y = table["x"].astype(np.int64), table["y"].astype(np.int64)
    right, bottom = x + table["width"], y + table["height"]
    meets = (x[:, None] < right) & (x < right[:, None]) & (y[:, None] < bottom) & (y < bottom[:, None])
    if feather:
        np.fill_diagonal(meets, False)
    else:
        meets &= table["rank"] < table["rank"][:, None]
    mine, other = np.nonzero(meets)
    counts = np.bincount(mine, minlength=len(table))
    table["rivals"] = sum(map(len, rivals)) + np.cumsum(counts) - counts
    table["rival_count"] = counts
    rivals.append(other + first)
