"""The blur of DESIGN 5 in Triton: one kernel, its variants and its launches.

A launch is a pass along rows or along columns over all regions of all components (kernels/worklist.py). A window's
sum moves by what enters and what leaves, S(i) = S(i-1) + v(i+h) - v(i-h-1), so a tile scans these differences and the
cost does not depend on h. All arithmetic is in integers; sums stay below 32767 * 65535 < 2^31.

Importing this imports Triton, which decides then whether its interpreter runs the kernel (TRITON_INTERPRET=1).
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl

from anonfilter.kernels import worklist
from anonfilter.kernels.cuda import Launch
from anonfilter.kernels.targets import SHAPES
from anonfilter.kernels.triton_variants import Variant
from anonfilter.kernels.worklist import WorkList


class Tile(NamedTuple):
    """lines: rows (or columns) of a tile. block: samples along them that are scanned at a time. Powers of two."""

    lines: int
    block: int


ROW_TILE, COLUMN_TILE, FEATHER_BLOCK = Tile(2, 256), Tile(16, 32), 16
"""4 samples a thread. Columns that blend a feather take 2, with 4 they would spill. 16 columns are one sector of
scratch, and narrow tiles keep more blocks busy."""

_REGION, _HEADER = worklist.REGION.names or (), worklist.HEADER
FIELDS, PART = tl.constexpr(len(_REGION)), tl.constexpr(worklist.COMPONENT.itemsize // 4)
COMPONENT, X, Y, WIDTH, HEIGHT, HX, HY, FX, FY = (
    tl.constexpr(_REGION.index(name)) for name in ("component", "x", "y", "width", "height", "hx", "hy", "fx", "fy")
)
LEFT, TOP, RIGHT, BOTTOM, SHAPE, RANK = (
    tl.constexpr(_REGION.index(name)) for name in ("left", "top", "right", "bottom", "shape", "rank")
)
SCRATCH, STRIDE, ROW_SPANS, COLUMN_SPANS, OBJECT, MIDDLE, ALPHA, RIVALS, RIVAL_COUNT = (
    tl.constexpr(_REGION.index(name))
    for name in ("scratch", "stride", "rows", "columns", "object", "middle", "alpha", "rivals", "rival_count")
)
ROW_TILES, COLUMN_TILES, ROW_TILES_AT, COLUMN_TILES_AT, DEPTH, SHIFT = (
    tl.constexpr(_HEADER.index(name))
    for name in ("row_tiles", "column_tiles", "row_tiles_at", "column_tiles_at", "depth", "shift")
)
COMPONENTS_AT, REGIONS_AT, SPANS_AT, RIVALS_AT, ALPHAS_AT = (
    tl.constexpr(_HEADER.index(name))
    for name in ("components_at", "regions_at", "spans_at", "rivals_at", "alphas_at")
)
ELLIPSE, MASK = tl.constexpr(SHAPES.index("ellipse")), tl.constexpr(SHAPES.index("mask"))
ALIGN = tl.constexpr(worklist.ALIGN)


@triton.jit
def _ramp(f, distance):
    """alpha at a distance of an axis with feather f."""
    return tl.maximum(f + 1 - distance, 0) * 256 // (f + 1)


@triton.jit
def _alpha(words, alphas, r, x, y, MASKS: tl.constexpr, FEATHER: tl.constexpr):
    """alpha (0..256) of the region at r at the samples x, y of its component; without FEATHER 0 or 256."""
    column, row = x - tl.load(r + X), y - tl.load(r + Y)
    width = tl.load(r + WIDTH)
    row_ok = (row >= 0) & (row < tl.load(r + HEIGHT))
    box = (column >= 0) & (column < width) & row_ok
    shape = tl.load(r + SHAPE)
    spans = words + tl.load(words + SPANS_AT)
    if FEATHER:
        fx, fy = tl.load(r + FX), tl.load(r + FY)
        across = tl.maximum(tl.maximum(tl.load(r + LEFT) - x, x + 1 - tl.load(r + RIGHT)), 0)
        down = tl.maximum(tl.maximum(tl.load(r + TOP) - y, y + 1 - tl.load(r + BOTTOM)), 0)
        alpha = tl.minimum(_ramp(fx, across), _ramp(fy, down))
        if shape == ELLIPSE:
            # Of the object's rows at most d away the one nearest to the middle is the longest. So with d the ramp of y
            # falls and the ramp of x rises, and halving finds where they cross.
            lines = spans + 2 * (tl.load(r + OBJECT) - (tl.load(r + Y) - fy))
            middle = tl.load(r + MIDDLE)
            low, high = tl.zeros_like(alpha), tl.zeros_like(alpha) + (fy + 1)
            alpha = tl.zeros_like(alpha)
            left = fy + 1
            while left > 0:
                d = (low + high) >> 1
                near = tl.minimum(d, fy)
                line = lines + 2 * tl.maximum(tl.minimum(middle, y + near), y - near)
                first, end = tl.load(line, mask=box, other=0), tl.load(line + 1, mask=box, other=0)
                away = tl.maximum(tl.maximum(first - column, column + 1 - end), 0)
                by_x, by_y = _ramp(fx, tl.where(first < end, away, fx + 1)), _ramp(fy, d)
                alpha = tl.maximum(alpha, tl.minimum(by_x, by_y))
                crossed = by_x >= by_y
                high, low = tl.where(crossed, d, high), tl.where(crossed, low, d + 1)
                left = left >> 1
    else:
        line = spans + 2 * (tl.load(r + ROW_SPANS) + row)
        oval = row_ok & (row * 0 + shape == ELLIPSE)
        first, end = tl.load(line, mask=oval, other=0), tl.load(line + 1, mask=oval, other=width)
        alpha = tl.where((column >= first) & (column < end), 256, 0)
    if MASKS:
        bitmap = row * 0 + shape == MASK
        there = tl.load(alphas + tl.load(r + ALPHA) + row * width + column, mask=box & bitmap, other=0)
        alpha = tl.where(bitmap, there.to(tl.int32), alpha)
    return tl.where(box, alpha, 0)


@triton.jit
def _inside(map, index, i, first, end, MASKS: tl.constexpr, bitmap):
    """Whether the samples i of lines belong to the mask: a span, or in a bitmap's map of alpha."""
    inside = (i >= first) & (i < end)
    if MASKS:
        inside = inside & (tl.load(map + index, mask=inside & bitmap, other=256) != 0)
    return inside


@triton.jit
def _state(pointer, inside, shift, top, fraction, FROM_PLANES: tl.constexpr):
    """16-bit state as int32, 0 off the mask."""
    value = tl.load(pointer, mask=inside, other=0).to(tl.int32)
    if FROM_PLANES:
        value = ((value >> shift) & top) << fraction
    return value


@triton.jit
def box_means(
    words_address,
    source_address,
    target_address,
    ROWS: tl.constexpr,
    WORD: tl.constexpr,
    FROM_PLANES: tl.constexpr,
    TO_PLANES: tl.constexpr,
    MASKS: tl.constexpr,
    FEATHER: tl.constexpr,
    LINES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Rounded masked means along rows (ROWS) or columns, of one tile of the work list.

    words_address: WorkList.pack. source_address, target_address: scratch. FROM_PLANES, TO_PLANES: the components'
    planes instead, of WORD bytes a sample; the last pass blends and writes what the region owns. MASKS: whether any
    region is a bitmap. FEATHER: whether alpha has other values than 0 and 256.
    """
    words = words_address.to(tl.int64).to(tl.pointer_type(tl.int32))
    source = source_address.to(tl.int64).to(tl.pointer_type(tl.uint16))
    target = target_address.to(tl.int64).to(tl.pointer_type(tl.uint16))
    alphas = (words + tl.load(words + ALPHAS_AT)).to(tl.pointer_type(tl.uint16), bitcast=True)
    regions = words + tl.load(words + REGIONS_AT)
    depth, shift = tl.load(words + DEPTH), tl.load(words + SHIFT)
    fraction, top = 16 - depth, (1 << depth) - 1
    if ROWS:
        tiles, tile = tl.load(words + ROW_TILES), words + tl.load(words + ROW_TILES_AT) + 2 * tl.program_id(0)
    else:
        tiles, tile = tl.load(words + COLUMN_TILES), words + tl.load(words + COLUMN_TILES_AT) + 2 * tl.program_id(0)
    if tl.program_id(0) >= tiles:
        return  # a captured graph may have more blocks than this list has tiles
    r = regions + tl.load(tile) * FIELDS
    width, height, stride, shape = tl.load(r + WIDTH), tl.load(r + HEIGHT), tl.load(r + STRIDE), tl.load(r + SHAPE)
    scratch = tl.load(r + SCRATCH).to(tl.int64) * ALIGN
    part = words + tl.load(words + COMPONENTS_AT) + tl.load(r + COMPONENT) * PART
    address = tl.load(part.to(tl.pointer_type(tl.int64), bitcast=True))
    pitch, step = tl.load(part + 2).to(tl.int64) // WORD, tl.load(part + 3)
    if WORD == 1:
        plane = address.to(tl.pointer_type(tl.uint8))
    else:
        plane = address.to(tl.pointer_type(tl.uint16))
    number, along = tl.load(tile + 1) + tl.arange(0, LINES), tl.arange(0, BLOCK)
    # Memory runs along the second axis of a tile in both directions; the scan runs along AXIS.
    AXIS: tl.constexpr = 1 if ROWS else 0
    if ROWS:
        line, ahead = tl.expand_dims(number, 1), tl.expand_dims(along, 0)
        count, length, h, table = height, width, tl.load(r + HX), tl.load(r + ROW_SPANS)
        line_in, step_in = line * stride, 1
        line_map, step_map = line * width, 1
    else:
        line, ahead = tl.expand_dims(number, 0), tl.expand_dims(along, 1)
        count, length, h, table = width, height, tl.load(r + HY), tl.load(r + COLUMN_SPANS)
        line_in, step_in = line, stride
        line_map, step_map = line, width
    h = tl.minimum(h, length)
    # Of the lines' shape: the interpreter makes integers of a truth value that it has to broadcast.
    kind = line * 0 + shape
    live, oval, bitmap = line < count, kind == ELLIPSE, kind == MASK
    spans = words + tl.load(words + SPANS_AT) + 2 * (table + line)
    first = tl.load(spans, mask=live & oval, other=0)
    end = tl.where(live, tl.load(spans + 1, mask=live & oval, other=length), 0)
    map = alphas + tl.load(r + ALPHA) + line_map
    if FROM_PLANES:
        taken = plane + (tl.load(r + Y) + line) * pitch + tl.load(r + X) * step
        step_taken = step
    else:
        taken = source + scratch + line_in
        step_taken = step_in
    given = target + scratch + line_in

    sums = tl.zeros((LINES, BLOCK) if ROWS else (BLOCK, LINES), tl.int32)
    counts = tl.zeros_like(sums)
    for base in range(0, h, BLOCK):
        i = base + ahead
        inside = _inside(map, i * step_map, i, first, tl.minimum(end, h), MASKS, bitmap)
        sums += _state(taken + i * step_taken, inside, shift, top, fraction, FROM_PLANES)
        if MASKS:
            counts += inside.to(tl.int32)
    # The window of the sample before the first.
    window = tl.sum(sums, AXIS, keep_dims=True)
    window_count = tl.sum(counts, AXIS, keep_dims=True)
    for base in range(0, length, BLOCK):
        i = base + ahead
        enters, leaves = i + h, i - h - 1
        entering = _inside(map, enters * step_map, enters, first, end, MASKS, bitmap)
        leaving = _inside(map, leaves * step_map, leaves, first, end, MASKS, bitmap)
        moved = _state(taken + enters * step_taken, entering, shift, top, fraction, FROM_PLANES) - _state(
            taken + leaves * step_taken, leaving, shift, top, fraction, FROM_PLANES
        )
        total = window + tl.cumsum(moved, AXIS)
        window += tl.sum(moved, AXIS, keep_dims=True)
        n = tl.minimum(enters + 1, end) - tl.maximum(i - h, first)
        if MASKS:
            moved = entering.to(tl.int32) - leaving.to(tl.int32)
            n = tl.where(bitmap, window_count + tl.cumsum(moved, AXIS), n)
            window_count += tl.sum(moved, AXIS, keep_dims=True)
        n = tl.maximum(n, 1)
        mean = ((total + (n >> 1)).to(tl.uint32) // n.to(tl.uint32)).to(tl.int32)
        inside = _inside(map, i * step_map, i, first, end, MASKS, bitmap)
        if TO_PLANES:
            code = (mean + ((1 << fraction) >> 1)) >> fraction
            x, y = tl.load(r + X) + line, tl.load(r + Y) + i
            alpha = _alpha(words, alphas, r, x, y, MASKS, FEATHER) if FEATHER else 256
            owned, rank = inside, tl.load(r + RANK)
            rivals = words + tl.load(words + RIVALS_AT) + tl.load(r + RIVALS)
            for k in range(0, tl.load(r + RIVAL_COUNT)):
                rival = regions + tl.load(rivals + k) * FIELDS
                other = _alpha(words, alphas, rival, x, y, MASKS, FEATHER)
                # On equal alpha the lower rank writes.
                owned = owned & (other < alpha + (tl.load(rival + RANK) > rank).to(tl.int32))
            place = plane + y * pitch + x * step
            if FEATHER:
                old = (tl.load(place, mask=owned, other=0).to(tl.int32) >> shift) & top
                code = (alpha * code + (256 - alpha) * old + 128) >> 8
            tl.store(place, (code << shift).to(plane.dtype.element_ty), mask=owned)
        else:
            mean = tl.where(inside, mean, 0)
            tl.store(given + i * step_in, mean.to(tl.uint16), mask=live & (i < length))


def _variants() -> dict[str, Variant]:
    """box_means by the names of `launches`."""
    out = {}
    for masks in (False, True):
        for rows, tile in ((True, ROW_TILE), (False, COLUMN_TILE)):
            for word in (0, 1, 2):
                for feather in (False, True) if word and not rows else (False,):
                    constants = {
                        "ROWS": rows,
                        "WORD": max(word, 1),
                        "FROM_PLANES": rows and word > 0,
                        "TO_PLANES": not rows and word > 0,
                        "MASKS": masks,
                        "FEATHER": feather,
                        "LINES": tile.lines,
                        "BLOCK": FEATHER_BLOCK if feather else tile.block,
                    }
                    out[name(rows, word, masks, feather)] = Variant(box_means, constants)
    return out


def name(rows: bool, word: int, masks: bool, feather: bool) -> str:
    """Name of a variant. word: bytes of a sample of the planes that it reads or writes, 0 where it does neither."""
    places = f"_u{8 * word}" if word else ""
    feathered = "_feather" if feather and word and not rows else ""
    return f"blur_{'rows' if rows else 'columns'}{places}{'_masks' if masks else ''}{feathered}"


VARIANTS = _variants()


def launches(work: WorkList, passes: int, row_tile: Tile = ROW_TILE, column_tile: Tile = COLUMN_TILE) -> list[Launch]:
    """2 x passes launches, as for CUDA; cuts the work list's tiles to Triton's size."""
    work.row_tiles = worklist.tiles(work.regions["height"], row_tile.lines)
    work.column_tiles = worklist.tiles(work.regions["width"], column_tile.lines)
    masks, feather = bool(len(work.alphas)), bool(work.regions["fx"].any() or work.regions["fy"].any())
    out = []
    for nth in range(passes):
        read, written = (0 if nth else work.fmt.itemsize), (work.fmt.itemsize if nth == passes - 1 else 0)
        rows, columns = name(True, read, masks, False), name(False, written, masks, feather)
        out.append(Launch(rows, len(work.row_tiles), "b" if nth else None, "a"))
        out.append(Launch(columns, len(work.column_tiles), "a", None if written else "b"))
    return out
