"""track: gives the regions of one object on many frames one number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anonfilter import assoc
from anonfilter.filter import Env, RecordFilter
from anonfilter.options import Duration, Option
from anonfilter.records import Box, FrameRecord, Region

# Share of the newest measurement in a velocity: one look jitters, a turn must still be followed.
_NEWEST = 0.5
# How much farther, in mean sides per frame since the last look, an object may be than its prediction says,
# and at most how many times `dist` that may come to.
_DRIFT, _MAX_DRIFT = 0.1, 2.0


@dataclass(slots=True)
class _Track:
    """An object that was seen: last box, frame of it, velocity of its centre in luma samples a frame."""

    id: int
    cls: str
    box: Box
    n: int
    velocity: tuple[float, float] | None = None

    def predicted(self, n: int) -> Box:
        """Where it would be at frame n if it went on as it did."""
        if self.velocity is None:
            return self.box
        dx, dy = (v * (n - self.n) for v in self.velocity)
        x0, y0, x1, y1 = self.box
        return x0 + dx, y0 + dy, x1 + dx, y1 + dy

    def seen(self, box: Box, n: int) -> None:
        """Take a new look into account."""
        if n > self.n:
            old, steps = self.box, n - self.n
            dx, dy = ((box[i] + box[i + 2] - old[i] - old[i + 2]) / 2 / steps for i in (0, 1))
            if self.velocity is not None:
                old_x, old_y = self.velocity
                dx, dy = _NEWEST * dx + (1 - _NEWEST) * old_x, _NEWEST * dy + (1 - _NEWEST) * old_y
            self.velocity = (dx, dy)
        self.box, self.n = box, n


class Track(RecordFilter):
    """Hungarian assignment on overlap, distance and size, with constant velocity between looks.

    Every detection gets a number at once and is passed on: a track needs no confirmation. Detections that
    score high choose first, the rest then among the tracks that are left (as ByteTrack does: Zhang et al.,
    2022). Regions removed by hand are tracked like others, so that interp knows whose they were. Regions that
    bring a number from a record file keep together under one number; zones are left alone.
    """

    name = "track"
    help = "Follow objects from frame to frame: every region gets the number of its track."
    options = (
        Option("max_age", "duration", Duration(1, "s"), "how long an unseen object keeps its number", min=0),
        Option("min_iou", "float", 0.1, "overlap from which two boxes may be one object", min=0, max=1),
        Option(
            "dist", "float", 1.5, "or farthest centre from where it was due, in mean sides", min=0, max=100
        ),
        Option("size", "float", 2.5, "most that width or height may change, as a ratio", min=1, max=100),
        Option(
            "edge", "duration", Duration(1, "s"),
            "how long an object that leaves at the picture's edge, where nets miss what is cut, stays covered after "
            "its last sighting, and half as long before its first; at most five times as many frames as it was seen on",
            min=0,
        ),
        Option(
            "grow", "bool", True,
            "where the graph has no grow, do what that does by default: go on for a few frames at both ends, and a "
            "little wider",
        ),
        Option("high", "float", 0.5, "score from which a detection chooses its track first", min=0, max=1),
    )

    def open(self, env: Env) -> None:
        """Start without tracks."""
        super().open(env)
        self._max_age = self.opts["max_age"].frames(env.stream.rate)
        self._tracks: dict[int, _Track] = {}
        self._used: set[int] = set()
        self._names: dict[int, int] = {}  # number in the incoming regions -> number here
        self._next = 1
        self._last_look = -1

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Number the regions of this frame; nothing is held back."""
        self._retire(record.n)
        numbers: dict[int, int] = {}
        for i, region in enumerate(record.regions):
            if region.track is not None:
                numbers[i] = self._known(region, record.n)
        loose = [i for i, r in enumerate(record.regions) if r.track is None and r.src in ("det", "manual")]
        if loose:
            self._match(record, loose, numbers)
        if numbers:
            record.regions = [
                region.with_(track=numbers[i]) if i in numbers else region
                for i, region in enumerate(record.regions)
            ]
        if record.looked:
            self._last_look = record.n
        return (record,)

    def _retire(self, n: int) -> None:
        """Forget what was unseen too long; but what was there at the last look, however long ago, is still
        open."""
        oldest = min(n - self._max_age, self._last_look)
        self._tracks = {key: track for key, track in self._tracks.items() if track.n >= oldest}

    def _known(self, region: Region, n: int) -> int:
        """The number of a region that brought one: the same here, unless that is taken."""
        given = region.track
        assert given is not None
        if given not in self._names:
            self._names[given] = self._new_number() if given in self._used else given
            self._used.add(self._names[given])
        number = self._names[given]
        self._see(number, region, n)
        return number

    def _match(self, record: FrameRecord, loose: Sequence[int], numbers: dict[int, int]) -> None:
        """Find tracks for regions without one, high scores first; start new tracks for what is left."""
        taken = set(numbers.values())
        high = self.opts["high"]
        for wanted in (True, False):
            for cls in dict.fromkeys(record.regions[i].cls for i in loose if i not in numbers):
                tracks = [t for t in self._tracks.values() if t.cls == cls and t.id not in taken]
                same = [i for i in loose if record.regions[i].cls == cls]
                found = [i for i in same if (record.regions[i].score >= high) is wanted]
                if not tracks or not found:
                    continue
                costs = self._costs(tracks, [record.regions[i] for i in found], record.n)
                for row, column in assoc.assign(costs):
                    numbers[found[column]] = tracks[row].id
                    taken.add(tracks[row].id)
        for i in loose:
            if i not in numbers:
                numbers[i] = self._new_number()
            self._see(numbers[i], record.regions[i], record.n)

    def _costs(self, tracks: Sequence[_Track], regions: Sequence[Region], n: int) -> assoc.Array:
        """(tracks, regions) costs. A track is where it was going, or where it was: objects stop."""
        boxes = assoc.as_array([region.box for region in regions])
        drift = np.array([_DRIFT * (n - track.n - 1) for track in tracks])
        reach = np.minimum(self.opts["dist"] + drift, _MAX_DRIFT * self.opts["dist"])
        both = [track.predicted(n) for track in tracks] + [track.box for track in tracks]
        costs = assoc.cost(
            assoc.as_array(both),
            boxes,
            min_iou=self.opts["min_iou"],
            reach=np.tile(reach, 2),
            size=self.opts["size"],
        )
        return np.minimum(costs[: len(tracks)], costs[len(tracks) :])

    def _see(self, number: int, region: Region, n: int) -> None:
        track = self._tracks.get(number)
        if track is None:
            self._tracks[number] = _Track(number, region.cls, region.box, n)
        else:
            track.seen(region.box, n)

    def _new_number(self) -> int:
        while self._next in self._used:
            self._next += 1
        self._used.add(self._next)
        return self._next


FILTER = Track
