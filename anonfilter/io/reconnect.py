"""Cameras and streams that break off: opened again, with timestamps that go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from av.packet import Packet

from anonfilter.errors import Cancelled, InputError
from anonfilter.frame import Frame
from anonfilter.io.clock import rescale
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.values import not_negative

_TRIES, _LONGEST = 8, 120.0
"""Attempts in a row, and seconds between two of them at most (ffmpeg's reconnect_delay_max)."""
_FIRST = 0.5
_OURS = ("reconnect", "reconnect_at_eof", "reconnect_streamed", "reconnect_delay_max", "reconnect_max_retries")


def wanted(job: Job) -> bool:
    """Whether -reconnect 1 was given for an input that libavformat itself does not open again (it does for http)."""
    given = job.input_options.get("reconnect") not in (None, "0")
    return given and not job.input.startswith(("http:", "https:"))


def stripped(job: Job) -> Job:
    """The job without the options that are read here."""
    return replace(job, input_options={k: v for k, v in job.input_options.items() if k not in _OURS})


class Reconnecting(Reader):
    """A Reader that opens its input again when it ends or fails. The first opening is tried as often.

    -reconnect_max_retries: attempts in a row (8). -reconnect_delay_max: seconds between two at most (120); the first
    wait is half a second, each one after it twice as long. What comes after has the timestamps that its arrival gives.
    reconnects: how often that was. stopping, ending: are asked while it waits, the one ends it with Cancelled, the
    other as the end of the input does. Raises InputError
    when it gives up, and for a picture of another size or format.
    """

    def __init__(self, job: Job) -> None:
        self._tries = int(_number(job, "reconnect_max_retries", _TRIES))
        self._longest = _number(job, "reconnect_delay_max", _LONGEST)
        self._plain = stripped(job)
        self.reconnects = 0
        self._current: Reader | None = None
        self.stopping: Callable[[], bool] = job.stopped or (lambda: False)
        self.ending: Callable[[], bool] = lambda: False
        self._say = job.log or (lambda level, line: None)
        for attempt in range(self._tries + 1):
            try:
                super().__init__(self._plain)
                return
            except InputError as error:
                if attempt == self._tries:
                    raise self._given_up(error) from error
                self._wait(attempt, str(error))

    def _given_up(self, error: Exception | None) -> InputError:
        why = f": {error}" if error is not None else ""
        return InputError(f"{self._plain.input}: gave up after {self._tries} attempts to open it again{why}")

    def _wait(self, attempt: int, why: str) -> None:
        seconds = min(self._longest, _FIRST * 2**attempt)
        self._say("warning", f"{why}; trying again in {seconds:g} s ({attempt + 1} of {self._tries})")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.stopping():
                raise Cancelled("stopped")
            if self.ending():
                return
            time.sleep(min(0.05, left))

    def frames(self) -> Iterator[Frame | Packet[Any]]:
        """See Reader. Ends where -t says, else never but by an error."""
        source: Reader = self
        items = super().frames()
        n, shift, last, arrived = 0, Fraction(0), Fraction(0), time.monotonic()
        begun, length = None, self._span.length
        while True:
            error: InputError | None = None
            try:
                for item in items:
                    if isinstance(item, Frame):
                        moved = self._moved(item, n, shift)
                        last = (moved.pts or 0) * self.time_base
                        begun = last if begun is None else begun
                        if length is not None and last - begun >= length:  # the pauses count, too
                            self._ended = True
                            return
                        n, arrived = n + 1, time.monotonic()
                        yield moved
                    elif (packet := self._packet(item, shift)) is not None:
                        yield packet
            except InputError as problem:
                error = problem
            if source is not self:
                source.close()
            left = None if length is None else length - (last - (begun or last))
            if left is not None and left <= 2 / Fraction(self.info.average_rate):
                self._ended = True
                return
            again = self._again(left, error)
            if again is None:
                self._ended = True
                return
            source = self._current = again
            items = source.frames()
            self.reconnects += 1
            # The pause counts as time, so that what is copied beside the picture stays with it.
            pause = Fraction(round((time.monotonic() - arrived) * 1000), 1000)
            first = Fraction(source.info.start).limit_denominator(1_000_000)
            shift = last + max(pause, 1 / Fraction(self.info.average_rate)) - first

    def close(self) -> None:
        """See Reader."""
        super().close()
        if self._current is not None:
            self._current.close()

    def _again(self, left: Fraction | None, error: InputError | None) -> Reader | None:
        why = str(error) if error is not None else f"{self.name}: the stream ended"
        job = replace(self._plain, ss=None, to=None, t=None if left is None else float(left))
        for attempt in range(self._tries):
            self._wait(attempt, why)
            if self.ending():
                return None
            try:
                made = Reader(job)
            except InputError as problem:
                why, error = str(problem), problem
                continue
            have = made.info.width, made.info.height, made.info.pix_fmt
            want = self.info.width, self.info.height, self.info.pix_fmt
            if have != want:
                made.close()
                raise InputError(
                    f"{self.name}: came back as {have[0]}x{have[1]} {have[2]}, was {want[0]}x{want[1]} {want[2]}"
                )
            return made
        raise self._given_up(error)

    def _moved(self, frame: Frame, n: int, shift: Fraction) -> Frame:
        if not shift:
            return replace(frame, n=n)
        base = frame.av.time_base or self.time_base
        pts = rescale((frame.pts or 0) * base + shift, self.time_base)
        frame.av.pts, frame.av.time_base = pts, self.time_base
        return replace(frame, n=n, pts=pts, t=float((pts - self._span.zero_ticks) * self.time_base))

    def _packet(self, packet: Packet[Any], shift: Fraction) -> Packet[Any] | None:
        if not shift:
            return packet
        known = {stream.index: stream for stream in self.copied}
        if packet.stream.index not in known:
            return None
        ticks = rescale(shift, Fraction(packet.time_base))
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        return packet


def _number(job: Job, name: str, default: float) -> float:
    text = job.input_options.get(name)
    if text is None:
        return default
    try:
        return not_negative(text)
    except ValueError as error:
        raise InputError(f"-{name}: {error}") from None
