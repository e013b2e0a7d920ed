"""Shot transitions from small luma pictures: hard cuts, dissolves and fades.

Pictures are float32 (H, W), luma 0..255. All decisions look at a bounded number of pictures, so that a stream and a
whole file give the same.

A hard cut is a picture that correlates badly with the one before, several times worse than its neighbours do with
theirs (the adaptive rule of PySceneDetect's AdaptiveDetector, on correlation instead of mean difference, since that
does not see a change of exposure). In a dissolve every picture is a mixture of the pictures before and after it; where
things move it is not, because what has moved is at a third place. A fade is a dissolve with a plain picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Thumb = npt.NDArray[np.float32]

SIZE = (64, 36)
"""Width and height that a picture is fitted into: enough to tell shots, too small for noise."""

# Variance (squared luma steps) that counts as noise: what is plainer has no picture to correlate with.
_NOISE = 4.0
# A cut must stand out from the largest changes among so many pictures on either side. Some of these are repeated ones
# (pulldown, a camera that skips), without any change: hence the largest, and not the mean.
_AROUND, _LARGEST = 4, 2
# Luma below which all but a hundredth of a black picture's samples lie (PySceneDetect's ThresholdDetector: 12).
_BLACK = 12.0
# A mixture of two pictures that differ by so much (1 - correlation) explains a third if no more than this share of
# their difference's variance is left; both must be in it. Moving footage without transitions (shared/data/clips) leaves
# .16 and more, dissolves of half a second to one between clips of it .05 to .09.
_APART, _LEFT, _PART = 0.4, 0.12, 0.1


@dataclass(frozen=True, slots=True)
class Mark:
    """What one picture is: the first of a shot, part of a gradual transition, or neither."""

    cut: bool = False
    fade: bool = False


@dataclass(slots=True)
class _Seen:
    """A picture with its mean taken off, its variance and noise, and what is known of it."""

    values: npt.NDArray[np.float32]  # flat
    mean: float
    power: float
    black: bool
    change: float = 0.0  # 1 - correlation with the picture before
    cut: bool = False
    mixed: bool = False


class Content:
    """Finds transitions. threshold: least 1 - correlation across a cut. ratio: by how much it must exceed that of the
    neighbouring pictures. half: pictures between the middle of a gradual transition and the two that it is compared
    with; 0: look for none.

    push() takes the next picture and gives the marks that are settled, in order, `delay` pictures late; flush() gives
    the rest.
    """

    def __init__(self, threshold: float = 0.2, ratio: float = 3.0, half: int = 10) -> None:
        self._threshold, self._ratio, self._half = threshold, ratio, half
        self._spread = half // 2  # a transition is longer than the part in which both shots are strong
        self.delay = max(_AROUND, half + self._spread)
        self._seen: dict[int, _Seen] = {}
        self._next = self._given = 0
        self._last_mixed = -(1 << 30)

    def push(self, thumb: Thumb) -> Iterator[Mark]:
        """Take a picture (H, W), always of one size."""
        values = np.ravel(thumb).astype(np.float32)
        mean = float(values.mean())
        black = bool(np.quantile(values, 0.99) < _BLACK) if mean < _BLACK else False
        values -= mean
        n = self._next
        seen = self._seen[n] = _Seen(values, mean, float(values @ values) / values.size, black)
        before = self._seen.get(n - 1)
        if before is not None:
            seen.change = unlike(before, seen)
        self._next += 1
        yield from self._settle(n)

    def flush(self) -> Iterator[Mark]:
        """Marks of the last pictures."""
        last = self._next - 1
        for n in range(last + 1, last + self.delay + 1):
            yield from self._settle(n)

    def _settle(self, n: int) -> Iterator[Mark]:
        """What picture n makes known: whether n - _AROUND is a cut, whether n - half lies in a transition."""
        self._judge_cut(n - _AROUND)
        if self._half and n - self._half in self._seen and n < self._next:
            self._judge_mixture(n - self._half)
        done = n - self.delay
        if done != self._given or done >= self._next:
            return
        seen = self._seen
        near = range(done - self._spread, done + self._spread + 1)
        fade = any(m in seen and seen[m].mixed for m in near)
        yield Mark(seen[done].cut and done > 0, fade)
        self._given += 1
        seen.pop(done - self.delay, None)

    def _judge_cut(self, n: int) -> None:
        this, before = self._seen.get(n), self._seen.get(n - 1)
        if this is None or before is None:
            return
        if this.black and not before.black:
            this.cut = True
        near = range(n - _AROUND, n + _AROUND + 1)
        around = [self._seen[m].change for m in near if m != n and m in self._seen]
        usual = sum(sorted(around)[-_LARGEST:]) / _LARGEST
        if this.change < self._threshold or this.change < self._ratio * usual:
            return
        after = self._seen.get(n + 1)
        # A flash: the picture after it is like the one before it.
        if after is None or unlike(before, after) >= this.change / 2:
            this.cut = True

    def _judge_mixture(self, n: int) -> None:
        half, seen = self._half, self._seen
        if n - half not in seen:
            return
        if any(seen[m].cut for m in range(n - half + 1, n + half + 1) if m in seen and not seen[m].black):
            return  # a hard cut explains the change
        if is_mixture(seen[n - half], seen[n], seen[n + half]):
            seen[n].mixed = True
            # Where in the transition the cut is makes no difference: Shots.holds reaches to its ends.
            seen[n].cut = seen[n].cut or n - self._last_mixed > half
            self._last_mixed = n


def unlike(a: _Seen, b: _Seen) -> float:
    """1 - correlation of two pictures, 0 for the same and for two plain ones, about 1 for unrelated ones."""
    both = float(a.values @ b.values) / a.values.size
    return 1 - (both + _NOISE) / math.sqrt((a.power + _NOISE) * (b.power + _NOISE))


def is_mixture(a: _Seen, m: _Seen, b: _Seen) -> bool:
    """Whether m is a mixture of a and b, which are unlike.

    Least squares of m = p a + q b + constant (Yeo and Liu, "Rapid scene analysis on compressed video", 1995, model
    dissolves as linear in time; here no course over time is assumed).
    """
    if unlike(a, b) < _APART or m.power < _NOISE:
        return False
    size = a.values.size
    ab, am, bm = (float(x.values @ y.values) / size for x, y in ((a, b), (a, m), (b, m)))
    aa, bb = a.power + 1e-3, b.power + 1e-3  # a plain picture must not divide by zero
    rest = aa * bb - ab * ab
    p, q = (am * bb - bm * ab) / rest, (bm * aa - am * ab) / rest
    if m.power - p * am - q * bm > _LEFT * (aa + bb - 2 * ab):
        return False
    if b.power < _NOISE:  # a fade out: nothing of b can be seen in m
        q = 1 - p
    elif a.power < _NOISE:
        p = 1 - q
    return min(p, q) >= _PART
