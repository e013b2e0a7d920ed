"""What a folder run has done, in the output folder itself: one line for each file, so that a re-run skips it.

A file counts as done when its last line says "done", the source has the size and time of change that the line tells,
the options have the line's fingerprint, and the output has the size and time that it had when it got its name. A line
"begun" without "done" is a run that was killed: outputs get their names only when they are whole, but whose that one is
cannot be told for sure, so the file is done again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from typing import Any

from anonfilter.errors import OutputError

NAME = ".anonfilter.jsonl"


def file_state(path: Path) -> list[int] | None:
    """Size in bytes and time of change in nanoseconds; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


class Ledger:
    """The ledger of an output folder, locked while it is open. Raises OutputError where another run has it."""

    def __init__(self, folder: Path, options: str) -> None:
        self._options = options
        path = folder / NAME
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise OutputError(f"{folder}: another run is writing to it") from error
        self._rows: dict[str, dict[str, Any]] = {}
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that a killed run left half
                    row = json.loads(line)
                    self._rows[str(row["file"])] = row

    def done(self, name: str, source: Path, output: Path) -> bool:
        """Whether output is what this run would make of source."""
        row = self._rows.get(name, {})
        return (
            row.get("state") == "done"
            and row.get("options") == self._options
            and row.get("source") == file_state(source)
            and file_state(output) is not None
            and row.get("output") == file_state(output)
        )

    def ours(self, name: str, output: Path) -> bool:
        """Whether an existing output is one that a folder run made and that nobody changed since, or that was under way
        when such a run was killed."""
        row = self._rows.get(name, {})
        known = row.get("state") in ("done", "failed") and row.get("output") == file_state(output)
        return row.get("state") == "begun" or known

    def begin(self, name: str) -> None:
        """The file is about to be worked on, and its output is not there or may be replaced."""
        self._write({"file": name, "state": "begun"})

    def finish(self, name: str, source: list[int] | None, output: Path) -> None:
        """The output is whole. source: state of the source before it was read."""
        row = {"file": name, "state": "done", "options": self._options, "source": source, "output": file_state(output)}
        self._write(row)

    def fail(self, name: str, output: Path) -> None:
        """There is no output, or an older one."""
        self._write({"file": name, "state": "failed", "output": file_state(output)})

    def _write(self, row: dict[str, Any]) -> None:
        self._rows[str(row["file"])] = row
        os.write(self._file, (json.dumps(row) + "\n").encode("utf-8", "surrogateescape"))
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._file)
