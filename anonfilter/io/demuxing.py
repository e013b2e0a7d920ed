"""Opening an input, with an error that a person understands."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import av.error
from av.container import InputContainer

from anonfilter.errors import InputError
from anonfilter.io import boxes, logs, pipes
from anonfilter.job import Job

# Tags may hold any bytes, and must not stop a run: PyAV 19 reads them this way by itself.
TAGS: dict[str, Any] = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}

# Text that libavformat would draw as pictures of a terminal.
TEXT_ART = frozenset({"tty", "bin", "xbin", "adf", "idf"})

# Inputs whose name is no file's.
_NO_FILES = frozenset({"lavfi"})

# Containers whose header states a duration; others leave it to be estimated from the bit rate.
_STATED = frozenset({"mov", "matroska", "avi", "flv", "asf", "mxf"})

# Options of libavformat's demuxers and protocols. PyAV does not tell which of them were used, so an option
# that neither this list nor the decoder knows is an error here.
_DEMUXER_OPTIONS = frozenset(
    [
        "analyzeduration", "advanced_editlist", "avioflags", "correct_ts_overflow", "cryptokey",
        "duration_probesize", "err_detect", "export_all", "export_xmp", "f_err_detect", "fflags",
        "fpsprobesize", "format_probesize", "formatprobesize", "framerate", "headers", "http_proxy",
        "ignore_chapters", "ignore_editlist", "input_format", "listen", "live_start_index", "loop",
        "max_delay", "max_probe_packets", "max_reload", "max_streams", "max_ts_probe",
        "multiple_requests", "pattern_type", "pixel_format", "probesize", "protocol_whitelist",
        "reconnect", "reconnect_at_eof", "reconnect_max_retries", "reconnect_delay_max", "reconnect_on_http_error",
        "reconnect_on_network_error", "reconnect_streamed", "reorder_queue_size", "rtbufsize",
        "rtsp_flags", "rtsp_transport", "rw_timeout", "scan_all_pmts", "seek2any", "seekable",
        "sample_rate", "skip_estimate_duration_from_pts", "skip_initial_bytes",
        "start_number", "start_number_range", "stimeout", "strict", "thread_queue_size", "timeout",
        "tls_verify", "use_absolute_path", "use_mfra_for", "use_wallclock_as_timestamps",
        "user_agent", "video_size",
    ]
)  # fmt: skip


INDEX = "an MP4 cannot be read without its index (moov), which is damaged: a repair tool may make it anew"
"""What to say where the sample tables of an MP4 or MOV lead nowhere: nothing else tells where a picture begins."""

_PATIENCE = 15.0
"""Seconds without anything from a network after which a stream is given up."""


def is_url(name: str) -> bool:
    """Whether a name is a libavformat URL (or "-") and no path."""
    return name == "-" or (re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", name) is not None and not name.startswith("file:"))


def live(name: str) -> bool:
    """Whether an input has no length of its own to compare with: what comes over a network as it happens."""
    return name.startswith(("rtsp:", "rtsps:", "rtmp:", "rtmps:", "udp:", "rtp:", "srt:", "tcp:"))


def read_once(name: str) -> bool:
    """Whether an input can be read only once: a pipe, a FIFO, a camera."""
    if is_url(name):
        return live(name) or pipes.is_pipe(name)
    path = path_of(name)
    return os.path.exists(path) and not os.path.isfile(path)


def states_duration(format_name: str) -> bool:
    """Whether the header of this format states how long the file is."""
    return bool(_STATED & set(format_name.split(",")))


def path_of(name: str) -> str:
    """The path that a name without a URL scheme stands for."""
    return name.removeprefix("file:")


def open_input(job: Job, more: dict[str, str] | None = None) -> InputContainer:
    """Open the job's input. more: options for libavformat beside the job's, which count first. Raises InputError, one
    line."""
    name = job.input
    pipes.check_input(job)
    if not is_url(name) and job.input_format not in _NO_FILES:
        path = path_of(name)
        if not os.path.exists(path):
            raise InputError(f"{name}: No such file or directory")
        if os.path.isdir(path):
            raise InputError(f"{name}: is a directory, not a video")
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            raise InputError(f"{name}: the file is empty")
    with logs.captured() as said:
        try:
            container: InputContainer = av.open(
                "pipe:0" if name == "-" else name,
                format=job.input_format,
                options={**job.input_options, **(more or {})},
                timeout=_PATIENCE if live(name) and "listen" not in str(job.input_options) else None,
                **TAGS,
            )
        except ValueError as error:
            if "no container format" in str(error):
                raise InputError(f"-f: unknown input format '{job.input_format}'") from error
            why = logs.reason(error, said)
            if "moov atom not found" in why:
                raise InputError(f"{name}: not a video, or an MP4 cut short before its index ({why})") from error
            raise InputError(f"{name}: not a video: {why}{_without_index(name)}") from error
        except PermissionError as error:
            raise InputError(f"{name}: Permission denied") from error
        except av.error.FFmpegError as error:
            why = logs.reason(error, said)
            raise InputError(f"{name}: cannot be opened: {why}{_without_index(name)}") from error
    if job.input_format is None and container.format.name in TEXT_ART:
        container.close()
        raise InputError(f"{name}: not a video but text")
    return container


def _without_index(name: str) -> str:
    """What to add to a message where a file that begins like an MP4 cannot be opened."""
    path = path_of(name)
    if is_url(name) or not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return f"; {INDEX}" if boxes.is_boxes(file.read(16)) else ""


def set_threads(job: Job, context: Any) -> None:
    """Choose how a decoder uses threads."""
    # Threads over frames hold back as many frames as there are threads.
    context.thread_type, context.thread_count = "AUTO" if job.live is None else "SLICE", job.threads
    if job.ignore_errors and job.live is None and not context.name.startswith("lib"):
        # At the end of a file PyAV throws away the frames behind one that a thread could not decode, and threads over
        # slices take the concealment out of the H.264 decoder.
        context.thread_type, context.thread_count = "NONE", 1


def forgives(job: Job) -> bool:
    """Whether pictures that the decoder marks damaged go on: where they were asked for, and in what happens now, which
    nobody can send again."""
    path = path_of(job.input)
    camera = not is_url(job.input) and os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode)
    asked = job.ignore_errors or "output_corrupt" in job.input_options.get("flags", "")
    return asked or job.live is not None or live(job.input) or camera


def set_decoder_options(job: Job, container: InputContainer, context: Any) -> None:
    """Open the decoder with the options before -i. Raises InputError for one that nobody knows or takes."""
    context.options = dict(job.input_options)
    with logs.captured() as said:
        try:
            context.open()
        except av.error.FFmpegError as error:
            raise InputError(f"{job.input}: cannot open decoder {context.name}: {logs.reason(error, said)}") from error
    unknown = [option for option in context.options if option not in _DEMUXER_OPTIONS]
    if unknown:
        raise InputError(
            f"Unrecognized option '{unknown[0]}' for input {job.input} ({container.format.name}, {context.name})"
        )


def shortest(job: Job, streams: Sequence[Any]) -> Fraction | None:
    """Where the first of these pictures and sounds ends, in seconds of the file's clock: for -shortest. The packets are
    read once more for that. Raises InputError for an input that cannot be read twice."""
    if read_once(job.input):
        raise InputError(f"{job.input}: -shortest has to read the input twice: save it to a file first")
    ends = {s.index: Fraction(0) for s in streams if s.type in ("audio", "video")}
    container = open_input(job)
    try:
        for packet in container.demux([container.streams[index] for index in ends]):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and packet.size:
                end = (stamp + (packet.duration or 0)) * Fraction(packet.time_base)
                ends[packet.stream.index] = max(end, ends[packet.stream.index])
    except (av.error.FFmpegError, IndexError):
        pass  # whoever reads it says so
    finally:
        container.close()
    return min(ends.values(), default=None)
