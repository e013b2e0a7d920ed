"""track: gives the regions of one object on many frames one number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from anonfilter import assoc
from anonfilter.filter import Env, RecordFilter
from anonfilter.filters.looks import Looks
from anonfilter.filters.pieces import Piece, appearance, join, join_all, start, unlike
from anonfilter.frame import StreamInfo
from anonfilter.options import Duration, Option
from anonfilter.records import FrameRecord, Region

# What it costs more to be where the last look was than where movement leads: an object may stop, but two that change
# places between two looks did not both stop.
_STOPPED = 0.35
# A sighting is disputed if its track, or another's, could have had another one for so little more: of two faces
# side by side that is up to about 0.4 sides between the centres, where nets begin to see one face in two.
_DISPUTED = 0.7


class Track(RecordFilter):
    """Hungarian assignment on overlap, distance and size, with constant velocity between looks; then pieces are joined.

    Every detection gets a number and is passed on: a track needs no confirmation. Detections that score high choose
    first, the rest then among the tracks that are left (as ByteTrack does: Zhang et al., 2022). Regions removed by hand
    are tracked like others, so that interp knows whose they were. Regions that bring a number from a record file keep
    together under one number; zones are left alone. A cut ends all tracks.

    What is followed so are pieces of tracks. Where two objects come so near that a look does not tell for sure which is
    which, their pieces end once they are apart, and new ones begin. `ahead` frames after a piece began it is decided
    which earlier one it goes on from, if any, by where both were going before and after (filters/pieces.py): over the
    dispute, or over a gap of up to `rejoin`. So long its frames wait. Regions are never moved, added or left out.
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
        Option(
            "redetect", "bool", True,
            "where detect or read comes before and interp after, and the graph has no redetect, do what that does by "
            "default: look again, magnified, where a track is missing, ends or begins",
        ),
        Option(
            "smooth", "bool", True,
            "where interp comes after and the graph has no smooth, do what that does by default: take out jitter, "
            "without uncovering anything",
        ),
        Option("high", "float", 0.5, "score from which a detection chooses its track first", min=0, max=1),
        Option(
            "rejoin", "duration", Duration(2, "s"),
            "longest gap over which two pieces of a track get one number if their ends fit; 0: none", min=0,
        ),
        Option(
            "ahead", "duration", Duration(12),
            "how long a piece is watched before it is decided whose it is (look-ahead); 0: joins nothing", min=0,
        ),
        Option("global", "bool", False, "decide over the whole clip instead; needs two passes"),
        Option(
            "appearance", "float", 0.0, "weight of how unlike two regions look (needs embed before track)",
            min=0, max=10,
        ),
    )

    def lookahead(self, stream: StreamInfo) -> int | None:
        """Frames that a piece of a track is watched before its number is settled."""
        if self.opts["global"]:
            return None
        return int(self.opts["ahead"].frames(stream.rate)) if self.opts["rejoin"].value else 0

    def open(self, env: Env) -> None:
        """Start without tracks."""
        super().open(env)
        self._ahead = self.lookahead(env.stream)
        self._max_age, self._rejoin = (self.opts[key].frames(env.stream.rate) for key in ("max_age", "rejoin"))
        if self._ahead == 0:
            self._rejoin = 0
        self._waiting: deque[tuple[FrameRecord, list[Piece | None]]] = deque()
        self._active: dict[int, Piece] = {}  # by key: those that the next look may see again
        self._born: deque[Piece] = deque()  # without a number yet, in order of their first frames
        self._old: list[Piece] = []  # with a number: those that a later piece may go on from
        self._used: set[int] = set()
        self._names: dict[int, Piece] = {}  # number in the incoming regions -> its piece
        self._keys = self._next = 1
        self._shot = 0
        self._looks = Looks()

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Number the regions of this frame; give the one that is `ahead` frames back."""
        if record.cut:
            self._shot += 1
            self._active, self._names = {}, {}
        self._retire(record.n)
        seen: dict[int, Piece] = {}
        for i, region in enumerate(record.regions):
            if region.track is not None:
                seen[i] = self._known(region, record.n)
        loose = [i for i, r in enumerate(record.regions) if r.track is None and r.src in ("det", "manual")]
        if loose:
            self._match(record, loose, seen)
        self._looks.add(record)
        self._waiting.append((record, [seen.get(i) for i in range(len(record.regions))]))
        return () if self._ahead is None else list(self._release(record.n - self._ahead))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest."""
        if self._ahead is None:
            pairs = join_all(self._born, self._gates, self._rejoin, self.opts["appearance"]) if self._rejoin else []
            earlier = {j: self._born[i] for i, j in pairs}
            for j, piece in enumerate(self._born):
                piece.number = earlier[j].number if j in earlier else self._new_number()
            self._born.clear()
        return self._release(None)

    @property
    def _gates(self) -> dict[str, float]:
        return {key: self.opts[key] for key in ("min_iou", "dist", "size")}

    def _release(self, last: int | None) -> Iterator[FrameRecord]:
        """Records of frames up to `last`, with the numbers of their pieces."""
        while self._waiting and (last is None or self._waiting[0][0].n <= last):
            record, pieces = self._waiting[0]
            if self._born and self._born[0].first <= record.n:
                self._decide(record.n)
            self._waiting.popleft()
            if any(pieces):
                record.regions = [
                    region if piece is None else region.with_(track=piece.number)
                    for region, piece in zip(record.regions, pieces, strict=True)
                ]
            yield record

    def _decide(self, n: int) -> None:
        """Settle the numbers of the pieces that began on frame n. Those that began later compete with them."""
        oldest = n - self._rejoin
        self._old = [p for p in self._old if not p.followed and (p.last >= oldest or p.id in self._active)]
        if self._rejoin:
            before = [*self._old, *self._born]
            for i, j in join(before, self._born, self._gates, self._rejoin, self.opts["appearance"]):
                earlier, later = before[i], self._born[j]
                if later.first == n:
                    later.number, earlier.followed = earlier.number, True
                    self._active.pop(earlier.id, None)
        while self._born and self._born[0].first <= n:
            piece = self._born.popleft()
            piece.parent = None
            if piece.number is None:
                piece.number = self._new_number()
            self._old.append(piece)

    def _retire(self, n: int) -> None:
        """Forget what was unseen too long; but what was there at the last look, however long ago, is still open, and
        unless max_age is 0 so is what was missed once: where looks are far apart that may be longer than max_age."""
        newest = self._looks.before if self._max_age else self._looks.last
        for key, piece in list(self._active.items()):
            if piece.last < min(n - self._max_age, newest(piece.cls)):
                del self._active[key]

    def _known(self, region: Region, n: int) -> Piece:
        """The piece of a region that brought a number: the same here, unless that is taken."""
        given = region.track
        assert given is not None
        piece = self._names.get(given)
        if piece is None:
            piece = self._names[given] = start(self._new_key(), region, n, self._shot)
            piece.fixed, piece.number = True, self._new_number() if given in self._used else given
            self._used.add(piece.number)
        else:
            piece.see(region, n)
        self._active[piece.id] = piece
        return piece

    def _match(self, record: FrameRecord, loose: Sequence[int], seen: dict[int, Piece]) -> None:
        """Find pieces for regions without one, high scores first; start new pieces for what is left."""
        taken = {piece.id for piece in seen.values()}
        for cls in dict.fromkeys(record.regions[i].cls for i in loose):
            open_ = [p for p in self._active.values() if p.cls == cls and p.id not in taken]
            same = [i for i in loose if record.regions[i].cls == cls]
            if not open_:
                continue
            costs = self._costs(open_, [record.regions[i] for i in same], record.n)
            pairs = self._assign(costs, [record.regions[i].score >= self.opts["high"] for i in same])
            disputed = _disputes(costs, pairs)
            for row, column in pairs.items():
                region, piece = record.regions[same[column]], open_[row]
                seen[same[column]] = self._go_on(piece, region, record.n, bool(disputed[row]))
            for row in set(np.flatnonzero(disputed).tolist()) - set(pairs):
                open_[row].dispute()
        for i in loose:
            if i not in seen:
                seen[i] = self._begin(start(self._new_key(), record.regions[i], record.n, self._shot))

    def _assign(self, costs: assoc.Array, high: Sequence[bool]) -> dict[int, int]:
        """Row -> column; columns that score high first."""
        pairs: dict[int, int] = {}
        for wanted in (True, False):
            rows = [row for row in range(len(costs)) if row not in pairs]
            columns = [column for column, value in enumerate(high) if value is wanted]
            if rows and columns:
                chosen = assoc.assign(costs[np.ix_(rows, columns)])
                pairs.update((rows[i], columns[j]) for i, j in chosen)
        return pairs

    def _go_on(self, piece: Piece, region: Region, n: int, disputed: bool) -> Piece:
        """A sighting of a piece; or of a new one, if this is the first one since it was mixed up with others."""
        if piece.disputed and not piece.fixed and self._rejoin:
            if n - piece.tail[-1][0] > self._rejoin:  # so long that what was before tells nothing any more
                piece.tail.clear()
                piece.disputed = False
            elif not disputed:
                del self._active[piece.id]
                return self._begin(start(self._new_key(), region, n, self._shot, piece))
        piece.see(region, n, disputed=disputed)
        return piece

    def _costs(self, pieces: Sequence[Piece], regions: Sequence[Region], n: int) -> assoc.Array:
        """(pieces, regions) costs. An object is where it was going, or where it was: objects stop."""
        boxes = assoc.as_array([region.box for region in regions])
        reach = assoc.reach(self.opts["dist"], np.array([n - piece.last for piece in pieces]))
        both = [piece.predicted(n) for piece in pieces] + [piece.box for piece in pieces]
        costs = assoc.cost(
            assoc.as_array(both),
            boxes,
            min_iou=self.opts["min_iou"],
            reach=np.tile(reach, 2),
            size=self.opts["size"],
        )
        costs = np.minimum(costs[: len(pieces)], assoc.raised(costs[len(pieces) :], np.array(_STOPPED)))
        if weight := self.opts["appearance"]:
            looks = [piece.look for piece in pieces], [appearance(region) for region in regions]
            costs = assoc.raised(costs, weight * unlike(*looks))
        return costs

    def _begin(self, piece: Piece) -> Piece:
        self._active[piece.id] = piece
        self._born.append(piece)
        return piece

    def _new_key(self) -> int:
        self._keys += 1
        return self._keys

    def _new_number(self) -> int:
        while self._next in self._used:
            self._next += 1
        self._used.add(self._next)
        return self._next


def _disputes(costs: assoc.Array, pairs: dict[int, int]) -> npt.NDArray[np.bool_]:
    """(N,) whether a row's pair, or its being left out, is a matter of little more cost."""
    out = np.zeros(len(costs), bool)
    for row, column in pairs.items():
        limit = costs[row, column] + _DISPUTED
        rows = costs[:, column] < limit
        rows[row] = bool((np.delete(costs[row], column) < limit).any()) or bool(rows.sum() > 1)
        out |= rows
    return out


FILTER = Track
