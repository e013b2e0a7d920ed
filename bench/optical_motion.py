"""Where a box goes by the picture's own motion: the codec's vectors and a small luma search (see optical.py).

A prototype in NumPy, to measure with; nothing of it runs in the program. Boxes are x0, y0, x1, y1 in luma samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Box = Sequence[float]
Array = NDArray[np.float64]
# Side of a template in samples, how far it is searched, and what counts as found: correlation in both directions and
# how far the two may be apart, as a share of the box's mean side.
SIDE, REACH, FOUND, APART = 16, 10, 0.6, 0.15
# Blocks of the middle of a box count: its corners show background.
_INNER = 0.35
# Least-squares weight of an increment of the interpolated path against that of a measured one.
_WEAK = 0.05


@dataclass
class Clip:
    """A decoded clip. luma: (h, w) uint8 of each frame. vectors: libavcodec's AVMotionVector array, or None. kinds: I,
    P or B of each frame. past, future: the frames that its vectors are taken to point to, None where unknown."""

    luma: list[NDArray[np.uint8]]
    vectors: list[NDArray[Any] | None]
    kinds: list[str]
    past: list[int | None]
    future: list[int | None]
    rate: float
    codec: str


def read(path: Path, vectors: bool = True) -> Clip:
    """Decode a clip with its motion vectors."""
    luma: list[NDArray[np.uint8]] = []
    found: list[NDArray[Any] | None] = []
    kinds: list[str] = []
    order: list[int] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if vectors:
            stream.codec_context.options = {"flags2": "+export_mvs"}
        pts: list[int] = []
        for packet in container.demux(stream):
            if packet.pts is not None:
                order.append(packet.pts)
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                plane = frame.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                luma.append(rows[:, : frame.width].copy())
                side = frame.side_data.get("MOTION_VECTORS")
                found.append(side.to_ndarray().copy() if side is not None else None)
                kinds.append("IPB"[int(frame.pict_type) - 1] if int(frame.pict_type) in (1, 2, 3) else "?")
                pts.append(frame.pts or 0)
        place = {p: i for i, p in enumerate(order)}
        decoded = [place.get(p, i) for i, p in enumerate(pts)]
        rate, codec = float(stream.average_rate or 25), stream.codec_context.name
    past, future = references(kinds, decoded)
    return Clip(luma, found, kinds, past, future, rate, codec)


def references(kinds: Sequence[str], decoded: Sequence[int]) -> tuple[list[int | None], list[int | None]]:
    """For each frame in display order the nearest frames before and after it that it can be predicted from.

    libavcodec tells the direction of a vector only. decoded: places in decode order. A B frame that is decoded before
    one shown earlier serves as a reference (a pyramid); other B frames do not.
    """
    count = len(kinds)
    later = [False] * count  # a B frame shown earlier is decoded after this one
    for n, kind in enumerate(kinds):
        m = n - 1
        while kind == "B" and m >= 0 and kinds[m] == "B":
            later[n] |= decoded[m] > decoded[n]
            m -= 1
    serves = [kind != "B" or later[n] for n, kind in enumerate(kinds)]
    past: list[int | None] = []
    future: list[int | None] = []
    for n, kind in enumerate(kinds):
        use = [m for m in range(max(0, n - 16), min(count, n + 17)) if serves[m] and decoded[m] < decoded[n]]
        past.append(max((m for m in use if m < n), default=None) if kind in "PB" else None)
        future.append(min((m for m in use if m > n), default=None) if kind == "B" else None)
    return past, future


def block_shift(vectors: NDArray[Any] | None, box: Box, sign: int) -> tuple[float, float, float] | None:
    """Median way (dx, dy) from the reference to this frame of the blocks in the middle of the box, and the middle
    deviation from it; None where no block has a vector of that sign (intra blocks have none)."""
    if vectors is None:
        return None
    cx, cy, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    near = (np.abs(vectors["dst_x"] - cx) <= np.maximum(_INNER * w, vectors["w"] / 2)) & (
        np.abs(vectors["dst_y"] - cy) <= np.maximum(_INNER * h, vectors["h"] / 2)
    )
    inside = vectors[near & ((vectors["source"] < 0) == (sign < 0))]
    if not len(inside):
        return None
    scale = np.maximum(inside["motion_scale"], 1)
    dx, dy = -inside["motion_x"] / scale, -inside["motion_y"] / scale
    area = inside["w"].astype(float) * inside["h"]
    mx, my = _median(dx, area), _median(dy, area)
    return mx, my, float(_median(np.hypot(dx - mx, dy - my), area))


def _median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def vector_path(clip: Clip, a: int, b: int, guess: Mapping[int, Box]) -> tuple[dict[int, Array], int]:
    """Centres on the frames between the looks a and b by the codec's vectors, and on how many of them it had none.

    guess: boxes on a..b, the looks' and the interpolated ones. Every vector is an equation between two frames' places,
    solved by least squares with both ends fixed: on a chain of equal weights that is the forward and the backward
    chain blended by their distance.
    """
    count = b - a - 1
    centre = {n: _centre(guess[n]) for n in range(a, b + 1)}
    rows: list[tuple[int, int, Array, float]] = []
    missing = 0
    for n in range(a + 1, b + 1):
        rows.append((n - 1, n, centre[n] - centre[n - 1], _WEAK))
        known = 0
        for sign, ref in ((-1, clip.past[n]), (1, clip.future[n])):
            shift = None if ref is None else block_shift(clip.vectors[n], guess[n], sign)
            if ref is None or shift is None:
                continue
            way, spread = np.array(shift[:2]), shift[2]
            inside = min(max(ref, a), b)
            if inside == n:
                continue
            known += 1
            rows.append((inside, n, way * ((n - inside) / (n - ref)), 1 / (0.5 + spread)))
        missing += not known and n < b
    matrix, right = np.zeros((len(rows), count)), np.zeros((len(rows), 2))
    for i, (m, n, way, weight) in enumerate(rows):
        right[i] = way
        for k, factor in ((m, -1.0), (n, 1.0)):
            if k in (a, b):
                right[i] -= factor * centre[k]
            else:
                matrix[i, k - a - 1] = factor
        matrix[i] *= weight
        right[i] *= weight
    solved = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return {a + 1 + i: solved[i] for i in range(count)}, missing


def _centre(box: Box) -> Array:
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def integral(luma: NDArray[np.uint8]) -> Array:
    """(h + 1, w + 1) sums over all samples above and to the left, for `patch`."""
    out = np.zeros((luma.shape[0] + 1, luma.shape[1] + 1))
    np.cumsum(luma, axis=0, dtype=np.float64, out=out[1:, 1:])
    np.cumsum(out[1:, 1:], axis=1, out=out[1:, 1:])
    return out


def patch(sums: Array, box: Box, size: tuple[int, int]) -> Array:
    """(rows, columns) area means of the cells of a box, which may reach over the frame: cells outside take the mean of
    the rest."""
    rows, columns = size
    ys = np.clip(np.linspace(box[1], box[3], rows + 1), 0, sums.shape[0] - 1)
    xs = np.clip(np.linspace(box[0], box[2], columns + 1), 0, sums.shape[1] - 1)
    iy, ix = np.minimum(ys.astype(int), sums.shape[0] - 2), np.minimum(xs.astype(int), sums.shape[1] - 2)
    fy, fx = (ys - iy)[:, None], xs - ix
    lines = sums[iy] * (1 - fy) + sums[iy + 1] * fy
    corner = lines[:, ix] * (1 - fx) + lines[:, ix + 1] * fx
    area = np.diff(ys)[:, None] * np.diff(xs)
    known = area > 1e-6
    mean = np.diff(np.diff(corner, axis=0), axis=1) / np.where(known, area, 1)
    return np.where(known, mean, mean[known].mean() if known.any() else 128.0)


def correlate(window: Array, template: Array) -> Array:
    """Normalised correlation of a template with every place of a window, -1..1; 0 where either is flat."""
    h, w = template.shape
    view = np.lib.stride_tricks.sliding_window_view(window, (h, w))
    t = template - template.mean()
    views = view.reshape(*view.shape[:2], -1)
    both = views @ t.ravel()
    spread = views.std(axis=2) * np.sqrt(h * w)
    norm = spread * np.sqrt((t * t).sum())
    out: Array = np.divide(both, norm, out=np.zeros_like(both), where=norm > 1e-3 * h * w)
    return out


def search(sums: Array, template: Array, box: Box, reach: int = REACH) -> tuple[float, float, float, float]:
    """Best place of a template around a box: (dx, dy) in luma samples, correlation there, and at the box itself.

    The window has the template's sampling at the box's size, so a change of size between the frames does not matter. A
    parabola through the best place and its neighbours gives parts of a sample.
    """
    rows, columns = template.shape
    sx, sy = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
    around = (box[0] - reach * sx, box[1] - reach * sy, box[2] + reach * sx, box[3] + reach * sy)
    score = correlate(patch(sums, around, (rows + 2 * reach, columns + 2 * reach)), template)
    y, x = np.unravel_index(int(score.argmax()), score.shape)
    parts = []
    for line, at in ((score[:, x], int(y)), (score[y], int(x))):
        part = 0.0
        if 0 < at < len(line) - 1:
            low, peak, high = line[at - 1 : at + 2]
            bend = low - 2 * peak + high
            part = float(0.5 * (low - high) / bend) if bend < -1e-9 else 0.0
        parts.append(at - reach + part)
    return parts[1] * sx, parts[0] * sy, float(score[y, x]), float(score[reach, reach])


@dataclass
class Found:
    """What a search says of a frame. centre: None where both directions do not agree. at: correlation at the guess with
    the templates of the look before and after. blend: the directions' places blended by distance, agreed or not."""

    centre: Array | None
    at: tuple[float, float] = (0.0, 0.0)
    blend: Array | None = None


def luma_path(
    sums: Mapping[int, Array], a: int, b: int, guess: Mapping[int, Box], side: int = SIDE, reach: int = REACH
) -> dict[int, Found]:
    """Search the templates of both looks on every frame between them."""
    ends = {n: patch(sums[n], guess[n], (side, side)) for n in (a, b)}
    out: dict[int, Found] = {}
    for n in range(a + 1, b):
        box = guess[n]
        mean_side = (box[2] - box[0] + box[3] - box[1]) / 2
        (ax, ay, av_, a0), (bx, by, bv, b0) = (search(sums[n], ends[k], box, reach) for k in (a, b))
        share = (n - a) / (b - a)
        found = None
        if min(av_, bv) >= FOUND and np.hypot(ax - bx, ay - by) <= APART * mean_side:
            near = np.array([(1 - share) * av_, share * bv])
            near /= near.sum()
            found = _centre(box) + near[0] * np.array([ax, ay]) + near[1] * np.array([bx, by])
        out[n] = Found(found, (a0, b0))
    return out


def chain_path(
    sums: Mapping[int, Array], a: int, b: int, guess: Mapping[int, Box], side: int = SIDE, reach: int = REACH
) -> dict[int, Found]:
    """The same from frame to frame: each frame's template is taken where the one before was found, forward from a and
    backward from b. Follows a face that turns, and drifts."""
    places: list[dict[int, tuple[float, float]]] = []
    for start, stop, step in ((a, b, 1), (b, a, -1)):
        way: dict[int, tuple[float, float]] = {start: (0.0, 0.0)}
        for n in range(start + step, stop, step):
            x, y = way[n - step]
            before, here = (_shifted(guess[k], x, y) for k in (n - step, n))
            dx, dy, value, _ = search(sums[n], patch(sums[n - step], before, (side, side)), here, reach)
            way[n] = (x + dx, y + dy) if value >= FOUND else (x, y)
        places.append(way)
    out: dict[int, Found] = {}
    for n in range(a + 1, b):
        box, share = guess[n], (n - a) / (b - a)
        forward, backward = np.array(places[0][n]), np.array(places[1][n])
        near = np.hypot(*(forward - backward)) <= APART * (box[2] - box[0] + box[3] - box[1]) / 2
        blend = _centre(box) + (1 - share) * forward + share * backward
        out[n] = Found(blend if near else None, blend=blend)
    return out


def _shifted(box: Box, dx: float, dy: float) -> tuple[float, float, float, float]:
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy
