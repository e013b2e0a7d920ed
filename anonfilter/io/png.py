"""PNG files (W3C PNG, third edition): chunks that stay, chunks that go."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from anonfilter.errors import InputError
from anonfilter.io import exif, still
from anonfilter.io.still import Array, Still

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What says how samples are to be shown, and nothing of where they are from. The second row only fits the coded data.
_COLOUR = (b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"pHYs")
_CODED = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT")
_TEXT = (b"tEXt", b"zTXt", b"iTXt", b"tIME")


def chunks(data: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of each chunk up to IEND. Raises InputError for a file that ends before."""
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            break
        if int.from_bytes(data[at + 8 + length : at + 12 + length], "big") != zlib.crc32(kind + body):
            raise InputError(f"{name}: damaged: the checksum of chunk {kind.decode('latin-1')} is wrong")
        yield kind, body
        if kind == b"IEND":
            return
        at += 12 + length
    raise InputError(f"{name}: damaged or cut short: no end of the picture")


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def read(data: bytes, name: str, ignore_errors: bool) -> Still:
    """Raises InputError. Grey of fewer bits and palettes come as 8-bit planes."""
    found = Still(name, "png", data, "", [])
    for kind, body in chunks(data, name):
        if kind == b"acTL":
            raise InputError(f"{name}: an animated PNG: convert it to a video first")
        if kind == b"eXIf":
            found.orientation = exif.orientation(body)
            found.dropped.append("EXIF")
        elif kind == b"iCCP":
            found.icc = _profile(body)
        elif kind in _TEXT or kind not in (*_COLOUR, *_CODED, b"IHDR", b"IDAT", b"IEND"):
            key = body.partition(b"\0")[0][:40].decode("latin-1") if kind in _TEXT[:3] else kind.decode("latin-1")
            found.dropped.append("XMP" if key.startswith("XML:com.adobe") else f"metadata '{key}'")
    still.take(found, still.decode("png", data, name))
    return found.seal()


def _profile(body: bytes) -> bytes | None:
    _, _, packed = body.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], 1 << 24)
    except zlib.error:
        return None


def write(
    planes: Sequence[Array] | None,
    source: Still | None,
    orientation: int,
    everything: bool,
    options: dict[str, str],
    name: str,
) -> bytes:
    """A file. planes: grey, or G, B, R and perhaps A; None: the coded data of source, a PNG, as they are."""
    own = source is not None and source.kind == "png"
    if planes is None:
        assert source is not None
        coded = list(chunks(source.data, source.name))
    else:
        deep = planes[0].dtype.itemsize == 2
        forms = ("gray16be", "rgb48be", "rgba64be", "ya16be") if deep else ("gray", "rgb24", "rgba", "ya8")
        form = forms[{1: 0, 3: 1, 4: 2}[len(planes)]]
        if len(planes) == 4 and source is not None and source.form in ("ya8", "ya16") and _grey(planes):
            form = forms[3]
        coded = list(chunks(still.encode("png", still.packed(planes, form), options, name), name))
        coded = [(kind, body) for kind, body in coded if kind in (b"IHDR", b"IDAT", b"IEND")]
    out = bytearray(_SIGNATURE) + chunk(*coded[0])
    told = False
    for kind, body in chunks(source.data, source.name) if source is not None and own else ():
        fits = kind in _COLOUR or (planes is None and kind in _CODED)
        if fits or (everything and kind in _TEXT and b"Raw profile" not in body[:12]):
            out += chunk(kind, body)
        elif everything and kind == b"eXIf" and (block := exif.cleaned(body)) is not None:
            out += chunk(kind, block)
            told = True
    if not own and source is not None and source.icc:
        out += chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(source.icc))
    if orientation != 1 and not told:
        out += chunk(b"eXIf", exif.minimal(orientation))
    for kind, body in coded[1:]:
        if kind in (b"IDAT", b"IEND"):
            out += chunk(kind, body)
    return bytes(out)


def _grey(planes: Sequence[Array]) -> bool:
    return np.array_equal(planes[0], planes[1]) and np.array_equal(planes[0], planes[2])
