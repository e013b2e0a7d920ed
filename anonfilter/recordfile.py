"""The record file: what was found on which frame, as JSON lines that a person can read and edit (DESIGN 4).

Version 1: a header line; a line for each frame that a detector ran on, that has regions or that is part of a shot
transition; an end line with
the number of frames and the fingerprint of the video. A file without its end line is cut short. Numbers are
written in shortest round-trip form, so that writing and reading give the same records. Unknown keys are
passed over.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from json import JSONDecodeError
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from anonfilter import recordjson
from anonfilter.errors import OutputError, RecordError
from anonfilter.frame import StreamInfo
from anonfilter.partfile import PartFile
from anonfilter.recordjson import Header, stream_key
from anonfilter.records import FrameRecord

MAX_LINE = 1 << 26
"""Bytes of the longest line that is read: some hundred thousand regions."""

_T = TypeVar("_T")
_reading: set[tuple[int, int]] = set()  # (device, inode) of the files that this process is reading


@dataclass(frozen=True, slots=True)
class Summary:
    """What a whole record file says of itself: see scan().

    models: names that ran, in order of appearance. gap: most frames from one look of a model to its next, the
    start of the clip counting as a look at frame -1. frames, sha256: of the end line. classes: of its regions.
    """

    header: Header
    models: tuple[str, ...]
    gap: int
    frames: int
    sha256: str | None
    classes: tuple[str, ...] = ()


class RecordWriter:
    """Writes PATH.part, which becomes PATH in close(); nothing is left after abort().

    every_frame: write a line even for a frame that nobody looked at and that has no region (pass 1 does, so
    that pass 2 can check every frame). overwrite: whether an existing file may be replaced. scratch: what errors call a
    path that is nobody else's, which is written to as it is.
    Raises OutputError where the file cannot be made, RecordError for a record that could not be read back.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: Header,
        *,
        every_frame: bool = False,
        overwrite: bool = True,
        scratch: str = "",
    ) -> None:
        self.path: str | Path = scratch or Path(path)
        self._every_frame, self._last = every_frame, -1
        self._file: BinaryIO | None = None
        self._part: PartFile | None = None
        try:
            if scratch:
                self._file = open(path, "wb")  # noqa: SIM115
            else:
                check_target(Path(path), overwrite)
                # A symbolic link stays one: what it points to is replaced.
                self._part = PartFile(os.path.realpath(path), str(path))
                self._part.begin()
                self._file = open(self._part.part, "wb")  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"{self.path}: cannot write records: {error.strerror}") from None
        self._line(recordjson.from_header(header))

    def write(self, record: FrameRecord) -> None:
        """Add a frame. Frames come in order of n; those with nothing to say take no line."""
        if record.n <= self._last:
            raise RecordError(f"{self.path}: frame {record.n} after frame {self._last}")
        self._last = record.n
        if record.ran or record.regions or record.cut or record.fade or self._every_frame:
            try:
                value = recordjson.from_frame(record)
            except ValueError as error:
                raise RecordError(f"{self.path}: frame {record.n}: {error}") from None
            self._line(value)

    def close(self, frames: int, sha256: str | None) -> None:
        """End the file. frames: in the whole clip. sha256: the video's fingerprint, None if it has none."""
        if self._file is None:
            return
        if frames <= self._last:
            raise RecordError(f"{self.path}: {frames} frames in all, but frame {self._last} was written")
        self._line(recordjson.from_end(frames, sha256))
        try:
            self._file.close()
            if self._part is not None:
                self._part.commit()
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.path}: cannot write records: {error.strerror}") from None
        self._file = None

    def abort(self) -> None:
        """Leave nothing. Does nothing after close()."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
            if self._part is not None:
                self._part.discard()

    def _line(self, value: dict[str, Any]) -> None:
        if self._file is None:
            raise RecordError(f"{self.path}: the record file is closed")
        try:
            self._file.write(recordjson.dump(value))
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.path}: cannot write records: {error.strerror}") from None


def check_target(path: Path, overwrite: bool) -> None:
    """Raise OutputError unless records may be written to this path."""
    if str(path) == "-":
        raise OutputError("records cannot go to standard output: name a file")
    try:
        info = os.stat(path)
    except FileNotFoundError:
        if not path.name or not path.parent.is_dir():
            raise OutputError(f"{path}: cannot write records: no such folder") from None
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path}: cannot write records: {reason}") from None
    if (info.st_dev, info.st_ino) in _reading:
        raise OutputError(f"{path}: this run reads that file; write the records to another one")
    if not stat.S_ISREG(info.st_mode):
        raise OutputError(f"{path}: records can only be written to a regular file")
    if not overwrite:
        raise OutputError(f"{path}: the file exists (overwrite=1 replaces it)")


class RecordReader:
    """Reads a record file line by line; memory does not grow with its length.

    header: its first line. After the last record, frames and sha256 are those of the end line. Iterating
    gives the frames that have a line, with t from pts alone (nan without one). Every fault is a RecordError
    with file and line.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._key: tuple[int, int] | None = None
        self.path = Path(path)
        self.frames = 0
        self.sha256: str | None = None
        self._line, self._last, self._done = 0, -1, False
        self._ahead: FrameRecord | None = None
        try:
            info = os.stat(self.path)
            if not stat.S_ISREG(info.st_mode):
                raise RecordError(f"{self.path}: not a regular file, so not a record file")
            self._file: BinaryIO = open(self.path, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RecordError(f"{self.path}: cannot read records: {reason}") from None
        self._key = (info.st_dev, info.st_ino)
        _reading.add(self._key)
        try:
            self.header = self._parse(recordjson.to_header, self._next_value(), "header")
        except BaseException:
            self.close()
            raise
        self._tick = Fraction(self.header.stream["time_base"])

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[FrameRecord]:
        return self

    def __next__(self) -> FrameRecord:
        if self._ahead is not None:
            record, self._ahead = self._ahead, None
            return record
        if self._done:
            raise StopIteration
        value = self._next_value()
        if "end" in value:
            self.frames, self.sha256 = self._parse(recordjson.to_end, value, "end line")
            if self.frames <= self._last:
                raise self._error(f"the end line says {self.frames} frames, but frame {self._last} is there")
            self._done = True
            while line := self._read():
                if line.strip():
                    raise self._error("text after the end line")
            self.close()
            raise StopIteration
        if "format" in value:
            raise self._error("a second header")
        record = self._parse(lambda v: recordjson.to_frame(v, self._tick), value, "frame")
        if record.n <= self._last:
            raise self._error(f"frame {record.n} comes after frame {self._last}; frames must be in order, each once")
        self._last = record.n
        return record

    def take(self, n: int, pts: int | None) -> FrameRecord | None:
        """The record of frame n (ask in order, for every frame), None where the file says nothing of it.

        Raises RecordError where the file has another pts for it.
        """
        if self._ahead is None:
            self._ahead = next(self, None)
        record = self._ahead
        if record is None or record.n > n:
            return None
        if record.n < n:
            raise RecordError(f"{self.path}: speaks of frame {record.n}, which the video does not have")
        if record.pts != pts:
            raise self._error(
                f"frame {n} has pts {record.pts} here, {pts} in the video: these records are of another video"
            )
        self._ahead = None
        return record

    def finish(self, frames: int, sha256: str | None) -> None:
        """After the video's last frame: check number of frames and fingerprint.

        A fingerprint that is None, here or in the file, cannot be compared and is passed over. Raises
        RecordError.
        """
        record = next(self, None)
        if record is not None:
            raise RecordError(f"{self.path}: speaks of frame {record.n}, the video has {frames} frames")
        if self.frames != frames:
            raise RecordError(f"{self.path}: made from {self.frames} frames, the video has {frames}")
        if None not in (self.sha256, sha256) and self.sha256 != sha256:
            raise RecordError(
                f"{self.path}: made from another video (fingerprint {self.sha256}, this one has {sha256})"
            )

    def check_stream(self, stream: StreamInfo) -> None:
        """Raise RecordError unless the records are of a stream like this one."""
        for key, value in stream_key(stream).items():
            if self.header.stream.get(key, value) != value:
                found = self.header.stream[key]
                raise RecordError(f"{self.path}: made from a video with {key} {found}, this one has {value}")

    def close(self) -> None:
        """Close the file. It closes by itself after its last line."""
        if self._key is not None:
            _reading.discard(self._key)
            self._key = None
            self._file.close()

    def __del__(self) -> None:
        # A run that was broken off may forget to; the name must not stay barred for writing.
        self.close()

    def _error(self, why: str) -> RecordError:
        return RecordError(f"{self.path}:{max(self._line, 1)}: {why}")

    def _read(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE + 1)
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be read: {error}") from None
        self._line += bool(line)
        if len(line) > MAX_LINE:
            raise self._error(f"line longer than {MAX_LINE} bytes")
        return line

    def _next_value(self) -> dict[str, Any]:
        """The next line that is not blank, as an object."""
        while True:
            line = self._read()
            if not line:
                where = f"after line {self._line}" if self._line else "it is empty"
                raise RecordError(f"{self.path}: the file is cut short ({where}): there is no end line")
            if self._line == 1 and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]  # some editors add a byte order mark
            if line.strip():
                break
        try:
            return recordjson.load(line)
        except UnicodeDecodeError as error:
            raise self._error(f"not UTF-8 text (byte {error.start})") from None
        except JSONDecodeError as error:
            cut = "" if line.endswith(b"\n") else ", the file is cut short"
            raise self._error(f"not JSON: {error.msg} at column {error.colno}{cut}") from None
        except (ValueError, RecursionError) as error:
            raise self._error(str(error)) from None

    def _parse(self, parser: Callable[[dict[str, Any]], _T], value: dict[str, Any], what: str) -> _T:
        try:
            return parser(value)
        except ValueError as error:
            raise self._error(f"{what}: {error}") from None


def scan(path: str | os.PathLike[str]) -> Summary:
    """Read a whole record file, so that a fault in it shows before the work starts. Raises RecordError."""
    last: dict[str, int] = {}
    classes: dict[str, None] = {}
    gap = 1
    with RecordReader(path) as reader:
        for record in reader:
            for name in record.ran:
                gap = max(gap, record.n - last.get(name, -1))
                last[name] = record.n
            classes.update(dict.fromkeys(region.cls for region in record.regions))
        return Summary(reader.header, tuple(last), gap, reader.frames, reader.sha256, tuple(classes))
