"""Many filter graphs on one clip in one go: the real planner and the real lanes, the nets' answers from a memo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from memonet import Memo, Meter, opener, stand_in

from anonfilter.filter import Env
from anonfilter.filters import detect
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.lane import Lane
from anonfilter.models import detector
from anonfilter.plan import make_plan
from anonfilter.records import FrameRecord


class _Ring:
    """The last frames, as many as the plan's ring would hold."""

    def __init__(self, size: int) -> None:
        self._size, self._frames = size, dict[int, Frame]()

    def __getitem__(self, n: int) -> Frame:
        return self._frames[n]

    def add(self, frame: Frame) -> None:
        self._frames[frame.n] = frame
        self._frames.pop(frame.n - self._size, None)


class GraphRun:
    """One graph on its way. records: what left the lane, all that the planner adds included."""

    def __init__(self, graph: str, job: Job, stream: StreamInfo, memo: Memo, fingerprint: Reader) -> None:
        self.graph, self.meter = graph, Meter()
        plan = make_plan(job, stream)
        assert not plan.head, "filters before the lane are not for this benchmark"
        self.records: list[FrameRecord] = []
        self._ring, self._lane = _Ring(plan.ring_frames), Lane(plan.lane)
        env = Env(
            stream=plan.stream, ring=self._ring, input_name=job.input, graph=plan.detection, threads=1,
            fingerprint=fingerprint.fingerprint,
        )  # fmt: skip
        self._opener = opener(memo, self.meter)
        with patch.object(detect, "Detector", stand_in(memo, self.meter)), self._metered():
            for item in plan.lane:
                item.open(env)

    def push(self, frame: Frame) -> None:
        """One more frame."""
        self._ring.add(frame)
        with self._metered():
            self.records += self._lane.push(frame)

    def flush(self) -> None:
        """The end of the clip."""
        with self._metered():
            self.records += self._lane.flush()

    def _metered(self) -> AbstractContextManager[Any]:
        """Whatever net is opened meanwhile, its runs are counted."""
        return patch.object(detector, "open_session", self._opener)

    def close(self) -> None:
        """Close the filters."""
        for item in self._lane.filters:
            item.close()


def frames_of(reader: Reader) -> Iterator[Frame]:
    """The pictures alone."""
    return (item for item in reader.frames() if isinstance(item, Frame))


def run_graphs(clip: Path, graphs: Sequence[str], memo: Memo, seconds: float | None = None) -> list[GraphRun]:
    """Run all graphs (without pixel writers) on a clip, or on its first seconds, decoding it once."""
    with ExitStack() as stack:
        job = Job(str(clip), "-", output_format="null", audio=False, t=seconds)
        reader = Reader(job)
        stack.callback(reader.close)
        runs: list[GraphRun] = []
        for graph in graphs:
            own = Job(str(clip), "-", graph, output_format="null", audio=False, t=seconds)
            runs.append(GraphRun(graph, own, reader.info, memo, reader))
            stack.callback(runs[-1].close)
        for frame in frames_of(reader):
            for run in runs:
                run.push(frame)
        for run in runs:
            run.flush()
        return runs
