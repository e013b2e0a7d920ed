"""Which part of an input -ss, -sseof, -t and -to ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.container import InputContainer

from anonfilter.errors import InputError
from anonfilter.io.clock import rescale
from anonfilter.job import Job

_MICRO = Fraction(1, 1_000_000)
_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an input, in seconds of its own timestamps.

    begin, end: its limits, None where nobody asked for one. length: what -t or -to leave. asked: -ss as it was given,
    counted from the file's start. zero: where filters see t = 0, zero_ticks: the same in ticks of the video. shift:
    what an output subtracts from every timestamp. seek: whether begin lies behind the file's start.
    """

    begin: Fraction | None
    end: Fraction | None
    length: Fraction | None
    asked: float
    zero: Fraction
    zero_ticks: int
    shift: Fraction
    seek: bool


def span(job: Job, container: InputContainer, order: Sequence[Any], time_base: Fraction, forced: bool) -> Span:
    """What a job asks for. order: the streams that are read. time_base: of the video. forced: -r of the input replaces
    the file's times. Raises InputError where nothing is left."""
    first = Fraction(0) if forced else Fraction(container.start_time or 0) * _MICRO
    ss = job.ss
    if job.sseof is not None and (total := container.duration):
        # As ffmpeg: counted from the length that the container states; before the start is the start.
        ss = max(0.0, total / 1_000_000 + job.sseof)
    skip = seconds(ss)
    asked = first + skip
    if int(container.format.flags) & _TS_DISCONT and not forced:
        # As ffmpeg: where clocks may jump, as in MPEG-TS, a file starts where the streams that are read start.
        starts = [Fraction(s.start_time) * s.time_base for s in order if s.start_time is not None]
        first = max(first, min(starts, default=first))
    # As ffmpeg: a start before the file's is a pause at the beginning of the output.
    begin = zero = asked if skip < 0 else max(asked, first)
    shift = begin if ss is not None else Fraction(0)
    if job.copyts:
        zero = shift = first if job.start_at_zero else Fraction(0)
    length: Fraction | None = None
    if job.t is not None:
        length = seconds(job.t)
    elif job.to is not None:
        length = seconds(job.to) - skip
    if length is not None and length <= 0:
        given = f"-t {job.t:g}" if job.t is not None else f"-to {job.to or 0:g}"
        raise InputError(f"{job.input}: {given} leaves nothing of the input: give it a longer time")
    return Span(
        begin=begin if ss is not None else None,
        end=None if length is None else begin + length,
        length=length,
        asked=ss or 0.0,
        zero=zero,
        zero_ticks=rescale(zero, time_base),
        shift=shift,
        seek=ss is not None and skip > 0,
    )


def seconds(value: float | None) -> Fraction:
    """An option's seconds with six digits, as ffmpeg keeps times: a float's own error must not move a frame over the
    edge."""
    return Fraction(0) if value is None else Fraction(round(value * 1_000_000), 1_000_000)
