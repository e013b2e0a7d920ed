"""Where regions go when libavfilter's filters stand between a detector and a pixel writer.

Only filters of two tables may stand there: those that change sample values and nothing else, and those whose
geometry is followed here. Coverage only grows: every rounding is outward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from av.video.format import VideoFormat

from anonfilter.expr import Expr
from anonfilter.frame import StreamInfo
from anonfilter.io.lavfi import LavfiGraph, arguments, check_filter
from anonfilter.kernels.targets import mask_from_runs
from anonfilter.located import Located
from anonfilter.recordjson import runs_from_mask
from anonfilter.records import Box, Region
from anonfilter.syntax import FilterSpec

# One frame in, one frame out at once, same size, nothing moves, nothing stays from frames before, and no sample depends
# on its neighbours: what blurs, sharpens, dilates or magnifies carries an object out of its region.
# tests/test_lavfi.py runs each that this build has.
VALUE_ONLY = frozenset(
    [
        "addroi", "bench", "bitplanenoise", "blockdetect",
        "blurdetect", "chromahold", "chromakey",
        "colorbalance", "colorchannelmixer", "colorcontrast", "colorcorrect", "colordetect",
        "colorhold", "colorize", "colorkey", "colorlevels", "colormatrix", "colorspace",
        "colortemperature", "copy", "curves", "despill",
        "drawbox", "drawgrid", "drawtext", "elbg", "eq", "exposure",
        "fade", "format", "grayworld", "greyedge", "histeq",
        "hsvhold", "hsvkey", "hue", "huesaturation", "latency", "limiter",
        "lumakey", "lut", "lut1d", "lut3d", "lutrgb", "lutyuv", "metadata", "monochrome",
        "negate", "noformat", "noise", "normalize", "null",
        "perms", "pseudocolor", "qp", "readeia608",
        "readvitc", "realtime", "selectivecolor", "setdar",
        "setfield", "setparams", "setrange", "setsar", "showinfo", "shuffleplanes", "sidedata",
        "signalstats", "siti", "swapuv", "tonemap",
        "vfrdet", "vibrance", "vignette",
    ]
)  # fmt: skip
# Those that may change the chroma subsampling.
_CONVERTS = frozenset({"format", "noformat", "colorspace"})


@dataclass(frozen=True, slots=True)
class Move:
    """One axis-aligned affine map: x' = sx * x + tx, y' = sy * y + ty, of x and y exchanged first if swap.

    A negative scale mirrors. fuzz_x, fuzz_y: luma samples to grow by on each side afterwards, for what
    resampling or chroma siting may carry outside.
    """

    sx: float = 1
    tx: float = 0
    sy: float = 1
    ty: float = 0
    swap: bool = False
    fuzz_x: float = 0
    fuzz_y: float = 0

    def box(self, box: Box) -> Box:
        """A box through this map, without the fuzz."""
        x0, y0, x1, y1 = (box[1], box[0], box[3], box[2]) if self.swap else box
        xs, ys = (
            sorted((self.sx * x0 + self.tx, self.sx * x1 + self.tx)),
            sorted((self.sy * y0 + self.ty, self.sy * y1 + self.ty)),
        )
        return xs[0], ys[0], xs[1], ys[1]


Moves = tuple[Move, ...]
"""Alternatives: a region must cover where each of them would put it."""

_Rule = Callable[[FilterSpec, StreamInfo, StreamInfo], Moves]


def classify(name: str) -> str:
    """'value' for a filter that changes sample values only, 'geometry' for one that regions can follow, else
    'other'."""
    if name in VALUE_ONLY:
        return "value"
    return "geometry" if name in GEOMETRY else "other"


def check_known(spec: FilterSpec, ours: Sequence[str] = (), text: str = "", source: str = "-vf") -> None:
    """Raise GraphError if neither we nor the bundled libavfilter have the filter."""
    check_filter(spec, ours)


def map_box(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Callable[[Region], Region]:
    """How regions pass through one filter. before, after: the streams on its two sides.

    Raises GraphError for a filter or an argument that regions cannot follow.
    """
    if classify(spec.name) == "value":
        return lambda region: region
    rule = GEOMETRY.get(spec.name)
    if rule is None:
        raise spec.error(f"regions cannot follow '{spec.name}': put it first or last in the graph")
    moves = rule(spec, before, after)
    return lambda region: moved(region, moves)


def map_segment(specs: Sequence[FilterSpec], before: StreamInfo, after: StreamInfo) -> Callable[[Region], Region]:
    """How regions pass through a chain of filters, one after the other."""
    steps: list[Callable[[Region], Region]] = []
    for i, spec in enumerate(specs):
        if spec.name in _CONVERTS:
            # Resampled chroma reaches a sample of the coarser grid further.
            converted = after if i == len(specs) - 1 else LavfiGraph([spec], before).out
            steps.append(_reaching(_subsampling(before), _subsampling(converted)))
            before = converted
            continue
        if classify(spec.name) == "value":
            if LavfiGraph([spec], before, [before.pix_fmt]).converts:
                # It takes RGB, say: chroma is resampled on the way there and back.
                steps.append(_resampled_twice(before))
            continue
        out = after if i == len(specs) - 1 else LavfiGraph([spec], before).out
        steps.append(map_box(spec, before, out))
        before = out

    def through(region: Region) -> Region:
        for step in steps:
            region = step(region)
        return region

    return through


def _reaching(before: tuple[int, int], after: tuple[int, int]) -> Callable[[Region], Region]:
    """What a change of the chroma subsampling, given as log2 of both axes, does to regions."""
    if before == after:
        return lambda region: region
    x, y = (1 << max(pair) for pair in zip(before, after, strict=True))
    return lambda region: moved(region, (Move(fuzz_x=x, fuzz_y=y),))


def _resampled_twice(stream: StreamInfo) -> Callable[[Region], Region]:
    """What a conversion to full chroma and back does to regions."""
    x, y = (2 << log2 if log2 else 0 for log2 in _subsampling(stream))
    return lambda region: moved(region, (Move(fuzz_x=x, fuzz_y=y),)) if x or y else region


def moved(region: Region, moves: Moves) -> Region:
    """A region through alternative maps: the smallest of its kind that covers them all."""
    boxes = [move.box(region.box) for move in moves]
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[2] for b in boxes), max(b[3] for b in boxes)
    fuzz_x, fuzz_y = max(m.fuzz_x for m in moves), max(m.fuzz_y for m in moves)
    width, height = boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1]
    grow_x, grow_y = right - left - width + 2 * fuzz_x, bottom - top - height + 2 * fuzz_y
    box: Box = (left - fuzz_x, top - fuzz_y, right + fuzz_x, bottom + fuzz_y)
    shape, mask = region.shape, None
    if grow_x or grow_y:
        if shape == "ellipse" and width > 0 and height > 0:
            # The ellipse in the grown box does not hold the ellipse of the old one. Where the old is the unit
            # circle, the growth moves it by at most rho, and the circle of radius 1 + rho holds it.
            rho = math.hypot(grow_x / width, grow_y / height)
            mid_x, mid_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            half_x, half_y = (1 + rho) * width / 2, (1 + rho) * height / 2
            box = (mid_x - half_x, mid_y - half_y, mid_x + half_x, mid_y + half_y)
        if region.mask is not None:
            shape = "rect"
    elif region.mask is not None:
        mask, exact = _moved_mask(region, moves[0])
        if mask is None:
            shape = "rect"
        else:
            box = exact
    move = moves[0]
    poly = None
    if region.poly is not None:
        points = ((y, x) if move.swap else (x, y) for x, y in region.poly)
        poly = tuple((move.sx * x + move.tx, move.sy * y + move.ty) for x, y in points)
    return replace(region, box=box, shape=shape, mask=mask, poly=poly)


def _moved_mask(region: Region, move: Move) -> tuple[tuple[int, ...] | None, Box]:
    """The bitmap through a map of whole samples, and its box; None where it would have to be resampled."""
    assert region.mask is not None
    whole = abs(move.sx) == 1 and abs(move.sy) == 1 and float(move.tx).is_integer() and float(move.ty).is_integer()
    if not whole:
        return None, region.box
    x0, y0, x1, y1 = region.box
    box = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
    bits = mask_from_runs(region.mask, box[2] - box[0], box[3] - box[1])
    if move.swap:
        bits = bits.T
    if move.sx < 0:
        bits = bits[:, ::-1]
    if move.sy < 0:
        bits = bits[::-1]
    return runs_from_mask(bits > 0), move.box(box)


# -- one rule a filter --


def _subsampling(stream: StreamInfo) -> tuple[int, int]:
    """log2 of the chroma subsampling, across and down."""
    for component in VideoFormat(stream.pix_fmt, 64, 64).components:
        if component.is_chroma:
            return (64 // component.width).bit_length() - 1, (64 // component.height).bit_length() - 1
    return 0, 0


def _no_timeline(spec: FilterSpec, given: dict[str, Located]) -> None:
    if "enable" in given:
        raise spec.error(f"regions cannot follow '{spec.name}' with enable=: put it first or last in the graph")


def _misfit(size: int, log2: int) -> int:
    """Luma samples by which mirrored chroma is off where the size is no multiple of the subsampling."""
    return (1 << log2) - 1 if size & ((1 << log2) - 1) else 0


def _hflip(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Moves:
    _no_timeline(spec, arguments(spec, ()))
    return (Move(sx=-1, tx=before.width, fuzz_x=_misfit(before.width, _subsampling(before)[0])),)


def _vflip(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Moves:
    _no_timeline(spec, arguments(spec, ()))
    return (Move(sy=-1, ty=before.height, fuzz_y=_misfit(before.height, _subsampling(before)[1])),)


_DIRECTIONS = {"cclock_flip": 0, "clock": 1, "cclock": 2, "clock_flip": 3}


def _transpose(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Moves:
    given = arguments(spec, ("dir", "passthrough"))
    _no_timeline(spec, given)
    text = given["dir"].text if "dir" in given else "cclock_flip"
    width, height = before.width, before.height
    passing = given["passthrough"].text if "passthrough" in given else "none"
    direction = _DIRECTIONS[text] if text in _DIRECTIONS else int(_value(text, given.get("dir"), {}))
    if direction >= 4:  # libavfilter's old way to say "keep landscape"
        direction, passing = direction & 3, "landscape"
    keeps = {
        "landscape": width >= height,
        "1": width >= height,
        "portrait": width <= height,
        "2": width <= height,
    }
    if keeps.get(passing, False):
        return (Move(),)
    log_w, log_h = _subsampling(before)
    move = Move(swap=True)
    if direction in (1, 3):  # clockwise: the top goes to the right
        move = replace(move, sx=-1, tx=height, fuzz_x=_misfit(height, log_h))
    if direction in (2, 3):
        move = replace(move, sy=-1, ty=width, fuzz_y=_misfit(width, log_w))
    return (move,)


def _scale(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Moves:
    given = arguments(spec, ("w", "h", "flags", "interl"), {"width": "w", "height": "h"})
    _no_timeline(spec, given)
    if "eval" in given and given["eval"].text not in ("init", "0"):
        raise spec.error("regions cannot follow 'scale' with eval=frame: put it first or last in the graph")
    sx, sy = after.width / before.width, after.height / before.height
    # A resampled picture carries an object's samples outside by the main lobe of the filter: one sample of
    # the coarser of the two grids.
    # Chroma has its own, which may be twice as coarse, and is resampled where the subsampling changes, too.
    coarse_x, coarse_y = (1 << max(a, b) for a, b in zip(_subsampling(before), _subsampling(after), strict=True))
    resampled = _subsampling(before) != _subsampling(after)
    fuzz_x = coarse_x * max(1.0, sx) if sx != 1 or resampled else 0
    fuzz_y = coarse_y * max(1.0, sy) if sy != 1 or resampled else 0
    return (Move(sx=sx, sy=sy, fuzz_x=fuzz_x, fuzz_y=fuzz_y),)


_CROP = ("w", "h", "x", "y", "keep_aspect", "exact")
_PAD = ("w", "h", "x", "y", "color", "eval", "aspect")


def _crop(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Moves:
    given = arguments(spec, _CROP, {"out_w": "w", "out_h": "h"})
    _no_timeline(spec, given)
    exact = "exact" in given and given["exact"].text not in (
        "0",
        "false",
        "no",
        "off",
        "n",
        "disable",
        "disabled",
    )
    names = _sizes(given, before, {"n": math.nan, "t": math.nan, "pos": math.nan})
    x, y = _place(spec, given, names, "(in_w-out_w)/2", "(in_h-out_h)/2")
    x = min(max(0, round(x)), before.width - after.width)
    y = min(max(0, round(y)), before.height - after.height)
    log_w, log_h = _subsampling(before)
    if not exact:
        return _alternatives(-x, -y, x & -(1 << log_w), y & -(1 << log_h), -1)
    # Luma moves by whole samples, chroma by the next smaller even number.
    return (Move(tx=-x, ty=-y, fuzz_x=_misfit(x, log_w), fuzz_y=_misfit(y, log_h)),)


def _pad(spec: FilterSpec, before: StreamInfo, after: StreamInfo) -> Moves:
    given = arguments(spec, _PAD, {"width": "w", "height": "h"})
    _no_timeline(spec, given)
    if "eval" in given and given["eval"].text not in ("init", "0"):
        raise spec.error("regions cannot follow 'pad' with eval=frame: put it first or last in the graph")
    names = _sizes(given, before, {})
    if "aspect" in given:
        names.update(out_w=after.width, ow=after.width, out_h=after.height, oh=after.height)
    x, y = map(int, _place(spec, given, names, "0", "0"))
    # A place outside means the middle.
    if x < 0 or x + before.width > after.width:
        x = (after.width - before.width) // 2
    if y < 0 or y + before.height > after.height:
        y = (after.height - before.height) // 2
    log_w, log_h = _subsampling(after)
    return _alternatives(x, y, x & -(1 << log_w), y & -(1 << log_h), 1)


def _alternatives(tx: int, ty: int, even_x: int, even_y: int, sign: int) -> Moves:
    """Shifted exactly, and rounded to the chroma grid: libavfilter may have converted the format in
    between."""
    return tuple(dict.fromkeys((Move(tx=sign * even_x, ty=sign * even_y), Move(tx=tx, ty=ty))))


def _sizes(given: dict[str, Located], before: StreamInfo, more: dict[str, float]) -> dict[str, float]:
    """The variables of crop and pad. Out sizes are what their expressions give, before any rounding."""
    log_w, log_h = _subsampling(before)
    sar = float(before.sar) or 1.0
    aspect = before.width / before.height
    nan = math.nan
    names = {
        "in_w": before.width, "iw": before.width, "in_h": before.height, "ih": before.height,
        "out_w": nan, "ow": nan, "out_h": nan, "oh": nan, "x": nan, "y": nan,
        "a": aspect, "sar": sar, "dar": aspect * sar, "hsub": 1 << log_w, "vsub": 1 << log_h, **more,
    }  # fmt: skip
    # In libavfilter's order: the width may use the height, which may use the width.
    for key, default in (("w", "iw"), ("h", "ih"), ("w", "iw")):
        value = _expr(given.get(key, default), names).eval(**names)
        if value == 0:
            value = names[f"i{key}"]
        names[f"out_{key}"] = names[f"o{key}"] = value
    return names


def _place(
    spec: FilterSpec, given: dict[str, Located], names: dict[str, float], default_x: str, default_y: str
) -> tuple[float, float]:
    """x and y of a crop or a pad, each of which may use the other, evaluated in libavfilter's order: x, y,
    x."""
    values = {**names, "x": math.nan, "y": math.nan}
    texts = {"x": given.get("x", default_x), "y": given.get("y", default_y)}
    for key in ("x", "y", "x"):
        expr = _expr(texts[key], values)
        if expr.used & {"t", "n", "pos"}:
            raise spec.error(
                f"regions cannot follow '{spec.name}' with a {key} that moves ({expr.text}): "
                "put it first or last in the graph"
            )
        values[key] = expr.eval(**values)
    if not (math.isfinite(values["x"]) and math.isfinite(values["y"])):
        raise spec.error(f"'{spec.name}': x or y is not a number")
    return values["x"], values["y"]


def _expr(text: Located | str, names: dict[str, float]) -> Expr:
    return Expr(text, tuple(names))


def _value(text: str, place: Located | None, names: dict[str, float]) -> float:
    return _expr(place if place is not None else text, names).eval(**names)


GEOMETRY: dict[str, _Rule] = {
    "crop": _crop,
    "hflip": _hflip,
    "pad": _pad,
    "scale": _scale,
    "transpose": _transpose,
    "vflip": _vflip,
}
