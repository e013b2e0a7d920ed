"""The oracle of seek.py: the same bits, in NumPy.

A window's sample is the mean of a cell. Along each axis the part is read at samples `step` apart (so that a cell has
two to four of them) in the middle of each step; of these a cell has the mean by area, or, where they are fewer than
cells, what lies at its centre between two of them. Weights are integers over TOTAL; the sums of rows keep 16 bits,
those of columns 11.

A correlation is the normalised one of zero-mean samples (Lewis, "Fast Template Matching", 1995): exact integers, then
one double product, root and quotient, each of which IEEE 754 defines to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.seek import CELL, PARTS, UNIT, Found, Samples

Ints = npt.NDArray[np.int64]

TOTAL = 256


def axis(outputs: int, first: int, length: int, size: int) -> tuple[Ints, Ints]:
    """Places (n,) of samples in a plane of that size along one axis, and weights (outputs, n) that add up to TOTAL."""
    step = max(1, length // (CELL * outputs))
    samples = length // step
    if samples < outputs:
        numbers = np.arange(-1, samples + 1)
        centre = (2 * np.arange(outputs) + 1) * samples - outputs
        left, rest = np.divmod(centre, 2 * outputs)
        share = (TOTAL * rest + outputs) // (2 * outputs)
        weights = np.zeros((outputs, len(numbers)), np.int64)
        weights[np.arange(outputs), left + 1] = TOTAL - share
        weights[np.arange(outputs), left + 2] += share
    else:
        numbers = np.arange(samples)
        begin = np.arange(outputs)[:, None] * samples
        upto = np.clip((np.arange(samples + 1) * outputs)[None] - begin, 0, samples)
        weights = np.diff((2 * TOTAL * upto + samples) // (2 * samples), axis=1)
    return np.clip(first + numbers * step + step // 2, 0, size - 1), weights


def window(luma: npt.NDArray[Any], fmt: PixFmt, part: tuple[int, int, int, int], size: tuple[int, int]) -> Samples:
    """See seek.window."""
    left, top, wide, high = part
    columns, across = axis(size[0], left, wide, luma.shape[1])
    rows, down = axis(size[1], top, high, luma.shape[0])
    codes = (luma.astype(np.int64) >> fmt.shift) & ((1 << fmt.depth) - 1)
    codes = codes << (12 - fmt.depth) if fmt.depth <= 12 else codes >> (fmt.depth - 12)
    sums = down @ codes[np.ix_(rows, columns)] >> 4
    return ((sums @ across.T + (1 << 12)) >> 13).astype(np.int16)


def seek(
    seen: Samples,
    before: Samples | None,
    shape: tuple[int, int],
    at: tuple[int, int],
    reach: int,
    least: float,
    texture: int,
) -> Found:
    """See seek.seek."""
    (w, h), (rows, columns), (x, y) = shape, seen.shape, at
    wide = seen.astype(np.int64)
    flat = (w * h * texture * UNIT) ** 2
    score, found = -2.0, False
    if before is not None:
        left = int(np.clip(((x + PARTS // 2) >> 4) - reach, 0, columns - w - 2 * reach))
        top = int(np.clip(((y + PARTS // 2) >> 4) - reach, 0, rows - h - 2 * reach))
        n = 2 * reach + 1
        table = np.array(
            [
                [_correlation(before, wide[top + j : top + j + h, left + i : left + i + w], flat) for i in range(n)]
                for j in range(n)
            ]
        )
        j, i = divmod(int(table.argmax()), n)
        score, found = float(table[j, i]), bool(table[j, i] >= least)
        if found:
            x = PARTS * (left + i) + _peak(table[j], i)
            y = PARTS * (top + j) + _peak(table[:, i], j)
    left, top = int(np.clip(x >> 4, 0, columns - w - 1)), int(np.clip(y >> 4, 0, rows - h - 1))
    fx, fy = int(np.clip(x - PARTS * left, 0, PARTS)), int(np.clip(y - PARTS * top, 0, PARTS))
    four = wide[top : top + h + 1, left : left + w + 1]
    lines = (PARTS - fx) * four[:, :-1] + fx * four[:, 1:]
    now = (((PARTS - fy) * lines[:-1] + fy * lines[1:] + 128) >> 8).astype(np.int16)
    return Found(x, y, score, found, _energy(now) <= flat, now)


def _energy(a: npt.NDArray[Any]) -> int:
    """n times n times the variance of n samples."""
    whole = a.astype(np.int64)
    return int(a.size * (whole * whole).sum() - whole.sum() ** 2)


def _correlation(a: npt.NDArray[Any], b: npt.NDArray[Any], least: int) -> float:
    """least: energy that b is taken to have at least."""
    x, y = a.astype(np.int64), b.astype(np.int64)
    both = int(a.size * (x * y).sum() - x.sum() * y.sum())
    energy = np.float64(max(_energy(a), 1)) * np.float64(max(_energy(b), least, 1))
    return float(np.float64(both) / np.sqrt(energy))


def _peak(line: npt.NDArray[np.float64], at: int) -> int:
    """Where the parabola through three neighbours has its top, in parts."""
    if not 0 < at < len(line) - 1:
        return 0
    low, top, high = line[at - 1 : at + 2]
    bend = low - 2 * top + high
    return int(np.floor(PARTS // 2 * (low - high) / bend + 0.5)) if bend < -1e-9 else 0
