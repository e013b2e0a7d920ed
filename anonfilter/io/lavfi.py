"""libavfilter: a chain of its filters between a stream and a stream."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import av
import av.error
import av.filter
import av.logging
from av.filter.filter import filters_available

from anonfilter.errors import GraphError, PlanError
from anonfilter.expr import evaluate
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import logs
from anonfilter.io.hdr import CHANGES_LIGHT
from anonfilter.located import Located
from anonfilter.syntax import FilterSpec, parse_graph

_LINK = re.compile(r"w:(\d+) h:(\d+) fmt:(\S+)(?: csp:(\S+) range:(\S+))? sar:(\d+)/(\d+) -> ")
_CLOCK = re.compile(r"config in time_base: (\d+)/(\d+), frame_rate: (\d+)/(\d+)")
# Filters that many know and that this libavfilter, built without GPL parts and without text drawing, lacks.
_INSTEAD = {
    "eq": "lutyuv, curves or huesaturation", "boxblur": "avgblur or gblur", "smartblur": "gblur or bilateral",
    "hqdn3d": "nlmeans or atadenoise", "colormatrix": "colorspace", "zscale": "scale", "cropdetect": "crop",
    "delogo": "removelogo", "stereo3d": "v360", "mpdecimate": "decimate", "drawtext": "drawbox",
    "tinterlace": "weave",
}  # fmt: skip
# Filters with as many inputs or outputs as an argument says, which libavfilter makes before anybody can see that they
# do not fit one path: for 1e9 of them it takes a minute and all memory. Order of positional arguments, names of counts.
_PADS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "select": (("expr", "outputs"), ("outputs", "n")),
    "signature": (("detectmode", "nb_inputs"), ("nb_inputs",)),
    "concat": (("n", "v", "a"), ("n", "v", "a")),
    "interleave": (("nb_inputs",), ("nb_inputs", "n")),
    "xmedian": (("inputs",), ("inputs",)),
    **{name: ((count,), (count,)) for name, count in (
        ("split", "outputs"), ("streamselect", "inputs"), ("mix", "inputs"), ("hstack", "inputs"), ("vstack", "inputs"),
        ("xstack", "inputs"),
    )},
}  # fmt: skip
_RANGES = {"tv": 1, "pc": 2}
_SPACES = {
    "gbr": 0, "bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "ycgco": 8, "bt2020nc": 9,
    "bt2020c": 10, "smpte2085": 11, "chroma-derived-nc": 12, "chroma-derived-c": 13, "ictcp": 14,
}  # fmt: skip


def check_filter(spec: FilterSpec, ours: Sequence[str] = ()) -> None:
    """Raise GraphError if the bundled libavfilter has no such filter. ours: names to suggest as well."""
    if spec.name in filters_available:
        _check_pads(spec)
        return
    hint = ""
    if spec.name in _INSTEAD:
        hint = f" (use {_INSTEAD[spec.name]})"
    elif close := difflib.get_close_matches(spec.name, [*ours, *filters_available], 1):
        hint = f" (did you mean '{close[0]}'?)"
    raise spec.error(
        f"no such filter: '{spec.name}'{hint}: neither anonfilter nor the bundled libavfilter has it",
        *spec.name_span,
    )


def _check_pads(spec: FilterSpec) -> None:
    order, counts = _PADS.get(spec.name, ((), ()))
    if not counts:
        return
    try:
        given = arguments(spec, order)
    except GraphError:  # more of them than are looked at here
        return
    for name in counts:
        value = given.get(name)
        if value is None:
            continue
        try:
            number = evaluate(value)
        except GraphError:  # which libavfilter tells
            return
        if not number <= 1:
            raise value.error(f"'{spec.name}' does not have exactly one video input and one video output")


@dataclass(slots=True)
class _Built:
    graph: Any
    source: Any
    sink: Any
    said: list[logs.Message]


class LavfiGraph:
    """A linear chain of libavfilter filters.

    text: the chain as the user wrote it, or the parsed filters. stream: what goes in. sink_formats: pixel
    formats that may come out (libavutil names); None leaves it to libavfilter, an empty chain is a
    conversion. threads: 0 = auto. strict: frames must leave one for one, at once and with their pts; they
    then keep n and t. Otherwise they are numbered afresh as they come out.

    out: the stream that comes out, known before the first frame. converts: whether libavfilter converts the
    pixel format somewhere on the way, since a filter does not take it. Raises GraphError for a filter that does
    not exist, a wrong argument or a chain that cannot be connected.

    Filters see timestamps that start at 0, as in ffmpeg, so that their `t` is the `t` of enable=; what comes
    out has the source's timestamps again.
    """

    out: StreamInfo
    converts: bool

    def __init__(
        self,
        text: str | Sequence[FilterSpec],
        stream: StreamInfo,
        sink_formats: Sequence[str] | None = None,
        threads: int = 0,
        *,
        strict: bool = False,
        source: str = "-vf",
    ) -> None:
        if isinstance(text, str):
            text = parse_graph(text, source).linear() if text.strip() else []
        self._specs = list(text)
        for spec in self._specs:
            check_filter(spec)
        self.stream, self._formats, self._threads, self.strict = stream, sink_formats, threads, strict
        self.out = self._probe()
        self._built = self._build([])
        self._shift = round(Fraction(stream.start).limit_denominator(1_000_000) / stream.time_base)
        self._back = Fraction(self._shift) * stream.time_base
        self._n = 0
        self._done = False

    # -- building --

    def _build(self, tail: list[tuple[str, str]], level: int = av.logging.ERROR) -> _Built:
        """A configured graph, with `tail` before its sink, and what libavfilter said while configuring it."""
        graph = av.filter.Graph()
        graph.threads = self._threads
        source = self._add(graph, "buffer", self._source_args(), None)
        last = source
        for spec in self._specs:
            node = self._add(graph, spec.name, spec.args.text if spec.args is not None else "", spec)
            self._link(last, node, spec)
            last = node
        if any(spec.name == "vflip" for spec in self._specs):
            # Its pictures are the old memory read backwards, which nobody can edit in place.
            tail = [("copy", ""), *tail]
        if self._formats is not None:
            tail = [("format", "pix_fmts=" + "|".join(self._formats)), *tail]
        for name, args in [*tail, ("buffersink", "")]:
            node = self._add(graph, name, args, None)
            self._link(last, node, self._specs[-1] if self._specs else None)
            last = node
        with logs.captured(level) as said:
            try:
                graph.configure()
            except (av.error.FFmpegError, ValueError) as error:
                raise self._unconfigured(error, said) from error
        return _Built(graph, source, last, said)

    def _source_args(self) -> str:
        s = self.stream
        args = [
            f"video_size={s.width}x{s.height}", f"pix_fmt={s.pix_fmt}", f"time_base={s.time_base}",
            f"pixel_aspect={s.sar.numerator}/{s.sar.denominator}", f"frame_rate={s.average_rate}",
        ]  # fmt: skip
        # gbr (0) on a YUV format is a wrong tag of the file, which the buffer source refuses.
        if s.color_space or s.pix_fmt.startswith(("rgb", "bgr", "gbr", "argb", "abgr")):
            args.append(f"colorspace={s.color_space}")
        full = s.pix_fmt.startswith("yuvj")
        return ":".join([*args, f"range={2 if full else s.color_range}"])

    def _add(self, graph: Any, name: str, args: str, spec: FilterSpec | None) -> Any:
        label = {} if spec is None else {"name": _instance(spec)}
        with logs.captured() as said:
            try:
                return graph.add(name, args or None, **label)
            except (av.error.FFmpegError, ValueError) as error:
                raise self._error(spec, f"'{name}': {logs.reason(error, said)}") from error

    def _link(self, one: Any, two: Any, spec: FilterSpec | None) -> None:
        with logs.captured() as said:
            try:
                one.link_to(two)
            except (av.error.FFmpegError, ValueError) as error:
                why = logs.errors(said)
                if not why and spec is not None:
                    why = [f"'{spec.name}' does not have exactly one video input and one video output"]
                raise self._error(spec, "; ".join(why) or str(error)) from error

    def _error(self, spec: FilterSpec | None, message: str) -> GraphError:
        message = " ".join(message.split())
        if spec is not None:
            return spec.error(message)
        if self._specs:
            first, last = self._specs[0], self._specs[-1]
            return first.error(message, first.start, last.end)
        return GraphError(message)

    def _unconfigured(self, error: BaseException, said: Sequence[logs.Message]) -> GraphError:
        """The error for filters that do not fit together, at the filter that complained."""
        complaints = [m for m in said if m[0] <= av.logging.ERROR]
        clear = [m for m in complaints if not m[2].startswith("Failed to configure")] or complaints
        for spec in self._specs:
            name = _instance(spec)
            if any(name == speaker or name in text for _, speaker, text in complaints):
                why = logs.reason(error, clear).replace(name, spec.name)
                return self._error(spec, f"'{spec.name}': {why}")
        return self._error(None, f"libavfilter cannot run this graph: {logs.reason(error, clear)}")

    def _probe(self) -> StreamInfo:
        """The stream that comes out. PyAV does not show a link's properties; what libavfilter's own filters
        log while they are configured does: showinfo the clock, scale the picture."""
        probe = self._build([("showinfo", "checksum=0"), ("scale", "iw:ih")], av.logging.VERBOSE)
        texts = [text for _, _, text in probe.said]
        self.converts = any(speaker.startswith("auto_scale") for _, speaker, _ in probe.said)
        clock = next((m for m in map(_CLOCK.search, reversed(texts)) if m), None)
        link = next((m for m in map(_LINK.search, reversed(texts)) if m), None)
        if clock is None or link is None:
            raise PlanError("libavfilter does not say what comes out of this graph (is this PyAV newer than 19?)")
        s = self.stream
        if not int(clock[1]) or not int(clock[2]):
            raise self._error(None, "libavfilter gives this graph's frames no time base (a rate of 0?)")
        base = Fraction(int(clock[1]), int(clock[2]))
        rate = Fraction(int(clock[3]), int(clock[4])) if int(clock[3]) and int(clock[4]) else s.average_rate
        known = rate == s.average_rate
        sar = Fraction(int(link[6]), int(link[7])) if int(link[7]) else Fraction(0)
        return replace(
            s,
            width=int(link[1]),
            height=int(link[2]),
            pix_fmt=link[3],
            time_base=base,
            rate=s.rate if known else rate,
            average_rate=rate,
            sar=sar,
            color_space=_SPACES.get(link[4], 2),
            color_range=_RANGES.get(link[5], 0),
            hdr=None if any(spec.name in CHANGES_LIGHT for spec in self._specs) else s.hdr,
        )

    # -- running --

    def push(self, frame: Frame) -> list[Frame]:
        """Feed one frame; gives those that are ready. The frame stays the caller's, and is not written to.

        Raises PlanError, in a strict chain, if not exactly this frame comes out.
        """
        if self._done:
            return []
        picture = frame.av
        pts = picture.pts
        picture.pts = None if frame.pts is None else frame.pts - self._shift
        try:
            self._built.source.push(picture)
        except EOFError:
            self._done = True  # trim and its like have had enough
        except av.error.FFmpegError as error:
            raise PlanError(f"libavfilter failed at {frame.t:.3f} s: {logs.reason(error)}") from error
        finally:
            picture.pts = pts
        out = self._pull(frame.t)
        if not self.strict:
            return out
        if len(out) != 1 or out[0].pts != frame.pts:
            raise PlanError(
                f"'{self.text}' did not give one frame for the frame at {frame.t:.3f} s: "
                "put it first or last in the graph"
            )
        return [replace(out[0], n=frame.n, t=frame.t)]

    def flush(self) -> list[Frame]:
        """End of stream: the frames that filters still held."""
        if not self._done:
            self._done = True
            with contextlib.suppress(EOFError):
                self._built.source.push(None)
        out = self._pull(None)
        if out and self.strict:
            raise PlanError(f"'{self.text}' held back {len(out)} frames: put it first or last in the graph")
        return out

    @property
    def text(self) -> str:
        """The chain as the user wrote it."""
        return ",".join(spec.to_text() for spec in self._specs)

    def _pull(self, t: float | None) -> list[Frame]:
        out: list[Frame] = []
        while True:
            try:
                picture = self._built.sink.pull()
            except (BlockingIOError, EOFError):
                return out
            except av.error.FFmpegError as error:
                where = "at the end" if t is None else f"at {t:.3f} s"
                raise PlanError(f"libavfilter failed {where}: {logs.reason(error)}") from error
            base = Fraction(picture.time_base or self.out.time_base)
            pts = picture.pts
            if pts is not None:
                pts += round(self._back / base)
                picture.pts = pts
            picture.pict_type = av.video.frame.PictureType.NONE
            start = Fraction(self.stream.start).limit_denominator(1_000_000)
            at = 0.0 if pts is None else float(pts * base - start)
            out.append(Frame(self._n, pts, at, picture))
            self._n += 1


def _instance(spec: FilterSpec) -> str:
    """What a filter is called inside libavfilter, as ffmpeg does it: sendcmd and messages use it."""
    return f"{spec.name}@{spec.id}" if spec.id else f"Parsed_{spec.name}_{spec.index}"


def arguments(spec: FilterSpec, order: Sequence[str], aliases: dict[str, str] | None = None) -> dict[str, Located]:
    """A libavfilter filter's arguments by name, read as libavutil does: positional ones first, `:` between
    them.

    order: names of the positional arguments. aliases: other names. Values are unescaped.
    """
    found: dict[str, Located] = {}
    if spec.args is None:
        return found
    text, pos, count = spec.args, 0, 0
    while pos < len(text):
        key = re.match(r"\s*([A-Za-z0-9_]+)\s*=", text.text[pos:])
        if key is not None:
            name = key[1]
            value, pos = text.token(pos + key.end(), ":")
        else:
            if count >= len(order):
                raise spec.error(f"too many arguments for '{spec.name}'")
            name = order[count]
            count += 1
            value, pos = text.token(pos, ":")
        found[(aliases or {}).get(name, name)] = value
        pos += 1
    return found
