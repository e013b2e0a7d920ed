"""The measure *records*: the share of a truth box's samples that lie inside the union of a frame's regions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from anonfilter.errors import RecordError
from anonfilter.filter import Env
from anonfilter.filters.hold import Hold
from anonfilter.frame import StreamInfo
from anonfilter.leak.truth import Look, Truth
from anonfilter.recordfile import RecordReader, scan
from anonfilter.records import Box, FrameRecord, Region


@dataclass(slots=True)
class Measured:
    """One measure over a clip.

    looks: every object-frame with its share. covered, beyond: samples that are covered, and those of them that belong
    to no object of the truth; rest: samples that belong to none. objects: samples that belong to one. calls: frames
    on which each model ran. frames: of the clip. rate: frames a second as the records' timestamps say, None if they
    do not.
    """

    name: str
    looks: list[Look] = field(default_factory=list)
    covered: int = 0
    beyond: int = 0
    rest: int = 0
    objects: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    rate: Fraction | None = None


def span(low: float, high: float, size: int) -> tuple[int, int]:
    """First and past-last sample whose centre lies in [low, high), clipped to 0..size."""
    a, b = math.ceil(low - 0.5), math.ceil(high - 0.5)
    return min(max(a, 0), size), min(max(b, 0), size)


def region_mask(regions: Iterable[Region], width: int, height: int, shape: str) -> NDArray[np.bool_]:
    """Union of regions, bool (height, width), by DESIGN 5's rules but without what writers add to small boxes and
    bitmaps. shape: of those that name none; this package's writers cover the whole box of such a region whatever their
    own shape is, other programs draw the ellipse in it."""
    out = np.zeros((height, width), bool)
    for region in regions:
        if region.deleted:
            continue
        x0, y0, x1, y1 = region.box
        x0, y0, x1, y1 = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        w, h = x1 - x0, y1 - y0
        clip = out[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if not clip.size:
            continue
        if region.mask is not None:
            runs = np.asarray(region.mask)
            inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
        elif (region.shape or shape) == "ellipse":
            x = 2 * np.arange(x0, x1)[None, :] + 1 - x0 - x1
            y = 2 * np.arange(y0, y1)[:, None] + 1 - y0 - y1
            inside = (x * h) ** 2 + (y * w) ** 2 <= (w * h) ** 2
        else:
            clip[:] = True
            continue
        top, left = max(-y0, 0), max(-x0, 0)
        clip |= inside[top : top + clip.shape[0], left : left + clip.shape[1]]
    return out


def mask_share(mask: NDArray[np.bool_], box: Box) -> float | None:
    """Share of the box's samples that are set; None for a box without a sample in the frame."""
    (x0, x1), (y0, y1) = span(box[0], box[2], mask.shape[1]), span(box[1], box[3], mask.shape[0])
    part = mask[y0:y1, x0:x1]
    return float(part.mean()) if part.size else None


def of_records(truth: Truth, records: Iterable[FrameRecord], shape: str = "rect") -> Measured:
    """Measure records, one a frame and in order, as they are at the end of a lane. Raises RecordError where their
    number is not the truth's."""
    result = Measured("records", frames=truth.frames)
    count, stamps = 0, []
    for record in records:
        mask = region_mask(record.regions, truth.width, truth.height, shape)
        result.looks += [replace(k, share=mask_share(mask, k.box)) for k in truth.looks.get(record.n, ())]
        boxes = [Region(k.box, k.cls) for k in truth.everything.get(record.n, ())]
        objects = region_mask(boxes, truth.width, truth.height, "rect")
        inside, covered = int(np.count_nonzero(objects)), int(np.count_nonzero(mask))
        result.covered += covered
        result.beyond += covered - int(np.count_nonzero(mask & objects))
        result.objects += inside
        result.rest += mask.size - inside
        result.calls.update(record.ran)
        if record.pts is not None and not math.isnan(record.t):
            stamps.append((record.n, record.t))
        count += 1
    if count != truth.frames:
        raise RecordError(f"{count} frames have records, the truth of {truth.clip} speaks of {truth.frames}")
    result.rate = _rate(stamps)
    return result


def from_file(path: str | Path) -> Iterator[FrameRecord]:
    """A record for every frame of the file's clip, as `read=PATH` would give them to a pixel writer: a frame that a
    model did not run on is covered as filters/hold.py covers it. Raises RecordError."""
    summary = scan(path)
    known = summary.header.stream
    tick = Fraction(known["time_base"])
    stream = StreamInfo(known["width"], known["height"], "yuv420p", tick, Fraction(25), Fraction(25))
    hold = Hold(summary.gap, summary.models)
    hold.open(Env(stream, None, str(path)))
    with RecordReader(path) as reader:
        stored = next(reader, None)
        for n in range(summary.frames):
            record = FrameRecord(n, None, math.nan)
            if stored is not None and stored.n == n:
                record, stored = stored, next(reader, None)
            yield from hold.push(record)
    yield from hold.flush()


def of_file(truth: Truth, path: str | Path, shape: str = "rect") -> Measured:
    """Measure a record file. Raises RecordError for one that is damaged or of another clip."""
    with RecordReader(path) as reader:
        stream = reader.header.stream
    size = stream.get("width"), stream.get("height")
    if size != (truth.width, truth.height):
        raise RecordError(
            f"{path}: made from a video of {size[0]}x{size[1]}, the truth of {truth.clip} is of "
            f"{truth.width}x{truth.height}"
        )
    try:
        return of_records(truth, from_file(path), shape)
    except RecordError as error:
        text = str(error)
        raise RecordError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def _rate(stamps: Sequence[tuple[int, float]]) -> Fraction | None:
    """Frames a second from (frame, seconds): the median step, so that one long gap does not count."""
    steps = [(t1 - t0) / (n1 - n0) for (n0, t0), (n1, t1) in pairwise(stamps) if t1 > t0]
    return 1 / Fraction(median(steps)).limit_denominator(1_000_000) if steps else None
