"""hold: covers frames that nobody looked at. The planner puts it last in the lane; no user names it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from anonfilter.filter import Env, Options, RecordFilter
from anonfilter.frame import StreamInfo
from anonfilter.motion import overlap
from anonfilter.records import FrameRecord, Region

# What has its own times (zone, grow) says itself on which frames it is.
_OWN_TIMES = ("zone", "grow")
# Intersection over union from which a track's region on the frame stands for the one of the look.
_SAME_PLACE = 0.7


class Hold(RecordFilter):
    """A frame that was not looked at gets the regions of the nearest looked-at frames, before it and after
    it.

    A frame counts as looked at by each model alone: where plates are looked for on every frame and faces on
    every fifth, the frames between are held for faces. Left out are regions of a track that has one of its
    own on the frame in about the same place (also one removed by hand: that was a person's decision; a grown one does
    not count, it is a guess about an end) or one between two looks that agree on its way (Region.due), zones,
    grown regions and removed ones. A track that went far from one look to the next, unexpectedly, may have jumped
    from one object to another, so its looks are held as well. Held regions have src "interp".

    gap: most frames from one look to the next. models: names of those that must have run; any others that are
    met count from then on.
    """

    name = "hold"
    help = "Cover frames that no detector looked at with what was found around them."

    def __init__(self, gap: int, models: Iterable[str] = ()) -> None:
        super().__init__(Options({}))
        self._gap, self._models = max(1, gap), set(models)

    def lookahead(self, stream: StreamInfo) -> int | None:
        """The next look is at most so far away."""
        return self._gap - 1

    def open(self, env: Env) -> None:
        """Start with no look."""
        super().open(env)
        self._waiting: deque[FrameRecord] = deque()
        # Regions as they came: a waiting record must not hold what was held on it.
        self._found: deque[tuple[Region, ...]] = deque()
        self._before: dict[str, tuple[int, tuple[Region, ...]]] = {}

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Frames up to the newest complete look, and those that waited long enough."""
        self._models.update(record.ran)
        self._waiting.append(record)
        self._found.append(tuple(r for r in record.regions if r.src not in _OWN_TIMES and not r.deleted))
        return list(self._release(record.n))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest, with what was found before it."""
        return list(self._release(None))

    def _release(self, newest: int | None) -> Iterator[FrameRecord]:
        while self._waiting:
            record = self._waiting[0]
            missing = self._models.difference(record.ran)
            after = self._after(missing)
            if len(after) < len(missing) and newest is not None and newest < record.n + self._gap - 1:
                return
            looks = dict(self._before[model] for model in missing if model in self._before)
            looks.update(after.values())
            held = [region for n in sorted(looks) for region in looks[n]]
            for model in record.ran:
                self._before[model] = (record.n, self._found[0])
            self._waiting.popleft()
            self._found.popleft()
            if held:
                record.regions = [*record.regions, *_missing(record.regions, held)]
            yield record

    def _after(self, missing: set[str]) -> dict[str, tuple[int, tuple[Region, ...]]]:
        """For each of these models, its first look among the frames that wait behind the first."""
        after: dict[str, tuple[int, tuple[Region, ...]]] = {}
        for record, found in zip(self._waiting, self._found, strict=True):
            if len(after) == len(missing):
                break
            for model in missing.intersection(record.ran):
                after.setdefault(model, (record.n, found))
        return after


def _missing(there: list[Region], held: Sequence[Region]) -> list[Region]:
    """Those held regions that the frame does not have by itself, marked as held, each once."""
    own = [r for r in there if r.track is not None and r.due is not None and r.src not in _OWN_TIMES]
    made = dict.fromkeys(r.with_(src="interp") for r in held if not any(_tells(k, r) for k in own))
    return [region for region in made if region not in there]


def _tells(own: Region, held: Region) -> bool:
    """Whether the frame's own region says where the object of a held one is."""
    return own.track == held.track and (own.deleted or own.due or overlap(own.box, held.box) >= _SAME_PLACE)


FILTER = Hold
