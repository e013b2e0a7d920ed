"""TIFF files (TIFF 6.0): samples by libavcodec; written anew, lossless, with the tags that say how to show them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

from anonfilter.errors import InputError, OutputError
from anonfilter.io import still
from anonfilter.io.exif import ORIENTATIONS
from anonfilter.io.still import Array, Still

_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_ORIENTATION, _ICC = 274, 34675
_RESOLUTION = {282: _RATIONAL, 283: _RATIONAL, 296: _SHORT}
# Tags of the layout, which are written as they are true of the new file.
_LAYOUT = frozenset(
    [254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 317, 320, 322, 323, 324, 325, 338, 339,
     347, 529, 530, 531, 532]
)  # fmt: skip
_NAMES = {270: "description", 271: "maker", 272: "model", 305: "software", 306: "time", 315: "artist",
          33432: "copyright", 34665: "EXIF", 34853: "GPS", 700: "XMP", 33723: "IPTC", 34377: "Photoshop"}  # fmt: skip


def _tags(data: bytes, name: str) -> dict[int, bytes]:
    """Values of the first directory, little endian for numbers. Raises InputError; a second picture is an error."""
    order = "<" if data[:2] == b"II" else ">"
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
    found = {}
    try:
        at = struct.unpack_from(order + "I", data, 4)[0]
        (count,) = struct.unpack_from(order + "H", data, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
            size = sizes.get(kind, 1) * number
            place = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
            value = data[place : place + size]
            if order == ">" and kind in (_SHORT, _LONG, _RATIONAL):
                size = "2" if kind == _SHORT else "4"
                value = np.frombuffer(value, ">u" + size).astype("<u" + size).tobytes()
            found[tag] = value
        following = struct.unpack_from(order + "I", data, at + 2 + 12 * count)[0]
    except (struct.error, ValueError):
        raise InputError(f"{name}: damaged: its directory cannot be read") from None
    if following:
        raise InputError(f"{name}: a TIFF of several pictures: split it first")
    return found


def read(data: bytes, name: str, ignore_errors: bool) -> Still:
    """Raises InputError."""
    tags = _tags(data, name)
    found = Still(name, "tiff", data, "", [])
    turn = int.from_bytes(tags.get(_ORIENTATION, b"\1")[:2], "little")
    found.orientation = turn if turn in ORIENTATIONS else 1
    found.icc = tags.get(_ICC)
    for tag in tags:
        if tag not in _LAYOUT and tag not in (_ORIENTATION, _ICC, *_RESOLUTION):
            found.dropped.append(_NAMES.get(tag, f"tag {tag}"))
    still.take(found, still.decode("tiff", data, name))
    return found.seal()


def write(planes: Sequence[Array], source: Still | None, orientation: int, name: str) -> bytes:
    """A file of one strip, deflated. planes: grey, or G, B, R and perhaps A."""
    if len(planes) == 4 and np.array_equal(planes[0], planes[1]) and np.array_equal(planes[0], planes[2]):
        order = [0, 3] if source is not None and source.form in ("ya8", "ya16") else [2, 0, 1, 3]
    else:
        order = {1: [0], 3: [2, 0, 1], 4: [2, 0, 1, 3]}[len(planes)]
    height, width = planes[0].shape
    bits = 8 * planes[0].dtype.itemsize
    strip = zlib.compress(np.stack([planes[i] for i in order], axis=-1).astype(f"<u{bits // 8}").tobytes(), 6)
    count, alpha = len(order), len(order) in (2, 4)
    entries: list[tuple[int, int, bytes]] = [
        (256, _LONG, struct.pack("<I", width)), (257, _LONG, struct.pack("<I", height)),
        (258, _SHORT, struct.pack(f"<{count}H", *[bits] * count)), (259, _SHORT, struct.pack("<H", 8)),
        (262, _SHORT, struct.pack("<H", 2 if count > 2 else 1)), (273, _LONG, struct.pack("<I", 8)),
        (_ORIENTATION, _SHORT, struct.pack("<H", orientation)), (277, _SHORT, struct.pack("<H", count)),
        (278, _LONG, struct.pack("<I", height)), (279, _LONG, struct.pack("<I", len(strip))),
        (284, _SHORT, struct.pack("<H", 1)),
    ]  # fmt: skip
    if source is not None and source.kind == "tiff":
        tags = _tags(source.data, source.name)
        entries += [(tag, kind, tags[tag]) for tag, kind in _RESOLUTION.items() if tag in tags]
        alpha_kind = tags.get(338, b"\2\0")[:2]
    else:
        alpha_kind = b"\2\0"
    if alpha:
        entries.append((338, _SHORT, alpha_kind))
    if source is not None and source.icc:
        entries.append((_ICC, _UNDEFINED, source.icc))
    out = bytearray(b"II*\0" + bytes(4) + strip)
    sizes = {_SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1}
    rows = b""
    for tag, kind, value in sorted(entries):
        number = len(value) // sizes[kind]
        if len(value) > 4:
            out += bytes(len(out) % 2)
            place = struct.pack("<I", len(out))
            out += value
        else:
            place = value.ljust(4, b"\0")
        rows += struct.pack("<HHI", tag, kind, number) + place
    out += bytes(len(out) % 2)
    if len(out) >= 1 << 32:
        raise OutputError(f"{name}: too large for a TIFF file")
    out[4:8] = struct.pack("<I", len(out))
    return bytes(out + struct.pack("<H", len(entries)) + rows + bytes(4))
