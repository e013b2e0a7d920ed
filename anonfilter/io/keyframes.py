"""-force_key_frames: which pictures the encoder is told to make key frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from anonfilter.errors import GraphError
from anonfilter.expr import Expr
from anonfilter.values import parse_time

_NAMES = ("n", "n_forced", "prev_forced_n", "prev_forced_t", "t")


class KeyFrames:
    """What -force_key_frames says, as ffmpeg reads it: times, chapters among them ("0,5,chapters-0.1"), "source", or
    "expr:" and an expression over n, n_forced, prev_forced_n, prev_forced_t and t.

    text: the option's value. chapters: seconds of the output at which its chapters begin. Raises ValueError, the line
    that goes behind the option's name.
    """

    def __init__(self, text: str, chapters: Sequence[float] = ()) -> None:
        self._times: list[float] = []
        self._expr: Expr | None = None
        self._source = text in ("source", "source_no_drop")
        self._n = self._forced = 0
        self._first: Fraction | None = None
        self._before = (math.nan, math.nan)
        if text.startswith("expr:"):
            try:
                self._expr = Expr(text.removeprefix("expr:"), _NAMES)
            except GraphError as error:
                raise ValueError(f"'{text}': {error.message}") from None
        elif not self._source:
            self._times = sorted(time for part in text.split(",") for time in _times(part, chapters))

    def wants(self, t: Fraction, key: bool) -> bool:
        """Whether the next picture is to be a key frame. Call it once for each, in order. t: its time in the output,
        seconds; key: whether it was one in the source (False for one that is shown again)."""
        if self._times:
            # One for a picture, as ffmpeg: a second time before the same picture makes the next one a key frame, too.
            # Half a microsecond, since times are given in whole ones.
            due = float(t) + 5e-7 >= self._times[0]
            self._times = self._times[due:]
            return due
        if self._expr is None:
            return self._source and key
        # As ffmpeg, where an expression counts from the first picture, and times from the output's 0.
        self._first = t if self._first is None else self._first
        seconds = float(t - self._first)
        n, (last_n, last_t) = self._n, self._before
        self._n += 1
        values = {"n": n, "n_forced": self._forced, "prev_forced_n": last_n, "prev_forced_t": last_t, "t": seconds}
        due = self._expr.eval(**values) != 0  # NaN is not zero either, as in C
        if due:
            self._forced += 1
            self._before = (n, seconds)
        return due


def _times(part: str, chapters: Sequence[float]) -> list[float]:
    """The times of one part of the list: a time, or "chapters" with what is added to each."""
    if part.startswith("chapters"):
        delta = part.removeprefix("chapters")
        return [max(0.0, start + (parse_time(delta.removeprefix("+")) if delta else 0.0)) for start in chapters]
    return [parse_time(part)]
