"""Subtitles: copied where the container can hold them, converted where they are text, else an error."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.codec
import av.error
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.packet import Packet
from av.subtitles.subtitle import SubtitleSet

from anonfilter.errors import InputError, OutputError
from anonfilter.io import logs
from anonfilter.io.clock import Clock
from anonfilter.job import Job

# What a text subtitle becomes, for each container that cannot hold it as it is.
_TEXT = {
    "mp4": "mov_text", "mov": "mov_text", "ipod": "mov_text", "3gp": "mov_text", "3g2": "mov_text",
    "ismv": "mov_text", "f4v": "mov_text", "psp": "mov_text", "matroska": "subrip", "webm": "webvtt",
}  # fmt: skip
_MILLI = Fraction(1, 1000)
# libavformat's MP4 muxer compares ticks of a subtitle with those of other tracks, as if all had one clock, to see where
# a gap begins. With the finest clock, which is ffmpeg's, the answer is right.
_MICRO = Fraction(1, 1_000_000)


def finer(base: Fraction) -> Fraction:
    """A clock for MP4's text that is a whole part of `base` and as fine as _MICRO."""
    return base / -(-base // _MICRO)


def encoder(job: Job, muxer: str, source: Any, holds: bool) -> str:
    """Name of the encoder for a subtitle stream, "" for a copy. holds: whether the container can hold it as it is.

    Raises OutputError, naming -sn, where neither works.
    """
    wanted = job.scodec
    what = _name(source)
    if wanted not in ("", "copy"):
        try:
            codec = av.codec.Codec(wanted, "w")
        except (UnknownCodecError, RuntimeError) as error:
            raise OutputError(f"Unknown encoder '{wanted}'") from error
        if codec.type != "subtitle":
            raise OutputError(f"-c:s {wanted}: is no subtitle encoder")
        if not _is_text(source) or codec.canonical_name.endswith(("dvb_subtitle", "dvd_subtitle", "xsub")):
            raise OutputError(
                f"-c:s {wanted}: subtitle stream #{source.index} ({what}): text can be made of text only; "
                "leave subtitles out with -sn"
            )
        return wanted
    if holds:
        return ""
    if wanted == "" and _is_text(source) and muxer in _TEXT:
        return _TEXT[muxer]
    raise OutputError(
        f"{job.output}: the format '{muxer}' cannot hold {what} subtitles (stream #{source.index}): "
        "write .mkv, or leave subtitles out with -sn"
    )


def _name(source: Any) -> str:
    context = source.codec_context
    return "unknown" if context is None else str(context.codec.canonical_name)


def _is_text(source: Any) -> bool:
    context = source.codec_context
    return context is not None and bool(context.codec.text_sub)


class Subtitles:
    """One text subtitle stream from packets of one kind to packets of another.

    container: gets a new stream. name: the encoder. Raises OutputError.
    """

    def __init__(self, container: OutputContainer, source: Any, job: Job, name: str, clock: Clock) -> None:
        self.job, self.source, self._clock, self.told = job, source, clock, list[str]()
        try:
            self.stream: Any = container.add_stream(name)
        except ValueError as error:
            raise OutputError(
                f"{job.output}: the format '{container.format.name}' does not hold {name} subtitles: "
                "choose another -c:s, or leave them out with -sn"
            ) from error
        self._decoder = source.codec_context
        self._base = _MICRO if name == "mov_text" else _MILLI
        context: Any = self.stream.codec_context
        self._context = context
        with logs.captured() as said:
            try:
                self._decoder.open(strict=False)
                context.subtitle_header = self._decoder.subtitle_header or b""
                context.time_base = self._base
                context.open()
            except (av.error.FFmpegError, ValueError) as error:
                raise OutputError(
                    f"{job.output}: subtitle stream #{source.index} cannot become {name}: {logs.reason(error, said)} "
                    "(-sn leaves it out)"
                ) from error
        self.stream.time_base = self._base

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Packets that are ready to be written after this one of the source."""
        if not packet.size or packet.pts is None:
            return
        try:
            found = self._decoder.decode2(packet)
        except av.error.FFmpegError as error:
            if self.job.ignore_errors:
                return
            raise InputError(
                f"{self.job.input}: subtitle stream #{self.source.index} cannot be read: {logs.reason(error)} "
                "(-sn leaves it out)"
            ) from error
        lines = [rect.ass for rect in found or () if getattr(rect, "ass", b"")]
        if not lines or found is None:
            return
        base = Fraction(packet.time_base)
        start = packet.pts * base + found.start_display_time * _MILLI
        clock = self._clock
        if (clock.begin is not None and start < clock.begin) or (clock.end is not None and start >= clock.end):
            return
        length = (packet.duration or 0) * base
        if not length and found.end_display_time < 1 << 31:
            length = (found.end_display_time - found.start_display_time) * _MILLI
        yield self._encode(lines, start - clock.shift, length)

    def _encode(self, lines: list[bytes], start: Fraction, length: Fraction) -> Packet[Any]:
        # Encoders take the display time from 0; the packet says when that is.
        text = b"\\N".join([lines[0], *(line.split(b",", 8)[-1] for line in lines[1:])])
        base = self._base
        begin, size = round(start / base), max(1, round(length / base))
        try:
            packet: Packet[Any] = self._context.encode_subtitle(SubtitleSet.create(text, 0, size, begin))
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(
                f"{self.job.output}: a subtitle at {float(start):.3f} s cannot be written: {logs.reason(error)} "
                "(-sn leaves them out)"
            ) from error
        packet.pts = packet.dts = begin
        packet.duration, packet.time_base, packet.stream = size, base, self.stream
        return packet

    def flush(self) -> Iterator[Packet[Any]]:
        """Nothing is held back."""
        return iter(())
