"""When each frame of an output is shown: its part of the source, its rate, and the encoder's clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av.codec

from anonfilter.errors import OutputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import encoding, pacing
from anonfilter.io.clock import Clock, rescale
from anonfilter.io.reader import Reader
from anonfilter.job import Job


class Timing:
    """Times of an output's frames.

    clock: how the source's times become the output's. time_base: the encoder's ticks. pace: the constant rate, None
    where frames keep their times. done: whether -t, -to, -frames:v or -fs have ended the output. nudged: frames whose
    repeated or backward pts had to be moved. moved: those that the encoder's clock cannot show at their times. late:
    those that -fps_mode vfr left out. Raises OutputError where -t or -to leave nothing.
    """

    def __init__(self, job: Job, muxer: str, codec: av.codec.Codec) -> None:
        self._job, self._muxer, self._codec = job, muxer, codec
        self.clock = Clock()
        self.pace: pacing.Constant | None = None
        self.nudged = self.moved = self.late = 0
        self.done = False
        self._last_pts: int | None = None
        self._from = None if job.out_ss is None else Fraction(job.out_ss).limit_denominator(1_000_000)
        start = self._from or Fraction(0)
        self._until: Fraction | None = None
        if job.out_t is not None:
            self._until = start + Fraction(job.out_t).limit_denominator(1_000_000)
        elif job.out_to is not None:
            self._until = Fraction(job.out_to).limit_denominator(1_000_000)
        if self._until is not None and self._until <= start:
            given = f"-t {job.out_t:g}" if job.out_t is not None else f"-to {job.out_to or 0:g}"
            raise OutputError(f"{job.output}: {given} leaves nothing of the output: give it a longer time")
        self._length = None if self._until is None else self._until - start
        self._trimmed: Fraction | None = None

    # -- opening --

    def start(self, stream: StreamInfo, reader: Reader | None) -> StreamInfo:
        """Begin with a stream whose pts are in its time base. Returns it with the rate that the output has."""
        self._shifts(stream, reader)
        self._stream, self.time_base = stream, encoding.clock(self._codec, self._muxer, stream)
        alone = reader is None or reader.container is None or len(reader.container.streams) == 1
        origin = self.clock.zero if self.clock.begin is None else self.clock.begin
        self.pace = pacing.constant(self._job, self._muxer, stream, origin, alone)
        if self.pace is None:
            return stream
        stream = replace(stream, average_rate=self.pace.rate)
        tick = replace(stream, time_base=self.pace.time_base)
        self.time_base = encoding.clock(self._codec, self._muxer, tick)
        return stream

    def _shifts(self, stream: StreamInfo, reader: Reader | None) -> None:
        """What is subtracted from timestamps: the source's start for -ss of the input, more for -ss of the
        output."""
        clock = self.clock
        clock.shift = reader.shift if reader is not None else Fraction(0)
        clock.zero = start = Fraction(stream.start).limit_denominator(1_000_000)
        if reader is not None:
            clock.read_begin, clock.read_end = reader.range
        # Times of the output's -ss and -t count from where its t is 0.
        clock.begin = None if self._from is None else start + self._from
        clock.end = None if self._until is None else start + self._until
        if reader is not None and reader.shortest is not None:
            clock.end = reader.shortest if clock.end is None else min(clock.end, reader.shortest)
        if clock.begin is not None:
            clock.shift = clock.begin

    # -- frames --

    def wants(self, time: Fraction | None, frames: int, size: int) -> bool:
        """Whether -ss, -to, -t, -shortest, -frames:v and -fs leave a frame at that time, in seconds of the source, when
        so many were written, and so many bytes. -fs leaves the first one, as ffmpeg's does."""
        clock = self.clock
        if self.done or (time is not None and clock.begin is not None and time < clock.begin):
            return False
        if time is not None and self._over(time):
            self.done = True
            return False
        most, limit = self._job.frames, self._job.limit_size
        if (most is not None and frames >= most) or (limit is not None and frames and size >= limit):
            # Sound ends there, too.
            self.done = True
            if time is not None:
                clock.end = time if clock.end is None else min(time, clock.end)
            return False
        return True

    def _over(self, time: Fraction) -> bool:
        """Whether -t, -to or -shortest end before a frame of that time."""
        if self.pace is None:
            return self.clock.end is not None and time >= self.clock.end
        # As ffmpeg, where trim comes first, counting from the first picture that is kept, and then the rate, which may
        # still repeat pictures up to the end.
        if self._trimmed is None and self._length is not None:
            self._trimmed = time + self._length
        return self._trimmed is not None and time >= self._trimmed

    def shown(self, frame: Frame) -> Iterator[tuple[Frame, Fraction | None]]:
        """What is shown when a frame comes, and when: itself at its time (None), or what a constant rate needs."""
        if self.pace is None:
            yield frame, None
            return
        # A frame without a time comes when the last one is over.
        time = None if frame.pts is None else frame.pts * self._stream.time_base
        yield from self.pace.push(frame, self.pace.due if time is None else time)

    def rest(self) -> Iterator[tuple[Frame, Fraction | None]]:
        """What a constant rate still shows at the end."""
        if self.pace is not None:
            yield from self.pace.flush()

    def stamp(self, frame: Frame, due: Fraction | None) -> bool:
        """Give a frame's picture its time and duration in the encoder's ticks. due: when to show it, where that is not
        its own time. False where it is not shown. Raises OutputError where two frames fall on one tick."""
        base = self._stream.time_base
        if due is not None and self.clock.end is not None and due >= self.clock.end:
            self.done = True
            return False
        if due is not None:
            pts = rescale(due - self.clock.shift, self.time_base)
        elif frame.pts is None:
            after = max(1, rescale(1 / self._stream.average_rate, self.time_base))
            pts = 0 if self._last_pts is None else self._last_pts + after
        elif base == self.time_base:
            pts = frame.pts - rescale(self.clock.shift, base)
        else:
            exact = (frame.pts * base - self.clock.shift) / self.time_base
            pts = rescale(frame.pts * base - self.clock.shift, self.time_base)
            self.moved += pts != exact
        if self._last_pts is not None and pts <= self._last_pts:
            if self._job.fps_mode == "vfr":
                self.late += 1
                return False
            if base != self.time_base and frame.pts is not None:
                raise OutputError(
                    f"{self._job.output}: two frames at {frame.t:.3f} s fall on one tick of {self._muxer} with "
                    f"encoder {self._codec.name}: put fps={float(self._stream.average_rate):g} last, "
                    "or write .mp4 or .mkv"
                )
            # No encoder takes a time twice or backwards. A frame is never dropped: it comes one tick later.
            pts = self._last_pts + 1
            self.nudged += 1
        self._last_pts = pts
        picture = frame.av
        picture.pts, picture.time_base = pts, self.time_base
        if self.pace is not None:
            picture.duration = rescale(1 / self.pace.rate, self.time_base)
        elif picture.duration and base != self.time_base:
            picture.duration = rescale(picture.duration * base, self.time_base)
        return True
