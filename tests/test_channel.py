"""Hand-over between threads: order, bounds, and that a stop wakes everybody."""

from __future__ import annotations

import threading
import time

import pytest

from anonfilter.channel import Channel, FrameRing, Stop
from anonfilter.errors import Cancelled
from anonfilter.frame import Frame


def frame(n: int) -> Frame:
    return Frame(n, n, float(n), None)


def test_order_and_bound() -> None:
    stop = Stop()
    channel: Channel[int] = Channel(3, stop)
    deepest = 0

    def produce() -> None:
        for i in range(200):
            channel.put(i)

    thread = threading.Thread(target=produce)
    thread.start()
    got = []
    for _ in range(200):
        deepest = max(deepest, len(channel._items))
        got.append(channel.get())
    thread.join()
    assert got == list(range(200))
    assert deepest <= 3


@pytest.mark.parametrize("side", ["put", "get"])
def test_stop_wakes_a_waiter(side: str) -> None:
    stop = Stop()
    channel: Channel[int] = Channel(1, stop)
    if side == "put":
        channel.put(0)
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            channel.put(1) if side == "put" else channel.get()
        except Cancelled as error:
            seen.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    stop.set(ValueError("first"))
    stop.set(ValueError("second"))
    thread.join(5)
    assert not thread.is_alive()
    assert len(seen) == 1
    assert str(stop.error) == "first"


def test_ring_holds_no_more_than_its_size() -> None:
    ring = FrameRing(2, Stop())
    ring.add(frame(0))
    ring.add(frame(1))
    blocked = threading.Thread(target=ring.add, args=(frame(2),))
    blocked.start()
    blocked.join(0.1)
    assert blocked.is_alive()
    assert ring.take(0).n == 0
    blocked.join(5)
    assert ring[2].n == 2
    assert ring.peak == 2
