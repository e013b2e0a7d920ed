"""Sound that is encoded anew: -c:a with an encoder, -af, -ac, -ar."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import av.codec
import av.error
import av.filter
import av.logging
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.filter.filter import filters_available
from av.packet import Packet

from anonfilter.errors import GraphError, InputError, OutputError, UsageError
from anonfilter.io import logs
from anonfilter.io.encoding import unknown_encoder
from anonfilter.job import Job
from anonfilter.syntax import FilterSpec, parse_graph

# Encoders that libavformat names by codec, where FFmpeg's own of that name is experimental.
_BETTER = {"opus": "libopus", "mp3": "libmp3lame", "vorbis": "libvorbis"}
# Encoders that take mono and stereo alone, and do not say so to PyAV.
_TWO_AT_MOST = frozenset({"libmp3lame", "mp2", "mp2fixed", "wmav1", "wmav2", "libshine"})
_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""Names of the layouts that ffmpeg takes for a number of channels."""

_MINE = ("ac", "ar", "sample_fmt", "channel_layout", "ch_layout")
_RESAMPLED = re.compile(r"-> ch:(\d+) chl:(.+?) fmt:(\S+) r:(\d+)Hz")
# Times of sound may be off by this much from what the samples before it say, before it counts as a gap: a container
# whose tick is a millisecond rounds them.
_JITTER = Fraction(1, 400)


def encoded(job: Job) -> bool:
    """Whether a job's sound is encoded and not copied. Raises UsageError where it cannot be both."""
    if job.acodec == "copy" and job.audio_filter:
        raise UsageError("-c:a copy with -af: Filtering and streamcopy cannot be used together.")
    return job.acodec not in ("", "copy") or bool(job.audio_filter) or (bool(job.audio_options) and not job.acodec)


def encoder(job: Job, default: str) -> av.codec.Codec:
    """The audio encoder of -c:a, or the container's default. Raises OutputError."""
    name = job.acodec
    if not name:
        name = _BETTER.get(default, default)
        if name not in av.codec.codecs_available:
            name = default
    try:
        codec = av.codec.Codec(name, "w")
    except (UnknownCodecError, RuntimeError) as error:
        raise unknown_encoder("-c:a", name, "audio", ("aac", "libopus", "libmp3lame", "flac")) from error
    if codec.type != "audio":
        raise OutputError(f"-c:a {name}: is no audio encoder (use aac, libopus, flac ...)")
    return codec


class Sound:
    """One audio stream from packets to packets.

    container: gets a new stream. source: the input's stream. zero: seconds of the source's clock at which filters see
    0. begin, end: part that the input's -ss and -t leave, inside: that the output's leave, seconds of the source's
    clock or None. shift: seconds to subtract from what comes out. Raises OutputError and GraphError.
    """

    def __init__(
        self,
        container: OutputContainer,
        source: Any,
        job: Job,
        *,
        zero: Fraction,
        shift: Fraction,
        limits: Sequence[tuple[Fraction | None, Fraction | None]] = (),
    ) -> None:
        self.job, self.source, self.told = job, source, list[str]()
        self._zero, self._shift = zero, shift
        self._specs = parse_graph(job.audio_filter, "-af").linear() if job.audio_filter.strip() else []
        self._limits = list(limits)
        self._codec = encoder(job, container.default_audio_codec)
        decoder = source.codec_context
        if decoder is None:
            raise OutputError(f"{job.input}: no decoder for audio stream #{source.index}: leave it out with -an")
        self._rate_in = int(decoder.sample_rate)
        self._next: Fraction | None = None
        self._graph: tuple[Any, Any, Any] | None = None
        self._form: tuple[int, str, str] | None = None
        options = dict(job.audio_options)
        self._wanted = {name: options.pop(name) for name in _MINE if name in options}
        channels, layout, sample_format, rate = self._negotiate(decoder)
        defaults = av.codec.CodecContext.create(self._codec.name, "w")
        try:
            self.stream: Any = container.add_stream(self._codec.name, rate=rate, bit_rate=defaults.bit_rate or 0)
        except ValueError as error:
            usual = container.default_audio_codec
            raise OutputError(
                f"{job.output}: the format '{container.format.name}' does not hold {self._codec.name} audio: "
                f"choose another -c:a, such as {_BETTER.get(usual, usual)}"
            ) from error
        context: Any = self.stream.codec_context
        self._context = context
        context.layout, context.format = layout, sample_format
        context.time_base = Fraction(1, rate)
        self.stream.time_base = Fraction(1, rate)
        if not job.keep_metadata:
            context.flags |= int(av.codec.context.Flags.bitexact)  # else some write their version into the sound
        if "q" in options or "qscale" in options:
            value = options.pop("q", None) or options.pop("qscale")
            try:
                options |= {"flags": "+qscale", "global_quality": str(round(float(value) * 118))}
            except ValueError:
                raise OutputError(f"-q:a {value}: not a number") from None
        context.options = options
        with logs.captured(av.logging.WARNING) as said:
            try:
                context.open()
            except (av.error.FFmpegError, ValueError) as error:
                raise OutputError(
                    f"cannot open encoder {self._codec.name} for {rate} Hz, {channels} channels: "
                    f"{logs.reason(error, said)}"
                ) from error
        if context.options:
            raise OutputError(f"Unrecognized option '{next(iter(context.options))}' for encoder {self._codec.name}")

    # -- the graph --

    def _negotiate(self, decoder: Any) -> tuple[int, str, str, int]:
        """Channels, layout, sample format and rate that come out of the filters for this encoder."""
        form = (self._rate_in, _layout(decoder), decoder.format.name)
        said = self._build(form, probe=True)[3]
        found = [m for m in (_RESAMPLED.search(text) for _, _, text in said) if m]
        if not found:
            raise OutputError("libavfilter does not say what comes out of the sound's filters")
        last = found[-1]
        return int(last[1]), last[2], last[3], int(last[4])

    def _format_args(self) -> str:
        codec = self._codec
        formats = [f.name for f in codec.audio_formats or ()]
        rates = [str(r) for r in codec.audio_rates or ()]
        if "sample_fmt" in self._wanted:
            formats = [self._wanted["sample_fmt"]]
        if "ar" in self._wanted:
            rates = [_number(self._wanted["ar"], "-ar")]
        layouts = "mono|stereo" if codec.name in _TWO_AT_MOST else ""
        if "ac" in self._wanted:
            count = int(_number(self._wanted["ac"], "-ac"))
            if not 1 <= count <= len(_LAYOUTS):
                raise UsageError(f"-ac {count}: 1 to {len(_LAYOUTS)} channels")
            layouts = _LAYOUTS[count - 1]
        layouts = self._wanted.get("channel_layout") or self._wanted.get("ch_layout") or layouts
        given = {"sample_fmts": "|".join(formats), "sample_rates": "|".join(rates), "channel_layouts": layouts}
        return ":".join(f"{key}={value}" for key, value in given.items() if value)

    def _build(self, form: tuple[int, str, str], probe: bool = False) -> tuple[Any, Any, Any, list[logs.Message]]:
        """A configured graph, whose memory the others use, its source, its sink, and what libavfilter said. form: rate,
        layout, sample format."""
        graph = av.filter.Graph()
        rate, layout, sample_format = form
        nodes: list[tuple[FilterSpec | None, str, str]] = [
            (None, "abuffer",
             f"time_base=1/{rate}:sample_rate={rate}:sample_fmt={sample_format}:channel_layout={layout}"),
            # Gaps and overlaps of the source's times: an encoder would take the samples for continuous.
            (None, "aresample", "async=1:min_hard_comp=0.05"),
        ]  # fmt: skip
        trims = [(None, "atrim", self._trim(*limit)) for limit in self._limits]
        nodes += trims[:1]
        for own in self._specs:
            if own.name not in filters_available:
                raise own.error(f"no such filter: '{own.name}'", *own.name_span)
            nodes.append((own, own.name, own.args.text if own.args is not None else ""))
        nodes += trims[1:]
        nodes.append((None, "aformat", self._format_args()))
        if probe:
            nodes += [(None, "aresample", ""), (None, "aformat", self._format_args())]
        nodes.append((None, "abuffersink", ""))
        made: list[Any] = []
        with logs.captured(av.logging.VERBOSE if probe else av.logging.ERROR) as said:
            for spec, name, args in nodes:
                if name == "atrim" and not args:
                    continue
                try:
                    made.append(graph.add(name, args or None))
                    if len(made) > 1:
                        made[-2].link_to(made[-1])
                except (av.error.FFmpegError, ValueError) as error:
                    raise self._error(spec, f"'{name}': {logs.reason(error, said)}") from error
            try:
                graph.configure()
            except (av.error.FFmpegError, ValueError) as error:
                raise self._error(None, f"libavfilter cannot run this: {logs.reason(error, said)}") from error
        return graph, made[0], made[-1], list(said)

    def _error(self, spec: FilterSpec | None, message: str) -> GraphError:
        message = " ".join(message.split())
        if spec is not None:
            return spec.error(message)
        return GraphError(message, source="-af", text=self.job.audio_filter)

    def _trim(self, begin: Fraction | None, end: Fraction | None) -> str:
        parts = []
        for name, limit in (("start", begin), ("end", end)):
            if limit is not None:
                parts.append(f"{name}={round((limit - self._zero) * 1_000_000)}us")
        return ":".join(parts)

    # -- running --

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Packets that are ready to be written after this one of the source."""
        yield from self._decode(packet)

    def flush(self) -> Iterator[Packet[Any]]:
        """What is still on its way, at the end."""
        yield from self._decode(None)
        if self._graph is not None:
            yield from self._filter(None)
        yield from self._encode(None)

    def _decode(self, packet: Packet[Any] | None) -> Iterator[Packet[Any]]:
        try:
            frames = self.source.decode(packet)
        except EOFError:
            return
        except av.error.FFmpegError as error:
            if self.job.ignore_errors:
                return
            raise InputError(
                f"{self.job.input}: cannot decode audio stream #{self.source.index}: {logs.reason(error)} "
                "(-err_detect ignore_err goes on)"
            ) from error
        for frame in frames:
            yield from self._filter(self._timed(frame))

    def _timed(self, frame: Any) -> Any:
        """Give a frame its time in samples, as filters see it."""
        rate = frame.sample_rate
        base = Fraction(1, rate)
        time = None if frame.pts is None else frame.pts * Fraction(frame.time_base) - self._zero
        if self._next is not None and (time is None or abs(time - self._next) < _JITTER):
            time = self._next
        time = Fraction(0) if time is None else time
        self._next = time + frame.samples * base
        frame.pts, frame.time_base = round(time / base), base
        return frame

    def _filter(self, frame: Any) -> Iterator[Packet[Any]]:
        form = None if frame is None else (int(frame.sample_rate), _layout(frame), str(frame.format.name))
        if form is not None and form != self._form:
            if self._graph is not None:
                yield from self._drain(None)  # as ffmpeg: a new graph where the sound changes
            self._graph, self._form = self._build(form)[:3], form
        yield from self._drain(frame)

    def _drain(self, frame: Any) -> Iterator[Packet[Any]]:
        assert self._graph is not None
        _, source, sink = self._graph
        with contextlib.suppress(EOFError):
            source.push(frame)
        while True:
            try:
                out = sink.pull()
            except (BlockingIOError, EOFError):
                return
            base = Fraction(out.time_base)
            if out.pts is not None:
                out.pts = round((out.pts * base + self._zero - self._shift) / base)
            yield from self._encode(out)

    def _encode(self, frame: Any) -> Iterator[Packet[Any]]:
        try:
            packets = self._context.encode(frame)
        except EOFError:
            return
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(f"{self.job.output}: encoder {self._codec.name} failed: {logs.reason(error)}") from error
        for packet in packets:
            packet.stream = self.stream
            yield packet


def _layout(thing: Any) -> str:
    """A layout's name that abuffer takes."""
    layout = thing.layout
    name = str(layout.name)
    count = int(layout.nb_channels)
    if re.fullmatch(r"\d+ channels.*", name):  # of unknown order
        return _LAYOUTS[count - 1] if count <= len(_LAYOUTS) else f"{count}C"
    return name


def _number(text: str, option: str) -> str:
    try:
        return str(int(float(text)))
    except ValueError:
        raise UsageError(f"{option} {text}: not a number") from None
