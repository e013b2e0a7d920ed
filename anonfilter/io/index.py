"""Indexes that lie. A file that can be read from front to back is read so when its index is damaged."""

from __future__ import annotations

import contextlib
import os
import re
import struct
from dataclasses import dataclass, field
from typing import Any

_SAMPLES = 500  # entries of an AVI index that are looked up in the file
_MOST = 1 << 26  # bytes of an index that are read


@dataclass(frozen=True, slots=True)
class Remedy:
    """How to read around a damaged index.

    options: for libavformat. end: where the pictures and sounds of the file end, None if that is not known; packets
    behind it are bytes of the index. note: what the report says, "" where the index is sound.
    """

    options: dict[str, str] = field(default_factory=dict)
    end: int | None = None
    note: str = ""


SOUND = Remedy()


def avi(path: str) -> Remedy:
    """The remedy for a file, SOUND if its index agrees with its chunks, has none, or is no AVI file."""
    with contextlib.suppress(OSError, struct.error), open(path, "rb") as file:
        return _avi(file)
    return SOUND


def _avi(file: Any) -> Remedy:
    size = os.fstat(file.fileno()).st_size
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"AVI ":
        return SOUND
    start = end = 0
    at = 12
    while at + 12 <= size:
        file.seek(at)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name == b"LIST" and kind == b"movi":
            start, end = at + 8, at + 8 + length
        if name == b"idx1":
            return SOUND if not start or _agrees(file, at + 8, length, start, end, size) else _around(end)
        if name == b"RIFF":  # OpenDML's next part
            return SOUND
        if not re.fullmatch(rb"[A-Za-z_]{3}[A-Za-z_ ]", name):  # entries of an index that has lost its own name
            return _around(end) if start and end <= at else SOUND
        at += 8 + length + length % 2
    return SOUND


def _around(end: int) -> Remedy:
    # Not fflags=+ignidx: libavformat loads the index all the same, and only then looks where not to use it.
    return Remedy({"seekable": "0"}, end, "the index is damaged: the file was read from front to back")


def _agrees(file: Any, at: int, length: int, start: int, end: int, size: int) -> bool:
    """Whether the entries of an idx1 chunk stand for chunks that are there."""
    if length % 16 or at + length > size or end > at:
        return False
    if length > _MOST:
        return True
    file.seek(at)
    entries = list(struct.iter_unpack("<4sIII", file.read(length)))
    if not entries:
        return True
    base = 0 if entries[0][2] >= start else start  # offsets count from the file's start or the list's
    for i in range(0, len(entries), max(1, len(entries) // _SAMPLES)):
        name, _, offset, chunk = entries[i]
        file.seek(base + offset)
        if name != b"rec " and file.read(8) != struct.pack("<4sI", name, chunk):
            return False
    return True


def edits(video: Any) -> Remedy:
    """The remedy for MP4 and MOV whose edit list leaves nothing of what it promises, since it or the composition times
    are damaged: reading without it.

    An edit list that trims leaves a part without holes; here most of what is left is marked to be thrown away.
    """
    entries = [] if video is None else list(video.index_entries)
    kept = [entry.timestamp for entry in entries if not entry.is_discard]
    if len(kept) >= len(entries) - len(kept):
        return SOUND
    span = (kept[-1] - kept[0]) * video.time_base if kept and video.time_base else 0
    # Without a duration its header is damaged, and so is what the edits of that clock leave.
    if (video.duration or 0) > 0 and video.time_base and span + 1 >= video.duration * video.time_base:
        return SOUND
    return Remedy({"ignore_editlist": "1"}, None, "edit list and composition times disagree: the edit list is left out")
