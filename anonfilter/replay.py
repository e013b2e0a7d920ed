"""Feeds the records of pass 1 to pass 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from anonfilter.errors import RecordError
from anonfilter.filter import Env, Options, RecordFilter
from anonfilter.recordfile import RecordReader
from anonfilter.records import FrameRecord


class Replay(RecordFilter):
    """Not a user's filter: the whole lane of pass 1, as its records. Frame for frame, or the run ends."""

    name = "replay"
    help = "records of pass 1"

    def __init__(self, source: RecordReader) -> None:
        super().__init__(Options({}))
        self._source = source
        self._records = iter(source)
        self.enough: Callable[[], bool] = lambda: False  # the output was complete before the input's end

    def open(self, env: Env) -> None:
        """Nothing to prepare."""
        super().open(env)

    def close(self) -> None:
        """Release the records."""
        self._source.close()

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """The record that pass 1 made for this frame."""
        stored = next(self._records, None)
        if stored is None or (stored.n, stored.pts) != (record.n, record.pts):
            raise RecordError(
                f"frame {record.n} (pts {record.pts}) is not what pass 1 saw: the input changed between the passes"
            )
        yield replace(stored, t=record.t)

    def flush(self) -> Iterable[FrameRecord]:
        """Pass 2 must have seen every frame of pass 1, unless it was told that it need not."""
        if not self.enough() and next(self._records, None) is not None:
            raise RecordError(
                "the input has fewer frames in pass 2 than in pass 1: it changed between the passes"
            )
        return ()
