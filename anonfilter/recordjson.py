"""Lines of the record file as JSON values: what each must be, checked (DESIGN 4; files are in recordfile).

All functions here raise ValueError with the reason for what is wrong; their callers know file and line.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter import regionmask
from anonfilter.frame import StreamInfo
from anonfilter.records import SHAPES, SOURCES, Box, FrameRecord, Region

FORMAT = "anonfilter-records"
VERSION = 1
MAX_COORDINATE = 1 << 20
"""Far beyond any picture, and small enough for every integer that is later made of it."""
MAX_MASK = 1 << 27
"""Samples of the largest bitmap: 16 k x 8 k."""

# No exponents and no endless digits: Fraction would take them, and with them all memory.
_TIME_BASE = re.compile(r"[0-9]{1,18}(/[0-9]{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Header:
    """First line of a record file.

    stage: which part of a run made it. stream: the keys of `stream_key`. graph: the filter graph's text.
    models: (name, sha256) of the models used.
    """

    stage: str
    stream: Mapping[str, Any]
    graph: str = ""
    models: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls, stage: str, stream: StreamInfo, graph: str = "", models: Sequence[tuple[str, str]] = ()
    ) -> Header:
        """The header of records of that stream."""
        return cls(stage, stream_key(stream), graph, tuple(dict.fromkeys(models)))


def stream_key(stream: StreamInfo) -> dict[str, Any]:
    """What must agree between a record file and the video that it is used on."""
    return {
        "width": stream.width,
        "height": stream.height,
        "time_base": str(stream.time_base),
        "rotation": stream.rotation,
        "hflip": stream.hflip,
    }


def dump(value: dict[str, Any]) -> bytes:
    """One line. Floats in shortest round-trip form; all text in ASCII, so that any editor may save it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def load(line: bytes) -> dict[str, Any]:
    """The inverse. Raises UnicodeDecodeError, json.JSONDecodeError (both ValueError) and RecursionError
    too."""
    value = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_constant)
    if not isinstance(value, dict):
        raise ValueError("the line must be a JSON object {...}")
    return value


def from_header(header: Header) -> dict[str, Any]:
    """The header line."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "stage": header.stage,
        "stream": dict(header.stream),
        "graph": header.graph,
        "models": [{"name": name, "sha256": sha256} for name, sha256 in header.models],
    }


def from_frame(record: FrameRecord) -> dict[str, Any]:
    """The line of a frame."""
    regions = [from_region(region) for region in record.regions]
    value: dict[str, Any] = {"n": record.n, "pts": record.pts, "ran": list(record.ran), "det": regions}
    for key, flag in (("cut", record.cut), ("fade", record.fade)):
        if flag:
            value[key] = True
    return value


def from_end(frames: int, sha256: str | None) -> dict[str, Any]:
    """The end line."""
    return {"end": True, "frames": frames, "sha256": sha256}


def from_region(region: Region) -> dict[str, Any]:
    """A region as the record file holds it. Raises ValueError for one that could not be read back."""
    item: dict[str, Any] = {
        "box": [float(v) for v in region.box],
        "cls": region.cls,
        "score": float(region.score),
        "src": region.src,
    }
    if region.track is not None:
        item["track"] = int(region.track)
    if region.shape is not None:
        item["shape"] = region.shape
    if region.poly is not None:
        item["poly"] = [[float(x), float(y)] for x, y in region.poly]
    if region.mask is not None:
        item["mask"] = [int(run) for run in region.mask]
    if region.deleted:
        item["del"] = True
    to_region(item)
    return item


def to_region(item: Any) -> Region:
    """The inverse. Only `box` and `cls` must be there; one without `src` was added by hand."""
    if not isinstance(item, dict):
        raise ValueError("a region must be an object {...}")
    for key in ("box", "cls"):
        if key not in item:
            raise ValueError(f"a region has no '{key}'")
    values = _numbers(item["box"], "box")
    if len(values) != 4:
        raise ValueError(f"box has {len(values)} numbers, not 4")
    box: Box = (values[0], values[1], values[2], values[3])
    if box[2] < box[0] or box[3] < box[1]:
        raise ValueError(f"box {list(box)} has a negative size (it is x0, y0, x1, y1)")
    cls = item["cls"]
    if not isinstance(cls, str) or not cls:
        raise ValueError("cls must be a name")
    score = _number(item.get("score", 1.0), "score")
    src = item.get("src", "manual")
    if src not in SOURCES:
        raise ValueError(f"src {reprlib.repr(src)} is not one of {', '.join(SOURCES)}")
    shape = item.get("shape")
    if shape is not None and shape not in SHAPES:
        raise ValueError(f"shape {reprlib.repr(shape)} is not one of {', '.join(SHAPES)}")
    track = item.get("track")
    if track is not None:
        track = _integer(track, "track", 0)
    deleted = _flag(item, "del")
    poly, mask = _poly(item.get("poly")), _mask(item.get("mask"), box)
    return Region(box, cls, score, src, track, shape, poly, mask, deleted)


def runs_from_mask(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Run lengths of a (h, w) bitmap, row by row, zeros first; kernels.targets.mask_from_runs is the
    inverse."""
    flat = np.concatenate(([False], np.asarray(mask, dtype=bool).ravel()))
    ends = [*np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1]
    return tuple(int(run) for run in np.diff(ends, prepend=0))


def to_header(value: dict[str, Any]) -> Header:
    """Check a header line."""
    if value.get("format") != FORMAT:
        raise ValueError(f'not a record file (no "format":"{FORMAT}")')
    if value.get("version") != VERSION or isinstance(value["version"], bool):
        raise ValueError(f"version {reprlib.repr(value.get('version'))}, but this program reads version {VERSION}")
    stream = value.get("stream")
    if not isinstance(stream, dict):
        raise ValueError("no 'stream'")
    for key in ("width", "height"):
        _integer(stream.get(key), f"stream {key}", 1)
    if stream.get("rotation") not in (0, 90, 180, 270) or isinstance(stream["rotation"], (bool, float)):
        raise ValueError("stream rotation must be 0, 90, 180 or 270")
    if not isinstance(stream.get("hflip", False), bool):
        raise ValueError("stream hflip must be true or false")
    tick = _fraction(stream.get("time_base"))
    stage, graph = value.get("stage", ""), value.get("graph", "")
    if not isinstance(stage, str) or not isinstance(graph, str):
        raise ValueError("stage and graph must be text")
    models = []
    for model in _list(value.get("models", []), "models"):
        pair = (model.get("name"), model.get("sha256")) if isinstance(model, dict) else (None, None)
        if not isinstance(pair[0], str) or not isinstance(pair[1], str):
            raise ValueError("a model must have a name and a sha256")
        models.append((pair[0], pair[1]))
    # In lowest terms, so that two spellings of one time base compare equal.
    return Header(stage, {**stream, "time_base": str(tick)}, graph, tuple(models))


def to_frame(value: dict[str, Any], tick: Fraction) -> FrameRecord:
    """Check a frame's line. Without `ran` nobody looked. t is pts times `tick`, NaN without a pts."""
    for key in ("n", "pts", "det"):
        if key not in value:
            raise ValueError(f"no '{key}'")
    n = _integer(value["n"], "n", 0)
    pts = value["pts"]
    if pts is not None:
        pts = _integer(pts, "pts", -(1 << 63))
    ran = _list(value.get("ran", []), "ran")
    if not all(isinstance(name, str) and name for name in ran):
        raise ValueError("ran must be a list of model names")
    t = float("nan") if pts is None else float(pts * tick)
    regions = [to_region(item) for item in _list(value["det"], "det")]
    return FrameRecord(n, pts, t, tuple(ran), regions, _flag(value, "cut"), _flag(value, "fade"))


def to_end(value: dict[str, Any]) -> tuple[int, str | None]:
    """Check the end line: frames, sha256."""
    if value["end"] is not True:
        raise ValueError("'end' must be true")
    sha256 = value.get("sha256")
    if sha256 is not None and not isinstance(sha256, str):
        raise ValueError("sha256 must be text or null")
    return _integer(value.get("frames"), "frames", 0), sha256


def _mask(value: Any, box: Box) -> tuple[int, ...] | None:
    if value is None:
        return None
    height, width = regionmask.size(box)
    if height * width > MAX_MASK:
        raise ValueError(f"a mask of {width} x {height} samples is too large")
    mask = tuple(_integer(run, "a run of the mask", 0) for run in _list(value, "mask"))
    if sum(mask) != height * width:
        raise ValueError(f"the mask's runs add up to {sum(mask)}, its box has {width} x {height} samples")
    return mask


def _poly(value: Any) -> tuple[tuple[float, float], ...] | None:
    if value is None:
        return None
    points = [_numbers(point, "a point of poly") for point in _list(value, "poly")]
    if any(len(point) != 2 for point in points):
        raise ValueError("a point of poly must have 2 numbers")
    return tuple((x, y) for x, y in points)


def _fraction(value: Any) -> Fraction:
    if isinstance(value, str) and _TIME_BASE.fullmatch(value):
        number, _, by = value.partition("/")
        if int(number) > 0 and int(by or 1) > 0:
            return Fraction(int(number), int(by or 1))
    raise ValueError('stream time_base must be a fraction such as "1/90000"')


def _flag(value: Mapping[str, Any], key: str) -> bool:
    flag = value.get(key, False)
    if not isinstance(flag, bool):
        raise ValueError(f"{key} must be true or false")
    return flag


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list")
    return value


def _integer(value: Any, what: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 1 << 63:
        raise ValueError(f"{what} must be an integer of at least {least}")
    return value


def _number(value: Any, what: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{what} must be a number")
    if not abs(value) <= MAX_COORDINATE:  # false for NaN too; 1e999 is read as infinity
        raise ValueError(f"{what} is out of bounds (at most {MAX_COORDINATE} either way)")
    return float(value)


def _numbers(value: Any, what: str) -> list[float]:
    return [_number(item, what) for item in _list(value, what)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key given twice would silently drop the first: perhaps a region."""
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"a key is given twice: {reprlib.repr(next(key for key in keys if keys.count(key) > 1))}")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
