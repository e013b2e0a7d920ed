"""From a command line to a Job, walked as ffmpeg does: options apply to the next file.

Nothing heavy is imported here: a name that the table lacks is looked up among the encoders' own only when one
is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anonfilter.avoptions import DEMUXER, MUXER, any_encoder_takes
from anonfilter.clijob import TIMES, Command, FileOptions, fill_input, fill_output, refuse_pending
from anonfilter.cliopts import BY_NAME, COMMON, Flag, Where
from anonfilter.clirefused import REFUSED, TAKEN
from anonfilter.errors import UsageError
from anonfilter.job import Job
from anonfilter.values import hint

_COMMON = frozenset(name.partition(":")[0] for name, _ in COMMON) - {"movflags"}


def parse_command(argv: Sequence[str]) -> Command:
    """Walk a command line (without the program's name). Raises UsageError with ffmpeg's words."""
    return _Walker().walk(list(argv))


class _Walker:
    """Splits the arguments into files and the options before each, then fills in a Job."""

    def __init__(self) -> None:
        self.command = Command(Job(input="", output=""))
        self.inputs: list[FileOptions] = []
        self.outputs: list[FileOptions] = []
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

    def file(self, url: str, where: Where) -> FileOptions:
        """Close the group of options before a file."""
        for name, flag in ((name, BY_NAME[name]) for name, _ in self.flags.values()):
            if flag.where not in (where, "file"):
                other = "output" if where == "input" else "input"
                raise UsageError(
                    f"Option {name} ({flag.help}) cannot be applied to {where} url {url} -- you are trying "
                    f"to apply an {other} option to an {where} file. Move this option before the file it "
                    "belongs to."
                )
        group = FileOptions(url, self.flags, self.others)
        self.flags, self.others = {}, {}
        return group

    def option(self, name: str, rest: list[str]) -> int:
        """Take one option; gives how many arguments its value used."""
        flag = _find(name)
        if flag is None and name not in REFUSED and name.startswith("no"):
            off = _find(name[2:])
            if off is not None and not off.arg and off.dest:
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
        taken = TAKEN.get(name.removeprefix("no") if name.startswith("no") else name) if flag is None else None
        if taken is not None and not taken.args:
            return 0
        if not rest:
            raise UsageError(f"Missing argument for option '{name}'.")
        if taken is not None:
            return 1
        if flag is None:
            self.others[name] = rest[0]
        elif flag.names == ("i",):
            self.inputs.append(self.file(rest[0], "input"))
        else:
            try:
                self.store(name, flag, flag.parse(rest[0]))
            except ValueError as error:
                raise _invalid(name, flag, rest[0], error) from None
        return 1

    def store(self, name: str, flag: Flag, value: Any) -> None:
        if flag.where == "global":
            self.store_global(flag.dest, value)
        elif flag.many:
            _, before = self.flags.get(flag.dest, (name, []))
            self.flags[flag.dest] = _base(name), [*before, (name.partition(":")[2], value) if flag.spec else value]
        elif flag.dest == "graph_file":
            self.flags["graph"] = _base(name), (f"-{name} {value}", _read_graph(name, value))
        elif flag.dest == "graph":
            self.flags["graph"] = _base(name), (f"-{name}", value)
        else:
            self.flags[flag.dest] = _base(name), value
            if name in ("c", "codec") and value == "copy":  # of every stream; what comes later says more
                self.flags["acodec"] = self.flags["scodec"] = name, value

    def store_global(self, dest: str, value: Any) -> None:
        command = self.command
        if dest == "overwrite" and command.overwrite not in (None, value):
            raise UsageError("Error, both -y and -n supplied. Exiting.")
        if dest == "log_level":
            level, command.log_flags = value
            value = command.log_level if level is None else level
        setattr(command if hasattr(command, dest) else command.job, dest, value)

    def finish(self) -> None:
        if self.command.dump_plan and not self.outputs and (self.flags or self.others):
            # A plan needs no output file; what is said of the output still shapes it.
            self.outputs.append(self.file("", "output"))
        if not self.outputs and not self.command.dump_plan and self.inputs and (self.flags or self.others):
            raise UsageError("At least one output file must be specified: put its name last, behind its options")
        trailing = [f"-{name}" for name in (*(n for n, _ in self.flags.values()), *self.others)]
        if trailing:
            raise UsageError(
                f"Trailing option(s) found in the command: {' '.join(trailing)}: "
                "put them before the file they belong to"
            )
        if not self.inputs:
            raise UsageError("no input file: name one with -i")
        if not self.outputs and not self.command.dump_plan:
            raise UsageError("At least one output file must be specified: put its name last")
        for files, kind in ((self.inputs, "input"), (self.outputs, "output")):
            if len(files) > 1:
                first, second = (shown.url for shown in files[:2])
                how = f" (the first is '{first}'; a value with a space needs quotes)" if kind == "output" else ""
                raise UsageError(f"one {kind} at a time: '{second}' is a second {kind}{how}")
        fill_input(self.command, self.inputs[0])
        if self.outputs:
            fill_output(self.command, self.outputs[0])
        if self.command.overwrite:
            self.command.job.overwrite = True
        refuse_pending(self.command.job)


def _invalid(name: str, flag: Flag, text: str, error: ValueError) -> UsageError:
    """The line for a value that its option does not take, in ffmpeg's words where it has some."""
    if flag.dest in TIMES or flag.dest in ("sseof", "stats_period"):
        return UsageError(f"Invalid duration specification for {name}: {text} ({error})")
    if flag.dest == "rate":
        return UsageError(f"Invalid framerate value: {text} ({error})")
    if flag.dest == "size":
        return UsageError(f"Invalid frame size: {text}. ({error})")
    if flag.dest in ("maps", "metadata", "aspect") or (flag.dest == "chapters" and "Invalid" in str(error)):
        return UsageError(str(error))
    return UsageError(f"Invalid value for option '{name}': {error}")


def _base(name: str) -> str:
    """The name in the table of an option as written ("c:v:0" -> "c:v", "metadata:s:a" -> "metadata")."""
    if name in BY_NAME:
        return name
    short = ":".join(name.split(":")[:2]).replace(":V", ":v")
    return short if short in BY_NAME else name.partition(":")[0]


def _find(name: str) -> Flag | None:
    """The table's row for a name, also with a stream specifier that means the one video stream ("c:v:0", "c:V")."""
    flag = BY_NAME.get(name)
    if flag is not None or ":" not in name:
        return flag
    base, _, spec = name.partition(":")
    flag = BY_NAME.get(base)
    if flag is not None and flag.spec:
        return flag
    return BY_NAME.get(f"{base}:v") if spec in ("V", "v:0", "V:0") else None


def _check_known(name: str) -> None:
    """Raise ffmpeg's error for an option that nobody knows."""
    base, _, kind = name.partition(":")
    instead = REFUSED.get(name) or REFUSED.get(base)
    if instead:
        raise UsageError(f"Unrecognized option '{name}'. ({instead})")
    if name in TAKEN or (name.startswith("no") and name[2:] in TAKEN):
        return
    one = kind in ("", "v", "v:0", "a", "V", "V:0")
    if not one and (f"{base}:v" in BY_NAME or f"{base}:a" in BY_NAME):
        raise UsageError(
            f"-{name}: one video stream is filtered (-{base}:v), and all audio streams are handled alike (-{base}:a)"
        )
    takes = any_encoder_takes(base)
    known = one and (base in _COMMON or base in MUXER or base in DEMUXER or takes is not False)
    # Before PyAV 18 nobody can tell here; the encoder refuses what it does not know when it is opened.
    if known:
        return
    names = [*BY_NAME, *(n for n, _ in COMMON)]
    turned = next((other for other in names if sorted(other) == sorted(name)), "")  # letters that changed places
    near = f" (did you mean '{turned}'?)" if turned else hint(name, names)
    raise UsageError(f"Unrecognized option '{name}'.{near}")


def _read_graph(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"-{name} {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"-{name} {path}: not UTF-8 text (byte {error.start})") from None
