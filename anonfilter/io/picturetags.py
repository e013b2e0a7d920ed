"""Metadata of single pictures: EXIF, XMP and IPTC in JPEG, PNG, WebP and TIFF."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from anonfilter.io.findings import Finding, kind_of, short

# EXIF tags that name what a reader wants to know (Exif 2.32, TIFF 6.0).
_TAGS = {
    0x010E: ("text", "ImageDescription"), 0x010F: ("device", "Make"), 0x0110: ("device", "Model"),
    0x0131: ("software", "Software"), 0x0132: ("time", "DateTime"), 0x013B: ("text", "Artist"),
    0x013C: ("device", "HostComputer"), 0x8298: ("text", "Copyright"), 0x9003: ("time", "DateTimeOriginal"),
    0x9004: ("time", "DateTimeDigitized"), 0x927C: ("device", "MakerNote"), 0x9286: ("text", "UserComment"),
    0xA430: ("text", "CameraOwnerName"), 0xA431: ("device", "BodySerialNumber"), 0xA434: ("device", "LensModel"),
    0xA435: ("device", "LensSerialNumber"), 0x02BC: ("xmp", "XMP"), 0x83BB: ("text", "IPTC"),
}  # fmt: skip
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"


def scan(data: bytes, where: str) -> list[Finding]:
    """Findings in a picture's bytes; none where it is of another kind."""
    if data[:2] == b"\xff\xd8":
        return list(_jpeg(data, where))
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return list(_png(data, where))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return list(_webp(data, where))
    if data[:4] in (b"II*\0", b"MM\0*"):
        return list(exif(data, where, strips=True))
    return []


def _jpeg(data: bytes, where: str) -> Iterator[Finding]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        body = data[at + 4 : at + 2 + length]
        if marker == 0xDA:
            return
        if marker == 0xE1 and body.startswith(b"Exif\0"):
            yield from exif(body[6:], where)
        elif marker == 0xE1 and body.startswith(_XMP_HEAD):
            yield Finding("xmp", where, "XMP", short(body[len(_XMP_HEAD) :]))
        elif marker == 0xED:
            yield Finding("text", where, "IPTC", short(body))
        elif marker == 0xFE and body.strip(b"\0"):
            yield Finding(kind_of(short(body)), where, "comment", short(body))
        elif marker not in (0xE0, 0xE2, 0xEE) and 0xE1 <= marker <= 0xEF:
            yield Finding("exif", where, f"APP{marker - 0xE0}", short(body))
        at += 2 + length


def _png(data: bytes, where: str) -> Iterator[Finding]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"eXIf":
            yield from exif(body, where)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, _, value = body.partition(b"\0")
            name = key.decode("latin-1")
            yield Finding("xmp" if "xmp" in name.lower() else kind_of(name), where, name, short(value))
        elif kind == b"tIME" and len(body) == 7:
            year, *rest = struct.unpack(">H5B", body)
            yield Finding("time", where, "tIME", "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(year, *rest))
        at += 12 + length


def _webp(data: bytes, where: str) -> Iterator[Finding]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"EXIF":
            yield from exif(body.removeprefix(b"Exif\0\0"), where)
        elif kind == b"XMP ":
            yield Finding("xmp", where, "XMP", short(body))
        at += 8 + length + length % 2


def exif(data: bytes, where: str, strips: bool = False) -> Iterator[Finding]:
    """Findings in a TIFF structure. strips: it is a TIFF picture itself, whose other tags describe its samples."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        yield Finding("exif", where, "EXIF", f"{len(data)} bytes")
        return
    todo, seen = [struct.unpack(order + "I", data[4:8])[0]], set[int]()
    others = 0
    while todo and len(seen) < 64:
        at = todo.pop()
        if at in seen or at + 2 > len(data) or not at:
            continue
        seen.add(at)
        count = struct.unpack(order + "H", data[at : at + 2])[0]
        for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 11), 12):
            tag, form, number, value = struct.unpack(order + "HHII", data[entry : entry + 12])
            if tag == 0x8825:
                yield Finding("location", where, "EXIF GPS")
            elif tag == 0x8769:
                todo.append(value)
            elif tag in _TAGS:
                kind, name = _TAGS[tag]
                size = _SIZES.get(form, 1) * number
                place = entry + 8 if size <= 4 else value
                yield Finding(kind, where, f"EXIF {name}", short(data[place : place + size]))
            else:
                others += 1
        end = at + 2 + 12 * count
        if end + 4 <= len(data):
            following = struct.unpack(order + "I", data[end : end + 4])[0]
            if following and not strips:
                yield Finding("picture", where, "EXIF thumbnail")
    if others and not strips:
        yield Finding("exif", where, "EXIF", f"{others} more fields")
