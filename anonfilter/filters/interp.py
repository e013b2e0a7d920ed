"""interp: fills the frames between two sightings of a track."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anonfilter import lumasearch
from anonfilter.assoc import Array
from anonfilter.errors import InputError
from anonfilter.filter import Env, RecordFilter
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
        Option("luma", "bool", False, "look at the frames of a gap, too: add what was followed there by its luma"),
    )

    @property
    def reads_pixels(self) -> bool:
        """See RecordLane.reads_pixels."""
        return bool(self.opts["luma"])

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
        states = np.array([[_state(box) for box in gap.boxes] for gap in group]).swapaxes(0, 1)
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
                boxed = {n: tuple(row[i]) for n, row in zip(wanted, boxes, strict=True)}
                self._follow(gap, start, knots[at + 1], boxed)

    def _follow(self, gap: _Gap, start: int, stop: int, made: Mapping[int, Box]) -> None:
        """Add where the object was found on the frames of a gap, if that is not inside the box made for it."""
        shape = lumasearch.shape_of(gap.a.box)
        if shape is None:
            return
        guesses = [_guess(gap, (n - start) / (stop - start), made.get(n)) for n in range(start, stop + 1)]
        followed = lumasearch.follow(lambda i, box: self._window(start + i, box, shape), guesses, shape)
        for n, box in enumerate(followed, start):
            if box is None or n not in made or _inside(box, made[n]):
                continue
            score = min(gap.a.score, gap.b.score)
            new = Region(box, gap.a.cls, score, "interp", gap.a.track, "rect", due=None)
            self._waiting[n].regions.append(new)

    def _window(self, n: int, box: Box, shape: lumasearch.Shape) -> lumasearch.Window | None:
        if self.env.ring is None:
            raise InputError(f"{self.label}: this pass has no frames to look at")
        frame = self.env.ring[n]
        return lumasearch.window(frame.planes()[0], frame.fmt, box, shape)

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


def _guess(gap: _Gap, share: float, made: Box | None) -> Box:
    """Where the object should be at `share` of a gap: the centre of the box made for it, and the size between both
    ends'. The box itself is larger."""
    a, b = _state(gap.a.box), _state(gap.b.box)
    x, y, w, h = (u + share * (v - u) for u, v in zip(a, b, strict=True))
    if made is not None:
        x, y = _state(made)[:2]
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _inside(inner: Box, outer: Box) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def _state(box: Box) -> tuple[float, float, float, float]:
    """Centre and size."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def _boxes(states: Array) -> Array:
    """(..., 4) boxes of (..., 4) centres and sizes."""
    centre, half = states[..., :2], np.maximum(states[..., 2:], 0.0) / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def path(method: str, knots: Array, states: Array, at: int, frames: Array) -> Array:
    """(N, T, 4) boxes of T tracks on N `frames`, which lie between knots at and at + 1.

    knots: (K,) frames, rising. states: (K, T, 4) centre x, y, width, height. Each box contains the linear
    one.
    """
    share = ((frames - knots[at]) / (knots[at + 1] - knots[at]))[:, None, None]
    straight = _boxes(states[at] + share * (states[at + 1] - states[at]))
    if method == "linear":
        return straight
    if method == "nearest":
        curve = _boxes(np.where(share <= 0.5, states[at], states[at + 1]))
    else:
        curve = _boxes(_spline(method, knots, states)(frames))
    low = np.minimum(straight[..., :2], curve[..., :2])
    return np.concatenate([low, np.maximum(straight[..., 2:], curve[..., 2:])], axis=-1)


def _spline(method: str, knots: Array, states: Array) -> Any:
    if method == "pchip":
        return lambda frames: pchip(knots, states, frames)
    from scipy.interpolate import Akima1DInterpolator, CubicSpline

    return Akima1DInterpolator(knots, states, method="makima") if method == "makima" else CubicSpline(knots, states)


def pchip(x: Array, y: Array, at: Array) -> Array:
    """(N, ...) values at `at` of the monotone cubic through (K,) x and (K, ...) y, K >= 2.

    The same curve as scipy.interpolate.PchipInterpolator (Fritsch and Butland, "A method for constructing local
    monotone piecewise cubic interpolants", 1984; ends as in Moler, "Numerical Computing with MATLAB", 3.6). It is
    here because it is the default, so that a run need not import SciPy (about half a second on two cores).
    """
    h = np.diff(x).reshape(-1, *[1] * (y.ndim - 1))
    slope = np.diff(y, axis=0) / h
    d = np.zeros_like(y)
    if len(x) == 2:
        d[:] = slope[0]
    else:
        left, right, w1, w2 = slope[:-1], slope[1:], 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        same = left * right > 0
        mean = np.divide(w1, left, out=np.ones_like(left), where=same)
        mean += np.divide(w2, right, out=np.ones_like(left), where=same)
        d[1:-1] = np.where(same, (w1 + w2) / mean, 0.0)
        for end, h0, h1, s0, s1 in ((0, h[0], h[1], slope[0], slope[1]), (-1, h[-1], h[-2], slope[-1], slope[-2])):
            first = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
            first = np.where(np.sign(first) != np.sign(s0), 0.0, first)
            steep = (np.sign(s0) != np.sign(s1)) & (np.abs(first) > 3 * np.abs(s0))
            d[end] = np.where(steep, 3 * s0, first)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = ((at - x[i]) / (x[i + 1] - x[i])).reshape(-1, *[1] * (y.ndim - 1))
    out: Array = (
        y[i] * (1 + 2 * t) * (1 - t) ** 2
        + y[i + 1] * t**2 * (3 - 2 * t)
        + h[i] * t * (1 - t) * (d[i] * (1 - t) - d[i + 1] * t)
    )
    return out


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
