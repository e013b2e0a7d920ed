"""grow: extends regions in space, and tracks in time beyond their first and last sighting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from anonfilter import assoc
from anonfilter.filter import Env, Options, RecordFilter
from anonfilter.frame import StreamInfo
from anonfilter.motion import extrapolate, joined_shape, union
from anonfilter.options import Duration, Option
from anonfilter.records import FrameRecord, Region
from anonfilter.shots import Shots

# A velocity is fitted to at most so many sightings, none older than so many frames. Going backward from a
# first sighting they lie in the future: look-ahead beyond `before`.
_SIGHTINGS, _SPAN, _FUTURE = 5, 15, 4
# At the picture's edge a track goes on at most so many times as long as it was seen (up to _SIGHTINGS count): a single
# false sighting must not stay for a second.
_TRUST = 5
# A region without a track is taken to be another frame's, from this overlap on.
_SAME = 0.5


@dataclass(slots=True)
class _End:
    """The latest sightings of a track that is there or was there shortly ago."""

    seen: deque[tuple[int, Region]] = field(default_factory=lambda: deque(maxlen=_SIGHTINGS))
    closed: bool = False
    """Removed by hand since: do not go on."""

    def add(self, n: int, region: Region) -> None:
        """A sighting at frame n."""
        if self.closed:
            self.seen.clear()
        while self.seen and n - self.seen[0][0] > _SPAN:
            self.seen.popleft()
        self.seen.append((n, region))
        self.closed = False


@dataclass(slots=True)
class _Seen:
    """What a frame held when it came: by track (several regions joined), without a track, removed by hand."""

    tracks: dict[int, Region] = field(default_factory=dict)
    loose: list[Region] = field(default_factory=list)
    removed: list[Region] = field(default_factory=list)

    def blocks(self, track: int) -> bool:
        """Whether that track's region was removed from this frame."""
        return any(region.track == track for region in self.removed)


class Grow(RecordFilter):
    """Space: every region but zones is scaled about its centre and padded. A bitmap becomes the whole grown
    box.

    Time: where a track has no region, up to `after` frames after its last one and `before` frames before its
    next get a region of src "grow": the hull of the box at that end and the same box moved on with the end's
    velocity, so that it covers an object that stops as well as one that goes on; it may widen on the way,
    never shrink. A region without a track stays where it is for as long, except on frames where the like is
    found again. Frames from which a person removed a region end its growth, and so does a cut; in a gradual transition
    it goes on to the transition's far end, however short `after` is, and back by `before` or what the edges take.

    edge (set by the planner from track's option, not an option of this filter): so long at least a track goes on
    that ends at the picture's edge, and half as long before one that begins there: nets miss what the edge cuts.
    """

    edge: Duration = Duration(0)

    name = "grow"
    help = "Extend both ends of a track in time, and boxes in space."
    options = (
        Option("before", "duration", Duration(0.5, "s"), "time before the first region of a track", min=0),
        Option("after", "duration", Duration(5), "time after the last region of a track", min=0),
        Option("scale", "float", 1.1, "factor on width and height", min=1, max=10),
        Option(
            "pad", "float", 0.0, "added on every side, after scaling", min=0, max=4096, unit="luma samples"
        ),
    )

    def lookahead(self, stream: StreamInfo) -> int | None:
        """Frames before a first region, and those that tell its velocity."""
        before: int = max(self.opts["before"].frames(stream.rate), self._edge_frames(stream)[0])
        return before + _FUTURE if before else 0

    @classmethod
    def of_track(cls, edge: Duration, usual: bool) -> Grow:
        """One that the planner adds. usual: with the options' defaults; else it extends tracks at the picture's edge
        only."""
        nothing = {"before": Duration(0), "after": Duration(0), "scale": 1.0, "pad": 0.0}
        opts = Options.defaults(cls.options) if usual else Options(nothing)
        item = cls(opts, "grow (track)" if usual else "grow (edge)")
        item.edge = edge
        return item

    def _edge_frames(self, stream: StreamInfo) -> tuple[int, int]:
        """Frames before a track that begins at the picture's edge and after one that ends there."""
        after = self.edge.frames(stream.rate)
        return -(-after // 2), after

    def open(self, env: Env) -> None:
        """Start without tracks."""
        super().open(env)
        self._before, self._after = (self.opts[key].frames(env.stream.rate) for key in ("before", "after"))
        self._edge_before, self._edge_after = self._edge_frames(env.stream)
        self._reach = max(self._before, self._edge_before)  # frames that may still be added to
        self._delay = _FUTURE if self._reach else 0
        self._waiting: dict[int, FrameRecord] = {}
        self._seen: dict[int, _Seen] = {}
        self._ends: dict[int, _End] = {}
        self._loose: list[tuple[int, Region]] = []
        self._next = 0  # first frame that _extend has not seen
        self._shots = Shots()

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Scale, extend, and give what no later frame can extend any more."""
        self._shots.add(record)
        record.regions = [self._scaled(region) for region in record.regions]
        if not self._waiting:
            self._next = record.n
        self._waiting[record.n] = record
        self._seen[record.n] = _seen(record)
        return list(self._advance(record.n - self._delay, record.n - self._delay - self._reach))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest."""
        last = max(self._waiting, default=-1)
        return list(self._advance(last, last))

    def _advance(self, extend: int, leave: int) -> Iterator[FrameRecord]:
        while self._next <= extend:
            if self._next in self._waiting:
                self._extend(self._next)
            self._next += 1
        self._shots.forget(min(leave, self._next - _SPAN))
        for n in list(self._waiting):
            if n > leave:
                break
            yield self._waiting.pop(n)
            self._seen.pop(n)

    def _scaled(self, region: Region) -> Region:
        x0, y0, x1, y1 = region.box
        dx, dy = ((self.opts["scale"] - 1) / 2 * side + self.opts["pad"] for side in (x1 - x0, y1 - y0))
        if region.src == "zone" or region.deleted or not (dx or dy):
            return region
        shape = "rect" if region.mask is not None else region.shape
        return region.with_(box=(x0 - dx, y0 - dy, x1 + dx, y1 + dy), mask=None, shape=shape)

    def _extend(self, n: int) -> None:
        """Add to frame n what goes on from before, and to the frames before it what begins here."""
        here = self._seen[n]
        grown = self._waiting[n].regions
        for track, end in list(self._ends.items()):
            last, region = end.seen[-1]
            over = n - last > self._time(self._after, self._edge_after, region, len(end.seen))
            if not self._shots.holds(last, n) or (over and not self._shots.fading(last + 1, n)):
                del self._ends[track]
            elif track not in here.tracks:
                end.closed = end.closed or here.blocks(track)
                if not end.closed:
                    grown.append(_moved(list(end.seen), last, n, region))
        for track, region in here.tracks.items():
            end = self._ends.setdefault(track, _End())
            if not end.seen or end.seen[-1][0] != n - 1:
                self._begin(track, region, n)
            end.add(n, region)
        self._hold_loose(n, here)

    def _begin(self, track: int, region: Region, n: int) -> None:
        """Track's region begins on frame n: go back from it."""
        ahead = [m for m in range(n, n + _FUTURE + 1) if m in self._seen and track in self._seen[m].tracks]
        coming = [(m, self._seen[m].tracks[track]) for m in ahead]
        frames = self._time(self._before, self._edge_before, region, len(coming))
        for m in range(n - 1, n - self._reach - 1, -1):
            if not self._shots.holds(n, m) or (n - m > frames and not self._shots.fading(m, n - 1)):
                return
            seen = self._seen.get(m)
            if seen is None or track in seen.tracks or seen.blocks(track):
                return
            self._waiting[m].regions.append(_moved(coming, n, m, region))

    def _time(self, usual: int, at_edge: int, region: Region, sightings: int) -> int:
        """Frames that a track goes on beyond an end where it looks like this."""
        x0, y0, x1, y1 = region.box
        stream = self.env.stream
        if x0 > 0 and y0 > 0 and x1 < stream.width and y1 < stream.height:
            return usual
        return max(usual, min(at_edge, _TRUST * sightings))

    def _hold_loose(self, n: int, here: _Seen) -> None:
        """The same for regions without a track: they stay where they are."""
        self._loose = [(m, region) for m, region in self._loose if n - m <= self._after and self._shots.holds(m, n)]
        gone = _found([region for _, region in self._loose], here.removed)
        self._loose = [item for item, removed in zip(self._loose, gone, strict=True) if not removed]
        self._add_still(n, [region for _, region in self._loose], here)
        coming = here.loose
        for m in range(n - 1, n - self._before - 1, -1):
            seen = self._seen.get(m)
            if seen is None or not coming or not self._shots.holds(n, m):
                break
            gone = _found(coming, seen.removed)
            coming = [region for region, removed in zip(coming, gone, strict=True) if not removed]
            self._add_still(m, coming, seen)
        if self._after:
            self._loose += [(n, region) for region in here.loose]

    def _add_still(self, n: int, regions: list[Region], there: _Seen) -> None:
        """Add them to frame n, but for those of which the like is there."""
        known = _found(regions, there.loose)
        new = [region.with_(src="grow", poly=None) for region, k in zip(regions, known, strict=True) if not k]
        self._waiting[n].regions.extend(new)


def _seen(record: FrameRecord) -> _Seen:
    seen = _Seen()
    for given in record.regions:
        region, track = given, given.track
        if region.src == "zone" or region.due is None:
            continue
        if region.deleted:
            seen.removed.append(region)
        elif track is None:
            seen.loose.append(region)
        else:
            known = seen.tracks.get(track)
            if known is not None:
                box = union(known.box, region.box)
                region = known.with_(box=box, shape=joined_shape(known.shape, box, known.box, region.box))
            seen.tracks[track] = region
    return seen


def _found(regions: list[Region], among: list[Region]) -> list[bool]:
    """For each of the regions, whether the like is among the others."""
    if not regions or not among:
        return [False] * len(regions)
    boxes, others = (assoc.as_array([region.box for region in side]) for side in (regions, among))
    classes, kinds = (np.array([region.cls for region in side]) for side in (regions, among))
    like = (assoc.iou(boxes, others) >= _SAME) & (classes[:, None] == kinds[None])
    return [bool(v) for v in like.any(axis=1)]


def _moved(seen: list[tuple[int, Region]], start: int, n: int, region: Region) -> Region:
    """The region of frame `start`, at frame n: hull of its box and that box moved on as `seen` tells."""
    box = extrapolate([(m, r.box) for m, r in seen], start, n)
    shape = "rect" if region.mask is not None else joined_shape(region.shape, box, region.box)
    return region.with_(box=box, src="grow", poly=None, mask=None, shape=shape)


FILTER = Grow
