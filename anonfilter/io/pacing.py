"""When frames are shown: -r and -fps_mode, which drop and repeat frames behind the graph as ffmpeg does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import av.format

from anonfilter.errors import OutputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.job import Job
from anonfilter.values import parse_rate

_VARIABLE_FPS = 0x0400  # AVFMT_VARIABLE_FPS
_MOST_TICKS = (1 << 31) - 1  # what a muxer can write as a clock
_LONGEST_GAP = 36_000  # frames: ffmpeg's limit for one repetition (-dts_error_threshold's default times 30)


class Constant:
    """Frames at a constant rate: each tick of it shows the frame whose time is nearest, as ffmpeg's video sync does.

    rate: frames per second of the output. length: how many of its ticks a frame of the source takes. origin: where tick
    0 is, in seconds of the frames' clock. late_start: whether the output may begin later than tick 0; else its first
    frame is repeated from there on. frames: how many to give at most, None for no end. repeated, dropped: ffmpeg's dup
    and drop counts.

    The rules, and doubles in them, are those of ffmpeg's do_video_out(), so that both drop and repeat the same frames.
    """

    def __init__(self, rate: Fraction, length: float, origin: Fraction, late_start: bool, frames: int | None) -> None:
        self.rate, self.origin, self._late_start, self._frames = rate, origin, late_start, frames
        self.repeated = self.dropped = 0
        self._length = length
        self._next = self._given = 0
        self._last: Frame | None = None
        self._last_dropped = False
        self._history = [0, 0, 0]

    @property
    def due(self) -> Fraction:
        """When the next frame is shown."""
        return self.origin + self._next / self.rate

    @property
    def time_base(self) -> Fraction:
        """A clock in which all its times are whole numbers; 1 / rate where there is none that a muxer can write."""
        base = Fraction(1, math.lcm(self.rate.numerator, self.origin.denominator))
        return base if base.denominator <= _MOST_TICKS else 1 / self.rate

    def push(self, frame: Frame, time: Fraction) -> Iterator[tuple[Frame, Fraction]]:
        """Feed a frame of that time; gives the frames to show and their times."""
        due = _ticks(time - self.origin, self.rate)
        length, drift = self._length, due - self._next
        ahead = drift + length
        before, count = 0, 1
        if drift < 0 < ahead:
            due, length, drift = float(self._next), length + drift, 0.0
        if self._late_start and not self._given and drift >= 0.5:
            ahead, drift = length, 0.0
            self._next = round(due)
        if ahead < -1.1:
            count = 0
        elif ahead > 1.1:
            count = round(ahead)
            if drift > 1.1:
                before = round(drift - 0.6)
        yield from self._give(frame, before, count)

    def flush(self) -> Iterator[tuple[Frame, Fraction]]:
        """End of the stream: the last frame once more where the source's rhythm asks for it."""
        count = sorted(self._history)[1]
        yield from self._give(None, count, count)

    def _give(self, frame: Frame | None, before: int, count: int) -> Iterator[tuple[Frame, Fraction]]:
        """Show the last frame `before` times and this one until there are `count`."""
        if self._frames is not None:
            count = min(count, self._frames - self._given)
        before = min(before, count)
        self._history = [before, *self._history[:2]]
        if not before and self._last_dropped:
            self.dropped += 1
        # The last frame, if it was not shown yet, and this one are no repetitions.
        fresh = bool(before and self._last_dropped) + (count > before)
        if count > fresh:
            if count > _LONGEST_GAP:
                self.dropped += 1
                return
            self.repeated += count - fresh
        self._last_dropped = count == before and frame is not None
        for i in range(count):
            shown = self._last if i < before and self._last is not None else frame
            if shown is None:
                return
            yield shown, self.due
            self._next += 1
            self._given += 1
        if frame is not None:
            self._last = frame


def _ticks(seconds: Fraction, rate: Fraction) -> float:
    """A time in ticks of a rate, a little beside what lies exactly between two, as ffmpeg."""
    extra = 1 << max(0, min(16, 29 - (rate.numerator.bit_length() - 1)))
    exact = seconds * rate * extra
    whole = math.floor(exact + Fraction(1, 2)) if exact >= 0 else math.ceil(exact - Fraction(1, 2))
    return whole / extra + (1 if whole > 0 else -1) / (1 << 17)


def constant_rate(job: Job, muxer: str, stream: StreamInfo) -> Fraction | None:
    """The rate that an output's frames are brought to; None where they keep their times.

    That is -r, or the stream's own rate with -fps_mode cfr or in a container that knows no times. AVI is an exception,
    as in ffmpeg.
    """
    if job.rate:
        return parse_rate(job.rate)
    if job.fps_mode == "auto":
        flags = int(av.format.ContainerFormat(muxer, "w").flags)
        return None if muxer == "avi" or flags & _VARIABLE_FPS else stream.average_rate
    return stream.average_rate if job.fps_mode == "cfr" else None


def constant(
    job: Job, muxer: str, stream: StreamInfo, origin: Fraction, alone: bool
) -> Constant | None:
    """The pace of an output, None where frames keep their times.

    stream: what comes out of the graph. origin: the time that is 0 in the output, in seconds of the frames' clock.
    alone: whether the input has no other stream. Raises OutputError for a rate that no clock can count.
    """
    rate = constant_rate(job, muxer, stream)
    if rate is None:
        return None
    if max(rate.numerator, rate.denominator) > _MOST_TICKS:
        raise OutputError(f"-r {job.rate}: no clock counts at this rate")
    length = float(rate / stream.average_rate)
    # Only "auto" lets the output begin late: where sound of another stream could be waiting for it, it does not.
    late = (job.copyts or alone) and job.fps_mode == "auto"
    return Constant(rate, min(length, 1.0) if job.rate else length, origin, late, job.frames)
