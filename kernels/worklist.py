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

from anonfilter.kernels.components import Component, components, extent, half
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.shapes import ellipses, masks
from anonfilter.kernels.targets import SHAPES, Target

__all__ = ["COMPONENT", "HEADER", "REGION", "Component", "WorkList", "build", "components", "warps_per_row"]

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
    rivals: list[Ints] = []
    alphas: list[npt.NDArray[np.uint16]] = []
    made: dict[bool, tuple[Table, Ints]] = {}
    first = 0
    for part in parts:
        if part.chroma not in made:
            table, keep = made[part.chroma] = _place(part, box, rank, feather, cells)
            if any(t.mask is not None for t in targets):
                masks(table, part, [targets[i] for i in keep], alphas)
            _rivals(table, first, feather, rivals)
        first += len(made[part.chroma][0])
    spans = ellipses([(part, *made[part.chroma]) for part in parts[:2]], box, feather)
    # U and V differ in nothing but where they lie; V's rivals may be U's regions, whose alpha is the same.
    number = len(REGION.names or ())
    words = np.concatenate([made[part.chroma][0].view(np.int32).reshape(-1, number) for part in parts])
    regions = words.ravel().view(REGION)
    regions["component"] = np.repeat(np.arange(len(parts)), [len(made[part.chroma][0]) for part in parts])
    if any(color):
        regions["colour"] = (np.array(color) << (fmt.depth - 8))[regions["component"]]
    wide = regions["width"].astype(np.int64)
    size = regions["stride"].astype(np.int64) * regions["height"] // ALIGN
    ends = np.cumsum(size)
    regions["scratch"] = ends - size
    total, cell_total = (int(ends[-1]) if len(ends) else 0), 0
    cell_tiles = np.zeros((0, 2), np.int32)
    if cells:
        count = regions["cells_x"].astype(np.int64) * regions["cells_y"]
        regions["cells"] = np.cumsum(count) - count
        cell_tiles, cell_total = tiles(count, WARPS), int(count.sum())
    if max(total, cell_total) >= 1 << 31:
        raise ValueError(f"{len(targets)} regions need {total * ALIGN} samples of scratch: too many")
    return WorkList(
        fmt,
        parts,
        regions,
        tiles(regions["height"], WARPS // warps_per_row(wide)),
        tiles(wide, COLUMNS),
        cell_tiles,
        spans,
        _joined(rivals, np.int32),
        _joined(alphas, np.uint16),
        total * ALIGN,
        cell_total,
    )


def _joined(arrays: Sequence[Table], dtype: Any) -> Table:
    return np.concatenate([np.zeros(0, np.int64), *(array.ravel() for array in arrays)]).astype(dtype)


def tiles(length: npt.ArrayLike, step: npt.ArrayLike) -> Table:
    """(region, first) for 0, step, 2*step ... below each region's length. step: one for all, or one each."""
    length = np.asarray(length, np.int64)
    step = np.broadcast_to(np.asarray(step, np.int64), length.shape)
    counts = -(-length // step)
    region = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(region)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([region, nth * step[region]], axis=1).astype(np.int32).reshape(-1, 2)


def _place(part: Component, box: Ints, rank: Ints, feather: int, cells: int) -> tuple[Table, Ints]:
    """The regions of one component that meet it, and which targets they are."""
    x0, y0, x1, y1, shape, h = box.T
    left, right = extent(x0, x1, part.log2_w, part.before_x)
    top, bottom = extent(y0, y1, part.log2_h, part.before_y)
    fx, fy = int(half(feather, part.log2_w)), int(half(feather, part.log2_h))
    x, y = np.maximum(left - fx, 0), np.maximum(top - fy, 0)
    wide, high = np.minimum(right + fx, part.width) - x, np.minimum(bottom + fy, part.height) - y
    table = np.zeros(len(box), REGION)
    for name, value in {
        **{"x": x, "y": y, "width": wide, "height": high, "stride": -(-wide // ALIGN) * ALIGN},
        **{"hx": half(h, part.log2_w), "hy": half(h, part.log2_h), "fx": fx, "fy": fy},
        **{"left": left, "top": top, "right": right, "bottom": bottom, "shape": shape, "rank": rank},
    }.items():
        table[name] = value
    if cells:
        # At most one cell for two luma samples.
        table["cells_x"] = np.clip((x1 - x0) // 2, 1, cells)
        table["cells_y"] = np.clip((y1 - y0) // 2, 1, cells)
    keep = np.flatnonzero((wide > 0) & (high > 0))
    return table[keep], keep


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
