"""The Python face: the same graphs on files, or on frames that you feed.

from anonfilter import api
api.run("in.mp4", "out.mp4", "detect=faces:plates,track,interp,blur", codec="libx264", options={"crf": "20"})

with api.Graph("zone=x=0:y=0:w=64:h=64,fill", width=1280, height=720, rate=30) as graph:
    for frame in frames:                       # av.VideoFrame
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
from anonfilter.plan import make_plan, upright
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
) -> Report:
    """Anonymise one file, as the command line does.

    options: encoder options by ffmpeg's names ({"crf": "20"}). progress is called about twice a second. Raises
    AnonfilterError with one clear line; nothing is then left under the output's name.
    """
    return run_job(
        Job(
            input=os.fspath(input), output=os.fspath(output), graph=graph, graph_source="graph", codec=codec,
            encoder_options=dict(options or {}), overwrite=overwrite, audio=audio, threads=threads,
            progress=progress, log=log,
        )
    )  # fmt: skip


class Graph:
    """A filter graph on frames that the caller feeds, in the caller's thread.

    width, height: luma samples. pix_fmt: libavutil name. rate: frames per second, for durations in seconds.
    time_base: of the frames' pts. Other keywords are StreamInfo's (rotation, color_range, ...).
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
        plan = make_plan(job, info)
        self._head = LavfiGraph(plan.head, info) if plan.head else None
        self._source, inner = info, self._head.out if self._head else info
        if plan.autorotate:
            inner = upright(inner)
        self._ring = FrameRing(plan.ring_frames, Stop())
        env = Env(
            stream=inner,
            ring=self._ring,
            input_name="frames",
            graph=graph,
            log=log or (lambda level, line: None),
        )
        self.report = Report()
        self._lane, self._tail = Lane(plan.lane), Tail(plan, inner, env, self.report)
        self.out = self._tail.out
        self._fed = self._entered = 0
        for item in self._lane.filters:
            item.open(env)
        self._tail.open(env)

    def push(self, frame: Any) -> Iterator[Any]:
        """Feed one av.VideoFrame; gives the av.VideoFrames that are finished. The iterator must be used up."""
        if (frame.width, frame.height, frame.format.name) != (
            self._source.width, self._source.height, self._source.pix_fmt,
        ):  # fmt: skip
            raise InputError(
                f"frame {self._fed} is {frame.width}x{frame.height} {frame.format.name}, the graph was made for "
                f"{self._source.width}x{self._source.height} {self._source.pix_fmt}"
            )
        pts = self._fed if frame.pts is None else frame.pts
        made = Frame(self._fed, pts, float(pts * self._source.time_base), frame)
        self._fed += 1
        for ready in [made] if self._head is None else self._head.push(made):
            yield from self._enter(ready)

    def flush(self) -> Iterator[Any]:
        """End of stream: gives the remaining av.VideoFrames."""
        for ready in [] if self._head is None else self._head.flush():
            yield from self._enter(ready)
        for record in self._lane.flush():
            yield from self._draw(record)
        for frame in self._tail.flush():
            yield frame.av

    def _enter(self, frame: Frame) -> Iterator[Any]:
        frame.n = self._entered
        self._entered += 1
        self._ring.add(frame)
        for record in self._lane.push(frame):
            yield from self._draw(record)

    def _draw(self, record: FrameRecord) -> Iterator[Any]:
        for frame in self._tail.push(self._ring.take(record.n), record):
            self.report.frames += 1
            yield frame.av

    def close(self) -> None:
        """Release the filters."""
        for item in [*self._lane.filters, *self._tail.filters]:
            item.close()

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
