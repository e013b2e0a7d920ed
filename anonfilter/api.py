"""The Python face: the same graphs on files, or on frames that you feed.

from anonfilter import api
api.run("in.mp4", "out.mp4", "detect=faces:plates,track,interp,blur", codec="libx264", options={"crf": "20"})

with api.Graph("zone=x=0:y=0:w=64:h=64,fill", width=1280, height=720, rate=30, time_base=stream.time_base) as graph:
    for frame in container.decode(stream):     # av.VideoFrame
        for done in graph.push(frame): ...     # av.VideoFrame, in order, after the graph's look-ahead
    for done in graph.flush(): ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from anonfilter.channel import FrameRing, Stop
from anonfilter.errors import AnonfilterError, InputError
from anonfilter.filter import Env
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.job import Job, Progress, Report
from anonfilter.lane import Lane
from anonfilter.plan import make_plan
from anonfilter.records import FrameRecord
from anonfilter.run import run as run_job
from anonfilter.tail import Tail

__all__ = ["AnonfilterError", "Graph", "Job", "Progress", "Report", "run"]


def run(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    graph: str,
    *,
    codec: str | None = None,
    options: dict[str, str] | None = None,
    overwrite: bool = False,
    audio: bool = True,
    threads: int = 0,
    progress: Callable[[Progress], None] | None = None,
    log: Callable[[str, str], None] | None = None,
    **more: Any,
) -> Report:
    """Anonymise one file, as the command line does.

    options: encoder options by ffmpeg's names ({"crf": "20"}). progress is called about twice a second. more: other
    fields of Job (ss, t, pix_fmt, output_format, ring_memory, passes, ...). Raises AnonfilterError with one clear line;
    nothing is then left under the output's name. Raises TypeError for a field that Job does not have.
    """
    return run_job(
        Job(
            input=os.fspath(input), output=os.fspath(output), graph=graph, graph_source="graph", codec=codec,
            encoder_options=dict(options or {}), overwrite=overwrite, audio=audio, threads=threads,
            progress=progress, log=log, **more,
        )
    )  # fmt: skip


class Graph:
    """A filter graph on frames that the caller feeds, in the caller's thread.

    width, height: luma samples. pix_fmt: libavutil name. rate: frames per second, for durations in seconds.
    time_base: of the frames' pts (default: 1 / rate). Other keywords are StreamInfo's (rotation, color_range, ...).
    Frames are edited in place where nobody else holds a reference to their memory. Raises GraphError for a wrong graph
    and PlanError for one that needs the whole clip.
    """

    def __init__(
        self, graph: str, *, width: int, height: int, rate: Fraction | int, pix_fmt: str = "yuv420p",
        time_base: Fraction | None = None, log: Callable[[str, str], None] | None = None, **stream: Any,
    ) -> None:  # fmt: skip
        fps = Fraction(rate)
        info = StreamInfo(width, height, pix_fmt, time_base or 1 / fps, fps, fps, **stream)
        job = Job(input="frames", output="frames", graph=graph, graph_source="graph", passes=1)
        plan = make_plan(job, info, converts=False)
        self._head = LavfiGraph(plan.head, info) if plan.head else None
        self._source, inner = info, plan.stream
        self._room, self._dead = plan.ring_frames, ""
        self._ring = FrameRing(plan.ring_frames, Stop())
        env = Env(
            stream=inner,
            ring=self._ring,
            input_name="frames",
            graph=plan.detection,
            log=log or (lambda level, line: None),
        )
        self.report = Report()
        self._lane, self._tail = Lane(plan.lane), Tail(plan, inner, env)
        self.out = self._tail.out
        self._fed = self._entered = 0
        for item in self._lane.filters:
            item.open(env)
        self._tail.open(env)

    def push(self, frame: Any) -> list[Any]:
        """Feed one av.VideoFrame; gives the av.VideoFrames that are finished.

        Raises InputError for a frame of another size, format or time base than the graph was made for. After an error,
        and after flush(), nothing more can be fed: a frame that could not be analysed is not given out.
        """
        self._check_alive()
        have = frame.width, frame.height, frame.format.name
        want = self._source.width, self._source.height, self._source.pix_fmt
        if have != want:
            raise InputError(
                f"frame {self._fed} is {have[0]}x{have[1]} {have[2]}, "
                f"the graph was made for {want[0]}x{want[1]} {want[2]}"
            )
        base = self._source.time_base
        if frame.pts is not None and frame.time_base and frame.time_base != base:
            raise InputError(
                f"frame {self._fed} has time base {frame.time_base}, the graph was made for {base}: "
                f"Graph(..., time_base=Fraction({frame.time_base.numerator}, {frame.time_base.denominator}))"
            )
        pts = round(self._fed / self._source.average_rate / base) if frame.pts is None else frame.pts
        made = Frame(self._fed, pts, float(pts * base), frame)
        self._fed += 1
        return self._guarded(lambda: self._pushed(made))

    def flush(self) -> list[Any]:
        """End of stream: gives the remaining av.VideoFrames."""
        self._check_alive()
        out = self._guarded(self._flushed)
        self._dead = "the graph was flushed"
        return out

    def _check_alive(self) -> None:
        if self._dead:
            raise InputError(f"{self._dead}: make a new Graph for more frames")

    def _guarded(self, step: Callable[[], Iterator[Any]]) -> list[Any]:
        try:
            return list(step())
        except BaseException as error:
            self._dead = f"the graph failed before ({type(error).__name__}: {error})"
            raise

    def _pushed(self, frame: Frame) -> Iterator[Any]:
        for ready in [frame] if self._head is None else self._head.push(frame):
            yield from self._enter(ready)

    def _flushed(self) -> Iterator[Any]:
        for ready in [] if self._head is None else self._head.flush():
            yield from self._enter(ready)
        for record in self._lane.flush():
            yield from self._draw(record)
        for frame in self._tail.flush():
            yield self._count(frame)

    def _enter(self, frame: Frame) -> Iterator[Any]:
        frame.n = self._entered
        self._entered += 1
        self._lane.check(self._room)
        self._ring.add(frame)
        for record in self._lane.push(frame):
            yield from self._draw(record)

    def _draw(self, record: FrameRecord) -> Iterator[Any]:
        for frame in self._tail.push(self._ring.take(record.n), record):
            yield self._count(frame)

    def _count(self, frame: Frame) -> Any:
        self.report.frames += 1
        self.report.regions += frame.regions
        self.report.covered_frames += bool(frame.regions)
        return frame.av

    def close(self) -> None:
        """Release the filters."""
        for item in [*self._lane.filters, *self._tail.filters]:
            item.close()

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
