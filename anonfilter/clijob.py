"""From the options of a file to the fields of a Job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from anonfilter.avoptions import DEMUXER, MUXER, encoder_takes, is_generic_option
from anonfilter.clivalues import LOG_LEVELS
from anonfilter.errors import GraphError, UsageError
from anonfilter.job import Job

TIMES = ("ss", "to", "t")
# Demuxers that have to be told what the file does not say: -r, -s and -pix_fmt before -i are their options.
_RAW = frozenset(
    """
    rawvideo image2 image2pipe v4l2 video4linux2 x11grab kmsgrab h264 hevc vvc m4v mjpeg mpegvideo h263 vc1 dirac obu
    ingenient v210 cavsvideo
    """.split()  # noqa: SIM905
)
_RAW_NAMES = {"size": "video_size", "pix_fmt": "pixel_format", "rate": "framerate"}
# Fields of a job that the command line fills in and that nothing acts on yet: an error, never an option without effect.
PENDING: dict[str, str] = {}


@dataclass(slots=True)
class Command:
    """A parsed command line. action: "run", or what -h, -version or -filters ask for (topic: -h's
    argument)."""

    job: Job
    action: Literal["run", "help", "version", "filters"] = "run"
    topic: str = ""
    overwrite: bool | None = None
    stdin: bool = True
    hide_banner: bool = False
    log_level: int = LOG_LEVELS["info"]
    log_flags: frozenset[str] = frozenset()
    stats: bool | None = None
    progress: str = ""
    report: bool = False
    benchmark: bool = False
    dump_plan: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class FileOptions:
    """A file and the options before it, those of the table by what they set, others by name."""

    url: str
    flags: dict[str, tuple[str, Any]]
    others: dict[str, str]


def fill_input(command: Command, group: FileOptions) -> None:
    """Take over what stands before -i. Raises UsageError."""
    job = command.job
    job.input = group.url
    for dest, (name, value) in group.flags.items():
        if dest == "format":
            job.input_format = value
        elif dest == "hwaccel":
            if value not in ("none", "auto"):
                command.warnings.append(f"-{name} {value}: the input is decoded by the CPU")
        elif dest.startswith("display:"):
            flips = list(job.display_flips)
            flips[int(dest[-1])] = value
            job.display_flips = flips[0], flips[1]
        elif dest in _RAW_NAMES:
            _raw(job, group, dest, name, value)
        else:
            setattr(job, dest, value)
    for name, value in group.others.items():
        base = _specifier(name)[0]
        if base not in DEMUXER and is_generic_option(base) is False:
            raise UsageError(
                f"option '{name}' is for the output: move it from before '-i {group.url}' to before the output file"
            )
        job.input_options[base] = value
    _times(command, "input", "")
    if job.sseof is not None and job.ss is not None:
        # As ffmpeg, which takes -ss.
        command.warnings.append(f"Option -ss and -sseof cannot be used together for {group.url}; using -ss")
        job.sseof = None


def _raw(job: Job, group: FileOptions, dest: str, name: str, value: str) -> None:
    """-r, -s and -pix_fmt before -i: what a demuxer of raw data must be told, and the rate of any input."""
    form = group.flags.get("format", ("", ""))[1]
    if dest == "rate" and form not in _RAW:
        job.input_rate = value
    elif form not in _RAW:
        raise UsageError(
            f"-{name} before -i describes raw video (-f rawvideo): for the output put it before the output file"
        )
    if form in _RAW:
        job.input_options[_RAW_NAMES[dest]] = value


def fill_output(command: Command, group: FileOptions) -> None:
    """Take over what stands before the output file. Raises UsageError."""
    job = command.job
    job.output = group.url
    for dest, (name, value) in group.flags.items():
        if dest == "graph":
            job.graph_source, job.graph = value
        elif dest == "qscale":
            job.encoder_options |= _qscale(name, value)
        elif dest == "audio_q":
            job.audio_options |= _qscale(name, value)
        elif dest.startswith("audio:"):
            job.audio_options[dest.partition(":")[2]] = str(value)
        elif dest.startswith("bitstream:"):
            job.bitstream[dest[-1]] = value
        elif dest == "format":
            job.output_format = value
        elif dest == "keep_metadata":
            job.keep_metadata = job.titles = value
        elif dest == "metadata":
            _tags(job, value)
        elif dest == "bitexact":
            if value:
                job.muxer_options["fflags"] = job.encoder_options["flags"] = "+bitexact"
        else:
            setattr(job, f"out_{dest}" if dest in TIMES else dest, value)
    if job.codec == "copy":
        raise UsageError(
            "-c:v copy: Filtering and streamcopy cannot be used together. (the pictures change and must be encoded: "
            "leave it out; the sound is copied anyway)"
        )
    for name, value in group.others.items():
        base, kind = _specifier(name)
        if kind != "a":
            job.typed[base] = name
        if kind == "a":
            job.audio_options[base] = value
        elif base in MUXER and not encoder_takes(base, job.codec):
            job.muxer_options[base] = _joined(job.muxer_options.get(base), value)
        else:
            job.encoder_options[base] = _joined(job.encoder_options.get(base), value)
    _times(command, "output", "out_")
    _agree(command)


def _agree(command: Command) -> None:
    """Options of the output that contradict each other."""
    job = command.job
    if job.acodec == "copy" and job.audio_filter:
        raise UsageError("-c:a copy: Filtering and streamcopy cannot be used together. (leave -af or -c:a copy out)")
    if job.acodec == "copy" and job.audio_options:
        names = ", ".join(f"-{name}:a" for name in job.audio_options)
        command.warnings.append(f"{names}: the audio is copied (-c:a copy): not used")
        job.audio_options.clear()
    if job.rate and job.fps_mode in ("vfr", "passthrough"):
        raise UsageError(
            "One of -r/-fpsmax was specified together a non-CFR -vsync/-fps_mode. This is contradictory. "
            f"(leave -r or -fps_mode {job.fps_mode} out)"
        )
    if job.start_at_zero and not job.copyts:
        raise UsageError("-start_at_zero: needs -copyts")


def _times(command: Command, kind: str, prefix: str) -> None:
    job = command.job
    start, stop, length = (getattr(job, prefix + name) for name in TIMES)
    if stop is not None and length is not None:
        command.warnings.append(f"-t and -to cannot be used together for the {kind}; using -t.")
        setattr(job, prefix + "to", None)
    elif stop is not None and stop <= (start or 0):
        raise UsageError(f"-to value smaller than -ss for the {kind}; aborting.")


def pending(dest: str) -> bool:
    """Whether the field that an option fills in has nobody yet who acts on it."""
    names = {"audio:ar": "audio_options", "audio:ac": "audio_options", "audio:b": "audio_options"}
    return names.get(dest, dest.replace("audio_q", "audio_options")) in PENDING


def refuse_pending(job: Job) -> None:
    """Raise UsageError for what is asked for and cannot be done yet."""
    bare = Job(input="", output="")
    for name, option in PENDING.items():
        value = getattr(job, name)
        if value not in (getattr(bare, name), "copy"):  # audio is copied, so that -c:a copy is as it should be
            raise UsageError(f"-{option}: not possible yet")


def _tags(job: Job, given: list[tuple[str, tuple[str, str]]]) -> None:
    """-metadata, by specifier: "" for the file, "s:..." for streams, "c:N" for chapters."""
    for spec, (key, value) in given:
        kind, _, rest = spec.partition(":")
        if kind not in ("", "g", "s", "c") or (kind in ("", "g") and rest) or (kind == "c" and not rest.isdecimal()):
            raise UsageError(
                f"Invalid metadata type {spec}. (use -metadata, -metadata:s:v:0, -metadata:s:a:0 or -metadata:c:0)"
            )
        if kind == "s":
            from anonfilter.streamspec import parse_specifier

            parse_specifier(rest)
        job.metadata.setdefault("" if kind == "g" else spec, {})[key] = value


def _specifier(name: str) -> tuple[str, str]:
    """Name and media type of "b:v" or "b:v:0"."""
    base, _, kind = name.partition(":")
    return base, kind[:1]


def _joined(before: str | None, value: str) -> str:
    """Flags that are added to those there are ("+faststart" behind -bitexact's "+bitexact"); else the last one wins."""
    return before + value if before is not None and value.startswith(("+", "-")) and before.startswith("+") else value


def _qscale(name: str, text: str) -> dict[str, str]:
    """-q:v N as ffmpeg does it: quality in units of FF_QP2LAMBDA."""
    from anonfilter.expr import evaluate

    try:
        quality = evaluate(text)
    except GraphError:
        raise UsageError(f"Invalid value for option '{name}': '{text}' is not a number") from None
    return {"flags": "+qscale", "global_quality": str(round(quality * 118))}
