"""What one model saw, look by look, whether neighbouring looks show the same objects, and where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    frame, from the look before; None where that look did not have it. assumed: nobody saw it there, but the looks
    before and after agree that it was."""

    region: Region
    sure: bool
    velocity: tuple[float, float] | None = None
    assumed: bool = False

    def after(self, frames: int) -> Box:
        """Where it is after so many frames if it goes on."""
        x0, y0, x1, y1 = self.region.box
        dx, dy = (v * frames for v in self.velocity or (0.0, 0.0))
        return x0 + dx, y0 + dy, x1 + dx, y1 + dy


@dataclass(slots=True)
class _Pairing:
    """How the objects of two looks pair. fit: pairs that are as due, or too weak to ask about. open: what the looks do
    not agree on, an object that has no counterpart (None) or is not where it was due."""

    fit: list[tuple[_Sighting, _Sighting]] = field(default_factory=list)
    open: list[tuple[_Sighting | None, _Sighting | None]] = field(default_factory=list)


class Sightings:
    """The looks of one model. thresh: score from which a detection is sure.

    A look at parts of a frame (`add_parts`) takes what both its neighbours agree on as seen.

    A weaker detection counts if the look before or after it has a sure one that it can be paired with: nets' scores
    waver from frame to frame (ByteTrack pairs those last, too: Zhang et al., 2022).
    """

    def __init__(self, thresh: float) -> None:
        self.thresh = thresh
        self._looks: dict[int, list[_Sighting]] = {}
        self._parts: set[int] = set()
        self._pairings: dict[tuple[int, int], _Pairing] = {}

    def add(self, n: int, regions: Sequence[Region]) -> None:
        """What the model found on frame n."""
        self._looks[n] = [_Sighting(region, region.score >= self.thresh) for region in regions]

    def add_parts(self, a: int, n: int, b: int, regions: Sequence[Region]) -> None:
        """What the model found on those parts of frame n where the looks at a < n < b, that were asked whether they
        agree, do not."""
        share = (n - a) / (b - a)
        assumed = [_between(before, after, share) for before, after in self._pairings[a, b].fit]
        found = [_Sighting(region, region.score >= self.thresh) for region in regions]
        seen = [item for item in assumed if not any(_is_one(item.region, region) for region in regions)]
        self._looks[n] = [*found, *seen]
        self._parts.add(n)

    def take(self, n: int) -> tuple[list[Region], bool] | None:
        """The regions that were seen on frame n and count, and whether all of it was looked at; None if there was no
        look at it. What is not compared any more may go."""
        look = self._looks.pop(n, None)
        if look is None:
            return None
        whole = n not in self._parts
        self._parts.discard(n)
        self._pairings = {key: value for key, value in self._pairings.items() if key[0] > n}
        return [item.region for item in look if item.sure and not item.assumed], whole

    def places(self, a: int, n: int, b: int) -> list[tuple[Box, float]]:
        """Where to look on frame n for what the looks at a < n < b, that were asked whether they agree, do not agree
        on: for each object a box that it may be anywhere in, as far as looks can be paired at all, and the longer side
        of the object's box, in luma samples."""
        out = []
        for before, after in self._pairings[a, b].open:
            boxes: list[Box] = []
            for item, at in ((before, a), (after, b)):
                if item is not None:
                    boxes += [item.region.box, item.after(n - at)]
            hull = boxes[0]
            for box in boxes:
                hull = union(hull, box)
            sides = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
            reach = _DIST * max(w + h for w, h in sides) / 2
            x0, y0, x1, y1 = hull
            out.append(((x0 - reach, y0 - reach, x1 + reach, y1 + reach), min(max(side) for side in sides)))
        return out

    def ways(self, a: int, b: int) -> list[Box]:
        """Where the objects of two looks that agree were seen and, of those that pair, were between them."""
        before, after = self._looks[a], self._looks[b]
        between = [union(item.region.box, item.after(a - b)) for item in after if item.velocity is not None]
        return [*(item.region.box for item in (*before, *after)), *between]

    def agree(self, a: int, b: int) -> bool:
        """Whether the looks at frames a < b show the same objects, each about where it was due. Weak detections that
        pair with a sure one of the other look count from now on."""
        before, after = self._looks[a], self._looks[b]
        pairing = self._pairings[a, b] = _Pairing()
        for cls in dict.fromkeys(item.region.cls for item in (*before, *after)):
            here, there = ([item for item in look if item.region.cls == cls] for look in (before, after))
            _pair(here, there, b - a, _FIRM * self.thresh, pairing)
        return not pairing.open


def _pair(
    before: Sequence[_Sighting], after: Sequence[_Sighting], frames: int, firm: float, pairing: _Pairing
) -> None:
    """Pair sure with sure, then what is left of them with weak ones. What is left over or not as due is open if it
    scores at least `firm`."""
    left_before, left_after = ([item for item in look if item.sure] for look in (before, after))
    weak_before, weak_after = ([item for item in look if not item.sure] for look in (before, after))
    for here, there in ((left_before, left_after), (left_before, weak_after), (weak_before, left_after)):
        for a, b in _pairs(here, there, frames):
            due = max(a.region.score, b.region.score) < firm or _is_due(a, b, frames)
            if due:
                pairing.fit.append((a, b))
            else:
                pairing.open.append((a, b))
            a.sure = b.sure = True
            b.velocity = _velocity(a.region.box, b.region.box, frames)
            here.remove(a)
            there.remove(b)
    pairing.open += [(item, None) for item in left_before if item.region.score >= firm]
    pairing.open += [(None, item) for item in left_after if item.region.score >= firm]


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


def _between(a: _Sighting, b: _Sighting, share: float) -> _Sighting:
    """An object at `share` of the way between two looks."""
    x0, y0, x1, y1 = (p + share * (q - p) for p, q in zip(a.region.box, b.region.box, strict=True))
    region = a.region.with_(box=(x0, y0, x1, y1), score=max(a.region.score, b.region.score), poly=None, src="interp")
    return _Sighting(region, True, b.velocity, assumed=True)


def _is_one(a: Region, b: Region) -> bool:
    return a.cls == b.cls and overlap(a.box, b.box) >= _DUE
