"""What becomes of the streams beside the video: copied, converted, encoded, or an error that says what to do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
import av.error
from av.container import OutputContainer
from av.packet import Packet

from anonfilter.errors import OutputError
from anonfilter.io import logs, sound, subtitles
from anonfilter.io.bitstream import Bitstream, of_encoder
from anonfilter.io.clock import Clock, rescale
from anonfilter.io.findings import signatures
from anonfilter.io.reader import Reader
from anonfilter.io.streams import is_picture
from anonfilter.job import Job

_SIGNED, _SIGNATURE = 3, 4096
"""First packets of a stream where encoders write their names, and bytes of each that are looked at."""

# MPEG-TS takes any stream and writes what it does not know as private data, which nobody can read again.
_IN_TS = frozenset(
    {"mp1", "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus", "s302m", "pcm_bluray",
     "dvb_subtitle", "dvb_teletext", "arib_caption"}
)  # fmt: skip


class Track(Protocol):
    """A stream of the output. feed() gives the packets that are ready after one of the source, flush() the rest. told:
    a line for each thing that its packets give away and that a copy keeps."""

    stream: Any
    told: list[str]

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]: ...

    def flush(self) -> Iterator[Packet[Any]]: ...


class Copy:
    """Packets bit for bit, with the output's times."""

    def __init__(self, stream: Any, clock: Clock, *, anew: str = "") -> None:
        """anew: encoder of sound that would not name itself, for the report."""
        self.stream, self._clock = stream, clock
        self.told: list[str] = []
        self._last: int | None = None
        self._anew, self._unread = anew, _SIGNED if anew else 0
        if anew:
            self._look(stream.codec_context.extradata or b"")

    def _look(self, data: bytes) -> None:
        """Where an encoder has written its name, as the scan finds it."""
        if found := signatures(data[:_SIGNATURE]):
            self._unread = 0
            self.told.append(
                f"'{found[0]}', its encoder, in the sound of stream #{self.stream.index}, which is copied "
                f"(-c:a {self._anew} removes it)"
            )

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        if self._unread:
            self._unread -= 1
            self._look(bytes(packet))
        clock, base = self._clock, Fraction(packet.time_base)
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            if clock.begin is not None and stamp * base < clock.begin:
                return
            if clock.end is not None and stamp * base >= clock.end:
                return
        offset = rescale(clock.shift, base)
        pts = None if packet.pts is None else packet.pts - offset
        dts = None if packet.dts is None else packet.dts - offset
        if dts is not None:
            dts, pts = self._monotonic(dts, pts)
        packet.pts, packet.dts = pts, dts
        packet.stream = self.stream
        yield packet

    def _monotonic(self, dts: int, pts: int | None) -> tuple[int, int | None]:
        """Decoding times that increase, as muxers demand: ffmpeg's repair of broken ones."""
        last = self._last
        if last is not None and dts <= last:
            if pts is not None and pts >= dts:
                pts = max(pts, last + 1)
            dts = last + 1
        self._last = dts
        return dts, pts

    def flush(self) -> Iterator[Packet[Any]]:
        return iter(())


class Filtered:
    """A track whose packets pass bitstream filters."""

    def __init__(self, track: Track, chain: Bitstream) -> None:
        self.stream, self.told = track.stream, track.told
        self._track, self._chain = track, chain

    def feed(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        for item in self._track.feed(packet):
            yield from self._chain.feed(item)

    def flush(self) -> Iterator[Packet[Any]]:
        for item in self._track.flush():
            yield from self._chain.feed(item)
        yield from self._chain.feed(None)


def add(
    container: OutputContainer, source: Any, reader: Reader, job: Job, muxer: str, clock: Clock
) -> tuple[Track | None, str]:
    """Make the output's stream of one of the input's; None and why where it has to be left behind.

    Raises OutputError where nothing may be left behind without being asked.
    """
    if source.type == "audio":
        return _audio(container, source, reader, job, muxer, clock)
    if source.type == "subtitle":
        return _subtitle(container, source, job, muxer, clock)
    what = "cover art" if is_picture(source) else source.type
    left = f"{what} stream #{source.index} (the format '{muxer}' cannot hold it)"
    if source.type == "attachment" or (is_picture(source) and muxer == "matroska"):
        return None, "" if _attach(container, source, reader, muxer) else left
    if source.type == "data" and "timecode" in source.metadata and muxer in ("mov", "mp4"):
        return None, ""  # the muxer makes it anew from the tag of that name
    if not _try(container, source, job):
        return None, left
    return Copy(_template(container, source), clock), ""


def _audio(
    container: OutputContainer, source: Any, reader: Reader, job: Job, muxer: str, clock: Clock
) -> tuple[Track | None, str]:
    default, text = container.default_audio_codec, job.bitstream.get("a", "")
    if default == "none" and not job.maps and not job.acodec:
        # As ffmpeg: a format of pictures alone gets no sound.
        return None, f"audio stream #{source.index} (the format '{muxer}' holds pictures alone)"
    if sound.encoded(job):
        limits = ((clock.read_begin, clock.read_end), (clock.begin, clock.end))
        made = sound.Sound(container, source, job, zero=clock.zero, shift=clock.shift, limits=limits)
        return (made if not text else Filtered(made, of_encoder("-bsf:a", text, made.stream))), ""
    name = source.codec_context.codec.canonical_name if source.codec_context is not None else "unknown"
    if not _refused_by_ts(muxer, name) and _try(container, source, job):
        anew = "aac" if "aac" in container.supported_codecs else _usual(default)
        copy = Copy(_template(container, source), clock, anew=anew)
        return (copy if not text else Filtered(copy, Bitstream("-bsf:a", text, copy.stream, copy.stream))), ""
    other = _usual(default)
    encode = f"encode it with -c:a {other}, " if other else ""
    raise OutputError(
        f"{job.output}: the format '{muxer}' cannot hold {name} audio (stream #{source.index}): {encode}"
        "write .mkv, or leave the audio out with -an"
    )


def _usual(default: str) -> str:
    """The encoder for a container's default audio codec; "" where it has none."""
    return "" if default == "none" else sound.encoder(Job("", ""), default).name


def _subtitle(
    container: OutputContainer, source: Any, job: Job, muxer: str, clock: Clock
) -> tuple[Track | None, str]:
    if container.default_audio_codec == "none" and not job.maps and not job.scodec:
        return None, f"subtitle stream #{source.index} (the format '{muxer}' holds pictures alone)"
    context = source.codec_context
    name = context.codec.canonical_name if context is not None else "unknown"
    holds = context is not None and not _refused_by_ts(muxer, name) and _try(container, source, job)
    encoder = subtitles.encoder(job, muxer, source, holds)
    if encoder:
        return subtitles.Subtitles(container, source, job, encoder, clock), ""
    copy = _template(container, source)
    if name == "mov_text":
        copy.time_base = subtitles.finer(Fraction(source.time_base))
    return Copy(copy, clock), ""


def _refused_by_ts(muxer: str, name: str) -> bool:
    return muxer in ("mpegts", "m2ts") and name not in _IN_TS


def _template(container: OutputContainer, source: Any) -> Any:
    """A stream like the source's. Raises ValueError where the container has no such codec."""
    copy: Any = container.add_stream_from_template(source, opaque=True)
    copy.metadata.clear()
    return copy


def _try(container: OutputContainer, source: Any, job: Job) -> bool:
    """Whether a file of this format with this stream alone can be begun."""
    strict = job.muxer_options.get("strict") or job.encoder_options.get("strict")
    options = {"strict": strict} if strict else {}
    with logs.captured():
        try:
            with av.open(io.BytesIO(), "w", format=container.format.name, options=options) as trial:
                copy: Any = trial.add_stream_from_template(source, opaque=True)
                if copy.type == "video":
                    copy.disposition = source.disposition
                trial.start_encoding()
        except (av.error.FFmpegError, ValueError, RuntimeError):
            return False
    return True


def _attach(container: OutputContainer, source: Any, reader: Reader, muxer: str) -> bool:
    """Attach a file, such as a font or a cover; False where the format has no attachments."""
    if muxer != "matroska":
        return False
    if source.type == "attachment":
        data, kind = bytes(source.data), source.metadata.get("mimetype", "application/octet-stream")
        name = source.metadata.get("filename", f"attachment{source.index}")
    else:
        picture = reader.pictures.get(source.index)
        if picture is None:
            return False
        png = picture.startswith(b"\x89PNG")
        data, kind, name = picture, "image/png" if png else "image/jpeg", f"cover.{'png' if png else 'jpg'}"
    container.add_attachment(name, kind, data)
    return True
