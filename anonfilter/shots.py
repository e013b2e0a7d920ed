"""Where shots begin: what record filters ask before they join two frames."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from anonfilter.records import FrameRecord


class Shots:
    """The cuts and gradual transitions among the records that passed by (FrameRecord.cut and .fade).

    Nothing is joined across a cut: no track, no interpolation, no smoothing. One frame of a gradual transition is its
    cut, and both shots show on all of its frames: cover that is held (grow) goes on to the transition's end.
    """

    def __init__(self) -> None:
        self._cuts: list[int] = []
        self._fades: list[int] = []

    def add(self, record: FrameRecord) -> None:
        """Take note of a record; they come in decode order."""
        if record.cut:
            self._cuts.append(record.n)
        if record.fade:
            self._fades.append(record.n)

    def forget(self, before: int) -> None:
        """Nobody will ask about frames before that one again."""
        for frames in (self._cuts, self._fades):
            if frames and frames[0] < before:
                del frames[: bisect_left(frames, before)]

    def between(self, a: int, b: int) -> bool:
        """Whether frames a and b, a <= b, are of different shots: a cut lies in (a, b]."""
        return bisect_right(self._cuts, a) != bisect_right(self._cuts, b)

    def holds(self, start: int, n: int) -> bool:
        """Whether something seen on frame `start` may still show on frame n, before or after it: no cut lies between
        them, or all frames beyond the cut that is met first, up to n, are gradual transition."""
        if n >= start:
            i = bisect_right(self._cuts, start)
            if i == len(self._cuts) or self._cuts[i] > n:
                return True
            first, last = self._cuts[i], n
        else:
            i = bisect_right(self._cuts, start)
            if i == 0 or self._cuts[i - 1] <= n:
                return True
            first, last = n, self._cuts[i - 1] - 1
        return self.fading(first, last)

    def fading(self, first: int, last: int) -> bool:
        """Whether all frames from first to last, first <= last, belong to gradual transitions."""
        return bisect_right(self._fades, last) - bisect_left(self._fades, first) == last - first + 1
