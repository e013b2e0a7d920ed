"""Times between an input and an output."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


def rescale(seconds: Fraction, time_base: Fraction) -> int:
    """Seconds to ticks as av_rescale_q does it: to the nearest, halves away from zero."""
    ticks = seconds / time_base
    return int(ticks + Fraction(1, 2)) if ticks >= 0 else -int(-ticks + Fraction(1, 2))


@dataclass(slots=True)
class Clock:
    """How times of the source become those of the output, all in seconds of the source's clock.

    zero: where filters see 0. shift: what is subtracted. begin, end: the part that the output's -ss and -t leave;
    read_begin, read_end: the part that the input's leave.
    """

    zero: Fraction = Fraction(0)
    shift: Fraction = Fraction(0)
    begin: Fraction | None = None
    end: Fraction | None = None
    read_begin: Fraction | None = None
    read_end: Fraction | None = None
