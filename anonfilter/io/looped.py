"""-stream_loop: a file that begins again at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from av.packet import Packet

from anonfilter.errors import InputError
from anonfilter.frame import Frame
from anonfilter.io import demuxing
from anonfilter.io.clock import rescale
from anonfilter.io.reader import Reader
from anonfilter.io.span import seconds
from anonfilter.job import Job


class Looped(Reader):
    """A Reader that reads its file again when it ends, with timestamps that go on behind those of before.

    One turn lasts as long as the longest of its streams, as in ffmpeg. -t and -to of the input count over all turns.
    Raises InputError for an input that cannot be read twice.
    """

    def __init__(self, job: Job) -> None:
        if demuxing.read_once(job.input):
            raise InputError(f"{job.input}: -stream_loop has to read the input again: save it to a file first")
        for given, option in ((job.ss is not None, "-ss"), (job.sseof is not None, "-sseof")):
            if given:
                raise InputError(
                    f"{job.input}: {option} and -stream_loop of the input do not go together: "
                    "put -ss before the output"
                )
        if job.shortest:
            raise InputError(f"{job.input}: -shortest and -stream_loop do not go together: use -t")
        # One turn is read to its end: how long it is must not depend on -t.
        self._plain, self._turns = replace(job, stream_loop=0, t=None, to=None), job.stream_loop
        self._current: Reader | None = None
        self._found = [0, 0, 0]  # corrupt, undecodable, errors of the turns after the first
        super().__init__(self._plain)
        length = job.t if job.t is not None else job.to
        if length is not None:
            part = seconds(length)
            self._span = replace(self._span, length=part, end=self._span.zero + part)
        turns = 0 if self._turns < 0 else self._turns + 1
        self.info = replace(self.info, frames=self.info.frames * turns, duration=self.info.duration * turns)

    def frames(self) -> Iterator[Frame | Packet[Any]]:
        """See Reader. Without an end for -stream_loop -1, unless the input has -t."""
        source: Reader = self
        items = super().frames()
        shift, n, turn = Fraction(0), 0, 0
        end: Fraction | None = None  # for pictures -t counts from the first one
        while True:
            reach: dict[int, tuple[Fraction, Fraction]] = {}  # first time and last end of each stream
            count, over = n, False
            for item in items:
                stream = self.video if isinstance(item, Frame) else item.stream
                if isinstance(item, Frame):
                    moved = self._moved(item, n, shift)
                    time = (moved.pts or 0) * self.time_base
                    if end is None and self._span.length is not None:
                        end = time + self._span.length
                    over = end is not None and time >= end
                    if over:
                        break
                    span = time - shift, time - shift + 1 / Fraction(self.info.average_rate)
                    n += 1
                    yield moved
                else:
                    base = Fraction(item.time_base)
                    stamp = item.pts if item.pts is not None else item.dts
                    if stamp is None:
                        continue
                    span = stamp * base, (stamp + (item.duration or 0)) * base
                    if (packet := self._later(item, shift)) is not None:
                        yield packet
                first, last = reach.get(stream.index, span)
                reach[stream.index] = min(first, span[0]), max(last, span[1])
            if source is not self:
                self._found = [a + b for a, b in zip(self._found, _found(source), strict=True)]
                source.close()
            turn += 1
            if over or n == count or turn == self._turns + 1:
                self._ended = True
                return
            shift += max(last - first for first, last in reach.values())
            source = self._current = Reader(self._plain)
            items = source.frames()

    def _moved(self, frame: Frame, n: int, shift: Fraction) -> Frame:
        if not shift:
            return replace(frame, n=n)
        base = Fraction(frame.av.time_base or self.time_base)
        pts = rescale((frame.pts or 0) * base + shift, self.time_base)
        frame.av.pts, frame.av.time_base = pts, self.time_base
        return replace(frame, n=n, pts=pts, t=float((pts - self._span.zero_ticks) * self.time_base))

    def _later(self, packet: Packet[Any], shift: Fraction) -> Packet[Any] | None:
        """The packet at its time in this turn, of the first turn's stream: that of its own is closed before the writer
        asks for it. None behind the end."""
        assert self.container is not None
        packet.stream = self.container.streams[packet.stream.index]
        ticks = rescale(shift, Fraction(packet.time_base))
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        stamp = packet.dts if packet.dts is not None else packet.pts
        end = self._span.end
        late = end is not None and stamp is not None and stamp * Fraction(packet.time_base) >= end
        return None if late else packet

    @property
    def corrupt(self) -> int:
        """See Reader."""
        return super().corrupt + self._found[0]

    @property
    def undecodable(self) -> int:
        """See Reader."""
        return super().undecodable + self._found[1]

    @property
    def errors(self) -> int:
        """See Reader."""
        return super().errors + self._found[2]

    def close(self) -> None:
        """See Reader."""
        if hasattr(self, "container"):  # else it was refused before
            super().close()
        current: Reader | None = getattr(self, "_current", None)
        if current is not None:
            current.close()


def _found(source: Reader) -> tuple[int, int, int]:
    return source.corrupt, source.undecodable, source.errors
