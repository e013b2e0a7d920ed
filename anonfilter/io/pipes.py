"""Inputs and outputs that are no files: stdin, stdout and what has to be said of raw video in them."""

from __future__ import annotations

from anonfilter.errors import InputError
from anonfilter.job import Job

_RAW_DEFAULT = "yuv420p"


def is_pipe(name: str) -> bool:
    """Whether a name stands for an inherited pipe: "-", "pipe:", "pipe:3"."""
    return name == "-" or name.startswith("pipe:")


def check_input(job: Job) -> None:
    """Raise InputError for raw video whose size nobody said: it has no header, and libavformat would take any."""
    if job.input_format == "rawvideo" and "video_size" not in job.input_options:
        raise InputError(
            f"{job.input}: raw video has no header: put -s WIDTHxHEIGHT (and -pix_fmt, if it is not {_RAW_DEFAULT}, "
            "and -r) before -i"
        )
