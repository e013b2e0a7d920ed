"""interp: fills the frames between two sightings of a track."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from anonfilter.curves import path, state
from anonfilter.filter import Env, Options, RecordFilter
from anonfilter.filters.follower import Follower
from anonfilter.frame import StreamInfo
from anonfilter.motion import extrapolate, joined_shape, moved, overlap, union
from anonfilter.options import Duration, Option
from anonfilter.records import Box, FrameRecord, Region
from anonfilter.shots import Shots

# Sightings on either side of a gap that shape its curve. pchip's slopes depend on one beyond the gap,
# makima's on two; a cubic spline's on all, by a factor of 0.27 less for each further one.
_KNOTS = 4
# Both ends of a gap agree if one lies, or would have come to lie, so far over the other.
_AGREED = 0.5
# Where they do not, each end's own story is covered for so many frames; it is told by sightings so many frames back.
_HELD, _SPAN = 5, 15


@dataclass(slots=True)
class _Line:
    """Sightings of one track, in order: frames, boxes, and the frames it was removed from by hand."""

    frames: deque[int] = field(default_factory=deque)
    regions: deque[Region] = field(default_factory=deque)
    removed: set[int] = field(default_factory=set)

    def add(self, n: int, region: Region) -> None:
        """A sighting at frame n; a second one on a frame widens the first."""
        if self.frames and self.frames[-1] == n:
            before = self.regions[-1]
            box = union(before.box, region.box)
            shape = joined_shape(before.shape, box, before.box, region.box)
            self.regions[-1] = before.with_(box=box, shape=shape)
        else:
            self.frames.append(n)
            self.regions.append(region)


@dataclass(slots=True)
class _Gap:
    """The regions at a gap's ends, and the boxes at its knots, the gap being between knots at and at + 1."""

    a: Region
    b: Region
    boxes: list[Box]

    def agrees(self, knots: Sequence[int], at: int) -> bool:
        """Whether one end lies, or from what was seen on its side would have come to lie, over the other. Else the
        object may not have gone the straight way, or they are two objects."""
        (before, after), (start, stop) = self._sides(knots, at), (knots[at], knots[at + 1])
        return (
            overlap(self.a.box, self.b.box) >= _AGREED
            or (len(before) > 1 and overlap(moved(before, start, stop), self.b.box) >= _AGREED)
            or (len(after) > 1 and overlap(moved(after, stop, start), self.a.box) >= _AGREED)
        )

    def held(self, knots: Sequence[int], at: int, n: int) -> list[Region]:
        """What each end alone says of frame n, near that end."""
        out = []
        for start, known, end in zip(knots[at : at + 2], self._sides(knots, at), (self.a, self.b), strict=True):
            if abs(n - start) <= _HELD:
                box = extrapolate([k for k in known if abs(k[0] - start) <= _SPAN], start, n)
                shape = "rect" if end.mask is not None else joined_shape(end.shape, box, end.box)
                out.append(end.with_(box=box, src="interp", poly=None, mask=None, shape=shape))
        return out

    def _sides(self, knots: Sequence[int], at: int) -> tuple[list[tuple[int, Box]], list[tuple[int, Box]]]:
        """Frames and boxes up to the gap, and from it on."""
        seen = list(zip(knots, self.boxes, strict=True))
        return seen[: at + 1], seen[at + 1 :]


# Frames of the knots, which of them begins the gap, frames to fill. Tracks that were seen on the same frames
# have it in common, and one call makes all their curves.
_Key = tuple[tuple[int, ...], int, tuple[int, ...]]


class Interp(RecordFilter):
    """A gap of at most `gap` frames between two regions of a track is filled, looked-at frames too: a
    detector that misses a face for three frames must not uncover it.

    Centre and size are interpolated, not edges, so that a box cannot turn inside out, and the result is
    joined with the linear interpolation: whatever the method, it contains the straight path's box and so is
    never smaller than the smaller end. Where the ends do not agree (a turn, a cut, two objects taken for one)
    the frames near each end are covered as if the track ended there, too. Frames from which a person removed the
    track's region stay empty, and so do those between two of them. A gap with a cut in it is not filled. src is
    "interp", score the lower of both ends.

    With `luma` the object is also followed through the gap's frames by a small picture of it, from both sightings
    (lumasearch.py). Where it is found to reach out of the interpolated box, a second region covers it there; nothing is
    taken away.
    """

    name = "interp"
    help = "Fill the frames between two sightings of a track."
    options = (
        Option(
            "method",
            "enum",
            "pchip",
            "curve through the sightings",
            choices=(
                ("pchip", "smooth, without overshoot (Fritsch and Butland)"),
                ("nearest", "the nearer sighting"),
                ("linear", "straight from one to the next"),
                ("cubic", "cubic spline; may overshoot"),
                ("makima", "modified Akima; overshoots little"),
            ),
        ),
        Option("gap", "duration", Duration(1, "s"), "longest gap to fill; -1: any, needs the whole clip", min=-1),
        Option(
            "luma", "bool", None,
            "look at the frames as well: follow the object from both sightings by its luma, and add where it is found "
            "(default: 1 if the frames that wait for it take 1 GiB at most)",
        ),
    )

    def __init__(self, opts: Options, label: str = "") -> None:
        super().__init__(opts, label)
        self.looks = bool(opts["luma"])
        """Whether it follows by luma. The planner decides where the option does not."""

    @property
    def reads_pixels(self) -> bool:
        """See RecordLane.reads_pixels."""
        return self.looks

    def lookahead(self, stream: StreamInfo) -> int | None:
        """Frame m is filled if its track is seen again by frame m + gap. The search needs the frame of the sighting
        before as well, so that one must not have left yet."""
        gap = self.opts["gap"]
        return None if gap.value < 0 else gap.frames(stream.rate) + self.reads_pixels

    def open(self, env: Env) -> None:
        """Start without tracks."""
        super().open(env)
        self._ahead = self.lookahead(env.stream)
        self._waiting: dict[int, FrameRecord] = {}
        self._lines: dict[int, _Line] = {}
        self._ends: dict[int, list[int]] = {}  # frame -> tracks seen on it
        self._shots = Shots()
        self._follower = Follower(env, self.label)

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Note the sightings; give the frame that waited long enough."""
        self._shots.add(record)
        self._waiting[record.n] = record
        for region in record.regions:
            if region.track is None or region.src == "zone":
                continue
            line = self._lines.setdefault(region.track, _Line())
            if region.deleted:
                line.removed.add(record.n)
                continue
            line.add(record.n, region)
            ends = self._ends.setdefault(record.n, [])
            if region.track not in ends:
                ends.append(region.track)
        if self._ahead is None:
            return ()
        return list(self._release(record.n - self._ahead))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest."""
        return list(self._release(None))

    def _release(self, last: int | None) -> Iterator[FrameRecord]:
        """Frames up to `last`. Before a frame leaves, the gap that it begins is filled: all that can be
        known by its time is known, and is the same however many frames are pushed at once. With luma that is the gap
        after the frame itself, else after the one before it."""
        for n in list(self._waiting):
            if last is not None and n > last:
                break
            start = n if self.reads_pixels else n - 1
            gaps: dict[_Key, list[_Gap]] = {}
            for track in self._ends.pop(start, ()):
                self._note(track, start, gaps)
            for key, group in gaps.items():
                self._fill(start, key, group)
            self._shots.forget(n)
            yield self._waiting.pop(n)

    def _note(self, track: int, start: int, gaps: dict[_Key, list[_Gap]]) -> None:
        """Add the gap that begins after the sighting at frame `start`, and forget what no later gap needs."""
        line = self._lines[track]
        at = line.frames.index(start)
        if at + 1 == len(line.frames):
            # Not seen again in time. All that came in by now is within the gap, so there is nothing to compare.
            self._forget(line, at + 1)
            if not line.frames and not any(n > start for n in line.removed):
                del self._lines[track]
            return
        stop = line.frames[at + 1]
        wanted = [] if self._shots.between(start, stop) else self._open_frames(line, start, stop)
        if wanted:
            low = max(0, at + 1 - _KNOTS)
            used = range(low, min(at + 1 + _KNOTS, len(line.frames)))
            key = (tuple(line.frames[i] for i in used), at - low, tuple(wanted))
            boxes = [line.regions[i].box for i in used]
            gaps.setdefault(key, []).append(_Gap(line.regions[at], line.regions[at + 1], boxes))
        self._forget(line, max(0, at + 2 - _KNOTS))

    def _fill(self, start: int, key: _Key, group: list[_Gap]) -> None:
        """Fill gaps that have their knots and frames in common."""
        knots, at, wanted = key
        states = np.array([[state(box) for box in gap.boxes] for gap in group]).swapaxes(0, 1)
        boxes = path(self.opts["method"], np.array(knots, float), states, at, np.array(wanted, float)).tolist()
        agrees = [gap.agrees(knots, at) for gap in group]
        apart = [gap for gap, due in zip(group, agrees, strict=True) if not due]
        for n, row in zip(wanted, boxes, strict=True):
            share = (n - start) / (knots[at + 1] - start)
            for gap, box, due in zip(group, row, agrees, strict=True):
                self._waiting[n].regions.append(between(gap.a, gap.b, share, tuple(box)).with_(due=due))
            for gap in apart:
                self._waiting[n].regions.extend(gap.held(knots, at, n))
        if self.reads_pixels:
            for i, gap in enumerate(group):
                made = {n: tuple(row[i]) for n, row in zip(wanted, boxes, strict=True)}
                for n, region in self._follower.between(gap.a, gap.b, start, knots[at + 1], made):
                    self._waiting[n].regions.append(region)

    def _open_frames(self, line: _Line, start: int, stop: int) -> list[int]:
        """Frames between two sightings that are to be filled: all, but for those from the first to the last
        removed."""
        removed = [n for n in line.removed if start < n < stop]
        if not removed:
            return list(range(start + 1, stop))
        return [*range(start + 1, min(removed)), *range(max(removed) + 1, stop)]

    def _forget(self, line: _Line, count: int) -> None:
        if count:
            oldest = line.frames[count - 1]
            line.removed = {n for n in line.removed if n > oldest}
            for _ in range(count):
                line.frames.popleft()
                line.regions.popleft()


def between(a: Region, b: Region, share: float, box: Box) -> Region:
    """A region between two of the same track, at `share` of the way, with that box."""
    poly = None
    if a.poly is not None and b.poly is not None and len(a.poly) == len(b.poly):
        poly = tuple(
            (x0 + share * (x1 - x0), y0 + share * (y1 - y0)) for (x0, y0), (x1, y1) in zip(a.poly, b.poly, strict=True)
        )
    # An ellipse that moves covers both ends' ellipses in no box between them for sure, so the whole box is covered.
    shape = a.shape if a.shape == b.shape and (a.shape != "ellipse" or a.box == b.box) else "rect"
    return Region(box, a.cls, min(a.score, b.score), "interp", a.track, shape, poly)


FILTER = Interp
