"""The measure *pixels*: what the OUTPUT file still shows of an object, seen through its encoder.

Both files' luma is taken to the band of 3 to 17 samples (box mean 3 minus box mean 17): finer detail an encoder may
lose by itself, coarser detail is no feature. The truth box is cut into blocks of about 8 x 8 that lie inside it. With s
and o the bands of source and output, a block's gain is sum(s*o)/sum(s*s), the share of the source's detail that is left
(least squares): 1 for an untouched block, about 0 for a blurred or filled one. A block is clear where the gain is at
least GAIN and the two bands' correlation at least LIKE (new edges are strong detail of their own, and have some gain by
chance). A block with less detail than FLAT (root mean square) says nothing, unless its mean level moved by LEVEL or
more (then it was painted over): it is left out of the share. An object-frame with less than KNOWN of its area left
counts as unmeasurable, never as covered. A plain re-encode must read about 0, a filled box 1: tests/test_leak.py, and
the calibration in bench/truth/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from anonfilter.errors import InputError
from anonfilter.leak.byrecords import Measured, span
from anonfilter.leak.truth import Truth
from anonfilter.records import Box

Image = NDArray[np.float32]

FINE, COARSE, BLOCK = 3, 17, 8
GAIN, LIKE, FLAT, LEVEL, KNOWN = 0.5, 0.6, 2.0, 8.0, 0.2


def band(luma: NDArray[Any]) -> Image:
    """Detail of 3 to 17 samples, float32 of the shape of `luma`."""
    plane = luma.astype(np.float32)
    return uniform_filter(plane, FINE, mode="nearest") - uniform_filter(plane, COARSE, mode="nearest")


def edges(low: int, high: int) -> list[int]:
    """Edges of blocks of about BLOCK samples from low to high."""
    count = max(1, round((high - low) / BLOCK))
    return [low + (high - low) * i // count for i in range(count + 1)]


def blocks(source: NDArray[Any], output: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """State of each block of two luma planes of one shape (1 covered, 0 clear, -1 unknown), and its area.

    The bands are taken of these planes alone: cut to the truth box, so that nothing around it counts.
    """
    ys, xs = edges(0, source.shape[0]), edges(0, source.shape[1])
    area = np.outer(np.diff(ys), np.diff(xs))

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        rows = np.add.reduceat(values, ys[:-1], axis=0, dtype=np.float64)
        return np.asarray(np.add.reduceat(rows, xs[:-1], axis=1))

    s, o = band(source), band(output)
    power, both = total(s * s), total(s * o)
    covered = (both < GAIN * power) | (both < LIKE * np.sqrt(power * total(o * o)))
    moved = np.abs(total(source) - total(output)) >= LEVEL * area
    told = power >= FLAT * FLAT * area
    return np.where(told, covered, np.where(moved, 1, -1)).astype(np.int8), area


def pixel_share(source: NDArray[Any], output: NDArray[Any], box: Box) -> float | None:
    """Covered share of the box's known area, 0..1; None where less than KNOWN of it is known.

    source, output: luma of one frame, (height, width) in 8-bit codes.
    """
    (x0, x1), (y0, y1) = span(box[0], box[2], source.shape[1]), span(box[1], box[3], source.shape[0])
    if x1 <= x0 or y1 <= y0:
        return None
    state, area = blocks(source[y0:y1, x0:x1], output[y0:y1, x0:x1])
    known = int(area[state >= 0].sum())
    return float(area[state == 1].sum() / known) if known >= max(1, KNOWN * area.sum()) else None


def luma_frames(path: str | Path) -> Iterator[NDArray[Any]]:
    """Luma of each frame, (h, w) in 8-bit codes; deeper formats are scaled down, not cut. Raises InputError."""
    import av
    import av.error

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: no video in it")
            for frame in container.decode(video=0):
                yield _luma(path, frame)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be decoded: {error.strerror or error}") from None


def _luma(path: str | Path, frame: Any) -> NDArray[Any]:
    component, plane = frame.format.components[0], frame.planes[0]
    if frame.format.is_rgb or component.plane != 0:
        raise InputError(f"{path}: {frame.format.name} has no luma plane to compare; use a YUV file")
    wide = component.bits > 8
    data: NDArray[Any] = np.frombuffer(memoryview(plane), np.uint16 if wide else np.uint8)
    rows = data.reshape(plane.height, -1)[:, : frame.width]
    if not wide:
        return rows.copy()
    low = 6 if frame.format.name.startswith("p0") else 0
    return np.asarray((rows >> low) / np.float32(1 << (component.bits - 8)))


def frame_rate(path: str | Path) -> Fraction | None:
    """Frames a second, the stream's average; None where the file does not say. Raises InputError."""
    import av
    import av.error

    try:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate if container.streams.video else None
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror or error}") from None
    return Fraction(rate) if rate else None


def of_output(truth: Truth, source: str | Path, output: str | Path) -> Measured:
    """Compare two files frame by frame. Raises InputError where they or the truth do not belong together.

    covered and beyond count blocks that changed, and that no truth box touches; a block that says nothing is no part of
    rest.
    """
    result = Measured("pixels", frames=truth.frames)
    count = 0
    for a, b in zip_longest(luma_frames(source), luma_frames(output)):
        if a is None or b is None:
            raise InputError(f"{output if b is None else source}: ends after {count} frames, before the other file")
        size = (truth.height, truth.width)
        for name, plane in ((source, a), (output, b)):
            if plane.shape != size:
                raise InputError(
                    f"{name}: frame {count} is {plane.shape[1]}x{plane.shape[0]}, the truth of {truth.clip} is of "
                    f"{size[1]}x{size[0]}"
                )
        result.looks += [replace(k, share=pixel_share(a, b, k.box)) for k in truth.looks.get(count, ())]
        state, area = blocks(a, b)
        result.covered += int(area[state == 1].sum())
        for k in truth.everything.get(count, ()):  # what is left of `state` is outside of all truth boxes
            rows, columns = (np.clip(np.array([k.box[i], k.box[i + 2]]) / BLOCK, 0, None) for i in (1, 0))
            part = (slice(int(rows[0]), math.ceil(rows[1]) + 1), slice(int(columns[0]), math.ceil(columns[1]) + 1))
            result.objects += int(area[part][state[part] >= 0].sum())
            state[part] = -1
        result.beyond += int(area[state == 1].sum())
        result.rest += int(area[state >= 0].sum())
        count += 1
    if count != truth.frames:
        raise InputError(f"{output}: {count} frames, the truth of {truth.clip} speaks of {truth.frames}")
    return result
