"""The record lane of a run: the chain of readers and record filters, and the packets that travel beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from anonfilter.errors import AnonfilterError, Cancelled, PlanError
from anonfilter.filter import RecordLane
from anonfilter.frame import Frame
from anonfilter.records import FrameRecord


class Lane:
    """Pushes a record for every frame through all filters, in order.

    Packets to copy (audio) wait here for the record of the frame that they came after, so that the order of the file
    survives the look-ahead and the muxer need not buffer for it.
    """

    def __init__(self, filters: Sequence[RecordLane]) -> None:
        self.filters = list(filters)
        self._packets: deque[tuple[int, Any]] = deque()
        self._pushed = self._emitted = 0

    def check(self, room: int) -> None:
        """Raise PlanError if `room` frames wait for records already: the next one would wait for ever."""
        waiting = self._pushed - self._emitted
        if waiting >= room:
            raise PlanError(f"{waiting} frames wait for their records, and the plan has room for {room}: this is a bug")

    def push(self, frame: Frame) -> Iterator[FrameRecord]:
        """Records that are ready after this frame."""
        self._pushed += 1
        return self._count(self._through(0, FrameRecord(frame.n, frame.pts, frame.t)))

    def flush(self) -> Iterator[FrameRecord]:
        """The remaining records, at the end of the stream."""
        for i, item in enumerate(self.filters):
            for record in item.flush():
                yield from self._count(self._through(i + 1, record))

    def hold_packet(self, packet: Any) -> None:
        """Keep a packet until the records of all frames before it have left."""
        self._packets.append((self._pushed, packet))

    def packets(self, everything: bool = False) -> Iterator[Any]:
        """Packets whose turn has come."""
        while self._packets and (everything or self._packets[0][0] <= self._emitted):
            yield self._packets.popleft()[1]

    def _through(self, start: int, record: FrameRecord) -> Iterator[FrameRecord]:
        if start == len(self.filters):
            yield record
            return
        item = self.filters[start]
        try:
            ready = list(item.push(record))
        except (AnonfilterError, Cancelled):
            raise
        except Exception as error:
            where = f"{item.env.input_name}: '{item.label}' failed at {record.t:.3f} s (frame {record.n})"
            raise PlanError(f"{where}: {str(error) or type(error).__name__}") from error
        for out in ready:
            yield from self._through(start + 1, out)

    def _count(self, records: Iterator[FrameRecord]) -> Iterator[FrameRecord]:
        for record in records:
            self._emitted += 1
            yield record
