"""One model at work on a clip: what it looks at, what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from anonfilter.frame import Frame, StreamInfo
from anonfilter.glance import Glance
from anonfilter.models.detector import CropDetector, Detector
from anonfilter.models.family import Detection
from anonfilter.motion import overlap
from anonfilter.novelty import Novelty
from anonfilter.records import Box, Region
from anonfilter.sampling import Schedule
from anonfilter.sightings import Sightings

# Fewest frames between two looks that are worth asking whether something is new: bench/optical.md.
_SHORT = 4
# Two detections of parts of one frame are one object from this overlap on.
_SAME = 0.5
# So many doubtful detections of one look, the likeliest, are worth a magnified one; what that finds is the same from
# this overlap on: nets are not exact about what they can hardly see.
_DOUBTS, _AGAIN = 2, 0.2


@dataclass(slots=True)
class Watch:
    """margin: growth of each side of a box, as a share of it. classes: those to keep. sightings: what was seen.
    weak: score from which a detection may count; what is below is only asked about. schedule: when it looks. novelty:
    tells what is new between two looks, None for not asking. glances: which parts of a frame to look at, None for
    always all; crops: opens the net for such parts, given the side of its tensor."""

    detector: Detector
    margin: float
    classes: frozenset[str]
    sightings: Sightings
    weak: float = 0.0
    schedule: Schedule = field(init=False)
    novelty: Novelty | None = None
    glances: Glance | None = None
    crops: Callable[[int], CropDetector] | None = None
    _crops: dict[int, CropDetector] = field(default_factory=dict)
    _new: list[Box] = field(default_factory=list)
    _dismissed: list[Box] = field(default_factory=list)
    _known: list[Box] = field(default_factory=list)

    def close(self) -> None:
        """Free the nets."""
        self.detector.close()
        for item in self._crops.values():
            item.close()

    def look(self, frame: Frame, stream: StreamInfo) -> None:
        """Look at all of a frame, and again, magnified, at what is not sure. Raises ModelError if the net fails."""
        found = self.detector(frame, stream)
        confirmed = self._confirmed(found, frame, stream) if self.glances is not None else []
        found = [*(item for item in found if item.score >= self.weak), *confirmed]
        self.sightings.add(frame.n, self._regions(found, frame.size))

    def glance(self, a: int, b: int, frame: Frame, stream: StreamInfo) -> bool:
        """Look at those parts of a frame where the looks at frames a < b, before and after it, do not agree, or where
        `novel` saw something if they do. False, and nothing is done, if they are too many or too large. Raises
        ModelError if the net fails."""
        if self.glances is None or self.crops is None:
            return False
        places = self.sightings.places(a, frame.n, b) or [(box, 0.0) for box in self._new]
        chosen = self.glances.squares(places)
        if chosen is None:
            return False
        side, squares = chosen
        found = []
        for square in squares:
            items = self._crop(side)(frame, stream, square)
            if any(max(item.box[2] - item.box[0], item.box[3] - item.box[1]) > square[2] for item in items):
                return False  # what is larger than all that was looked at was not seen, but made up
            found += items
        found.sort(key=lambda item: -item.score)
        regions: list[Region] = []
        for region in self._regions(found, frame.size):
            if not any(region.cls == other.cls and overlap(region.box, other.box) >= _SAME for other in regions):
                regions.append(region)
        self.sightings.add_parts(a, frame.n, b, regions)
        return True

    def _confirmed(self, found: Iterable[Detection], frame: Frame, stream: StreamInfo) -> list[Detection]:
        """What a magnified look is sure of where the whole look was not: far objects are at the end of what it can
        see. What was not confirmed is not asked about at the next look, nor what is where the last one was sure: that
        is for redetect, which knows the way between."""
        assert self.glances is not None
        thresh = self.sightings.thresh
        sure = [item for item in found if item.score >= thresh]
        doubtful = sorted((item for item in found if item.score < thresh), key=lambda item: -item.score)
        asked = 0
        dismissed, self._dismissed = self._dismissed, []
        known, self._known = self._known, [item.box for item in sure]
        out: list[Detection] = []
        for item in doubtful:
            if item.cls not in self.classes or any(overlap(item.box, other.box) > 0 for other in (*sure, *out)):
                continue
            if any(overlap(item.box, box) >= _SAME for box in dismissed):
                continue
            if any(overlap(item.box, box) > 0 for box in known):
                continue
            chosen = self.glances.around(item.box)
            if chosen is None or asked == _DOUBTS:
                continue
            asked += 1
            side, square = chosen
            again = [
                other for other in self._crop(side)(frame, stream, square)
                if other.score >= thresh and overlap(item.box, other.box) >= _AGAIN
            ]  # fmt: skip
            if again:
                out.append(max(again, key=lambda other: other.score))
            else:
                self._dismissed.append(item.box)
        self._known += [item.box for item in out]
        return out

    def _crop(self, side: int) -> CropDetector:
        """The net for a tensor of that side."""
        assert self.crops is not None
        if side not in self._crops:
            self._crops[side] = self.crops(side)
        return self._crops[side]

    def novel(self, a: int, b: int) -> int | None:
        """A frame between two looks that agree which shows something that neither does, see Novelty.between."""
        if self.novelty is None or b - a <= _SHORT:
            return None
        found = self.novelty.between(a, b, self.sightings.ways(a, b))
        if found is None:
            return None
        n, box = found
        self._new = [box]
        return n

    def _regions(self, found: Iterable[Detection], size: tuple[int, int]) -> list[Region]:
        """Detections as regions: grown, not clipped, without those that lie wholly outside of the frame."""
        width, height = size
        regions = []
        for item in found:
            x0, y0, x1, y1 = item.box
            dx, dy = (x1 - x0) * self.margin, (y1 - y0) * self.margin
            box = (x0 - dx, y0 - dy, x1 + dx, y1 + dy)
            if item.cls in self.classes and box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0:
                regions.append(Region(box, item.cls, item.score, "det", poly=item.poly))
        return regions
