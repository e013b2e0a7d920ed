"""drop: takes out tracks that are too short to be believed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from anonfilter.filter import Env, RecordFilter
from anonfilter.filters.looks import Looks
from anonfilter.frame import StreamInfo
from anonfilter.options import Duration, Option
from anonfilter.records import FrameRecord

# Frames that are waited for, in units of `min`: an object that is seen again within them was there all the time.
_PATIENCE = 2


@dataclass(slots=True)
class _Life:
    """What is known of a track: frames of its first and newest sighting, the first look at which it was not seen any
    more, and whether it is believed for good."""

    cls: str
    first: int
    last: int
    missed: int | None = None
    kept: bool = False


class Drop(RecordFilter):
    """A track is as long as the time from its first sighting to the first look for its class that did not see it any
    more: where every 12th frame is looked at, one sighting stands for 12 frames. In doubt it stays: if there was no
    such look yet, if its shot or the clip begins with it or ends before the next look, if one sighting scores `sure`,
    or if a person drew or removed a region of it. One that is long enough stays from then on whatever comes.

    Taken out are a short track's regions of all frames, filled ones too. Zones, regions drawn or removed by hand and
    regions without a track stay.
    """

    name = "drop"
    help = (
        "Take out short tracks as false positives. This trades leaks: a face that shows for less than `min` and is "
        "detected with little certainty will show in the output."
    )
    options = (
        Option("min", "duration", Duration(3), "shortest track that stays", min=1),
        Option("sure", "float", 0.7, "a track with a sighting of this score always stays", min=0, max=1),
    )

    def lookahead(self, stream: StreamInfo) -> int | None:
        """Twice as long as the shortest track that stays."""
        return int(_PATIENCE * self.opts["min"].frames(stream.rate))

    def open(self, env: Env) -> None:
        """Start without tracks."""
        super().open(env)
        self._min, self._ahead = self.opts["min"].frames(env.stream.rate), self.lookahead(env.stream) or 0
        self._waiting: deque[FrameRecord] = deque()
        self._lives: dict[int, _Life] = {}
        self._pending: set[int] = set()
        self._looks = Looks()
        self._started = False

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Note who was seen; give the frame that waited long enough."""
        self._looks.add(record)
        begins = record.cut or not self._started
        self._started = True
        if record.cut:
            self._keep_all()
        for region in record.regions:
            if region.track is None or region.src == "zone":
                continue
            life = self._lives.get(region.track)
            if life is None:
                life = self._lives[region.track] = _Life(region.cls, record.n, record.n, kept=begins)
                self._pending.add(region.track)
            if region.src in ("interp", "grow"):
                continue  # no sighting
            life.last, life.missed = record.n, None
            if region.deleted or region.src == "manual" or region.score >= self.opts["sure"]:
                life.kept = True
        for track in list(self._pending):
            life = self._lives[track]
            if life.missed is None and self._looks.last(life.cls) > life.last:
                life.missed = self._looks.last(life.cls)
            if life.kept or max(life.missed or 0, life.last + 1) - life.first >= self._min:
                life.kept = True
                self._pending.discard(track)
        self._waiting.append(record)
        return list(self._release(record.n - self._ahead))

    def flush(self) -> Iterable[FrameRecord]:
        """The rest: what was not missed by the end may have gone on."""
        self._keep_all()
        return list(self._release(None))

    def _keep_all(self) -> None:
        """The shot is over: nobody can say how long these would have been."""
        for track in list(self._pending):
            if self._lives[track].missed is None:
                self._lives[track].kept = True
                self._pending.discard(track)

    def _release(self, last: int | None) -> Iterator[FrameRecord]:
        while self._waiting and (last is None or self._waiting[0].n <= last):
            record = self._waiting.popleft()
            short = {track for track in self._pending if self._short(track)}
            if short:
                record.regions = [
                    r for r in record.regions
                    if r.track not in short or r.deleted or r.src in ("zone", "manual")
                ]  # fmt: skip
            yield record

    def _short(self, track: int) -> bool:
        life = self._lives[track]
        return not life.kept and life.missed is not None


FILTER = Drop
