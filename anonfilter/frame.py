"""A decoded picture and the stream that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.errors import InputError
from anonfilter.kernels.formats import FORMATS, PixFmt

Plane = npt.NDArray[Any]

# Formats with an alpha plane behind the others.
_ALPHA = {
    f"yuva{name}": replace(FORMATS[f"yuv{name}"], alpha=True)
    for name in ("422p", "444p", "420p10le", "422p10le", "444p10le", "422p12le", "444p12le")
} | {"gbrap16le": replace(FORMATS["gbrp16le"], alpha=True)}

EDITABLE = (*FORMATS, *_ALPHA)
"""Names of the pixel formats that can be edited in place."""


def kernel_format(name: str) -> PixFmt:
    """The kernels' view of a libavutil format. Raises InputError for one that cannot be edited in place."""
    fmt = FORMATS.get(name) or _ALPHA.get(name)
    if fmt is None:
        raise InputError(f"pixel format {name} cannot be edited in place (put format=yuv420p first)")
    return fmt


@dataclass(frozen=True, slots=True)
class Hdr:
    """HDR10's static metadata; each part empty where it is not known.

    primaries: CIE 1931 x and y of red, green, blue and white point of the mastering display. luminance: its least and
    greatest, cd/m2. light: MaxCLL and MaxFALL of the content, cd/m2.
    """

    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    light: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What is known of a video stream before its first frame.

    width, height: coded size in luma samples. pix_fmt: libavutil name. time_base: seconds per pts tick.
    rate: highest frame rate to plan with (frames per second); average_rate: the one to tell an encoder.
    sar: sample aspect ratio, 0 if unknown. rotation: clockwise quarter turns, in degrees (0, 90, 180, 270), that
    bring the coded picture upright; hflip: whether it is mirrored too (after the turn).
    display_matrix: the nine integers of the container, or None.
    color_*: libavutil's enumeration values (2 = unspecified for space, primaries, trc; 0 for range).
    chroma_location: AVChromaLocation (0 unspecified, 1 left, 2 centre, 3 top left).
    start: the container's start in seconds; t = pts * time_base - start.
    frames, duration: what the container states (0 = it does not); estimates only. hdr: HDR10's metadata, or None.
    """

    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    rate: Fraction
    average_rate: Fraction
    sar: Fraction = Fraction(0)
    rotation: int = 0
    hflip: bool = False
    display_matrix: tuple[int, ...] | None = None
    color_space: int = 2
    color_range: int = 0
    color_primaries: int = 2
    color_trc: int = 2
    chroma_location: int = 0
    start: float = 0.0
    frames: int = 0
    duration: float = 0.0
    hdr: Hdr | None = None

    @property
    def fmt(self) -> PixFmt:
        """The kernels' view of pix_fmt. Raises InputError for a format that cannot be edited in place."""
        return kernel_format(self.pix_fmt)

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height as shown, after the display matrix."""
        return (self.height, self.width) if self.rotation in (90, 270) else (self.width, self.height)


@dataclass(slots=True)
class Frame:
    """One picture: n is its decode ordinal, pts its source timestamp, t seconds since the container's start.

    av is the av.VideoFrame that owns the memory. device is "cpu", or "cuda:N" once a GPU lane exists; planes()
    is only for "cpu". regions: how many a pixel writer has covered on it, for the report.
    """

    n: int
    pts: int | None
    t: float
    av: Any
    device: str = "cpu"
    writable: bool = field(default=False)
    regions: int = 0

    @property
    def fmt(self) -> PixFmt:
        """Layout of the planes. Raises InputError where the kernels do not know it."""
        return kernel_format(self.av.format.name)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in luma samples."""
        return self.av.width, self.av.height

    def planes(self) -> tuple[Plane, ...]:
        """The planes without a copy: (height, width) uint8 or uint16, interleaved chroma as (h, w, 2).

        Read-only until make_writable() was called: the decoder may still predict from this memory.
        """
        fmt, (width, height) = self.fmt, self.size
        dtype = np.dtype("u1") if fmt.itemsize == 1 else np.dtype("<u2")
        out = []
        for index, plane in enumerate(self.av.planes[: fmt.planes]):
            stride = plane.line_size
            if stride < 0:
                raise InputError("frames stored bottom up cannot be edited in place (put vflip,vflip first)")
            w, h = (width, height) if index == 0 else fmt.chroma_size(width, height)
            rows = np.frombuffer(plane, dtype="u1", count=stride * h).reshape(h, stride)
            if index and fmt.interleaved:
                view = rows[:, : 2 * w * fmt.itemsize].view(dtype).reshape(h, w, 2)
            else:
                view = rows[:, : w * fmt.itemsize].view(dtype)
            view.flags.writeable = self.writable
            out.append(view)
        return tuple(out)

    def alpha(self) -> Plane | None:
        """The alpha plane (height, width) without a copy, read-only as planes(); None where there is none."""
        fmt = self.fmt
        if not fmt.alpha:
            return None
        plane, (width, height) = self.av.planes[fmt.planes], self.size
        rows = np.frombuffer(plane, dtype="u1", count=plane.line_size * height).reshape(height, plane.line_size)
        view = rows[:, : width * fmt.itemsize].view("u1" if fmt.itemsize == 1 else "<u2")
        view.flags.writeable = self.writable
        return view

    def make_writable(self) -> None:
        """Give this frame memory of its own, copying it if the decoder still holds a reference."""
        if not self.writable:
            self.av.make_writable()
            self.writable = True
