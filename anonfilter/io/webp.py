"""WebP files (RFC 9649): a RIFF file of chunks. Lossy ones are YUV 4:2:0 as they stand, lossless ones RGB."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from anonfilter.errors import InputError, OutputError
from anonfilter.io import exif, still
from anonfilter.io.still import Array, Still

_CODED = (b"VP8 ", b"VP8L", b"ALPH")
_ICC, _ALPHA, _EXIF, _XMP = 0x20, 0x10, 0x08, 0x04
QUALITY = 95
"""Of a lossy picture that had to be encoded anew, of 100."""


def chunks(data: bytes, name: str) -> list[tuple[bytes, bytes]]:
    """Type and body of each chunk. Raises InputError for a file that is cut short."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) + 1:
        raise InputError(f"{name}: damaged or cut short: {len(data)} of {end} bytes are there")
    out, at = [], 12
    while at + 8 <= min(end, len(data)):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise InputError(f"{name}: damaged or cut short")
        out.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return out


def read(data: bytes, name: str, ignore_errors: bool) -> Still:
    """Raises InputError."""
    found = Still(name, "webp", data, "", [])
    for kind, body in chunks(data, name):
        if kind in (b"ANIM", b"ANMF"):
            raise InputError(f"{name}: an animated WebP: convert it to a video first")
        if kind == b"ICCP":
            found.icc = body
        elif kind == b"EXIF":
            found.orientation = exif.orientation(body.removeprefix(b"Exif\0\0"))
            found.dropped.append("EXIF")
        elif kind not in (*_CODED, b"VP8X"):
            found.dropped.append({b"XMP ": "XMP"}.get(kind, f"chunk {kind.decode('latin-1').strip()}"))
    frame = still.decode("webp", data, name)
    found.form, width, height = frame.format.name, frame.width, frame.height
    if found.form in ("yuv420p", "yuva420p"):
        found.pix_fmt, found.full_range = found.form, False
        found.planes = [plane.copy() for plane in still.from_frame(frame)]
    elif found.form == "argb":
        rows = still.view(frame, 0, 4 * width, height).reshape(height, width, 4)
        opaque = bool((rows[..., 0] == 255).all())
        found.pix_fmt, found.planes = still.unpacked(rows, "XRGB" if opaque else "ARGB")
        found.form = "lossless"
    else:
        raise InputError(f"{name}: WebP of {found.form}: convert it to PNG first")
    return found.seal()


def write(
    planes: Sequence[Array] | None,
    source: Still | None,
    orientation: int,
    everything: bool,
    options: dict[str, str],
    name: str,
    pix_fmt: str = "",
) -> bytes:
    """A file. planes: of pix_fmt yuv420p, yuva420p, gbrp or gbrap; None: the coded data of source, a WebP, as they are.
    """
    own = source is not None and source.kind == "webp"
    if planes is None:
        assert source is not None
        coded = chunks(source.data, source.name)
    else:
        if pix_fmt.startswith("gbr"):
            opaque = [*planes, np.full_like(planes[0], 255)] if len(planes) == 3 else planes
            frame, settings = still.packed(opaque, "bgra"), {"lossless": "1", **options}
        else:
            frame, settings = still.to_frame(planes, pix_fmt), {"quality": str(QUALITY), **options}
        coded = chunks(still.encode("libwebp", frame, settings, name), name)
    if planes is None:
        size = struct.unpack("<HH", _canvas(coded, name))
        width, height = size[0] & 0x3FFF, size[1] & 0x3FFF
    else:
        height, width = planes[0].shape
    head: list[tuple[bytes, bytes]] = []
    tail: list[tuple[bytes, bytes]] = []
    flags = _ALPHA if any(kind == b"ALPH" or (kind == b"VP8L" and _has_alpha(body)) for kind, body in coded) else 0
    if source is not None and source.icc:
        head.append((b"ICCP", source.icc))
        flags |= _ICC
    for kind, body in chunks(source.data, source.name) if source is not None and own and everything else ():
        block = exif.cleaned(body.removeprefix(b"Exif\0\0")) if kind == b"EXIF" else None
        if block is not None:
            tail.append((b"EXIF", block))
        elif kind == b"XMP " and b"xmpGImg" not in body:
            tail.append((kind, body))
    if orientation != 1 and not any(kind == b"EXIF" for kind, _ in tail):
        tail.append((b"EXIF", exif.minimal(orientation)))
    flags |= _EXIF * any(kind == b"EXIF" for kind, _ in tail) | _XMP * any(kind == b"XMP " for kind, _ in tail)
    body_chunks = [(kind, body) for kind, body in coded if kind in _CODED]
    if flags & ~_ALPHA or any(kind == b"ALPH" for kind, _ in coded):
        extended = struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        head.insert(0, (b"VP8X", extended))
    parts = [*head, *body_chunks, *tail]
    out = b"".join(kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in parts)
    if len(out) + 4 >= 1 << 32:
        raise OutputError(f"{name}: too large for a WebP file")
    return b"RIFF" + struct.pack("<I", 4 + len(out)) + b"WEBP" + out


def _canvas(coded: Sequence[tuple[bytes, bytes]], name: str) -> bytes:
    """Width and height of the coded picture, two bytes each."""
    for kind, body in coded:
        if kind == b"VP8 " and len(body) >= 10:
            return body[6:10]
        if kind == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            return struct.pack("<HH", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    raise InputError(f"{name}: no picture in it")


def _has_alpha(body: bytes) -> bool:
    return len(body) >= 5 and bool(int.from_bytes(body[1:5], "little") >> 28 & 1)
