"""Bounded hand-over between the threads of a run, with one stop for all of them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from anonfilter.errors import Cancelled
from anonfilter.frame import Frame

T = TypeVar("T")


class Stop:
    """One flag that ends every thread of a run. The first exception is kept: it is the cause, the others follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[threading.Condition] = []
        self._set = False
        self.error: BaseException | None = None

    def add(self, condition: threading.Condition) -> None:
        """Have condition notified when the run stops."""
        self._waiting.append(condition)

    def is_set(self) -> bool:
        """Whether the run is stopping."""
        return self._set

    def set(self, error: BaseException | None = None) -> None:
        """Stop the run. error: why, None when asked from outside."""
        with self._lock:
            if self.error is None and not self._set:
                self.error = error
            self._set = True
        for condition in self._waiting:
            with condition:
                condition.notify_all()

    def check(self) -> None:
        """Raise Cancelled when the run is stopping."""
        if self._set:
            raise Cancelled("stopped")


class Channel(Generic[T]):
    """A bounded queue. put() and get() raise Cancelled once the run stops, so that nobody waits for the dead."""

    def __init__(self, size: int, stop: Stop) -> None:
        self._items: deque[T] = deque()
        self._size, self._stop = size, stop
        self._condition = threading.Condition()
        stop.add(self._condition)

    def put(self, item: T) -> None:
        """Add item, waiting for room."""
        with self._condition:
            while len(self._items) >= self._size:
                self._stop.check()
                self._condition.wait()
            self._stop.check()
            self._items.append(item)
            self._condition.notify_all()

    def get(self) -> T:
        """Take the oldest item, waiting for one."""
        with self._condition:
            while not self._items:
                self._stop.check()
                self._condition.wait()
            self._stop.check()
            item = self._items.popleft()
            self._condition.notify_all()
            return item


class FrameRing:
    """The one buffer of frames between the decoder and the first pixel writer, by decode ordinal."""

    def __init__(self, size: int, stop: Stop) -> None:
        self._frames: dict[int, Frame] = {}
        self._size, self._stop = size, stop
        self._condition = threading.Condition()
        stop.add(self._condition)
        self.peak = 0

    def __getitem__(self, n: int) -> Frame:
        with self._condition:
            return self._frames[n]

    def add(self, frame: Frame) -> None:
        """Put a frame in, waiting until the renderer took one out if the ring is full."""
        with self._condition:
            while len(self._frames) >= self._size:
                self._stop.check()
                self._condition.wait()
            self._stop.check()
            self._frames[frame.n] = frame
            self.peak = max(self.peak, len(self._frames))

    def take(self, n: int) -> Frame:
        """Take frame n out for rendering."""
        with self._condition:
            frame = self._frames.pop(n)
            self._condition.notify_all()
            return frame
