"""What one model saw, look by look, and whether neighbouring looks show the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anonfilter import assoc
from anonfilter.motion import overlap, union
from anonfilter.records import Box, Region

# Boxes of two looks may be one object's if they overlap so much, or their centres are so many mean sides apart, and
# their sides' ratio is at most so large: as track's defaults.
_MIN_IOU, _DIST, _SIZE = 0.1, 1.5, 2.5
# What scores less than so many times the threshold may be missing from the other look, or elsewhere, without a further
# look: mostly they are no objects, and would have every frame looked at. What one look saw stays covered up to the next
# (filters/hold.py), so that none of them is given up.
_FIRM = 2.0
# An object is where it was due from this overlap on: filters/interp.py fills the frames between with the same rule.
_DUE = 0.5


@dataclass(slots=True)
class _Sighting:
    """An object at one look. sure: it counts by itself or by its neighbours. velocity: of its centre, luma samples a
    frame, from the look before; None where that look did not have it."""

    region: Region
    sure: bool
    velocity: tuple[float, float] | None = None

    def after(self, frames: int) -> Box:
        """Where it is after so many frames if it goes on."""
        x0, y0, x1, y1 = self.region.box
        dx, dy = (v * frames for v in self.velocity or (0.0, 0.0))
        return x0 + dx, y0 + dy, x1 + dx, y1 + dy


class Sightings:
    """The looks of one model. thresh: score from which a detection is sure.

    A weaker detection counts if the look before or after it has a sure one that it can be paired with: nets' scores
    waver from frame to frame (ByteTrack pairs those last, too: Zhang et al., 2022).
    """

    def __init__(self, thresh: float) -> None:
        self._thresh = thresh
        self._looks: dict[int, list[_Sighting]] = {}

    def add(self, n: int, regions: Sequence[Region]) -> None:
        """What the model found on frame n."""
        self._looks[n] = [_Sighting(region, region.score >= self._thresh) for region in regions]

    def take(self, n: int) -> list[Region] | None:
        """The regions of frame n that count, None if there was no look at it. What is not compared any more may go."""
        look = self._looks.pop(n, None)
        return None if look is None else [item.region for item in look if item.sure]

    def ways(self, a: int, b: int) -> list[Box]:
        """Where the objects of two looks that agree were seen and, of those that pair, were between them."""
        before, after = self._looks[a], self._looks[b]
        between = [union(item.region.box, item.after(a - b)) for item in after if item.velocity is not None]
        return [*(item.region.box for item in (*before, *after)), *between]

    def agree(self, a: int, b: int) -> bool:
        """Whether the looks at frames a < b show the same objects, each about where it was due. Weak detections that
        pair with a sure one of the other look count from now on."""
        before, after = self._looks[a], self._looks[b]
        same = True
        for cls in dict.fromkeys(item.region.cls for item in (*before, *after)):
            here, there = ([item for item in look if item.region.cls == cls] for look in (before, after))
            same = _pair(here, there, b - a, _FIRM * self._thresh) and same
        return same


def _pair(before: Sequence[_Sighting], after: Sequence[_Sighting], frames: int, firm: float) -> bool:
    """Pair sure with sure, then what is left of them with weak ones. Whether none is left over and all are as due, of
    those that score at least `firm`."""
    same = True
    left_before, left_after = ([item for item in look if item.sure] for look in (before, after))
    weak_before, weak_after = ([item for item in look if not item.sure] for look in (before, after))
    for here, there in ((left_before, left_after), (left_before, weak_after), (weak_before, left_after)):
        for a, b in _pairs(here, there, frames):
            same = same and (max(a.region.score, b.region.score) < firm or _is_due(a, b, frames))
            a.sure = b.sure = True
            b.velocity = _velocity(a.region.box, b.region.box, frames)
            here.remove(a)
            there.remove(b)
    return same and all(item.region.score < firm for item in (*left_before, *left_after))


def _pairs(before: list[_Sighting], after: list[_Sighting], frames: int) -> list[tuple[_Sighting, _Sighting]]:
    if not before or not after:
        return []
    # Each is where it was going, or where it was: objects stop.
    boxes = [item.after(frames) for item in before] + [item.region.box for item in before]
    costs = assoc.cost(
        assoc.as_array(boxes), assoc.as_array([item.region.box for item in after]),
        min_iou=_MIN_IOU, reach=_DIST, size=_SIZE,
    )  # fmt: skip
    least = np.minimum(costs[: len(before)], costs[len(before) :])
    return [(before[i], after[j]) for i, j in assoc.assign(least)]


def _is_due(a: _Sighting, b: _Sighting, frames: int) -> bool:
    return overlap(a.after(frames), b.region.box) >= _DUE


def _velocity(a: Box, b: Box, frames: int) -> tuple[float, float]:
    return (b[0] + b[2] - a[0] - a[2]) / 2 / frames, (b[1] + b[3] - a[1] - a[3]) / 2 / frames
