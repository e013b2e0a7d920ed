"""Formats whose samples lie together (bgra of GIF and BMP, yuyv422 of webcams) become planes, as ffmpeg would do."""

from __future__ import annotations

from anonfilter.errors import OutputError
from anonfilter.frame import EDITABLE, StreamInfo
from anonfilter.io import encoding, pictures, picturewriter
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.job import Job
from anonfilter.syntax import FilterSpec, parse_graph


def planes(job: Job, stream: StreamInfo) -> tuple[list[FilterSpec], str]:
    """The filter that makes planes of a stream that cannot be edited in place, and what to say of it; [] where it can.

    libavfilter chooses what loses least, of the formats that the encoder takes, too, if it takes one of ours. Planes of
    RGB, and alpha beside 4:4:4, only for stills and FFV1: players know no such video, and libvpx calls it experimental.
    """
    if stream.pix_fmt in EDITABLE:
        return [], ""
    try:
        if pictures.writes(job):
            taken = picturewriter.formats_of(job)
        else:
            taken = encoding.output_formats(job, stream.pix_fmt) or []
    except OutputError:  # which the writer will tell of
        taken = []
    grey = stream.pix_fmt.startswith(("gray", "ya", "mono"))
    both = [name for name in EDITABLE if name in taken and (grey or not name.startswith("gray"))]
    if not pictures.writes(job) and "bgr0" not in taken:  # FFV1 has it: made to keep everything
        both = [name for name in both if not name.startswith(("gbr", "yuva422p", "yuva444p"))] or both
    both = both or list(EDITABLE)
    chosen = LavfiGraph([], stream, both, job.threads).out.pix_fmt
    line = f"{stream.pix_fmt} cannot be edited in place: {chosen} is made of it (format= in front chooses another)"
    return parse_graph(f"format@planes=pix_fmts={chosen}", source="planes").linear(), line
