"""-report and the variable FFREPORT: a file with the command line and all that is logged, as ffmpeg writes it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TextIO

from anonfilter.clivalues import LOG_LEVELS
from anonfilter.errors import UsageError
from anonfilter.partfile import same_file

_PROGRAM = "anonfilter"
_NAME = "%p-%t.log"


class ReportFile:
    """The file of a report, in the working directory unless FFREPORT names another.

    variable: FFREPORT's text, pairs key=value that ":" parts; file is the name (%p: the program, %t: the time, %%: a
    percent sign), level the number of a log level (48, debug). A backslash takes the next character as it is. args: the
    command line. Raises UsageError where it is wrong or the file cannot be made.
    """

    def __init__(self, variable: str, args: Sequence[str]) -> None:
        pattern, self.level = _NAME, LOG_LEVELS["debug"]
        for key, value in _pairs(variable):
            if key == "file":
                pattern = value
            elif key == "level":
                level = LOG_LEVELS.get(value, int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else None)
                if level is None:
                    raise UsageError(f"FFREPORT: Invalid report file level '{value}'")
                self.level = level
            else:
                raise UsageError(f"FFREPORT: unknown key '{key}' (use file and level)")
        now = time.localtime()
        stamp = {"p": _PROGRAM, "t": time.strftime("%Y%m%d-%H%M%S", now), "%": "%"}
        self.name = re.sub(r"%(.?)", lambda m: stamp.get(m[1], ""), pattern)
        if any(option == "-i" and same_file(value, self.name) for option, value in pairwise(args)):
            raise UsageError(f'report "{self.name}": this is the input')
        try:
            self._file: TextIO = open(self.name, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        except OSError as error:
            raise UsageError(f'Failed to open report "{self.name}": {error.strerror}') from None
        self.write("info", f"{_PROGRAM} started on {time.strftime('%Y-%m-%d at %H:%M:%S', now)}")
        self.write("info", f'Report written to "{self.name}"\nLog level: {self.level}')
        self.write("quiet", f"Command line:\n{shlex.join([_PROGRAM, *args])}")

    def write(self, level: str, line: str) -> None:
        """Add a line of that level. A full disk ends the report, not the run."""
        if LOG_LEVELS.get(level, LOG_LEVELS["info"]) <= self.level:
            with contextlib.suppress(OSError, ValueError):
                self._file.write(line + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._file.close()


def _pairs(text: str) -> list[tuple[str, str]]:
    """key=value pairs between ":", as av_opt_get_key_value reads them. Raises UsageError."""
    pairs = []
    for part in re.findall(r"((?:\\.|[^:\\])+)(?::|$)", text):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"FFREPORT: '{part}' is not key=value (use FFREPORT=file=NAME:level=32)")
        pairs.append((key, re.sub(r"\\(.)", r"\1", value)))
    return pairs


def start(args: Sequence[str]) -> ReportFile | None:
    """The report that a command line or FFREPORT asks for; None without one. Raises UsageError."""
    variable = os.environ.get("FFREPORT", "")
    return ReportFile(variable, args) if variable or "-report" in args else None
