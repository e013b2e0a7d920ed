"""The components of a frame as the GPU kernels' tables see them, and how their axes relate to luma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.formats import PixFmt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a frame: its plane, first sample and step there, size, and how its axes relate to luma."""

    plane: int
    first: int
    step: int
    width: int
    height: int
    log2_w: int
    log2_h: int
    before_x: bool
    before_y: bool

    @property
    def chroma(self) -> bool:
        """Whether it is U or V."""
        return self.plane > 0


def components(fmt: PixFmt, width: int, height: int, siting: str) -> list[Component]:
    """Y, and U and V where the format has them; width and height in luma samples."""
    out = [Component(0, 0, 1, width, height, 0, 0, False, False)]
    if fmt.chroma:
        size = fmt.chroma_size(width, height)
        left, top = bool(fmt.log2_w) and siting != "center", bool(fmt.log2_h) and siting == "topleft"
        places = ((1, 0, 2), (1, 1, 2)) if fmt.interleaved else ((1, 0, 1), (2, 0, 1))
        out += [Component(*place, *size, fmt.log2_w, fmt.log2_h, left, top) for place in places]
    return out


def extent(low: Ints, high: Ints, log2: int, before: bool) -> tuple[Ints, Ints]:
    """The samples of an axis whose luma samples meet low..high-1."""
    return (low >> 1, ((high - (not before)) >> 1) + 1) if log2 else (low, high)


def half(value: Any, log2: int) -> Any:
    """A half window or a feather of luma samples, on an axis."""
    return (value + 1) >> 1 if log2 else value
