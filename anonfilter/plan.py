"""From a graph and a stream to what will run: filters in their places, one ring, one pass or two."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from anonfilter import added, unpack
from anonfilter import filter as registry
from anonfilter.errors import PlanError
from anonfilter.filter import Filter, Options, PixelReader, PixelWriter, RecordLane, Role
from anonfilter.filters import lavfi
from anonfilter.filters.hold import Hold
from anonfilter.filters.scene import Scene
from anonfilter.frame import StreamInfo
from anonfilter.io.demuxing import read_once
from anonfilter.io.lavfi import LavfiGraph, check_filter
from anonfilter.job import Job
from anonfilter.kernels import ops
from anonfilter.memory import ring_budget
from anonfilter.options import parse_options
from anonfilter.syntax import FilterSpec, parse_graph
from anonfilter.values import parse_size

SLACK = 4
"""Frames of the ring beyond the look-ahead, so that decoder and inference need not wait for each other."""
FOLLOW = 1 << 30
"""Bytes that frames may take which wait for interp to follow objects through them, if nobody asked for that."""

# Filters that know coordinates: no geometry filter may stand between a reader and one of these.
_KNOWS_COORDINATES = ("zone", "read", "write", "detect")


@dataclass(slots=True)
class Segment:
    """Neighbouring libavfilter filters, run as one libavfilter graph."""

    specs: list[FilterSpec]
    strict: bool = False
    """Whether a pixel writer follows, so that frames must leave one for one with their pts."""

    @property
    def text(self) -> str:
        """The filters as libavfilter text."""
        return ",".join(spec.to_text() for spec in self.specs)


@dataclass(slots=True)
class Plan:
    """What a run does, in order.

    source: the input's stream. stream: what reaches the lane, after the head. head: libavfilter filters before the
    lane, with the turn of a rotated input in front where needed (autorotate). lane: readers and record filters in
    order, what the planner adds last. tail: pixel writers and segments. lookahead: frames, None for the whole clip.
    reader_ahead: the part of it up to the last reader: so many frames stay in the ring of a pass that does not render.
    passes: 1 or 2. detection: the graph's text up to and including its last origin of regions, for the record file's
    header. budget: bytes that the ring may take.
    """

    job: Job
    source: StreamInfo
    stream: StreamInfo
    head: list[FilterSpec]
    autorotate: bool
    lane: list[RecordLane]
    tail: list[PixelWriter | Segment]
    lookahead: int | None
    reader_ahead: int
    ring_frames: int
    frame_bytes: int
    passes: int
    why: str
    detection: str
    budget: int
    warnings: list[str] = field(default_factory=list)

    @property
    def filters(self) -> list[Filter]:
        """All of our own filters."""
        return [*self.lane, *(s for s in self.tail if isinstance(s, PixelWriter))]

    @property
    def head_text(self) -> str:
        """Head as libavfilter text."""
        return ",".join(spec.to_text() for spec in self.head)

    def describe(self) -> str:
        """The plan for people, as -dump_plan prints it."""
        s, ring = self.source, self.ring_frames * self.frame_bytes
        lines = [
            f"input    {self.job.input}: {s.width}x{s.height} {s.pix_fmt}, {float(s.rate):g} fps, "
            f"time base {s.time_base}, rotation {s.rotation}{' mirrored' if s.hflip else ''}",
            "device   cpu (frames are decoded into and edited in host memory)",
        ]
        if self.head_text:
            lines.append(
                f"head     {self.head_text} (libavfilter), gives {self.stream.width}x{self.stream.height} "
                f"{self.stream.pix_fmt}, {float(self.stream.rate):g} fps"
            )
        for item in self.lane:
            ahead = item.lookahead(self.stream)
            lines.append(
                f"lane     {item.label:<12} {(Role.READS_PIXELS if item.reads_pixels else item.role).value:<14} "
                f"look-ahead {'whole clip' if ahead is None else f'{ahead} frames'}"
            )
        lines += self._describe_tail()
        ahead_text = "the whole clip" if self.lookahead is None else f"{self.lookahead} frames"
        lines.append(f"ahead    {ahead_text}")
        lines.append(
            f"ring     {self.ring_frames} frames of {self.frame_bytes / 1e6:.1f} MB = {ring / 1e6:.0f} MB "
            f"(budget {self.budget / 1e6:.0f} MB)"
        )
        lines.append(f"passes   {self.passes} ({self.why})")
        lines += [f"copies   {text}" for text in self._copies()] or ["copies   none"]
        lines += [f"warning  {text}" for text in self.warnings]
        return "\n".join(lines)

    def _describe_tail(self) -> list[str]:
        """The stages after the lane, with the format that each works on or gives."""
        lines, stream = [], self.stream
        for stage in self.tail:
            if isinstance(stage, Segment):
                stream = LavfiGraph(stage.specs, stream, None, self.job.threads).out
                gives = f"{stream.width}x{stream.height} {stream.pix_fmt}"
                lines.append(f"tail     {stage.text} (libavfilter), gives {gives}")
            else:
                lines.append(f"tail     {stage.label:<12} {stage.role.value:<14} in place, {stream.pix_fmt}")
        if self.job.pix_fmt and self.job.pix_fmt != stream.pix_fmt:
            lines.append(f"tail     format={self.job.pix_fmt} (libavfilter), for the encoder")
        return lines

    def _copies(self) -> list[str]:
        """Every place where a frame's samples are copied or read as a whole."""
        texts = []
        if self.head:
            texts.append("head: what libavfilter's filters copy")
        readers = [item.label for item in self.lane if item.reads_pixels]
        if readers:
            texts.append(f"{', '.join(readers)}: a look reads the planes once, into a small tensor; no frame is copied")
        if any(isinstance(stage, PixelWriter) for stage in self.tail):
            texts.append(
                "before the first pixel writer: at most 1 a frame, if it has a region and the decoder still needs it"
            )
        if any(isinstance(stage, Segment) for stage in self.tail) or self.job.pix_fmt:
            texts.append("tail: what libavfilter's filters and conversions copy")
        return texts


def make_plan(job: Job, source: StreamInfo, *, converts: bool = True) -> Plan:
    """Check the graph against the stream and put every filter in its place.

    converts: whether a stream that cannot be edited in place may become one that can.

    Raises GraphError (with the place in the text) for what cannot be, PlanError for what this input cannot do.
    """
    try:
        ops.backend_for("cpu", job.kernels)
    except ValueError:
        raise PlanError(
            f"-kernels {job.kernels} needs frames on a CUDA device, and this run decodes into host memory: leave it out"
        ) from None
    if not job.graph.strip():
        raise PlanError("no filter graph: say what to hide, such as -vf detect=faces:plates,track,interp,blur")
    graph = parse_graph(job.graph, source=job.graph_source)
    if graph.sws_flags:
        raise PlanError(
            f"sws_{graph.sws_flags} is not supported: give flags= to the scale filter that needs them"
        )
    specs = [*graph.linear(), *_appended(job)]
    built = [(spec, _build(spec)) for spec in specs]
    lane_at = [i for i, (_, f) in enumerate(built) if isinstance(f, RecordLane)]
    first_lane = lane_at[0] if lane_at else None
    last_lane = lane_at[-1] if lane_at else -1
    for i, (spec, item) in enumerate(built):
        if isinstance(item, PixelWriter):
            if i < last_lane:
                late = built[last_lane][0]
                raise late.error(f"'{late.name}' must come before the first pixel writer ('{spec.name}')")
            if not any(isinstance(f, RecordLane) and f.origin for _, f in built[:i]):
                raise spec.error(f"'{spec.name}' has no regions: put detect, zone or read before it")
            _check_classes(spec, item, [f for _, f in built[:i] if isinstance(f, RecordLane)])
    head = [spec for spec, f in built[:first_lane] if f is None] if first_lane is not None else []
    _check_between(built, first_lane)
    lane = [f for _, f in built if isinstance(f, RecordLane)]
    tail = _tail(built, first_lane)
    turn = _autorotate(job, specs, source)
    head = [*turn, *head]
    warnings = []
    readers = [f for f in lane if isinstance(f, PixelReader)]
    covered = any(isinstance(stage, PixelWriter) and stage.covers for stage in tail)
    if readers and not covered and job.output_format != "null":
        warnings.append("no filter covers what detect finds: the output shows it")
    stream = source
    if head:
        out = LavfiGraph(head, source, None, job.threads).out
        stream = upright(out) if turn else out
    if converts and any(isinstance(f, PixelReader | PixelWriter) for _, f in built):
        made, line = unpack.planes(job, stream)
        if made:
            head += made
            stream = LavfiGraph(made, stream, None, job.threads).out
            warnings.append(line)
    _check_shots(built, stream)
    added.find_shots(lane)
    if warning := added.look_again(lane):
        warnings.append(warning)
    added.extend_at_edges(lane)
    added.smooth(lane)
    # Not the run's own budget decides, or the output would depend on it.
    added.follow(lane, stream, (FOLLOW // _frame_bytes(stream)) - SLACK)
    gap = max((f.gap(stream) for f in lane), default=1)
    if gap > 1 and not {"track", "interp"} <= {f.name for f in lane}:
        warnings.append(
            f"only every {gap}th frame is looked at, without track and interp: between two looks a fast object is "
            "covered where it was and where it will be, not on its way"
        )
    if gap > 1:
        lane.append(Hold(gap, [name for f in lane for name in f.models()]))
    origins = [i for i, (_, f) in enumerate(built) if isinstance(f, RecordLane) and f.origin]
    detection = ",".join(spec.to_text() for spec in specs[: origins[-1] + 1]) if origins else ""
    return _choose(job, stream, source, head, bool(turn), lane, tail, detection, warnings)


def _check_shots(built: Sequence[tuple[FilterSpec, Filter | None]], stream: StreamInfo) -> None:
    """A reader that leaves frames out looks at both sides of each cut, if it hears of the cuts in time."""
    for i, (spec, item) in enumerate(built):
        if not isinstance(item, Scene) or not item.searches:
            continue
        for other, f in built[:i]:
            if isinstance(f, PixelReader) and f.gap(stream) > 1:
                raise spec.error(
                    f"'{spec.name}' must come before '{other.name}', which then looks at both sides of each cut"
                )


def _appended(job: Job) -> list[FilterSpec]:
    """What -s and -aspect put behind the graph, as ffmpeg does. They have names of their own, which errors show."""
    specs: list[FilterSpec] = []
    if job.size:
        width, height = parse_size(job.size)
        specs += parse_graph(f"scale@size={width}:{height}:flags=bicubic", source=f"-s {job.size}").linear()
    if job.aspect:
        specs += parse_graph(f"setdar@aspect={job.aspect}", source=f"-aspect {job.aspect}").linear()
    return specs


def _check_classes(spec: FilterSpec, writer: PixelWriter, lane: Sequence[RecordLane]) -> None:
    """A class that nothing before the writer makes would leave its objects clear without a word."""
    known: set[str] = set()
    for item in lane:
        classes = item.classes()
        if classes is None:
            return
        known.update(classes)
    wanted: Sequence[str] = getattr(writer.opts, "classes", ())
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(known))}"
            raise spec.error(f"'{spec.name}': no class '{name}' comes from the filters before it ({hint})")


def _choose(
    job: Job,
    stream: StreamInfo,
    source: StreamInfo,
    head: list[FilterSpec],
    autorotate: bool,
    lane: list[RecordLane],
    tail: list[PixelWriter | Segment],
    detection: str,
    warnings: list[str],
) -> Plan:
    """Sum the look-ahead and choose one pass or two."""
    ahead: int | None = 0
    reader_ahead = 0
    for item in lane:
        need = item.lookahead(stream)
        ahead = None if need is None or ahead is None else ahead + need
        if item.reads_pixels:
            if ahead is None:
                whose = "when it" if need is None else "after a filter that"
                raise PlanError(f"'{item.label}' cannot look at pixels {whose} needs the whole clip")
            reader_ahead = ahead
    frame_bytes = _frame_bytes(stream)
    wanted = None if ahead is None else ahead + SLACK
    memory = ring_budget() if job.ring_memory is None else job.ring_memory
    budget = memory // frame_bytes
    if wanted is None:
        passes, why = 2, "a filter needs the whole clip"
    elif wanted > max(budget, 0) and ahead:
        passes, why = 2, f"a ring of {wanted} frames does not fit the budget"
    else:
        passes, why = 1, "the ring fits"
    if job.passes is not None:
        if job.passes == 1 and wanted is None:
            raise PlanError("one pass was asked for, but a filter needs the whole clip")
        if job.passes == 2 and not lane:
            raise PlanError("two passes were asked for, but no filter makes records")
        passes, why = job.passes, "asked for"
    if passes == 2 and read_once(job.input):
        raise PlanError(_once(job, stream, lane, why, memory))
    ring = SLACK + reader_ahead if passes == 2 or wanted is None else wanted
    return Plan(
        job,
        source,
        stream,
        head,
        autorotate,
        lane,
        tail,
        ahead,
        reader_ahead,
        ring,
        frame_bytes,
        passes,
        why,
        detection,
        memory,
        warnings,
    )


def _once(job: Job, stream: StreamInfo, lane: Sequence[RecordLane], why: str, memory: int) -> str:
    """What to say of two passes over an input that can be read once."""
    whole = [item.label for item in lane if item.lookahead(stream) is None]
    if whole:
        why, instead = f"'{whole[0]}' needs the whole clip", f"leave out what makes '{whole[0]}' need all of it"
    elif job.passes == 2:
        why, instead = "-passes 2", "leave -passes out"
    else:
        instead = f"give the ring more than {memory} bytes with -ring_memory"
    need = f"{job.input}: two passes are needed ({why}), and this input can be read once"
    return f"{need}: save it to a file, or {instead}"


def _build(spec: FilterSpec) -> Filter | None:
    """Our filter with its options checked, or None for one that is libavfilter's."""
    cls = registry.find(spec.name)
    if cls is None:
        check_filter(spec, registry.names())
        return None
    parsed = parse_options(cls, spec)
    item = cls(Options(parsed.values, parsed.given), spec.label)
    item.enable = parsed.enable
    return item


def _check_between(built: Sequence[tuple[FilterSpec, Filter | None]], first_lane: int | None) -> None:
    """Between the first reader and the last pixel writer only 1:1 filters may stand, and geometry only where regions
    can follow: never a misplaced blur."""
    if first_lane is None:
        return
    writers = [i for i, (_, f) in enumerate(built) if isinstance(f, PixelWriter)]
    last_writer = writers[-1] if writers else -1
    for i, (spec, item) in enumerate(built):
        if item is not None or i < first_lane:
            continue
        kind = lavfi.classify(spec.name)
        later = [f.name for _, f in built[i + 1 :] if f is not None and f.name in _KNOWS_COORDINATES]
        if later and kind != "value":
            raise spec.error(
                f"'{spec.name}' cannot stand before '{later[0]}': put it after, or before detection"
            )
        if i < last_writer and kind == "other":
            raise spec.error(
                f"'{spec.name}' cannot stand between detection and a pixel writer, since regions cannot follow it: "
                "put it first or last",
            )


def _tail(
    built: Sequence[tuple[FilterSpec, Filter | None]], first_lane: int | None
) -> list[PixelWriter | Segment]:
    """Pixel writers and segments after the head, in order."""
    tail: list[PixelWriter | Segment] = []
    for spec, item in built[first_lane or 0 :]:
        if isinstance(item, PixelWriter):
            for stage in tail:
                if isinstance(stage, Segment):
                    stage.strict = True
            tail.append(item)
        elif item is None:
            if tail and isinstance(tail[-1], Segment):
                tail[-1].specs.append(spec)
            else:
                tail.append(Segment([spec]))
    return tail


def _autorotate(job: Job, specs: Sequence[FilterSpec], source: StreamInfo) -> list[FilterSpec]:
    """As ffmpeg: turn the pictures of a rotated input if a geometry filter will see them."""
    if not job.autorotate or not (source.rotation or source.hflip):
        return []
    if all(registry.find(s.name) is not None or lavfi.classify(s.name) == "value" for s in specs):
        return []
    turn = {0: [], 90: ["transpose=clock"], 180: ["hflip", "vflip"], 270: ["transpose=cclock"]}[
        source.rotation
    ]
    return parse_graph(",".join([*turn, *(["hflip"] if source.hflip else [])]), source="autorotate").linear()


def upright(stream: StreamInfo) -> StreamInfo:
    """What leaves the filters of autorotation: the pictures are turned already, so the matrix must go."""
    return replace(stream, rotation=0, hflip=False, display_matrix=None)


def _frame_bytes(stream: StreamInfo) -> int:
    try:
        return max(1, stream.fmt.frame_bytes(stream.width, stream.height))
    except Exception:  # a format that only libavfilter sees; three full planes of two bytes is the most
        return stream.width * stream.height * 6
