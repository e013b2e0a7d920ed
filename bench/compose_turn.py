"""A head that turns, for bench/compose.py: the photograph of its front laid around an upright cylinder.

What is approximated: a head is no cylinder (the nose does not stand out, so a profile is flat), and the photograph
shows nothing of its back, which is hair above and neck below, in the photograph's colours. The shoulders get narrower
as they turn, their front does not change. A detector finds such a face up to about 60 degrees.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from compose_sprites import Sprite
from numpy.typing import NDArray

FEATURES = 40.0  # degrees on both sides of the nose that hold eyes and mouth
RIM = 82.0  # degrees off the line of sight where a feature is too foreshortened to be told
DEPTH = 0.62  # of the shoulders, as a share of their width


def shown(yaw: float) -> float:
    """Share of the face's features that can be seen of a head turned by `yaw` degrees: 1 to 42, 0.25 at 102."""
    angle = (yaw + 180) % 360 - 180
    low, high = max(angle - FEATURES, -RIM), min(angle + FEATURES, RIM)
    return max(0.0, high - low) / (2 * FEATURES)


@lru_cache(maxsize=256)
def rows_of(sprite: Sprite) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and half width of the head on each row of the sprite, (h,) each."""
    assert sprite.head is not None
    x0, y0, x1, y1 = sprite.head
    h = sprite.picture.shape[0]
    middle, half = np.full(h, (x0 + x1) / 2), np.full(h, (x1 - x0) / 2)
    lowest = round(y0 + 0.8 * (y1 - y0))
    for row in range(round(y0), lowest):
        solid = np.flatnonzero(sprite.picture[row, :, 3] > 0.5)
        solid = solid[(solid > x0 - 0.25 * (x1 - x0)) & (solid < x1 + 0.25 * (x1 - x0))]
        if solid.size:
            middle[row], half[row] = (solid[0] + solid[-1] + 1) / 2, max(3.0, (solid[-1] + 1 - solid[0]) / 2)
    middle[: round(y0)], half[: round(y0)] = middle[round(y0)], half[round(y0)]
    fade = np.interp(np.arange(h), [lowest - 1, y1], [0.0, 1.0])
    middle[lowest:] = (middle[lowest - 1] * (1 - fade) + middle * fade)[lowest:]
    half[lowest:] = (half[lowest - 1] * (1 - fade) + half * fade)[lowest:]
    smooth = np.ones(5) / 5
    return tuple(np.convolve(np.pad(v, 2, mode="edge"), smooth, "valid") for v in (middle, half))  # type: ignore[return-value]


def back_of(sprite: Sprite) -> NDArray[np.float32]:
    """Colours of the head's back, by row: (h, 3)."""
    assert sprite.head is not None
    assert sprite.outline is not None
    x0, y0, x1, y1 = (round(v) for v in sprite.head)
    top = round(float(sprite.outline[:, 1].min()))
    picture = sprite.picture

    def colour(part: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = part.reshape(-1, 4)
        return np.asarray(np.median(flat[flat[:, 3] > 0.9][:, :3], 0), np.float32)

    width = x1 - x0
    hair = colour(picture[y0 : max(y0 + 2, top), x0 + width // 4 : x1 - width // 4])
    low = top + (y1 - top) * 2 // 3
    skin = colour(picture[low - max(2, (y1 - top) // 14) : low, x0 + width // 4 : x1 - width // 4]) * np.float32(0.8)
    neck = np.interp(np.arange(picture.shape[0]), [top + 0.6 * (y1 - top), top + 0.75 * (y1 - top)], [0, 1])
    return np.asarray(hair + (skin - hair) * neck[:, None], np.float32)


@lru_cache(maxsize=256)
def reduced(sprite: Sprite, step: int) -> Sprite:
    """The sprite's picture halved `step` times, all its measures with it."""
    by = 2.0**-step
    assert sprite.outline is not None
    assert sprite.head is not None
    x0, y0, x1, y1 = (v * by for v in sprite.head)
    cx, cy = sprite.centre
    return replace(
        sprite, picture=sprite.levels[step], centre=(cx * by, cy * by), height=sprite.height * by,
        outline=sprite.outline * by, head=(x0, y0, x1, y1), levels=(),
    )  # fmt: skip


@lru_cache(maxsize=256)
def prepared(sprite: Sprite) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """What of `turned` does not depend on the angle: `rows_of`, and the back of the head, (h, w, 3)."""
    middle, half = rows_of(sprite)
    rng = np.random.Generator(np.random.PCG64(7))
    shape = sprite.picture.shape[:2]
    strands = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 1.0, sigmaY=3.0)
    return middle, half, np.asarray(back_of(sprite)[:, None, :] * (1 + 0.25 * strands[..., None]), np.float32)


def turned(whole: Sprite, yaw: float, scale: float) -> tuple[Sprite, float]:
    """The sprite with head and shoulders turned by `yaw` degrees (positive: its nose to the right), and `shown`.

    It comes at the resolution that is enough to be put on a frame at `scale` of `whole`.
    """
    step = min(max(0, math.floor(-math.log2(max(scale, 1e-3)))), len(whole.levels) - 1)
    sprite = reduced(whole, step)
    assert sprite.head is not None
    assert sprite.outline is not None
    x0, y0, x1, y1 = sprite.head
    height, width = sprite.picture.shape[:2]
    angle = math.radians((yaw + 180) % 360 - 180)
    middle, half, back = prepared(sprite)
    xs, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    # The body gets narrower below the neck.
    narrow = math.sqrt(math.cos(angle) ** 2 + (DEPTH * math.sin(angle)) ** 2)
    squeeze = np.interp(rows, [y1, y1 + 0.25 * (y1 - y0)], [1.0, narrow])
    axis = (x0 + x1) / 2
    picture = sampled(sprite.picture, axis + (xs[None, :] - axis) / squeeze[:, None], 0)
    # The head, from its top to a little below the chin.
    top, bottom = max(0, math.floor(y0) - 2), min(height, math.ceil(y1 + 0.08 * (y1 - y0)))
    part = slice(top, bottom)
    u = (xs[None, :] - middle[part, None]) / half[part, None]
    source = np.arcsin(np.clip(u, -1, 1)) - angle
    face = sampled(sprite.picture, middle[part, None] + half[part, None] * np.clip(np.sin(source), -0.96, 0.96), top)
    seen = (np.clip((np.cos(source) + 0.02) / 0.3, 0, 1) * np.clip(2 * face[..., 3] - 1, 0, 1))[..., None]
    colours = face[..., :3] / np.maximum(face[..., 3:], 1e-3) * seen + back[part] * (1 - seen)
    colours *= (0.7 + 0.3 * np.sqrt(np.clip(1 - u**2, 0, 1)))[..., None]
    alpha = picture[part, :, 3:]
    head = np.concatenate([np.clip(colours, 0, 1) * alpha, alpha], 2)
    mix = np.clip((bottom - rows[part]) / max(1.0, 0.08 * (y1 - y0)), 0, 1)[:, None] * (np.abs(u) <= 1)
    picture[part] += (head - picture[part]) * mix[..., None].astype(np.float32)
    return replace(sprite, picture=picture, outline=outline_of(whole, angle) * 0.5**step), shown(yaw)


def outline_of(sprite: Sprite, angle: float) -> NDArray[np.float64]:
    """The face's outline on a head turned by `angle` radians; what is turned away lies on the head's edge."""
    assert sprite.outline is not None
    middle, half = rows_of(sprite)
    at = np.clip(np.floor(sprite.outline[:, 1]).astype(int), 0, len(middle) - 1)
    phi = np.arcsin(np.clip((sprite.outline[:, 0] - middle[at]) / half[at], -1, 1)) + angle
    x = middle[at] + half[at] * np.sin(np.clip(phi, -math.pi / 2, math.pi / 2))
    return np.stack([x, sprite.outline[:, 1]], 1)


def sampled(picture: NDArray[np.float32], x: NDArray[np.float64], top: int) -> NDArray[np.float32]:
    """Rows of a picture from `top` on, each sample from `x` (continuous) of its row."""
    y = np.broadcast_to(np.arange(top, top + x.shape[0], dtype=np.float32)[:, None], x.shape)
    out = cv2.remap(picture, (x - 0.5).astype(np.float32), np.ascontiguousarray(y), cv2.INTER_LINEAR)
    return np.asarray(out, np.float32)
