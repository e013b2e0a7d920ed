"""JPEG files (ITU-T T.81, JFIF): samples from coefficients, and back with every untouched block as it was."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from anonfilter.errors import InputError
from anonfilter.io import exif
from anonfilter.io.still import Array, Still
from anonfilter.kernels import _cpu

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_FORMATS = {(2, 2): "yuvj420p", (2, 1): "yuvj422p", (1, 1): "yuvj444p", (1, 2): "yuvj440p"}
_ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
)  # fmt: skip
_ICC_PART = 65519


def segments(data: bytes, end: int) -> Iterator[tuple[int, int, int]]:
    """Marker, start (of its FF) and end of each segment after SOI up to EOI; a scan's coded data belong to its SOS."""
    at = 2
    while at + 4 <= end:
        start = at
        if data[at] != 0xFF:  # what a damaged file has between segments
            at += 1
            continue
        while at < end and data[at] == 0xFF:
            at += 1
        if at >= end or data[at] == 0xD9:
            return
        marker = data[at]
        at += 1
        if marker in (0, 1) or 0xD0 <= marker <= 0xD8:
            continue
        at += int.from_bytes(data[at : at + 2], "big")
        if marker == 0xDA:
            while 0 <= (at := data.find(b"\xff", at, end)) < end - 1:
                if data[at + 1] not in (0, 0xFF) and not 0xD0 <= data[at + 1] <= 0xD7:
                    break
                at += 1 if data[at + 1] == 0xFF else 2
            at = end if at < 0 or at >= end - 1 else at
        yield marker, start, min(at, end)


def read(data: bytes, name: str, ignore_errors: bool) -> Still:
    """Raises InputError for what is no JPEG of grey, YCbCr or RGB in 8 bits, and for a damaged one unless
    ignore_errors."""
    picture = _coefficients(data, name)
    if not picture.complete and not ignore_errors:
        raise InputError(f"{name}: damaged or cut short (-err_detect ignore_err takes what there is)")
    adobe, found = None, Still(name, "jpeg", data, "", [])
    profile: dict[int, bytes] = {}
    for marker, start, stop in segments(data, picture.end):
        body = data[start + 4 : stop]
        if marker == 0xE1 and body.startswith(_EXIF):
            found.orientation = exif.orientation(body[6:])
            found.dropped.append("EXIF" + (" with a thumbnail" if b"\xff\xd8\xff" in body else ""))
        elif marker == 0xE1:
            found.dropped.append("XMP" if body.startswith(b"http://ns.adobe.com/x") else "APP1")
        elif marker == 0xE2 and body.startswith(_ICC):
            profile[body[12]] = body[14:]
        elif marker == 0xEE and body.startswith(b"Adobe"):
            adobe = body[11] if len(body) > 11 else None
        elif marker == 0xFE:
            found.dropped.append("comment")
        elif 0xE0 < marker <= 0xEF or (marker == 0xE0 and not body.startswith(b"JFIF\0")):
            label = body.partition(b"\0")[0][:12].decode("ascii", "replace")
            found.dropped.append(f"APP{marker - 0xE0}" + (f" ({label})" if label.isprintable() and label else ""))
    found.icc = b"".join(profile[part] for part in sorted(profile)) or None
    if picture.end < len(data):
        found.dropped.append(f"{len(data) - picture.end} bytes behind the picture")
    order = _order(picture, adobe, name)
    found.pix_fmt = order[0]
    found.planes = [_visible(picture, index, picture.samples(index)) for index in order[1]]
    return found.seal()


def _coefficients(data: bytes, name: str) -> _cpu.Jpeg:
    try:
        return _cpu.Jpeg(data)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None


def _order(picture: _cpu.Jpeg, adobe: int | None, name: str) -> tuple[str, list[int]]:
    """Format, and the components in the order of its planes."""
    factors = picture.factors()
    if len(factors) == 1:
        return "gray", [0]
    if len(factors) != 3:
        # Not decoded as inks: a detector would see them without the black, or in colours that no profile has made.
        raise InputError(
            f"{name}: JPEG of {len(factors)} inks (CMYK): convert it to RGB with its colour profile first, as "
            "ImageMagick's `magick IN -profile sRGB.icc OUT` does"
        )
    most = factors[0][1], factors[0][2]
    same = all(row[1:3] == most for row in factors)
    if adobe == 0 or (adobe is None and bytes(row[0] for row in factors) == b"RGB"):
        if same:
            return "gbrp", [1, 2, 0]
    elif factors[1][1:3] == factors[2][1:3]:
        ratio = tuple(a / b for a, b in zip(most, factors[1][1:3], strict=True))
        if ratio in _FORMATS:
            return _FORMATS[ratio], [0, 1, 2]
    shown = " ".join(f"{h}x{v}" for _, h, v, _ in factors)
    raise InputError(f"{name}: JPEG with sampling factors {shown}: convert it to 4:2:0, 4:2:2 or 4:4:4 first")


def _size(picture: _cpu.Jpeg, index: int) -> tuple[int, int]:
    """Width and height of a component."""
    factors = picture.factors()
    wide, high = max(row[1] for row in factors), max(row[2] for row in factors)
    _, h, v, _ = factors[index]
    return -(-picture.width * h // wide), -(-picture.height * v // high)


def _visible(picture: _cpu.Jpeg, index: int, samples: Array) -> Array:
    width, height = _size(picture, index)
    return samples[:height, :width]


def edited(still: Still, planes: Sequence[Array], everything: bool) -> tuple[bytes, int, int]:
    """The file with these samples: blocks that are as they were keep their coefficients. everything: keep metadata.

    Also how many blocks were made anew, of how many. planes: as still.planes were.
    """
    picture = _cpu.Jpeg(still.data)
    order = [1, 2, 0] if still.pix_fmt == "gbrp" else list(range(len(planes)))
    changed = total = 0
    for plane, index in zip(planes, order, strict=True):
        before = picture.samples(index)
        total += before.size // 64
        width, height = _size(picture, index)
        if np.array_equal(before[:height, :width], plane):
            continue
        after = before.copy()
        after[:height, :width] = plane
        changed += picture.update(index, width, height, before, after)
    if not changed:
        return assemble(still.data, still, everything, picture.end), 0, total
    factors = picture.factors()
    tables = sorted({row[3] for row in factors})
    made = bytearray(b"\xff\xd8")
    deep = any(max(picture.table(t)) > 255 for t in tables)
    for t in tables:
        values = [picture.table(t)[k] for k in _ZIGZAG]
        body = struct.pack(">64H" if deep else ">64B", *values)
        made += b"\xff\xdb" + struct.pack(">HB", 3 + len(body), t | 16 * deep) + body
    made += b"\xff\xc1" if deep else b"\xff\xc0"
    made += struct.pack(">HBHHB", 8 + 3 * len(factors), 8, picture.height, picture.width, len(factors))
    for number, h, v, t in factors:
        made += bytes([number, h << 4 | v, t])
    made += picture.scan() + b"\xff\xd9"
    return assemble(bytes(made), still, everything, len(made)), changed, total


def assemble(coded: bytes, still: Still | None, everything: bool, end: int, orientation: int = 0) -> bytes:
    """A JPEG file: the tables, frame and scans of `coded` as they are, behind what is kept of the still's metadata.

    orientation: EXIF's, 0 for the still's own.
    """
    turned = orientation or (still.orientation if still else 1)
    head, own = bytearray(b"\xff\xd8"), still is not None and still.kind == "jpeg"
    jfif, adobe, rest = b"", b"", bytearray()
    source = still.data if still is not None and own else coded
    source_end = _cpu.Jpeg(source).end if own else end
    kept_exif = False
    for marker, start, stop in segments(source, source_end):
        body = source[start + 4 : stop]
        if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            jfif = b"\xff\xe0\0\x10" + body[:12] + b"\0\0"  # without a thumbnail
        elif marker == 0xEE and body.startswith(b"Adobe"):
            adobe = source[start:stop]
        elif everything and own and marker == 0xE1 and body.startswith(_EXIF):
            block = exif.cleaned(body[6:])
            if block is not None and not kept_exif:
                kept_exif = True
                rest += source[start : start + 4] + _EXIF + block
        elif everything and own and marker == 0xE1 and body.startswith(_XMP) and b"xmpGImg" not in body:
            rest += source[start:stop]
    head += jfif or (b"" if adobe else b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0")
    if turned != 1 and not kept_exif:
        block = _EXIF + exif.minimal(turned)
        head += b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
    head += rest
    icc = still.icc if still is not None else None
    if icc:
        parts = [icc[i : i + _ICC_PART] for i in range(0, len(icc), _ICC_PART)]
        for number, part in enumerate(parts, 1):
            head += b"\xff\xe2" + struct.pack(">H", 16 + len(part)) + _ICC + bytes([number, len(parts)]) + part
    head += adobe
    for marker, start, stop in segments(coded, end):
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            head += coded[start:stop]
    return bytes(head + b"\xff\xd9")
