"""Which frames a detector looks at: every N-th, or adaptively few.

A schedule is told of every frame, in order, and asks for looks by calling `look`. It never asks for a frame that it
said is settled, nor for one that was not yet announced, so that a bounded ring of frames is enough.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


class Schedule(ABC):
    """look: called with the number of a frame to look at, each frame once at most."""

    def __init__(self, look: Callable[[int], None]) -> None:
        self._look = look
        self._seen = self._looked = -1

    @property
    @abstractmethod
    def lookahead(self) -> int:
        """Frames that must be announced beyond one before it is settled."""

    @property
    @abstractmethod
    def gap(self) -> int:
        """Most frames from one look to the next."""

    @abstractmethod
    def due(self, n: int, cut: bool) -> bool:
        """Whether push() with the same would ask for a look."""

    @abstractmethod
    def push(self, n: int, cut: bool) -> int:
        """Frame n = 0, 1, ... is there; cut: it begins a new shot. Returns the first frame that is not settled: a look
        at it may follow, or what was seen on it may be judged anew."""

    def flush(self) -> None:
        """There are no more frames. The last one is looked at, since what is held behind the last look would otherwise
        be held from one side only: an object that moves would come out from under its cover."""
        self._look_at(self._seen)

    def _look_at(self, n: int) -> None:
        if n > self._looked:
            self._look(n)
            self._looked = n


class Every(Schedule):
    """Every N-th frame, the last one, and the frames on both sides of a cut."""

    def __init__(self, look: Callable[[int], None], every: int) -> None:
        super().__init__(look)
        self._every = every

    @property
    def lookahead(self) -> int:
        """Whether a frame is the last of its shot is known when the next one is there."""
        return int(self._every > 1)

    @property
    def gap(self) -> int:
        """See Schedule.gap."""
        return self._every

    def due(self, n: int, cut: bool) -> bool:
        """See Schedule.due."""
        return cut or n % self._every == 0

    def push(self, n: int, cut: bool) -> int:
        """See Schedule.push."""
        if cut:
            self._look_at(n - 1)
        if self.due(n, cut):
            self._look_at(n)
        self._seen = n
        return n + 1 - self.lookahead


class Auto(Schedule):
    """Looks an adaptive number of frames apart.

    Where two neighbouring looks do not agree (something came, went, moved unexpectedly or too far) the frame half way
    between them is looked at, too, until neighbours agree or no more than one frame lies between them, which is covered
    with what both show. After looks that agree the step grows
    by half, after others and at a cut it is halved; it stays within `least` and `most` frames. At a cut the frames on
    both sides are looked at, and what is on them is not compared.

    Where a look is only to settle what two others do not agree on, a glance at those parts of the frame may do.

    agree: whether the looks at frames a < b, both looked at and none between them, show the same objects.
    novel: where they agree, a frame between them that shows something else, or None (novelty.Novelty.between). It is
    looked at, and if that look does not agree with both, between them, too. Nothing is asked of what is left then.
    glance: called with frames a < n < b, of which a and b were just asked whether they agree (and `novel` about n, if
    they did): look at frame n where that tells something, or say False if it needs a look at all of it.
    """

    def __init__(
        self,
        look: Callable[[int], None],
        agree: Callable[[int, int], bool],
        least: int,
        most: int,
        novel: Callable[[int, int], int | None] | None = None,
        glance: Callable[[int, int, int], bool] | None = None,
    ) -> None:
        super().__init__(look)
        self._novel, self._glance = novel, glance
        self._agree, self._least, self._most = agree, min(least, most), most
        self._step, self._anchor = self._least, -1
        self._whole = self._parts = 0  # looks since the newest step, at all of a frame and at parts

    @property
    def lookahead(self) -> int:
        """See Schedule.lookahead."""
        return self._most

    @property
    def gap(self) -> int:
        """See Schedule.gap."""
        return self._most

    def due(self, n: int, cut: bool) -> bool:
        """See Schedule.due."""
        return cut or self._anchor < 0 or n - self._anchor >= self._step

    def push(self, n: int, cut: bool) -> int:
        """See Schedule.push."""
        if cut or self._anchor < 0:
            self._close(n - 1)
            self._look_at(n)
            self._anchor, self._step = n, max(self._least, self._step // 2)
        elif self.due(n, cut):
            self._close(n)
        self._seen = n
        return self._anchor

    def flush(self) -> None:
        """See Schedule.flush."""
        self._close(self._seen)

    def _close(self, n: int) -> None:
        """Look at frame n and, where needed, between it and the last look."""
        if n <= self._anchor:
            return
        self._look(n)
        self._whole = self._parts = 0
        if self._refine(self._anchor, n):
            self._step = min(self._most, self._step + (self._step + 1) // 2)
        elif self._whole or not self._parts:
            self._step = max(self._least, self._step // 2)
        self._anchor = self._looked = n

    def _refine(self, a: int, b: int, ask: bool = True) -> bool:
        """Whether the looks at a and b agreed and nothing else was found between them; if not, it was looked between
        them until neighbours agreed. ask: also look where something is new."""
        if self._agree(a, b):
            new = self._novel(a, b) if ask and self._novel is not None else None
            if new is None:
                return True
            self._look_between(a, new, b)
            before = self._refine(a, new, False)
            return self._refine(new, b, False) and before
        middle = (a + b) // 2
        # One frame between two looks is covered with what both show: worth a glance, no more.
        if b - a > 2:
            self._look_between(a, middle, b)
        elif b - a < 2 or self._glance is None or not self._glance(a, middle, b):
            return False
        self._refine(a, middle)
        self._refine(middle, b)
        return False

    def _look_between(self, a: int, n: int, b: int) -> None:
        if self._glance is not None and self._glance(a, n, b):
            self._parts += 1
        else:
            self._look(n)
            self._whole += 1
