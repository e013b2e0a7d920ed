"""The letterbox's oracle: the same integer weights as the C++ pass, as whole matrices, then doubles.

Resampling, per plane and axis, in the plane's own samples, where an output sample i covers [a, b):
  b - a >= 1: the mean over [a, b), clipped to the area (box filter; small faces do not alias);
  b - a < 1: linear interpolation at (a + b) / 2, edges repeated.
Of a sample the upper 10 bits count, or all 8. Weights are integers that add up to 2^8 (rows, 8 bit), 2^6 (rows,
deeper) or 2^14 (columns): after the rows a sample has 16 bits, and the sum over columns stays exact. A box filter's
weights are differences of the rounded cumulative weight, so that their centre of gravity is kept. Chroma of left
siting lies half a
luma sample further left than its pair's centre, and for top left siting further up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import Letterbox

TOLERANCE = 5e-4
"""Largest difference of another backend, in units of RGB 0..255 (times |scale|).

Integers up to the end, then at most ten float32 operations on terms below 600: 10 * 600 * 2^-24 = 3.6e-4.
"""


def taps(
    n: int, first: int, length: int, p: int, q: int, reverse: bool, log2: int, shift: bool, total: int
) -> tuple[int, npt.NDArray[np.float64]]:
    """Lowest sample and weights (n, samples) of one axis.

    n outputs of q / p luma samples each over the luma samples first .. first + length - 1; log2 = 1 for a
    subsampled axis, shift: its samples lie on the luma sample 2i, not between 2i and 2i+1.
    """
    # All positions are integers over `unit`, in the plane's samples.
    unit = 4 * p if log2 else p
    low, high = first >> log2, -(-(first + length) >> log2)
    weights = np.zeros((n, high - low), np.float64)
    for i in range(n):
        begin = (first + length) * p - (i + 1) * q if reverse else first * p + i * q
        a, b = begin, begin + q
        if log2:
            a, b = 2 * a + p * shift, 2 * b + p * shift
        if b - a < unit:
            centre = a + b - unit  # twice the position, counted from sample centres
            left, rest = divmod(centre, 2 * unit)
            right_weight = (2 * total * rest + 2 * unit) // (4 * unit)
            for sample, weight in ((left, total - right_weight), (left + 1, right_weight)):
                weights[i, min(max(sample, low), high - 1) - low] += weight
            continue
        a, b = max(a, low * unit), min(b, high * unit)
        if b <= a:
            weights[i, 0 if b <= low * unit else -1] = total
            continue
        before = 0
        for sample in range(a // unit, -(-b // unit)):
            covered = min(b, (sample + 1) * unit) - a
            after = (2 * total * covered + (b - a)) // (2 * (b - a))
            weights[i, sample - low] = after - before
            before = after
    return low, weights


def letterbox(
    planes: Sequence[npt.NDArray[Any]],
    fmt: PixFmt,
    box: Letterbox,
    siting: str,
    matrix: npt.NDArray[np.float64],
    mean: tuple[float, float, float],
    scale: tuple[float, float, float],
    pad: tuple[float, float, float],
    out: npt.NDArray[np.float32],
) -> None:
    """Fill `out` (3, H, W); the arguments are those that `ops.letterbox` has checked and completed."""
    channels = [planes[0]]
    if fmt.chroma:
        channels += [planes[1][..., 0], planes[1][..., 1]] if fmt.interleaved else list(planes[1:])
    across, down = box.inner[::-1] if box.swap else box.inner
    kept = min(fmt.depth, 10)
    rows_total, columns_total = 1 << (16 - kept), 16384
    codes = []
    for index, channel in enumerate(channels):
        log2_w, log2_h = (fmt.log2_w, fmt.log2_h) if index else (0, 0)
        p, q = box.numerator, box.denominator
        top, rows = taps(
            down, box.y0, box.height, p, q, box.reverse_y, log2_h, siting == "topleft", rows_total
        )
        left, columns = taps(
            across, box.x0, box.width, p, q, box.reverse_x, log2_w, siting != "center", columns_total
        )
        area = channel[top : top + rows.shape[1], left : left + columns.shape[1]]
        samples = ((area >> (fmt.shift + fmt.depth - kept)) & ((1 << kept) - 1)).astype(np.float64)
        # Sums stay far below 2^53: doubles hold them exactly, in any order.
        codes.append(rows @ samples @ columns.T * (2.0**fmt.depth / (65536 * columns_total)))
    inner_w, inner_h = box.inner
    place = slice(box.pad_y, box.pad_y + inner_h), slice(box.pad_x, box.pad_x + inner_w)
    for c in range(3):
        value = matrix[c, 3] + sum(matrix[c, k] * code for k, code in enumerate(codes))
        rgb = np.clip(value, 0, 255)
        out[c] = (pad[c] - mean[c]) * scale[c]
        out[c][place] = ((rgb.T if box.swap else rgb) - mean[c]) * scale[c]
