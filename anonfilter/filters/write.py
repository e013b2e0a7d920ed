"""write: saves the records that pass by, for review, audit and exact re-rendering."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from anonfilter.errors import OutputError
from anonfilter.filter import Env, RecordFilter
from anonfilter.options import Option
from anonfilter.partfile import same_file
from anonfilter.recordfile import RecordWriter, check_target
from anonfilter.recordjson import Header
from anonfilter.records import FrameRecord


class Write(RecordFilter):
    """Writes a record file (DESIGN 4) as the records are at this place in the graph, and passes them on
    unchanged.

    The file appears under its name once the last frame has passed, never cut short.
    """

    name = "write"
    help = "Save the records to a file (JSON lines)."
    options = (
        Option("file", "path", None, "where to"),
        Option("overwrite", "bool", False, "replace the file if it exists"),
    )

    _writer: RecordWriter | None = None

    def open(self, env: Env) -> None:
        """Refuse early what cannot be written. Raises OutputError."""
        super().open(env)
        self._writer, self._frames = None, 0
        if not self.opts["file"]:
            raise OutputError(f"{self.label}: no file was named (write=FILE)")
        path = Path(self.opts["file"])
        check_target(path, bool(self.opts["overwrite"]))
        if same_file(str(path), env.input_name):
            raise OutputError(f"{path}: this is the input")
        self._path = path

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Write and pass on."""
        self._start().write(record)
        self._frames += 1
        return (record,)

    def flush(self) -> Iterable[FrameRecord]:
        """End the file."""
        fingerprint = self.env.fingerprint
        self._start().close(self._frames, fingerprint() if fingerprint is not None else None)
        return ()

    def close(self) -> None:
        """Without flush() the run was broken off: leave nothing."""
        if self._writer is not None:
            self._writer.abort()

    def _start(self) -> RecordWriter:
        """The writer, made at the first frame: all detectors are open by then and have named their models."""
        if self._writer is None:
            header = Header.of("write", self.env.stream, self.env.graph, self.env.models_used)
            self._writer = RecordWriter(self._path, header, overwrite=bool(self.opts["overwrite"]))
        return self._writer


FILTER = Write
