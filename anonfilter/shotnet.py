"""Shot transitions by a net (models/transnetv2.py): its pictures, its windows, and marks from what it says.

Windows lie where the frames' numbers put them and are padded as in the published code, so that the marks of a clip are
the same in a stream, in a file and at every pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from anonfilter.frame import Frame, StreamInfo
from anonfilter.kernels import ops
from anonfilter.models.detector import colours
from anonfilter.models.transnetv2 import SIZE, WINDOW, Pictures
from anonfilter.transitions import Mark

Picture = npt.NDArray[np.uint8]
Chances = npt.NDArray[np.float32]
Net = Callable[[Pictures], tuple[Chances, Chances]]

STEP = 50
"""Frames that a window is good for, and from one window to the next."""

CONTEXT = (WINDOW - STEP) // 2
"""Frames before and after these that the net wants to see."""


class Thumbs:
    """Makes the net's pictures from frames of a stream: upright, RGB, squeezed to SIZE whatever their shape."""

    def __init__(self, stream: StreamInfo) -> None:
        self._stream = stream
        width, height = stream.display_size
        # The kernel keeps the aspect ratio: it makes the picture fill SIZE along one side and reach beyond along the
        # other, which is then averaged down.
        across, down = SIZE
        if width * down >= height * across:
            exact = (width * down / height, float(down))
        else:
            exact = (float(across), height * across / width)
        self._size = int(np.ceil(exact[0])), int(np.ceil(exact[1]))
        self._columns, self._rows = (
            _averages(length, have, want) for length, have, want in zip(exact, self._size, SIZE, strict=True)
        )
        self._tensor = np.empty((3, self._size[1], self._size[0]), np.float32)

    def __call__(self, frame: Frame) -> Picture:
        """uint8 (3, 27, 48)."""
        stream = self._stream
        ops.letterbox(
            frame.planes(), frame.fmt, self._size, **colours(stream, frame.fmt), rotation=stream.rotation,
            hflip=stream.hflip, out=self._tensor,
        )  # fmt: skip
        small = self._rows @ self._tensor @ self._columns.T
        return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _averages(length: float, have: int, want: int) -> npt.NDArray[np.float32]:
    """(want, have): the mean of each of `want` equal parts of 0..length over `have` samples of length 1."""
    ends = np.arange(want + 1) * (length / want)
    low, high = ends[:-1, None], ends[1:, None]
    at = np.arange(have)
    share = np.clip(np.minimum(high, at + 1) - np.maximum(low, at), 0, None)
    means: npt.NDArray[np.float32] = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
    return means


class Windows:
    """Runs the net over a stream of pictures and gives each picture's chances, once, in order.

    Window k is of the frames from STEP k - CONTEXT to STEP k + STEP + CONTEXT; it tells about the STEP in its middle.
    The first picture stands for those before it, the last for those after it.
    """

    delay = WINDOW - CONTEXT - 1
    """Pictures that are seen beyond one before it is told about, at most."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._window: list[Picture] = []
        self._seen = self._told = 0

    def push(self, picture: Picture) -> Iterator[tuple[float, float]]:
        """Take the next picture; give (single, many) of those that are settled."""
        if not self._seen:
            self._window = [picture] * CONTEXT
        self._seen += 1
        self._window.append(picture)
        if len(self._window) == WINDOW:
            yield from self._tell(STEP)

    def flush(self) -> Iterator[tuple[float, float]]:
        """The rest."""
        while self._told < self._seen:
            self._window += [self._window[-1]] * (WINDOW - len(self._window))
            yield from self._tell(min(STEP, self._seen - self._told))

    def _tell(self, count: int) -> Iterator[tuple[float, float]]:
        single, many = self._net(np.stack(self._window))
        self._window = self._window[STEP:]
        self._told += count
        middle = slice(CONTEXT, CONTEXT + count)
        yield from zip(map(float, single[middle]), map(float, many[middle]), strict=True)


class Learned:
    """Finds transitions with the net; the same manner as transitions.Content, on pictures of Thumbs.

    threshold: of both of the net's answers. A frame begins a shot if the frame before it has the middle of a transition
    (published rule: `predictions_to_scenes` of the authors) and itself has not. Two frames or more in a row that are
    part of a transition are a gradual one; one alone is the last frame before a hard cut.
    """

    delay = Windows.delay + 1
    """Pictures by which the marks are late, at most."""

    def __init__(self, net: Net, threshold: float) -> None:
        self._windows, self._threshold = Windows(net), threshold
        self._before = self._now = (False, False)
        self._any = False

    def push(self, picture: Picture) -> Iterator[Mark]:
        """Take a picture, give the marks that are settled, in order."""
        for chances in self._windows.push(picture):
            yield from self._judge(chances)

    def flush(self) -> Iterator[Mark]:
        """Marks of the last pictures."""
        for chances in self._windows.flush():
            yield from self._judge(chances)
        if self._any:
            yield self._mark(False)

    def _judge(self, chances: tuple[float, float]) -> Iterator[Mark]:
        """Picture n's chances are there, so that picture n - 1 is settled."""
        after = chances[0] > self._threshold, chances[1] > self._threshold
        if self._any:
            yield self._mark(after[1])
        self._before, self._now, self._any = self._now if self._any else (False, False), after, True

    def _mark(self, fades_after: bool) -> Mark:
        cut = self._before[0] and not self._now[0]
        return Mark(cut, self._now[1] and (self._before[1] or fades_after))
