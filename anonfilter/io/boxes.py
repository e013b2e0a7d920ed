"""Boxes of MP4 and MOV files that libavformat says nothing of (ISO/IEC 14496-12, QuickTime File Format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import BinaryIO

from anonfilter.io.findings import Finding, kind_of, short

_HOLD = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts", b"moof", b"traf", b"mfra"})
_TIMES = frozenset({b"mvhd", b"tkhd", b"mdhd"})
# Children of udta that libavformat reports as tags, or that hold names of chapters.
_REPORTED = frozenset(
    {b"meta", b"chpl", b"titl", b"auth", b"cprt", b"perf", b"gnre", b"dscp", b"albm", b"yrrc", b"loci", b"name",
     b"hnti", b"hinf", b"kywd", b"rtng", b"clsf", b"kind"}
)  # fmt: skip
_TELEMETRY = frozenset({b"GPMF", b"gpmd", b"CNDA", b"mett"})
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_SPHERICAL = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")  # how to show it, nothing of who and where
_EPOCH = datetime(1904, 1, 1, tzinfo=timezone.utc)
_MOST = 1 << 20  # bytes of a box that are looked at


def is_boxes(head: bytes) -> bool:
    """Whether a file that begins so is made of boxes."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid")


def scan(file: BinaryIO, size: int) -> list[Finding]:
    """What boxes tell that no tag does: times of creation, unknown user data, XMP, what hides in free space."""
    return list(_scan(file, 0, size, ""))


def _scan(file: BinaryIO, at: int, end: int, path: str) -> Iterator[Finding]:
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        start = at + 8
        if length == 1 and len(head) == 16:
            length, start = struct.unpack(">Q", head[8:])[0], at + 16
        elif length == 0:
            if path.endswith("udta"):
                return  # QuickTime ends a list of user data so
            length = end - at
        if length < start - at or at + length > end:
            return  # damage is not what is looked for here
        name = f"{path}/{kind.decode('latin-1')}".lstrip("/")
        yield from _box(file, kind, name, start, at + length, path)
        at += length


def _box(file: BinaryIO, kind: bytes, name: str, start: int, end: int, path: str) -> Iterator[Finding]:
    if kind in _HOLD:
        yield from _scan(file, start, end, name)
        return
    if kind == b"mdat":
        return
    file.seek(start)
    data = file.read(min(end - start, _MOST))
    if kind in _TIMES and len(data) >= 20:
        numbers = struct.unpack(">2Q", data[4:20]) if data[0] else struct.unpack(">2I", data[4:12])
        for word, seconds in zip(("created", "modified"), numbers, strict=True):
            if seconds:
                yield Finding("time", name, word, _date(seconds))
    elif kind == b"uuid":
        if data[:16] == _XMP:
            yield Finding("xmp", name, "XMP", short(data[16:]))
        elif data[:16] != _SPHERICAL:
            yield Finding("device", name, data[:16].hex(), short(data[16:]))
    elif kind in (b"free", b"skip", b"wide") and data.strip(b"\0"):
        yield Finding("hidden", name, "free space", short(data))
    elif path.endswith("udta") and kind not in _REPORTED and not kind.startswith(b"\xa9"):
        word, value = kind.decode("latin-1"), short(data)
        what = "xmp" if kind == b"XMP_" else "telemetry" if kind in _TELEMETRY else kind_of(f"{word} {value}")
        yield Finding(what, name, word, value)


def _date(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return str(seconds)
