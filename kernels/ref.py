"""The oracle: DESIGN 5 written down in NumPy integers, for reading and for testing, not for speed.

Every other backend must give the same samples. All functions take arguments that `ops` has checked; the planes are
edited in place.

Geometry of a plane. An axis is subsampled (log2 = 1) or not (0). A chroma sample belongs to the object when any of
its luma samples does: 2i and 2i+1, with left siting also column 2i-1, with top left siting row 2j-1 too. Half window
and feather of a subsampled axis are (h+1) >> 1 and (f+1) >> 1. With the feathers fx, fy of a plane's two axes

    alpha(x, y) = max over object samples (u, v) of min(ramp_fx(|x-u|), ramp_fy(|y-v|)),
    ramp_f(d) = 256*(f+1-d) // (f+1) for d <= f, else 0

which is the Chebyshev rule of DESIGN 5 where fx = fy. The mask M is alpha > 0, clipped to the plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.targets import Target

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plane. before: whether luma sample 2i-1 belongs to chroma sample i too."""

    size: int
    log2: int
    before: bool

    def luma(self, samples: Ints) -> list[Ints]:
        """The luma coordinates whose OR is the object at `samples`."""
        if not self.log2:
            return [samples]
        first = samples * 2
        return [first, first + 1] + ([first - 1] if self.before else [])

    def half(self, value: int) -> int:
        """A half window or a feather of luma samples, on this axis."""
        return (value + 1) >> 1 if self.log2 else value

    def extent(self, low: int, high: int) -> tuple[int, int]:
        """The samples whose luma samples meet low..high-1, before clipping."""
        if not self.log2:
            return low, high
        return low >> 1, ((high - (0 if self.before else 1)) >> 1) + 1


@dataclass(frozen=True, slots=True)
class Channel:
    """One component: its samples in place, and how its axes relate to luma."""

    samples: Array
    x: Axis
    y: Axis
    chroma: int  # 0 for luma, 1 for U, 2 for V


def channels(planes: Sequence[Array], fmt: PixFmt, siting: str) -> list[Channel]:
    """All components of a frame as two-dimensional views."""
    left, top = siting in ("left", "topleft"), siting == "topleft"
    height, width = planes[0].shape
    out = [Channel(planes[0], Axis(width, 0, False), Axis(height, 0, False), 0)]
    if fmt.chroma:
        views = [planes[1][..., 0], planes[1][..., 1]] if fmt.interleaved else list(planes[1:])
        height, width = views[0].shape
        x, y = Axis(width, fmt.log2_w, left), Axis(height, fmt.log2_h, top)
        out += [Channel(view, x, y, index + 1) for index, view in enumerate(views)]
    return out


def contains(target: Target, ys: Ints, xs: Ints) -> npt.NDArray[np.bool_]:
    """Whether the luma samples ys x xs belong to the object; any coordinates, unclipped."""
    x, y = xs[None, :], ys[:, None]
    inside = (target.x0 <= x) & (x < target.x1) & (target.y0 <= y) & (y < target.y1)
    if target.shape == "ellipse":
        # Inside the box |2x+1-x0-x1| < w, so each product is under w*h <= 2^32 and its square fits uint64; the
        # difference instead of the sum keeps it so.
        w, h = target.width, target.height
        a = np.where(inside, np.abs(2 * x + 1 - target.x0 - target.x1) * h, 0).astype(np.uint64)
        b = np.where(inside, np.abs(2 * y + 1 - target.y0 - target.y1) * w, 0).astype(np.uint64)
        inside &= a * a <= np.uint64(w * h) * np.uint64(w * h) - b * b
    elif target.mask is not None:
        rows = np.clip(ys - target.y0, 0, target.height - 1)
        columns = np.clip(xs - target.x0, 0, target.width - 1)
        inside &= target.mask[np.ix_(rows, columns)] != 0
    return inside


def _shifted(values: Ints, distance: int, axis: int) -> Ints:
    """values moved by `distance` samples along an axis, zeros coming in."""
    out = np.zeros_like(values)
    size = values.shape[axis]
    if abs(distance) < size:
        to, source = [slice(None)] * 2, [slice(None)] * 2
        to[axis] = slice(max(distance, 0), size + min(distance, 0))
        source[axis] = slice(max(-distance, 0), size - max(distance, 0))
        out[tuple(to)] = values[tuple(source)]
    return out


def alpha_map(target: Target, channel: Channel, feather: int) -> tuple[int, int, Ints]:
    """Left, top and alpha (0..256) of the region's bounding box in a channel, clipped to the channel."""
    fx, fy = channel.x.half(feather), channel.y.half(feather)
    left, right = channel.x.extent(target.x0, target.x1)
    top, bottom = channel.y.extent(target.y0, target.y1)
    # The object may count from f samples outside of the channel, and no further.
    xs = np.arange(max(left, -fx) - fx, min(right, channel.x.size + fx) + fx)
    ys = np.arange(max(top, -fy) - fy, min(bottom, channel.y.size + fy) + fy)
    if not len(xs) or not len(ys):
        return 0, 0, np.zeros((0, 0), np.int64)
    thing = np.zeros((len(ys), len(xs)), bool)
    for luma_y in channel.y.luma(ys):
        for luma_x in channel.x.luma(xs):
            thing |= contains(target, luma_y, luma_x)
    rows = np.zeros(thing.shape, np.int64)
    for d in range(-fx, fx + 1):
        rows = np.maximum(rows, _shifted(thing * (256 * (fx + 1 - abs(d)) // (fx + 1)), d, 1))
    alpha = np.zeros(thing.shape, np.int64)
    for d in range(-fy, fy + 1):
        alpha = np.maximum(alpha, np.minimum(_shifted(rows, d, 0), 256 * (fy + 1 - abs(d)) // (fy + 1)))
    in_x, in_y = (xs >= 0) & (xs < channel.x.size), (ys >= 0) & (ys < channel.y.size)
    if not in_x.any() or not in_y.any():
        return 0, 0, np.zeros((0, 0), np.int64)
    return int(xs[in_x][0]), int(ys[in_y][0]), alpha[np.ix_(in_y, in_x)]


def masked_means(values: Ints, mask: Ints, h: int, axis: int) -> Ints:
    """Rounded mean of each window of 2h+1 samples along an axis, over the samples in the mask; 0 off the mask."""
    size = values.shape[axis]
    where = np.arange(size)
    low, high = np.maximum(where - h, 0), np.minimum(where + h + 1, size)
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 0)
    total = np.pad(np.cumsum(values * mask, axis), pad)
    count = np.pad(np.cumsum(mask, axis), pad)
    s = total.take(high, axis) - total.take(low, axis)
    n = np.maximum(count.take(high, axis) - count.take(low, axis), 1)
    mean: npt.NDArray[np.int64] = (s + n // 2) // n * mask
    return mean


def mirrored_means(values: Ints, mask: Ints, h: int, axis: int) -> Ints:
    """The published variant: a sample that is missing counts as the one opposite, about the window's centre.

    Where both are missing neither counts. Windows that lie in the mask have the same mean as in masked_means.
    """
    here = values * mask
    total, count = here.copy(), mask.copy()
    for d in range(1, min(h, values.shape[axis] - 1) + 1):
        before, after = _shifted(here, d, axis), _shifted(here, -d, axis)
        has_before, has_after = _shifted(mask, d, axis) > 0, _shifted(mask, -d, axis) > 0
        total += np.where(has_before, before, after) + np.where(has_after, after, before)
        count += 2 * (has_before | has_after)
    mean: npt.NDArray[np.int64] = (total + count // 2) // np.maximum(count, 1) * mask
    return mean


def _edit(
    planes: Sequence[Array],
    fmt: PixFmt,
    targets: Sequence[Target],
    feather: int,
    siting: str,
    paint: Callable[[Target, Channel, int, int, Ints, Ints], Ints],
    windows: bool,
) -> None:
    """Blend what `paint` makes of the input into each channel; every sample is written by one region.

    paint(target, channel, left, top, samples, mask) -> new samples, all of the region's bounding box. The writer
    has the highest alpha, then (if `windows`) the widest window, then comes first.
    """
    top_code = (1 << fmt.depth) - 1
    for channel in channels(planes, fmt, siting):
        before = (channel.samples.astype(np.int64) >> fmt.shift) & top_code
        after = before.copy()
        best_alpha, best_h = np.zeros_like(before), np.zeros_like(before)
        for target in targets:
            left, top, alpha = alpha_map(target, channel, feather)
            if not alpha.any():
                continue
            box = slice(top, top + alpha.shape[0]), slice(left, left + alpha.shape[1])
            new = paint(target, channel, left, top, before[box], (alpha > 0).astype(np.int64))
            h = (target.h or 0) if windows else 0
            wins = (alpha > best_alpha[box]) | ((alpha == best_alpha[box]) & (alpha > 0) & (h > best_h[box]))
            blended = (alpha * new + (256 - alpha) * before[box] + 128) >> 8
            after[box] = np.where(wins, blended, after[box])
            best_alpha[box] = np.where(wins, alpha, best_alpha[box])
            best_h[box] = np.where(wins, h, best_h[box])
        written = best_alpha > 0
        channel.samples[written] = (after[written] << fmt.shift).astype(channel.samples.dtype)


def blur(
    planes: Sequence[Array],
    fmt: PixFmt,
    targets: Sequence[Target],
    passes: int,
    feather: int,
    siting: str,
    edge: str = "mask",
) -> None:
    """Repeated masked means: rows then columns, each rounded to 16 bits, `passes` times.

    edge: "mask" counts the samples of the mask only; "mirror", in this backend alone and for comparison, replaces a
    missing sample by the one opposite (mirrored_means; bench/edge.py). Raises ValueError for any other.
    """
    if edge not in ("mask", "mirror"):
        raise ValueError(f"edge={edge!r} should be mask or mirror")
    means = masked_means if edge == "mask" else mirrored_means
    fraction = 16 - fmt.depth

    def paint(target: Target, channel: Channel, left: int, top: int, samples: Ints, mask: Ints) -> Ints:
        assert target.h is not None
        state = samples << fraction
        for _ in range(passes):
            state = means(state, mask, channel.x.half(target.h), 1)
            state = means(state, mask, channel.y.half(target.h), 0)
        return (state + (1 << fraction >> 1)) >> fraction

    _edit(planes, fmt, targets, feather, siting, paint, windows=True)


def pixelize(
    planes: Sequence[Array], fmt: PixFmt, targets: Sequence[Target], cells: int, feather: int, siting: str
) -> None:
    """cells x cells means over the unclipped box, each over the samples in the frame and in the mask.

    At most one cell for two luma samples, so that a cell always mixes 2 x 2: min(cells, w // 2) across, at least 1.
    Cell i of n starts at low + i*size // n of the plane's own unclipped box; the outermost reach over the feather.
    """

    def paint(target: Target, channel: Channel, left: int, top: int, samples: Ints, mask: Ints) -> Ints:
        index = []
        for axis, first, luma, length in (
            (channel.y, top, (target.y0, target.y1), samples.shape[0]),
            (channel.x, left, (target.x0, target.x1), samples.shape[1]),
        ):
            low, high = axis.extent(*luma)
            n = max(1, min(cells, (luma[1] - luma[0]) // 2))
            inner = low + np.arange(1, n) * (high - low) // n
            index.append(np.searchsorted(inner, np.arange(first, first + length), side="right"))
        new = samples.copy()
        for row in np.unique(index[0]):
            for column in np.unique(index[1]):
                cell = np.ix_(index[0] == row, index[1] == column)
                n = int(mask[cell].sum())
                new[cell] = (int((samples[cell] * mask[cell]).sum()) + n // 2) // max(n, 1)
        return new

    _edit(planes, fmt, targets, feather, siting, paint, windows=False)


def fill(
    planes: Sequence[Array],
    fmt: PixFmt,
    targets: Sequence[Target],
    color: tuple[int, int, int],
    feather: int,
    siting: str,
) -> None:
    """One colour, given as 8-bit codes."""

    def paint(target: Target, channel: Channel, left: int, top: int, samples: Ints, mask: Ints) -> Ints:
        return np.full_like(samples, color[channel.chroma] << (fmt.depth - 8))

    _edit(planes, fmt, targets, feather, siting, paint, windows=False)
