"""BMP files: samples by libavcodec, and nothing beside them but a density. They know no orientation and no profile."""

from __future__ import annotations

from collections.abc import Sequence

from anonfilter.errors import InputError, OutputError
from anonfilter.io import still
from anonfilter.io.still import Array, Still


def read(data: bytes, name: str, ignore_errors: bool) -> Still:
    """Raises InputError."""
    stated = int.from_bytes(data[2:6], "little")
    if len(data) < stated:
        raise InputError(f"{name}: damaged or cut short: {len(data)} of {stated} bytes are there")
    found = Still(name, "bmp", data, "", [])
    if 54 < stated < len(data):
        found.dropped.append(f"{len(data) - stated} bytes behind the picture")
    still.take(found, still.decode("bmp", data, name))
    return found.seal()


def write(planes: Sequence[Array], orientation: int, name: str) -> bytes:
    """A file of 8, 24 or 32 bits. planes: grey, or G, B, R and perhaps A. Raises OutputError for a turned picture."""
    if orientation != 1:
        raise OutputError(f"{name}: a BMP cannot say that the picture is turned: name it .png, say")
    form = {1: "gray", 3: "bgr24", 4: "bgra"}[len(planes)]
    return still.encode("bmp", still.packed(planes, form), {}, name)
