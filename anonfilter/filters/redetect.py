"""redetect: a second look, magnified, where a track is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from anonfilter import assoc
from anonfilter.errors import InputError, ModelError
from anonfilter.filter import Env, PixelReader
from anonfilter.frame import StreamInfo
from anonfilter.infer import ENGINES, available_cores
from anonfilter.models import catalog
from anonfilter.models.catalog import Model
from anonfilter.models.detector import CropDetector, Square
from anonfilter.motion import moved, overlap, union
from anonfilter.options import Duration, Option
from anonfilter.records import Box, FrameRecord, Region
from anonfilter.shots import Shots

# What is found is the track's if it overlaps so much with a place where it was due, or is so many mean sides from
# there, its sides' ratio being at most so large: as sightings.py has it.
_MIN_IOU, _DIST, _SIZE = 0.1, 1.5, 2.5
# From this overlap on two regions are one object; and neighbouring sightings agree, as in interp, that fills between.
_SAME = 0.5
# A place that was searched in vain is not searched again, from this overlap on.
_TRIED = 0.7
# A velocity is fitted to at most so many sightings, none farther from the end than so many frames.
_SIGHTINGS, _SPAN = 5, 15
_NEVER = float("inf")
# Side of the square that is looked at, in longer sides of the box (which has its margin): a face is then a quarter of
# the tensor's side, and may be three quarters of its box off. Enlarged at most so many times.
_CONTEXT, _ENLARGE = 2.5, 4


@dataclass(slots=True)
class _Line:
    """One track. seen: its regions by frame, those that were found here included. removed: frames from which a person
    took it. tried: places that were searched in vain, by frame."""

    number: int
    cls: str
    seen: dict[int, Region] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    tried: dict[int, Box] = field(default_factory=dict)

    def near(self, at: int, sign: int) -> list[tuple[int, Box]]:
        """The sightings that tell how it came to frame `at`, going in direction `sign`."""
        frames = sorted((n for n in self.seen if 0 <= (at - n) * sign <= _SPAN), key=lambda n: abs(n - at))
        return [(n, self.seen[n].box) for n in frames[:_SIGHTINGS]]

    def due(self, at: int, n: int) -> tuple[Box, Box]:
        """Where it would be on frame n: where it was on frame `at`, and that place moved on."""
        return self.seen[at].box, moved(self.near(at, 1 if n > at else -1), at, n)

    def way(self, a: int, n: int, b: int) -> Box:
        """Where it would be on frame n if it went straight between its sightings on a < n < b."""
        share = (n - a) / (b - a)
        x0, y0, x1, y1 = (p + share * (q - p) for p, q in zip(self.seen[a].box, self.seen[b].box, strict=True))
        return x0, y0, x1, y1

    def agrees(self, a: int, b: int) -> bool:
        """Whether the sightings on a and b tell the way between them: each about where the other leads to."""
        return any(overlap(box, self.seen[b].box) >= _SAME for box in self.due(a, b)) or any(
            overlap(box, self.seen[a].box) >= _SAME for box in self.due(b, a)
        )

    def forget(self, before: int) -> None:
        """Drop what is older than that frame."""
        self.seen = {n: region for n, region in self.seen.items() if n >= before}
        self.removed = {n for n in self.removed if n >= before}
        self.tried = {n: box for n, box in self.tried.items() if n >= before}


class Redetect(PixelReader):
    """Runs the nets again on a small, magnified part of a frame where a track is missing, at the place where it is due.

    Beyond the last sighting of a track, and before its first, unless that is at the picture's edge (where track's
    option `edge` goes on): every `stride` frames up to `time`, up to a cut, or up to a frame from which a person
    removed the track. Where a look finds nothing, the frames before it are tried by halving. What is found prolongs the
    search forward; backward it ends `time` before the first sighting, since that is as far as frames are kept.
    Between two sightings at most `time` apart: where they do not agree (interp's rule), or where a detector looked at
    more than `stride` frames in a row and did not see it; by halving, in the interpolated place.

    What is found becomes a region of src "det" with the track's number; if it scores less than the model's threshold,
    together with the straight way between the sightings around it. record.ran stays as it is: it speaks of whole
    frames.
    """

    name = "redetect"
    help = "Look again, magnified, where a track is missing, ends or begins."
    origin = False
    options = (
        Option("time", "duration", Duration(0.5, "s"), "how far beyond a track's ends to look", min=0),
        Option("stride", "int", 3, "beyond an end look at every N-th frame", min=1, max=1000, unit="frames"),
        Option(
            "thresh", "float", 0.5, "score from which a detection counts, as a factor of the model's own threshold",
            min=0.01, max=10,
        ),
        Option(
            "max", "float", 0.5,
            "most looks per frame on average, a net that takes larger pictures only counted by their area; what is "
            "beyond is left out", min=0, max=1000,
        ),
        Option("size", "int", 160, "side of the square that the part is fitted into for the net", min=32, max=4096,
               unit="px"),
        Option("models", "list", None, "names of the models (default: those that found the objects)"),
        Option("device", "string", None, "where the nets run: cpu (default: the run's device)"),
        Option("engine", "enum", "auto", "what runs the nets", choices=ENGINES),
        Option(
            "threads", "int", None, "threads for a net, 0 for one a core (default: the run's, else half of the cores)",
            min=0, max=1024,
        ),
    )  # fmt: skip

    def lookahead(self, stream: StreamInfo) -> int | None:
        """A track that is not seen for `time` has ended; one that was not seen for `time` begins, and frames so far
        back must still be here."""
        time: int = self.opts["time"].frames(stream.rate)
        return 2 * time

    def open(self, env: Env) -> None:
        """Load the nets. Raises ModelError for a net that cannot be had or run."""
        super().open(env)
        self._time, self._stride = self.opts["time"].frames(env.stream.rate), self.opts["stride"]
        self._waiting: dict[int, FrameRecord] = {}
        self._lines: dict[int, _Line] = {}
        self._shots = Shots()
        self._next = 0  # first frame whose sightings were not gone into
        self._spare, self._left_out = 0.0, 0
        self._detectors: dict[str, list[CropDetector]] = {}
        self._lookers: dict[str, set[str]] = {}
        try:
            self._load(env)
        except ModelError as error:
            self.close()
            raise ModelError(f"{self.label}: {error}") from None
        prices = [self._price(item) for row in self._detectors.values() for item in row]
        self._dearest = max(prices, default=1.0)

    def close(self) -> None:
        """Free the nets."""
        for item in {id(item): item for row in getattr(self, "_detectors", {}).values() for item in row}.values():
            item.close()
        self._detectors = {}

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Note the sightings; go into those of the frame that is `time` back."""
        most: float = self.opts["max"]
        self._spare = min(self._spare + most, max(2 * most * self._time, self._dearest))
        self._shots.add(record)
        if not self._waiting:
            self._next = record.n
        self._waiting[record.n] = record
        for region in record.regions:
            if region.track is None or region.src == "zone":
                continue
            line = self._lines.setdefault(region.track, _Line(region.track, region.cls))
            if region.deleted:
                line.removed.add(record.n)
            else:
                known = line.seen.get(record.n)
                box = union(known.box, region.box) if known else region.box
                line.seen[record.n] = region.with_(box=box)
        self._settle(record.n - self._time)
        return list(self._leave(record.n - 2 * self._time))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest."""
        last = max(self._waiting, default=-1)
        self._settle(last)
        if self._left_out:
            budget = f"max={self.opts['max']:g} a frame"
            self.env.log("info", f"{self.label}: {self._left_out} second looks were beyond the budget ({budget})")
        return list(self._leave(last))

    def _price(self, detector: CropDetector) -> float:
        """What a look costs, in looks at a square of `size`: a net may take one size only."""
        side: int = -(-self.opts["size"] // 32) * 32
        width, height = detector.size
        return max(1.0, width * height / side**2)

    def _leave(self, last: int) -> Iterator[FrameRecord]:
        for n in list(self._waiting):
            if n > last:
                return
            yield self._waiting.pop(n)

    def _load(self, env: Env) -> None:
        used = {}
        for name, sha256 in env.models_used:
            try:
                row = catalog.resolve(name)
            except ModelError:
                row = None
            if row is None or row.sha256 != sha256:
                env.log("info", f"{self.label}: {name} is not in the catalogue as it was used: no second look with it")
                continue
            used[name] = row
            for cls in row.classes:
                self._lookers.setdefault(cls, set()).add(name)
        given = self.opts["models"]
        rows: Iterable[Model] = used.values() if given is None else [catalog.resolve(name) for name in given]
        threads = self.opts["threads"]
        if threads is None:
            threads = env.threads or max(1, available_cores() // 2)
        for row in rows:
            item = CropDetector(
                row, self.opts["size"], self.opts["thresh"] * row.thresh, threads=threads,
                engine=self.opts["engine"], device=self.opts["device"] or env.device,
                log=lambda line: env.log("info", line),
            )  # fmt: skip
            for cls in row.classes:
                self._detectors.setdefault(cls, []).append(item)

    def _settle(self, last: int) -> None:
        """Go into the sightings of all frames up to `last`: what lies before and after each is known as far as it
        counts, and the same however many frames are pushed at once."""
        for n in range(self._next, last + 1):
            for track in dict.fromkeys(region.track for region in self._waiting[n].regions):
                line = self._lines.get(track) if track is not None else None
                if line is not None and n in line.seen:
                    self._before(line, n)
                    self._after(line, n)
            self._shots.forget(n - self._time)
            for line in list(self._lines.values()):
                line.forget(n - self._time - _SPAN)
                if not line.seen and not line.removed:
                    del self._lines[line.number]
            self._next = n + 1

    def _after(self, line: _Line, n: int) -> None:
        later = min((m for m in line.seen if m > n), default=None)
        if later is not None and self._joined(line, n, later):
            self._bridge(line, n, later)
        else:
            self._seek(line, n, 1)

    def _before(self, line: _Line, n: int) -> None:
        earlier = max((m for m in line.seen if m < n), default=None)
        if earlier is None or not self._joined(line, earlier, n):
            self._seek(line, n, -1)

    def _joined(self, line: _Line, a: int, b: int) -> bool:
        """Whether what lies between two sightings is a gap, not an end and a beginning."""
        removed = any(a < n < b for n in line.removed)
        return b - a <= self._time and not removed and not self._shots.between(a, b)

    def _bridge(self, line: _Line, a: int, b: int) -> None:
        """Look into the gap between sightings on frames a < b where needed."""
        agreed = line.agrees(a, b)
        lacking = [n for n in range(a + 1, b) if self._looked(line.cls, n)]
        if b - a == 1 or (agreed and (b - a <= self._stride or not lacking)):
            return
        middle = min(lacking or range(a + 1, b), key=lambda n: abs(2 * n - a - b))
        if self._look(line, middle, [line.way(a, middle, b)], line.seen[a]):
            self._bridge(line, a, middle)
            self._bridge(line, middle, b)
        elif not agreed:
            self._seek(line, a, 1)
            self._seek(line, b, -1)

    def _seek(self, line: _Line, start: int, sign: int) -> None:
        """Look beyond the sighting on frame `start`, which is an end; sign: 1 forward, -1 backward."""
        far = start
        for n in range(start + sign, start + sign * (self._time + 1), sign):
            known = n in line.seen or n in line.removed or n not in self._waiting
            if known or self._shots.between(min(start, n), max(start, n)):
                break
            far = n
        at = n = start
        while n != far and self._inside(line.seen[at].box):
            shown, n = n == at, n + sign * min(self._stride, abs(far - n))
            if self._find(line, at, n):
                at = n
                continue
            low, high = at * sign, n * sign
            while shown and high - low > 1:
                middle = (low + high) // 2
                if self._find(line, at, middle * sign):
                    at, low = middle * sign, middle
                else:
                    high = middle

    def _inside(self, box: Box) -> bool:
        stream = self.env.stream
        return box[0] > 0 and box[1] > 0 and box[2] < stream.width and box[3] < stream.height

    def _looked(self, cls: str, n: int) -> bool:
        """Whether a model that finds such objects ran on the whole frame."""
        ran = self._waiting[n].ran if n in self._waiting else ()
        return not self._lookers.get(cls, set(ran)).isdisjoint(ran)

    def _find(self, line: _Line, at: int, n: int) -> bool:
        """Look at frame n for what was seen on frame `at`."""
        return self._look(line, n, line.due(at, n), line.seen[at])

    def _look(self, line: _Line, n: int, due: Sequence[Box], like: Region) -> bool:
        """Look at frame n around the boxes where the track is due. Whether it is there; it is then in the record."""
        hull = due[0] if len(due) == 1 else union(due[0], due[1])
        tried = line.tried.get(n)
        if tried is not None and overlap(tried, hull) >= _TRIED:
            return False
        for detector in self._detectors.get(line.cls, ()):
            price = self._price(detector)
            if self._spare < price:
                self._left_out += 1
                return False
            self._spare -= price
            found = self._found(detector, n, _square(hull, like.box, min(detector.size)), line)
            costs = [_cost(due, region) for region in found]
            if costs and min(costs) < _NEVER:
                region = found[costs.index(min(costs))]
                owner = self._owner(line, n, region, min(costs))
                if region.score < detector.model.thresh:
                    region = region.with_(box=self._with_way(owner, n, region.box))
                owner.seen[n] = region.with_(track=owner.number, shape=like.shape)
                self._waiting[n].regions = [*self._waiting[n].regions, owner.seen[n]]
                if owner is line:
                    return True
        line.tried[n] = hull
        return False

    def _with_way(self, line: _Line, n: int, box: Box) -> Box:
        """A box of frame n together with the straight way between the line's sightings before and after it, if there is
        one: what is not sure may bend the way, but uncovers nothing of it."""
        a = max((m for m in line.seen if m < n), default=None)
        b = min((m for m in line.seen if m > n), default=None)
        return box if a is None or b is None or not self._joined(line, a, b) else union(box, line.way(a, n, b))

    def _owner(self, line: _Line, n: int, region: Region, cost: float) -> _Line:
        """Whose it is that was found on frame n: the line's that was looked for, at that cost, or another's that is
        missing there, too, and was due nearer."""
        owner = line
        for other in self._lines.values():
            if other.cls != line.cls or other is line or not other.seen or n in other.seen or n in other.removed:
                continue
            at = min(other.seen, key=lambda m: abs(m - n))
            if abs(at - n) <= self._time and not self._shots.between(min(at, n), max(at, n)):
                its = _cost(other.due(at, n), region)
                owner, cost = (other, its) if its < cost else (owner, cost)
        return owner

    def _found(self, detector: CropDetector, n: int, square: Square, line: _Line) -> list[Region]:
        """Objects of the track's class in a square of frame n, grown by the model's margin; not those that are known
        under another number there, or that a person removed."""
        if self.env.ring is None:
            raise InputError(f"{self.label}: this pass has no frames to look at")
        frame = self.env.ring[n]
        try:
            detections = detector(frame, self.env.stream, square)
        except ModelError as error:
            place = f"{self.env.input_name}: frame {n} at {frame.t:.3f} s"
            raise ModelError(f"{self.label}: {detector.model.name}: {place}: {error}") from None
        known = [r.box for r in self._waiting[n].regions if r.cls == line.cls and r.src != "zone"]
        regions = []
        for item in detections:
            x0, y0, x1, y1 = item.box
            dx, dy = ((b - a) * detector.model.margin for a, b in ((x0, x1), (y0, y1)))
            box = (x0 - dx, y0 - dy, x1 + dx, y1 + dy)
            if item.cls == line.cls and not any(overlap(box, other) >= _SAME for other in known):
                regions.append(Region(box, item.cls, item.score, "det", poly=item.poly))
        return regions


def _cost(due: Sequence[Box], region: Region) -> float:
    """Least cost of taking the region for what was due in one of these places."""
    boxes, found = assoc.as_array(due), assoc.as_array([region.box])
    return float(assoc.cost(boxes, found, min_iou=_MIN_IOU, reach=_DIST, size=_SIZE).min())


def _square(hull: Box, box: Box, tensor: int) -> Square:
    """The square to look at: around the hull, with context, enlarged at most _ENLARGE times in a tensor of that
    side."""
    side = max(box[2] - box[0], box[3] - box[1])
    wide = max(hull[2] - hull[0], hull[3] - hull[1])
    whole = max(round(max(_CONTEXT * side, wide + side)), -(-tensor // _ENLARGE))
    return round((hull[0] + hull[2] - whole) / 2), round((hull[1] + hull[3] - whole) / 2), whole


FILTER = Redetect
