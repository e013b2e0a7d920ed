"""What the kernels cover: integer boxes, shapes and blur windows (DESIGN 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

LIMIT = 32767
"""Largest coordinate and frame side: keeps the ellipse rule in 64 bits and every window's sum in 32."""

MAX_WINDOW = 65535
"""Largest half window: wider than any region, so a larger one would change nothing."""

MIN_SIDE = 4
MASK_DILATION = 2
SHAPES = ("rect", "ellipse", "mask")

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One object to cover on one frame.

    x0, y0, x1, y1: luma samples, x1 and y1 exclusive; may lie partly or fully outside of the frame. The shape is
    made from this box and clipped to the frame afterwards. shape: one of SHAPES. mask: uint8 (y1-y0, x1-x0),
    nonzero = object, for "mask" only. h: half window of the blur in luma samples (window 2h+1), None for the
    operations that have none. Raises TypeError or ValueError.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    shape: str = "rect"
    mask: Mask | None = None
    h: int | None = None

    def __post_init__(self) -> None:
        for name in ("x0", "y0", "x1", "y1"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"{name} should be an int, not {value!r}")
            object.__setattr__(self, name, int(value))
        if not (-LIMIT <= self.x0 < self.x1 <= LIMIT and -LIMIT <= self.y0 < self.y1 <= LIMIT):
            raise ValueError(f"box {self.x0, self.y0, self.x1, self.y1} is empty or outside of +-{LIMIT}")
        if self.shape not in SHAPES:
            raise ValueError(f"shape {self.shape!r} should be one of {', '.join(SHAPES)}")
        if (self.shape == "mask") != (self.mask is not None):
            raise ValueError(f"shape {self.shape!r} {'needs' if self.mask is None else 'takes no'} mask")
        if self.mask is not None:
            if not isinstance(self.mask, np.ndarray) or self.mask.dtype != np.uint8:
                raise TypeError("mask should be a uint8 array")
            if self.mask.shape != (self.height, self.width):
                raise ValueError(f"mask is {self.mask.shape}, its box needs {(self.height, self.width)} (rows, cols)")
        if self.h is not None:
            if isinstance(self.h, bool) or not isinstance(self.h, int | np.integer):
                raise TypeError(f"half window h should be an int, not {self.h!r}")
            if not 1 <= self.h <= MAX_WINDOW:
                raise ValueError(f"half window h={self.h} should be 1..{MAX_WINDOW}")
            object.__setattr__(self, "h", int(self.h))

    @property
    def width(self) -> int:
        """Luma samples before clipping."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Luma samples before clipping."""
        return self.y1 - self.y0

    def with_window(self, h: int) -> Target:
        """The same object with the half window h (luma samples)."""
        return replace(self, h=h)


def _grow(low: float, high: float) -> tuple[int, int]:
    """Outward to whole samples, at least MIN_SIDE of them."""
    first, last = math.floor(low), math.ceil(high)
    short = MIN_SIDE - (last - first)
    if short > 0:
        first -= short // 2
        last = first + MIN_SIDE
    return first, last


def target(box: Sequence[float], shape: str = "rect", mask: npt.NDArray[Any] | None = None) -> Target:
    """The Target that covers at least `box` (x0, y0, x1, y1 in luma samples, floats).

    The box grows to whole samples and to 4 x 4. shape "mask": `mask` (rows, columns; nonzero = object) lies on the
    box grown to whole samples; it is dilated by 2 samples, and the box with it. A mask without any sample set
    becomes the rectangle, and so does an ellipse that reaches beyond +-32767: when in doubt, cover.
    Raises ValueError for a box that is not finite or is inverted, and for a mask of another size.
    """
    if len(box) != 4:
        raise ValueError(f"box should be x0, y0, x1, y1, not {box!r}")
    bx0, by0, bx1, by1 = (float(value) for value in box)
    if not all(math.isfinite(value) for value in (bx0, by0, bx1, by1)) or bx1 < bx0 or by1 < by0:
        raise ValueError(f"box {(bx0, by0, bx1, by1)} should be finite with x0 <= x1 and y0 <= y1")
    if (shape == "mask") != (mask is not None):
        raise ValueError(f"shape {shape!r} {'needs' if mask is None else 'takes no'} mask")
    if mask is not None:
        x0, y0, x1, y1 = math.floor(bx0), math.floor(by0), math.ceil(bx1), math.ceil(by1)
        if mask.shape != (y1 - y0, x1 - x0):
            raise ValueError(f"mask is {mask.shape}, its box needs {(y1 - y0, x1 - x0)} (rows, columns)")
        if mask.any():
            margin = MASK_DILATION
            return Target(x0 - margin, y0 - margin, x1 + margin, y1 + margin, "mask", _dilated(mask != 0, margin))
        shape = "rect"
    x0, x1 = _grow(bx0, bx1)
    y0, y1 = _grow(by0, by1)
    if min(x0, y0) < -LIMIT or max(x1, y1) > LIMIT:
        # No frame reaches this far, so a rectangle may be cut here; a cut ellipse would be another ellipse.
        shape = "rect" if shape == "ellipse" else shape
        x0, y0 = (min(max(value, -LIMIT), LIMIT - MIN_SIDE) for value in (x0, y0))
        x1, y1 = (max(min(value, LIMIT), MIN_SIDE - LIMIT) for value in (x1, y1))
    return Target(x0, y0, x1, y1, shape)


def _dilated(mask: npt.NDArray[np.bool_], margin: int) -> Mask:
    """The mask on a box `margin` larger on each side, grown by a square of that radius."""
    wide = np.pad(mask, margin)
    rows = np.zeros_like(wide)
    for shift in range(-margin, margin + 1):
        rows |= np.roll(wide, shift, axis=1)
    grown = np.zeros_like(wide)
    for shift in range(-margin, margin + 1):
        grown |= np.roll(rows, shift, axis=0)
    return grown.astype(np.uint8)


def mask_from_runs(runs: Sequence[int], width: int, height: int) -> Mask:
    """A uint8 mask (height, width) from run lengths, row by row, starting with a run of zeros.

    This is the form in which `records.Region.mask` and the record file carry a bitmap. Raises ValueError where
    the runs do not add up to width * height or one is negative.
    """
    if any(run < 0 for run in runs) or sum(runs) != width * height:
        raise ValueError(f"mask runs add up to {sum(runs)} samples, the box has {width} x {height}")
    values = np.arange(len(runs), dtype=np.int64) & 1
    return np.repeat(values, np.asarray(runs, dtype=np.int64)).astype(np.uint8).reshape(height, width)


def window(target: Target, strength: float) -> int:
    """Half window in luma samples for a strength: strength * (w + h) / 16, at least 1 (DESIGN 5)."""
    if not (math.isfinite(strength) and strength >= 0):
        raise ValueError(f"strength {strength!r} should be a finite number, 0 or more")
    s = math.floor(256 * strength + 0.5)
    return min(MAX_WINDOW, max(1, (s * (target.width + target.height) + 2048) >> 12))


def window_sigma(sigma: float, passes: int) -> int:
    """The least half window whose `passes`-fold box has a standard deviation of at least `sigma` luma samples.

    A box of R = 2h+1 samples has the variance (R^2 - 1) / 12; variances of repeated passes add up.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma {sigma!r} should be a finite number, 0 or more")
    if passes < 1:
        raise ValueError(f"passes {passes!r} should be 1 or more")
    wanted = 12 * sigma * sigma / passes
    h = max(1, math.floor((math.sqrt(wanted + 1) - 1) / 2) - 1)
    while (2 * h + 1) ** 2 - 1 < wanted and h < MAX_WINDOW:
        h += 1
    return min(h, MAX_WINDOW)
