"""What reads a job's input and what writes its output: a video's streams or stills."""

from __future__ import annotations

import av.subtitles.stream  # noqa: F401  (PyAV loads it with the first file, where a lack of memory looks like a bug)

from anonfilter.io import pictures, reconnect
from anonfilter.io.looped import Looped
from anonfilter.io.pictures import PictureReader
from anonfilter.io.picturewriter import PictureWriter
from anonfilter.io.reader import Reader
from anonfilter.io.reconnect import Reconnecting
from anonfilter.io.writer import Writer
from anonfilter.job import Job

AnyReader = Reader | PictureReader
AnyWriter = Writer | PictureWriter


def open_reader(job: Job) -> AnyReader:
    """The input, open. Raises InputError."""
    if pictures.reads(job):
        return PictureReader(job)
    if job.stream_loop:
        return Looped(job)
    return Reconnecting(job) if reconnect.wanted(job) else Reader(job)


def make_writer(job: Job, reader: AnyReader) -> AnyWriter:
    """The output, checked but not yet made. Raises OutputError."""
    stills = reader if isinstance(reader, PictureReader) else None
    if pictures.writes(job):
        return PictureWriter(job, stills)
    return Writer(job, None if isinstance(reader, PictureReader) else reader)


def hurry(job: Job, writer: AnyWriter) -> None:
    """Options without which encoder and muxer would hold frames back, where the job does not say otherwise."""
    if isinstance(writer, Writer):
        if writer.codec.name in ("libx264", "libx265"):
            job.encoder_options.setdefault("tune", "zerolatency")
        # Threads by the frame hold one frame back for each but the first, x264's whatever its tune says.
        job.encoder_options.setdefault("thread_type", "slice")
        job.muxer_options.setdefault("flush_packets", "1")
