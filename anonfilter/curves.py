"""Curves through the boxes of a track: what filters/interp.py fills gaps with.

States are centre x, centre y, width, height in luma samples, frames decode ordinals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anonfilter.assoc import Array
from anonfilter.records import Box


def state(box: Box) -> tuple[float, float, float, float]:
    """Centre and size."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def boxes_of(states: Array) -> Array:
    """(..., 4) boxes of (..., 4) centres and sizes."""
    centre, half = states[..., :2], np.maximum(states[..., 2:], 0.0) / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def path(method: str, knots: Array, states: Array, at: int, frames: Array) -> Array:
    """(N, T, 4) boxes of T tracks on N `frames`, which lie between knots at and at + 1.

    knots: (K,) frames, rising. states: (K, T, 4) centre x, y, width, height. Each box contains the linear
    one.
    """
    share = ((frames - knots[at]) / (knots[at + 1] - knots[at]))[:, None, None]
    straight = boxes_of(states[at] + share * (states[at + 1] - states[at]))
    if method == "linear":
        return straight
    if method == "nearest":
        curve = boxes_of(np.where(share <= 0.5, states[at], states[at + 1]))
    else:
        curve = boxes_of(_spline(method, knots, states)(frames))
    low = np.minimum(straight[..., :2], curve[..., :2])
    return np.concatenate([low, np.maximum(straight[..., 2:], curve[..., 2:])], axis=-1)


def _spline(method: str, knots: Array, states: Array) -> Any:
    if method == "pchip":
        return lambda frames: pchip(knots, states, frames)
    from scipy.interpolate import Akima1DInterpolator, CubicSpline

    return Akima1DInterpolator(knots, states, method="makima") if method == "makima" else CubicSpline(knots, states)


def pchip(x: Array, y: Array, at: Array) -> Array:
    """(N, ...) values at `at` of the monotone cubic through (K,) x and (K, ...) y, K >= 2.

    The same curve as scipy.interpolate.PchipInterpolator (Fritsch and Butland, "A method for constructing local
    monotone piecewise cubic interpolants", 1984; ends as in Moler, "Numerical Computing with MATLAB", 3.6). It is
    here because it is the default, so that a run need not import SciPy (about half a second on two cores).
    """
    h = np.diff(x).reshape(-1, *[1] * (y.ndim - 1))
    slope = np.diff(y, axis=0) / h
    d = np.zeros_like(y)
    if len(x) == 2:
        d[:] = slope[0]
    else:
        left, right, w1, w2 = slope[:-1], slope[1:], 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        same = left * right > 0
        mean = np.divide(w1, left, out=np.ones_like(left), where=same)
        mean += np.divide(w2, right, out=np.ones_like(left), where=same)
        d[1:-1] = np.where(same, (w1 + w2) / mean, 0.0)
        for end, h0, h1, s0, s1 in ((0, h[0], h[1], slope[0], slope[1]), (-1, h[-1], h[-2], slope[-1], slope[-2])):
            first = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
            first = np.where(np.sign(first) != np.sign(s0), 0.0, first)
            steep = (np.sign(s0) != np.sign(s1)) & (np.abs(first) > 3 * np.abs(s0))
            d[end] = np.where(steep, 3 * s0, first)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = ((at - x[i]) / (x[i + 1] - x[i])).reshape(-1, *[1] * (y.ndim - 1))
    out: Array = (
        y[i] * (1 + 2 * t) * (1 - t) ** 2
        + y[i + 1] * t**2 * (3 - 2 * t)
        + h[i] * t * (1 - t) * (d[i] * (1 - t) - d[i + 1] * t)
    )
    return out
