"""The streams and the header of an output, made before its first frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import av
import av.container
import av.error
from av.container import OutputContainer

from anonfilter.errors import OutputError
from anonfilter.frame import StreamInfo
from anonfilter.io import encoding, logs, tracks
from anonfilter.io.bitstream import Bitstream, of_encoder
from anonfilter.io.demuxing import TAGS
from anonfilter.io.describe import chapters, describe, titles_of
from anonfilter.io.keyframes import KeyFrames
from anonfilter.io.reader import Reader
from anonfilter.io.timing import Timing
from anonfilter.job import Job

# Containers that keep a display matrix.
_TURNS = frozenset({"mp4", "mov", "ipod", "3gp", "3g2", "psp", "ismv", "f4v", "matroska", "webm", "null"})

# Bitstreams that hold the sample aspect ratio, and containers that take it from the encoder. Others take it
# from a field that PyAV cannot reach.
_KNOW_SHAPE = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "wrapped_avframe"})
_KEEP_SHAPE = frozenset({"mp4", "mov", "ipod", "3gp", "3g2", "psp", "ismv", "f4v"})

# How far libavformat may hold one stream back for another (its own 10 s are less than a long look-ahead).
_INTERLEAVE = 60_000_000

# Sound that is coded with a run-up begins before 0. These can say so, and would else move every picture by it.
_NEGATIVE = frozenset({"matroska", "webm", "avi"})

# Encoders that write closed captions, by default.
_CAPTIONS = frozenset({"libx264", "libx265", "mpeg2video", "h264_nvenc", "hevc_nvenc", "h264_qsv", "h264_amf"})


@dataclass(slots=True)
class Layout:
    """The streams of an output. video: PyAV's stream of the pictures. tracks: the others by the source's index.
    dropped: one line for each thing that was left out. stayed: phrases for the tags that were kept. keys:
    -force_key_frames, bitstream: -bsf:v."""

    video: Any = None
    tracks: dict[int, tracks.Track] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    stayed: list[str] = field(default_factory=list)
    keys: KeyFrames | None = None
    bitstream: Bitstream | None = None


def check(job: Job, muxer: str, codec: av.codec.Codec, stream: StreamInfo) -> None:
    """Raises OutputError for what the container cannot say of the pictures and no picture says itself."""
    if stream.display_matrix is not None and muxer not in _TURNS:
        raise OutputError(
            f"{job.output}: the format '{muxer}' cannot hold the display rotation of this video: "
            "write .mp4, .mov or .mkv, or turn the pictures with transpose"
        )
    shape = stream.sar not in (0, 1)
    if shape and codec.canonical_name not in _KNOW_SHAPE and muxer not in _KEEP_SHAPE:
        raise OutputError(
            f"{job.output}: sample aspect ratio {stream.sar} would be lost with {codec.name} in "
            f"'{muxer}': write .mp4, or put scale=iw*sar:ih,setsar=1 last"
        )


def open_container(job: Job, muxer: str, url: str) -> OutputContainer:
    """Create the file at url."""
    options = {"max_interleave_delta": str(_INTERLEAVE)}
    if muxer in _NEGATIVE:
        options["avoid_negative_ts"] = "disabled"
    container: Any = av.open(
        url, "w", format=job.output_format or muxer, options={**options, **job.muxer_options}, **TAGS
    )
    if not job.keep_metadata:
        container.flags |= av.container.Flags.bitexact.value  # else the muxer signs with its version
    opened: OutputContainer = container
    return opened


def build(
    layout: Layout,
    container: OutputContainer,
    job: Job,
    muxer: str,
    codec: av.codec.Codec,
    stream: StreamInfo,
    timing: Timing,
    reader: Reader | None,
) -> None:
    """Make all streams, in their order, give them their tags, and write the header. layout: gets each as soon as it is
    there, since whoever closes the container needs it. Raises OutputError."""
    made: dict[int, tuple[Any, Any]] = {}
    order: list[Any] = [None] if reader is None else reader.order
    unknown = dict[str, str]()
    for source in order:
        if reader is None or source is reader.video:
            layout.video, unknown = encoding.open_encoder(container, codec, job, stream, timing.time_base)
            if stream.display_matrix is not None:
                layout.video.set_display_matrix(stream.display_matrix)
            new = layout.video
        else:
            track, left = tracks.add(container, source, reader, job, muxer, timing.clock)
            layout.dropped += [left] if left else []
            if track is None:
                continue
            layout.tracks[source.index] = track
            new = track.stream
        if reader is not None:
            made[source.index] = source, new
    if text := job.bitstream.get("v"):
        layout.bitstream = of_encoder("-bsf:v", text, layout.video)
    if reader is not None and reader.captions and codec.name not in _CAPTIONS:
        layout.dropped.append(f"closed captions of the video ({codec.name} has no way to write them)")
    input_file = reader.container if reader is not None else None
    without, layout.stayed = describe(container, input_file, made, job)
    layout.dropped += without
    begins: list[float] = []
    # MP4's chapters are a track of titles: without any, its readers complain that the track is not there.
    numbered = muxer in _KEEP_SHAPE
    if input_file is not None and (found := chapters(input_file, job, timing.clock.shift, timing.clock.end, numbered)):
        container.set_chapters(found)
        begins = [float(chapter["start"] * chapter["time_base"]) for chapter in found]
        layout.stayed += titles_of(found) if job.titles and not job.keep_metadata else []
    if job.force_key_frames:
        layout.keys = KeyFrames(job.force_key_frames, begins)
    _write_header(container, job, muxer, codec, unknown)


def _write_header(
    container: OutputContainer, job: Job, muxer: str, codec: av.codec.Codec, unknown: dict[str, str]
) -> None:
    """Write the header. Options that the encoder did not know may be the muxer's."""
    container.options.update(unknown)
    with logs.captured() as said, logs.unused_options() as unused:
        try:
            container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            why = logs.reason(error, said)
            raise OutputError(f"{job.output}: the header cannot be written: {why}") from error
    left = [name for name in unused if name in unknown or name in job.muxer_options]
    if left:
        name = left[0]
        whose = f"encoder {codec.name} or format {muxer}" if name in unknown else f"format {muxer}"
        raise OutputError(f"Unrecognized option '{name}' for {whose}")
