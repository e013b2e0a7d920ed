"""smooth: takes the jitter out of a track's boxes without uncovering anything."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from anonfilter.assoc import Array
from anonfilter.filter import Env, RecordFilter
from anonfilter.frame import StreamInfo
from anonfilter.motion import joined_shape
from anonfilter.options import Duration, Option
from anonfilter.records import Box, FrameRecord, Region

# Degree of Savitzky-Golay's polynomials: a box that accelerates evenly is left where it is.
_DEGREE = 2


@dataclass(slots=True)
class _Run:
    """A track's boxes on neighbouring frames, as (4,) rows of -x0, -y0, x1, y1: more is farther out on every side.

    raw: as they came. base: smoothed. over: how far raw lies outside of base at most, near that frame.
    """

    first: int
    last: int
    closed: bool = False
    raw: dict[int, Array] = field(default_factory=dict)
    base: dict[int, Array] = field(default_factory=dict)
    over: dict[int, Array] = field(default_factory=dict)

    def near(self, n: int, width: int) -> range:
        """Frames of the run at most `width` away."""
        return range(max(self.first, n - width), min(self.last, n + width) + 1)


class Smooth(RecordFilter):
    """Every side of a box is smoothed over time, and then moved out by an envelope: the moving mean of the moving
    maximum of how far the box that came lies outside. Where mean and maximum are taken over the same frames that is
    never less than how far it lies outside here, so the smoothed box holds the one that came, and it changes slowly.

    What is smoothed is a track's box on frames that follow each other, the first one where interp put several. Never
    across a cut, a frame on which the track has no region, or one from which a person removed it. Regions without a
    track, zones and bitmaps stay as they are; an ellipse becomes a rectangle, since the one in the larger box would not
    hold it. Put it after interp (and grow), so that it sees the frames between two looks. Savitzky and Golay,
    "Smoothing and differentiation of data by simplified least squares procedures", 1964.
    """

    name = "smooth"
    help = "Take the jitter out of a track's boxes; the smoothed box always contains the one that came."
    options = (
        Option(
            "method", "enum", "savgol", "how a side is smoothed",
            choices=(
                ("savgol", "Savitzky-Golay, second degree: follows turns closely"),
                ("average", "moving average: smoother, and wider where an object turns"),
            ),
        ),
        Option("window", "duration", Duration(9), "length of the window; 1 or 2 frames: leaves all as it is", min=1),
    )  # fmt: skip

    def _half(self, stream: StreamInfo) -> int:
        frames: int = self.opts["window"].frames(stream.rate)
        return (frames - 1) // 2

    def lookahead(self, stream: StreamInfo) -> int | None:
        """Half a window each for the base, the maximum and the mean."""
        return 3 * self._half(stream)

    def open(self, env: Env) -> None:
        """Start without tracks."""
        super().open(env)
        self._width = self._half(env.stream)
        self._waiting: deque[tuple[FrameRecord, list[tuple[int, _Run]]]] = deque()
        self._runs: dict[int, _Run] = {}
        self._newest = -1

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Note the boxes; give the frame whose window is complete."""
        if not self._width:
            return (record,)
        main = _main(record)
        for track, run in list(self._runs.items()):
            if record.cut or track not in main or run.last != record.n - 1:
                run.closed = True
                del self._runs[track]
        members = []
        for track, i in main.items():
            run = self._runs.setdefault(track, _Run(record.n, record.n))
            x0, y0, x1, y1 = record.regions[i].box
            run.raw[record.n], run.last = np.array([-x0, -y0, x1, y1]), record.n
            members.append((i, run))
        self._waiting.append((record, members))
        return list(self._release(record.n - 3 * self._width))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest: no run goes on."""
        for run in self._runs.values():
            run.closed = True
        self._runs = {}
        return list(self._release(None)) if self._width else ()

    def _release(self, last: int | None) -> Iterator[FrameRecord]:
        while self._waiting and (last is None or self._waiting[0][0].n <= last):
            record, members = self._waiting.popleft()
            if members:
                record.regions = list(record.regions)
                for i, run in members:
                    record.regions[i] = _widened(record.regions[i], self._box(run, record.n))
            yield record

    def _box(self, run: _Run, n: int) -> Box:
        """The smoothed box of frame n, around the raw one: by then all it depends on has come."""
        width = self._width
        over = np.stack([self._over(run, m) for m in run.near(n, width)]).mean(axis=0)
        # Rounding, too, must not uncover.
        out = np.maximum(self._base(run, n) + over, run.raw[n]).tolist()
        for rows, reach in ((run.raw, 3 * width), (run.base, 2 * width), (run.over, width)):
            rows.pop(n - reach, None)
        return -out[0], -out[1], out[2], out[3]

    def _over(self, run: _Run, n: int) -> Array:
        known = run.over.get(n)
        if known is None:
            rows = [run.raw[m] - self._base(run, m) for m in run.near(n, self._width)]
            known = run.over[n] = np.maximum(np.max(rows, axis=0), 0.0)
        return known

    def _base(self, run: _Run, n: int) -> Array:
        known = run.base.get(n)
        if known is None:
            near = run.near(n, self._width)
            before, after = n - near[0], near[-1] - n
            if self.opts["method"] == "average":
                # The same on both sides: else a box that moves evenly would lag at a run's ends.
                before = after = min(before, after)
                weights = np.full(2 * before + 1, 1 / (2 * before + 1))
            else:
                weights = savgol(before, after)
            known = run.base[n] = weights @ np.stack([run.raw[m] for m in range(n - before, n + after + 1)])
        return known


@lru_cache(maxsize=4096)
def savgol(before: int, after: int) -> Array:
    """(before + 1 + after,) weights of the samples around one at which their least-squares polynomial is taken."""
    at = np.arange(-before, after + 1, dtype=np.float64)
    powers = np.vander(at, min(_DEGREE, before + after) + 1, increasing=True)
    weights: Array = np.linalg.pinv(powers)[0]
    return weights


def _main(record: FrameRecord) -> dict[int, int]:
    """Track -> place of the region that stands for it on this frame."""
    main: dict[int, int] = {}
    removed = {r.track for r in record.regions if r.deleted}
    for i, region in enumerate(record.regions):
        if region.track is None or region.src == "zone" or region.track in removed:
            continue
        main.setdefault(region.track, i)
    return main


def _widened(region: Region, box: Box) -> Region:
    """The region with a box around its own; bitmaps have no larger form."""
    if region.mask is not None or box == region.box:
        return region
    return region.with_(box=box, shape=joined_shape(region.shape, box, region.box))


FILTER = Smooth
