"""A still picture in memory: its samples as planes, and what its file says beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.packet import Packet

from anonfilter.errors import InputError, OutputError
from anonfilter.frame import kernel_format
from anonfilter.io import logs, quantizer

Array = npt.NDArray[Any]
"""Samples: uint8, or uint16 in this machine's order."""
KINDS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "webp": "webp", "tif": "tiff",
         "tiff": "tiff", "bmp": "bmp"}  # fmt: skip
"""File name extensions, and what they stand for."""

_BMP_HEADERS = {bytes([size, 0]) for size in (12, 40, 52, 56, 64, 108, 124)}

YUV, GBR, GREY = 5, 0, 2
"""AVColorSpace of what stills are: BT.601 (JFIF, VP8), RGB planes, grey."""


@dataclass(slots=True)
class Still:
    """name: for messages. kind: of KINDS' values. data: the whole file. pix_fmt: of the planes, one of kernels.formats.
    planes: (height, width) each, alpha last. full_range: whether codes go from 0 to the greatest. orientation: EXIF's.
    icc: the colour profile. dropped: one line for each thing that the file tells and an output will not. form: what
    the samples were, where an output shall be it again ("ya8", "ya16", "pal8", "lossless"). digest, shapes: of the
    planes, which may be gone."""

    name: str
    kind: str
    data: bytes
    pix_fmt: str
    planes: list[Array]
    full_range: bool = True
    orientation: int = 1
    icc: bytes | None = None
    dropped: list[str] = field(default_factory=list)
    form: str = ""
    digest: bytes = b""
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def seal(self) -> Still:
        """Note what the samples are now, so that an untouched picture is known."""
        self.digest, self.shapes = digest(self.planes), [plane.shape for plane in self.planes]
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.planes[0].shape
        return width, height


def kind_of(data: bytes) -> str:
    """What a file is by its first 16 bytes, "" for none of ours."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    # Two letters alone are no signature: the reserved bytes and the size of the next header, too.
    if data[:2] == b"BM" and data[6:10] == bytes(4) and data[14:16] in _BMP_HEADERS:
        return "bmp"
    return ""


def digest(planes: Sequence[Array]) -> bytes:
    """A fingerprint of samples."""
    made = hashlib.blake2b(digest_size=16)
    for plane in planes:
        made.update(np.ascontiguousarray(plane).data)
    return made.digest()


def view(frame: Any, index: int, width: int, height: int, kind: str = "u1") -> Array:
    """Plane `index` of an av.VideoFrame as (height, width) samples of a NumPy type, without a copy."""
    plane, dtype = frame.planes[index], np.dtype(kind)
    rows = np.frombuffer(plane, "u1", count=plane.line_size * height).reshape(height, plane.line_size)
    return rows[:, : width * dtype.itemsize].view(dtype)


def to_frame(planes: Sequence[Array], pix_fmt: str) -> Any:
    """An av.VideoFrame with these planes' samples."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for index, plane in enumerate(planes):
        np.copyto(view(frame, index, plane.shape[1], plane.shape[0], _stored(pix_fmt)), plane)
    return frame


def _stored(pix_fmt: str) -> str:
    """NumPy's type of the samples of one of the kernels' formats."""
    return "u1" if kernel_format(pix_fmt).itemsize == 1 else "<u2"


def from_frame(frame: Any) -> list[Array]:
    """Planes of an av.VideoFrame in one of the kernels' planar formats, alpha last, without a copy."""
    fmt = kernel_format(frame.format.name)
    width, height = frame.width, frame.height
    sizes = [(width, height), *[fmt.chroma_size(width, height)] * (fmt.planes - 1)]
    if fmt.alpha:
        sizes.append((width, height))
    return [view(frame, index, *size, _stored(fmt.name)) for index, size in enumerate(sizes)]


def packed(planes: Sequence[Array], form: str) -> Any:
    """An av.VideoFrame of samples that lie together. planes: G, B, R (and A), or grey. form: rgb24, rgba, gray, ya8,
    bgra, bgr24, and those of 16 bits: rgb48be, rgba64be, gray16be, ya16be."""
    order = {
        "rgb24": (2, 0, 1), "rgba": (2, 0, 1, 3), "bgra": (1, 0, 2, 3), "bgr24": (1, 0, 2), "gray": (0,), "ya8": (0, 3),
        "rgb48be": (2, 0, 1), "rgba64be": (2, 0, 1, 3), "gray16be": (0,), "ya16be": (0, 3),
    }[form]  # fmt: skip
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, form)
    kind = ">u2" if form.endswith("be") else "u1"
    rows = view(frame, 0, width * len(order), height, kind).reshape(height, width, len(order))
    for place, index in enumerate(order):
        rows[..., place] = planes[index]
    return frame


def unpacked(rows: Array, order: str) -> tuple[str, list[Array]]:
    """Format and planes of samples that lie together. rows: (height, width, len(order)). order: letters of R, G, B, A
    and Y (grey)."""
    bits = "16le" if rows.dtype.itemsize == 2 else ""
    if order == "Y":
        return "gray" + bits, [rows[..., 0]]
    wanted = "YYY" if "Y" in order else "GBR"
    alpha = "A" in order
    planes = [rows[..., order.index(letter)] for letter in wanted + "A" * alpha]
    return ("gbrap" if alpha else "gbrp") + bits, planes


_LAYOUTS = {"rgb24": "RGB", "rgba": "RGBA", "gray": "Y", "ya8": "YA", "bgr24": "BGR", "bgra": "BGRA", "bgr0": "BGRX"}
_DEEP = {"rgb48": "RGB", "rgba64": "RGBA", "gray16": "Y", "ya16": "YA"}  # be or le behind it


def take(found: Still, frame: Any) -> None:
    """The planes of a decoded frame of RGB, grey or a palette, with alpha or without: into pix_fmt, planes and form.
    Raises InputError for another."""
    found.form, width, height = frame.format.name, frame.width, frame.height
    layout, deep = _LAYOUTS.get(found.form), _DEEP.get(found.form[:-2])
    if layout is not None:
        rows = view(frame, 0, width * len(layout), height).reshape(height, width, len(layout))
        found.pix_fmt, found.planes = unpacked(rows, layout)
    elif deep is not None:
        rows = view(frame, 0, width * len(deep), height, ">u2" if found.form.endswith("be") else "<u2")
        native = rows.astype("<u2").reshape(height, width, len(deep))
        found.form = found.form[:-2]
        found.pix_fmt, found.planes = unpacked(native, deep)
    elif found.form in ("monoblack", "monob", "monowhite"):
        bits = np.unpackbits(view(frame, 0, -(-width // 8), height), axis=1)[:, :width]
        found.pix_fmt, found.planes = "gray", [(bits ^ (found.form == "monowhite")) * np.uint8(255)]
    elif found.form == "pal8":
        table = np.frombuffer(frame.planes[1], "u1", count=1024).reshape(256, 4)
        colours = table[view(frame, 0, width, height)]  # B, G, R, A in memory
        found.pix_fmt, found.planes = unpacked(colours, "BGRA" if (colours[..., 3] != 255).any() else "BGRX")
    else:
        kind = found.kind.upper()
        raise InputError(f"{found.name}: {kind} of {found.form}: convert it to RGB, RGBA or grey of 8 or 16 bits first")


def decode(codec: str, data: bytes, name: str) -> Any:
    """The one picture that libavcodec makes of a file. Raises InputError."""
    context: Any = av.CodecContext.create(codec, "r")
    with logs.captured() as said:
        try:
            frames = [*context.decode(Packet(data)), *context.decode(None)]
        except (av.error.FFmpegError, EOFError, ValueError) as error:
            raise InputError(f"{name}: cannot be decoded: {logs.reason(error, said)}") from error
    problems = logs.errors(said)
    if problems or not frames:
        raise InputError(f"{name}: damaged or cut short: {'; '.join(problems) or 'no picture in it'}")
    return frames[0]


def encode(codec: str, frame: Any, options: dict[str, str], name: str) -> bytes:
    """The file that libavcodec makes of a picture. Raises OutputError."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1, 25)
    if codec == "mjpeg":
        context.color_range = 2
    left = dict(options)
    quantizer.fix(codec, left)
    context.options = left
    frame.pts = 0
    with logs.captured() as said:
        try:
            packets = [*context.encode(frame), *context.encode(None)]
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(f"{name}: encoder {codec}: {logs.reason(error, said)}") from error
    unknown = [option for option in context.options if option in left]
    if unknown:
        raise OutputError(f"{name}: Unrecognized option '{unknown[0]}' for encoder {codec}")
    return b"".join(bytes(packet) for packet in packets)
