"""From a command line to a Job, walked as ffmpeg does: options apply to the next file.

Nothing heavy is imported here: a name that the table lacks is looked up among the encoders' own only when one
is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from anonfilter.avoptions import DEMUXER, MUXER, any_encoder_takes, encoder_takes, is_generic_option
from anonfilter.cliopts import BY_NAME, COMMON, INSTEAD, LOG_LEVELS, Flag, Where
from anonfilter.errors import GraphError, UsageError
from anonfilter.job import Job
from anonfilter.values import hint

_COMMON = frozenset(name.partition(":")[0] for name, _ in COMMON) - {"movflags"}


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
    stats: bool | None = None
    progress: str = ""
    dump_plan: bool = False
    warnings: list[str] = field(default_factory=list)


def parse_command(argv: Sequence[str]) -> Command:
    """Walk a command line (without the program's name). Raises UsageError with ffmpeg's words."""
    return _Walker().walk(list(argv))


@dataclass(slots=True)
class _File:
    url: str
    flags: dict[str, tuple[str, Any]]
    others: dict[str, str]


class _Walker:
    """Splits the arguments into files and the options before each, then fills in a Job."""

    def __init__(self) -> None:
        self.command = Command(Job(input="", output=""))
        self.inputs: list[_File] = []
        self.outputs: list[_File] = []
        self.flags: dict[str, tuple[str, Any]] = {}  # of the next file, by dest
        self.others: dict[str, str] = {}

    def walk(self, argv: list[str]) -> Command:
        at, literal = 0, False
        while at < len(argv):
            arg = argv[at]
            at += 1
            if arg == "--" and not literal:
                literal = True
            elif literal or arg == "-" or not arg.startswith("-"):
                self.outputs.append(self.file(arg, "output"))
                literal = False
            else:
                at += self.option(arg[1:], argv[at : at + 1])
        if self.command.action == "run":
            self.finish()
        return self.command

    def file(self, url: str, where: Where) -> _File:
        """Close the group of options before a file."""
        for name, flag in ((name, BY_NAME[name]) for name, _ in self.flags.values()):
            if flag.where not in (where, "file"):
                other = "output" if where == "input" else "input"
                raise UsageError(
                    f"Option {name} ({flag.help}) cannot be applied to {where} url {url} -- you are trying "
                    f"to apply an {other} option to an {where} file. Move this option before the file it "
                    "belongs to."
                )
        group = _File(url, self.flags, self.others)
        self.flags, self.others = {}, {}
        return group

    def option(self, name: str, rest: list[str]) -> int:
        """Take one option; gives how many arguments its value used."""
        flag = _find(name)
        if flag is None and name.startswith("no") and (off := _find(name[2:])) and not off.arg and off.dest:
            self.store(name[2:], off, not off.const)
            return 0
        if flag is not None and flag.dest == "topic":
            self.command.action, self.command.topic = "help", rest[0] if rest else ""
            return len(rest)
        if flag is not None and not flag.arg:
            if flag.dest:
                self.store(name, flag, flag.const)
            else:
                self.command.action = flag.const
            return 0
        if flag is None:
            _check_known(name)
        if not rest:
            raise UsageError(f"Missing argument for option '{name}'.")
        if flag is None:
            self.others[name] = rest[0]
        elif flag.names == ("i",):
            self.inputs.append(self.file(rest[0], "input"))
        else:
            try:
                self.store(name, flag, flag.parse(rest[0]))
            except ValueError as error:
                raise UsageError(f"Invalid value for option '{name}': {error}") from None
        return 1

    def store(self, name: str, flag: Flag, value: Any) -> None:
        if flag.where == "global":
            self.store_global(flag.dest, value)
        elif flag.dest == "graph_file":
            self.flags["graph"] = _base(name), (f"-{name} {value}", _read_graph(name, value))
        elif flag.dest == "graph":
            self.flags["graph"] = _base(name), (f"-{name}", value)
        else:
            self.flags[flag.dest] = _base(name), value

    def store_global(self, dest: str, value: Any) -> None:
        command = self.command
        if dest == "overwrite" and command.overwrite not in (None, value):
            raise UsageError("Error, both -y and -n supplied. Exiting.")
        setattr(command if hasattr(command, dest) else command.job, dest, value)

    def finish(self) -> None:
        if self.command.dump_plan and not self.outputs and (self.flags or self.others):
            # A plan needs no output file; what is said of the output still shapes it.
            self.outputs.append(self.file("", "output"))
        trailing = [f"-{name}" for name in (*(n for n, _ in self.flags.values()), *self.others)]
        if trailing:
            raise UsageError(
                f"Trailing option(s) found in the command: {' '.join(trailing)}: "
                "put them before the file they belong to"
            )
        if not self.inputs:
            raise UsageError("no input file: name one with -i")
        if not self.outputs and not self.command.dump_plan:
            raise UsageError("At least one output file must be specified")
        for files, kind in ((self.inputs, "input"), (self.outputs, "output")):
            if len(files) > 1:
                raise UsageError(f"one {kind} at a time: '{files[1].url}' is a second {kind}")
        self.fill_input(self.inputs[0])
        if self.outputs:
            self.fill_output(self.outputs[0])
        if self.command.overwrite:
            self.command.job.overwrite = True

    def fill_input(self, group: _File) -> None:
        job = self.command.job
        job.input = group.url
        for dest, (_, value) in group.flags.items():
            setattr(job, "input_format" if dest == "format" else dest, value)
        for name, value in group.others.items():
            base = _specifier(name)[0]
            if base not in DEMUXER and is_generic_option(base) is False:
                raise UsageError(
                    f"option '{name}' is for the output: move it from before '-i {group.url}' to before "
                    "the output file"
                )
            job.input_options[base] = value
        self.times("input", "")

    def fill_output(self, group: _File) -> None:
        job = self.command.job
        job.output = group.url
        for dest, (name, value) in group.flags.items():
            if dest == "graph":
                job.graph_source, job.graph = value
            elif dest == "acodec":
                if value != "copy":
                    raise UsageError(f"-{name} {value}: audio is copied bit for bit (-{name} copy, or -an)")
            elif dest == "qscale":
                job.encoder_options |= _qscale(name, value)
            elif dest == "format":
                job.output_format = value
            else:
                setattr(job, f"out_{dest}" if dest in ("ss", "to", "t") else dest, value)
        if job.codec == "copy":
            raise UsageError("-c:v copy: Filtering and streamcopy cannot be used together.")
        for name, value in group.others.items():
            base, kind = _specifier(name)
            if kind == "a":
                raise UsageError(f"option '{name}': audio is copied bit for bit, leave it out")
            if base in MUXER and not encoder_takes(base, job.codec):
                job.muxer_options[base] = value
            else:
                job.encoder_options[base] = value
        self.times("output", "out_")

    def times(self, kind: str, prefix: str) -> None:
        job = self.command.job
        start, stop, length = (getattr(job, prefix + name) for name in ("ss", "to", "t"))
        if stop is not None and length is not None:
            self.command.warnings.append(f"-t and -to cannot be used together for the {kind}; using -t.")
            setattr(job, prefix + "to", None)
        elif stop is not None and stop <= (start or 0):
            raise UsageError(f"-to value smaller than -ss for the {kind}; aborting.")


def _base(name: str) -> str:
    """The name in the table of an option as written ("c:v:0" -> "c:v")."""
    return name if name in BY_NAME else ":".join(name.split(":")[:2])


def _find(name: str) -> Flag | None:
    """The table's row for a name, also with a stream index behind it ("c:v:0")."""
    flag = BY_NAME.get(name)
    if flag is None and name.count(":") == 2 and name.endswith(":0"):
        flag = BY_NAME.get(name[:-2])
    return flag


def _specifier(name: str) -> tuple[str, str]:
    """Name and media type of "b:v" or "b:v:0"."""
    base, _, kind = name.partition(":")
    return base, kind[:1]


def _check_known(name: str) -> None:
    """Raise ffmpeg's error for an option that nobody knows."""
    base, _, kind = name.partition(":")
    takes = any_encoder_takes(base)
    known = kind in ("", "v", "v:0", "a", "a:0", "V", "V:0") and (
        base in _COMMON or base in MUXER or base in DEMUXER or takes is not False
    )
    instead = INSTEAD.get(name) or INSTEAD.get(base)
    # Before PyAV 18 nobody can tell here; the encoder refuses what it does not know when it is opened.
    if known and not (instead and takes is None):
        return
    if instead:
        raise UsageError(f"Unrecognized option '{name}'. ({instead})")
    names = [*BY_NAME, *(n for n, _ in COMMON)]
    raise UsageError(f"Unrecognized option '{name}'.{hint(name, names)}")


def _read_graph(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"-{name} {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"-{name} {path}: not UTF-8 text (byte {error.start})") from None


def _qscale(name: str, text: str) -> dict[str, str]:
    """-q:v N as ffmpeg does it: quality in units of FF_QP2LAMBDA."""
    from anonfilter.expr import evaluate

    try:
        quality = evaluate(text)
    except GraphError:
        raise UsageError(f"Invalid value for option '{name}': '{text}' is not a number") from None
    return {"flags": "+qscale", "global_quality": str(round(quality * 118))}
