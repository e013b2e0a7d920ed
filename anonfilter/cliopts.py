"""The command line's options: one table, and the parser that walks a command line as ffmpeg does.

Options apply to the next file. `-h`, docs/options.md and the checks all come from FLAGS. Nothing heavy is
imported here: an option that the table lacks is looked up among the encoder's own only when one is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from anonfilter.errors import GraphError
from anonfilter.values import hint, parse_time

Where = Literal["global", "input", "output", "file"]
LOG_LEVELS = {
    "quiet": -8, "panic": 0, "fatal": 8, "error": 16, "warning": 24, "info": 32, "verbose": 40, "debug": 48,
    "trace": 56,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of the command line.

    names: without the dash, the usual one first; a name that stream specifiers can follow is written with
    ":v" too. where: which file it applies to ("file": input or output, whichever comes next). help: one line.
    arg: what the value is called in help, "" for a switch (-noNAME turns it off). parse: from the text to the
    value. dest: the field of Job or Command that takes it; for options of an input and an output alike the
    output's is "out_" + dest. const: a switch's value.
    """

    names: tuple[str, ...]
    where: Where
    help: str
    arg: str = ""
    parse: Callable[[str], Any] = str
    dest: str = ""
    const: Any = True


def _time(text: str) -> float:
    seconds = parse_time(text)
    if seconds < 0:
        raise ValueError(f"'{text}' is negative")
    return seconds


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"'{text}' is not a whole number from 0")
    return int(text)


def _threads(text: str) -> int:
    return 0 if text == "auto" else _count(text)


def _passes(text: str) -> int:
    if text not in ("1", "2"):
        raise ValueError(f"'{text}' is not 1 or 2")
    return int(text)


def _kernels(text: str) -> str:
    if text not in ("triton", "cuda"):
        raise ValueError(f"'{text}' is not triton or cuda")
    return text


def parse_bytes(text: str) -> int:
    """Bytes with ffmpeg's suffixes: 512M, 1.5G (powers of ten), 1Gi (of two); a last B is allowed."""
    from anonfilter.expr import evaluate

    try:
        size = evaluate(text.removesuffix("B"))
    except GraphError:
        size = float("nan")
    if not 0 < size < 2**63:
        raise ValueError(f"'{text}' is not a size in bytes (use 512M or 2Gi)")
    return int(size)


def _log_level(text: str) -> int:
    if text in LOG_LEVELS:
        return LOG_LEVELS[text]
    try:
        return int(text)
    except ValueError:
        words = ", ".join(LOG_LEVELS)
        raise ValueError(f"'{text}' is not a level (use {words}){hint(text, LOG_LEVELS)}") from None


def _ignore_err(text: str) -> bool:
    if text.lstrip("+") != "ignore_err":
        raise ValueError(f"'{text}' is not offered (only ignore_err)")
    return True


def _map_metadata(text: str) -> bool:
    if text not in ("0", "-1"):
        raise ValueError(f"'{text}' is not offered (0 keeps the input's metadata, -1 drops it)")
    return text == "0"


FLAGS: tuple[Flag, ...] = (
    Flag(("h", "?", "help", "-help"), "global", "show help; full, or filter=NAME", "[topic]", dest="topic"),
    Flag(("version",), "global", "show versions of anonfilter, its libraries and engines", const="version"),
    Flag(("filters",), "global", "list the filters", const="filters"),
    Flag(("y",), "global", "overwrite the output without asking", dest="overwrite", const=True),
    Flag(("n",), "global", "never overwrite the output", dest="overwrite", const=False),
    Flag(("hide_banner",), "global", "do not show the program's name and version", dest="hide_banner"),
    Flag(("loglevel", "v"), "global", "how much to log to stderr (info)", "level", _log_level, "log_level"),
    Flag(("stats",), "global", "show progress on stderr (on from loglevel info)", dest="stats"),
    Flag(("stdin",), "global", "let a question be asked on the terminal (on)", dest="stdin"),
    Flag(("progress",), "global", "write key=value progress to a file, pipe:1 or -", "url", dest="progress"),
    Flag(("dump_plan",), "global", "show what will run where; with no output only that", dest="dump_plan"),
    Flag(("ring_memory",), "global", "memory for waiting frames (1Gi)", "bytes", parse_bytes, "ring_memory"),
    Flag(("passes",), "global", "force one pass or two instead of choosing", "1|2", _passes, "passes"),
    Flag(("kernels",), "global", "what edits frames that lie on a CUDA device (cuda)", "triton|cuda", _kernels,
         "kernels"),
    Flag(("threads",), "file", "threads of decoder and encoder, 0: as fits", "count", _threads, "threads"),
    Flag(("i",), "input", "input file or URL", "url"),
    Flag(("err_detect",), "input", "ignore_err: go on when the input is damaged or cut short", "flags",
         _ignore_err, "ignore_errors"),
    Flag(("f",), "file", "container format, instead of guessing it", "fmt", dest="format"),
    Flag(("ss",), "file", "start at this time", "time", _time, "ss"),
    Flag(("to",), "file", "stop at this time", "time", _time, "to"),
    Flag(("t",), "file", "stop after this much", "duration", _time, "t"),
    Flag(("vf", "filter:v", "filter"), "output", "the filter graph", "graph", dest="graph"),
    Flag(("/vf", "/filter:v", "/filter", "filter_script:v", "filter_script"), "output",
         "read the filter graph from a file", "file", dest="graph_file"),
    Flag(("c:v", "c", "codec:v", "codec", "vcodec"), "output", "video encoder (libx264 for mp4, mov, mkv)",
         "codec", dest="codec"),
    Flag(("c:a", "codec:a", "acodec"), "output", "copy (audio is always copied bit for bit)", "copy",
         dest="acodec"),
    Flag(("q:v", "q", "qscale:v", "qscale"), "output", "fixed quality scale, for encoders that have one", "q",
         dest="qscale"),
    Flag(("pix_fmt",), "output", "pixel format of the output", "format", dest="pix_fmt"),
    Flag(("an",), "output", "leave the audio out", dest="audio", const=False),
    Flag(("map_metadata",), "output", "0: keep the input's metadata, which may tell place and device", "0|-1",
         _map_metadata, "keep_metadata"),
)  # fmt: skip
BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
# Encoder options that people write most; any other is looked up by name.
COMMON = (
    ("crf", "quality, lower is better"), ("preset", "speed against size"), ("tune", "what to tune for"),
    ("b:v", "bit rate"), ("maxrate", "greatest bit rate"), ("bufsize", "rate control buffer"),
    ("g", "most frames between key frames"), ("bf", "most B-frames in a row"), ("profile:v", "profile"),
    ("level", "level"), ("tag:v", "four-character code of the video, such as hvc1"),
    ("movflags", "muxer flags, such as +faststart"),
)  # fmt: skip
# Options of ffmpeg's own that have no counterpart here, with what to do instead.
INSTEAD = {
    "filter_complex": "a graph has one input and one output: use -vf",
    "lavfi": "a graph has one input and one output: use -vf",
    "r": "put fps=RATE into -vf",
    "s": "put scale=W:H into -vf",
    "aspect": "put setdar=RATIO into -vf",
    "map": "the best video stream is filtered and all audio is copied",
    "af": "audio is copied as it is",
    "frames:v": "use -t",
    "vtag": "use -tag:v",
    "sn": "subtitles are never copied: leave it out",
    "dn": "data streams are never copied: leave it out",
    "vsync": "frames keep their times, as with passthrough: put fps=RATE into -vf for a constant rate",
    "fps_mode": "frames keep their times, as with passthrough: put fps=RATE into -vf for a constant rate",
    "vn": "there is nothing to anonymise without video",
}
