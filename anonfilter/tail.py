"""The pixel end of a run: pixel writers and libavfilter segments, with regions that follow geometry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from anonfilter.errors import AnonfilterError, PlanError
from anonfilter.filter import Env, Filter, PixelWriter
from anonfilter.filters import lavfi
from anonfilter.frame import EDITABLE, Frame, StreamInfo
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.plan import Plan, Segment
from anonfilter.records import FrameRecord, Region


class _LavfiStage:
    """A libavfilter segment in its place, and how regions pass through it."""

    def __init__(
        self, segment: Segment, stream: StreamInfo, threads: int, last: bool, formats: list[str] | None
    ):
        self._graph = LavfiGraph(
            segment.specs, stream, formats if last else _like(stream), threads, strict=segment.strict
        )
        self._strict, self._text = segment.strict, segment.text
        self.out = self._graph.out
        # Behind the last pixel writer nobody asks where the regions went, and any filter may stand.
        self._map: Callable[[Region], Region] | None = None
        if segment.strict:
            self._map = lavfi.map_segment(segment.specs, stream, self.out)

    def push(self, frame: Frame, record: FrameRecord) -> Iterator[tuple[Frame, FrameRecord]]:
        frames = self._graph.push(frame)
        if self._strict and (len(frames) != 1 or frames[0].pts != frame.pts):
            # A filter that delays or drops would put every later region on the wrong picture.
            raise PlanError(
                f"'{self._text}' did not give one frame for the frame at {frame.t:.3f} s: put it first or last"
            )
        regions = record.regions if self._map is None else [self._map(r) for r in record.regions]
        mapped = FrameRecord(record.n, record.pts, record.t, record.ran, regions)
        for out in frames:
            yield out, mapped

    def flush(self) -> list[Frame]:
        frames = self._graph.flush()
        if self._strict and frames:
            raise PlanError(f"'{self._text}' held back {len(frames)} frames: put it first or last")
        return frames


def _like(stream: StreamInfo) -> tuple[str, ...]:
    """Formats to edit that a libavfilter filter may give: RGB stays RGB, and nothing else becomes it."""
    return tuple(name for name in EDITABLE if name.startswith("gbr") == stream.pix_fmt.startswith("gbr"))


class Tail:
    """All stages after the lane. push() gives finished frames in order.

    stream: the stream at the lane. formats: pixel formats that the encoder takes, for a last libavfilter segment.
    out: the stream that leaves.
    """

    def __init__(
        self, plan: Plan, stream: StreamInfo, env: Env, formats: list[str] | None = None
    ) -> None:
        self._env = env
        self._covered = 0  # regions of the frame at hand
        self._stages: list[_LavfiStage | PixelWriter] = []
        stages = plan.tail
        self._streams: dict[int, StreamInfo] = {}
        for i, stage in enumerate(stages):
            if isinstance(stage, Segment):
                made = _LavfiStage(stage, stream, plan.job.threads, i == len(stages) - 1, formats)
                self._stages.append(made)
                stream = made.out
            else:
                stream.fmt  # noqa: B018  (raises) before the encoder complains of a format that only passes through
                self._streams[len(self._stages)] = stream
                self._stages.append(stage)
        self.out = stream

    def open(self, env: Env) -> None:
        """Open the pixel writers, each with the stream that it sees."""
        for i, stage in enumerate(self._stages):
            if isinstance(stage, PixelWriter):
                stage.open(replace(env, stream=self._streams[i]))

    @property
    def filters(self) -> list[Filter]:
        """The pixel writers."""
        return [stage for stage in self._stages if isinstance(stage, PixelWriter)]

    def push(self, frame: Frame, record: FrameRecord) -> Iterable[Frame]:
        """One frame and its record through all stages."""
        self._covered = 0
        for out in self._from(0, frame, record):
            out.regions = self._covered
            yield out

    def _from(self, start: int, frame: Frame, record: FrameRecord) -> Iterator[Frame]:
        for i in range(start, len(self._stages)):
            stage = self._stages[i]
            if isinstance(stage, _LavfiStage):
                for out, mapped in stage.push(frame, record):
                    yield from self._from(i + 1, out, mapped)
                return
            self._write(stage, frame, record, self._streams[i])
        yield frame

    def _write(self, writer: PixelWriter, frame: Frame, record: FrameRecord, stream: StreamInfo) -> None:
        if writer.enable is not None and not writer.enable.enabled(
            t=record.t, n=record.n, pos=float("nan"), w=stream.width, h=stream.height
        ):
            return
        regions = writer.select(record)
        if not regions:
            return
        self._covered = max(self._covered, len(regions))
        try:
            frame.make_writable()
            writer.render(frame, regions)
        except AnonfilterError:
            raise
        except Exception as error:
            raise PlanError(
                f"{self._env.input_name}: '{writer.label}' failed at {record.t:.3f} s (frame {record.n}): "
                f"{str(error) or type(error).__name__}"
            ) from error

    def flush(self) -> Iterator[Frame]:
        """Frames that libavfilter still holds, at the end of the stream."""
        for i, stage in enumerate(self._stages):
            if isinstance(stage, _LavfiStage):
                for frame in stage.flush():
                    yield from self._from(i + 1, frame, FrameRecord(frame.n, frame.pts, frame.t))
