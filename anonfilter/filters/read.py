"""read: takes the records of an earlier run, perhaps edited by hand, instead of looking."""

from __future__ import annotations

from collections.abc import Iterable

from anonfilter.errors import RecordError
from anonfilter.filter import Env, RecordFilter
from anonfilter.frame import StreamInfo
from anonfilter.models import catalog
from anonfilter.options import Option
from anonfilter.recordfile import RecordReader, Summary, scan
from anonfilter.records import FrameRecord


class Read(RecordFilter):
    """Replaces what is known of each frame by what the record file says of it; zones of this graph stay.

    The file must be of this video: size, time base and rotation at the start, pts frame by frame, number of
    frames and fingerprint at the end. It is read once before the run, so that a damaged file ends it at once.
    """

    name = "read"
    help = "Take the records from a file instead of detecting."
    origin = True
    options = (
        Option("file", "path", None, "a record file, made by write"),
        Option("merge", "bool", False, "keep what was found before, and add the file's"),
    )

    _reader: RecordReader | None = None
    _known: Summary | None = None

    def models(self) -> tuple[str, ...]:
        """Names of the models that ran according to the file. Raises RecordError."""
        return self._summary().models

    def classes(self) -> tuple[str, ...] | None:
        """Classes in the file, and those that its models could have found. None where a model is not known here. Raises
        RecordError."""
        summary, rows = self._summary(), catalog.load()
        names = [name for name, _ in summary.header.models]
        if any(name not in rows for name in [*names, *summary.models]):
            return None
        return tuple(dict.fromkeys([*summary.classes, *(cls for name in names for cls in rows[name].classes)]))

    def gap(self, stream: StreamInfo) -> int:
        """Most frames between two looks in the file. Raises RecordError."""
        return self._summary().gap

    def open(self, env: Env) -> None:
        """Open the file and compare its stream with this one. Raises RecordError."""
        super().open(env)
        # A record file that is made from this one keeps the trail: what net found it.
        env.models_used.extend(self._summary().header.models)
        self.close()
        self._frames = 0
        self._reader = RecordReader(self.opts["file"])
        self._reader.check_stream(env.stream)

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Take over the file's line for this frame. Raises RecordError if it is of another video."""
        assert self._reader is not None
        self._frames += 1
        stored = self._reader.take(record.n, record.pts)
        ran, regions = (stored.ran, stored.regions) if stored is not None else ((), [])
        if stored is not None:
            record.cut, record.fade = record.cut or stored.cut, record.fade or stored.fade
        if self.opts["merge"]:
            kept, ran = record.regions, tuple(dict.fromkeys((*record.ran, *ran)))
        else:
            kept = [region for region in record.regions if region.src == "zone"]
        record.ran = ran
        record.regions = [*kept, *(region for region in regions if region not in kept)]
        return (record,)

    def flush(self) -> Iterable[FrameRecord]:
        """Raises RecordError unless the file was made from this very video."""
        assert self._reader is not None
        fingerprint = self.env.fingerprint
        self._reader.finish(self._frames, fingerprint() if fingerprint is not None else None)
        return ()

    def close(self) -> None:
        """Close the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _summary(self) -> Summary:
        if self._known is None:
            if not self.opts["file"]:
                raise RecordError(f"{self.label}: no file was named (read=FILE)")
            self._known = scan(self.opts["file"])
        return self._known


FILTER = Read
