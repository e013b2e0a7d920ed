"""How bench/compose.py puts sprites on footage, and what is known of them then: boxes and visible shares.

Coordinates are continuous luma samples of the clip: sample i reaches from i to i + 1. All motion is a function of time
in frames; a frame n is exposed about t = n. Everything of the truth is of t = n: with motion blur the box is where the
object is in the middle of the exposure, which is where it shows for at least half of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from compose_sprites import Points, Sprite, box_of
from compose_turn import turned
from numpy.typing import NDArray

Image = NDArray[np.float32]  # (h, w, 3), RGB, 0..1
Matrix = NDArray[np.float64]  # (3, 3)
Box = tuple[float, float, float, float]

SEEN, SURE = 0.1, 0.25  # visible share from which on an object is listed (in doubt), and is sure
LEAST = {"face": 16.0, "plate": 8.0}  # height from which on it is listed
FINE = 4  # samples a side by which the truth's masks are averaged


class Pose(NamedTuple):
    """Where a sprite is: its centre x, y and its height in luma samples, roll and yaw in degrees."""

    x: float
    y: float
    height: float
    roll: float = 0.0
    yaw: float = 0.0


Motion = Callable[[float], Pose | None]  # None: not there


@dataclass(frozen=True)
class Actor:
    """A sprite and its way. `tags` and `note` go to the truth."""

    sprite: Sprite
    way: Motion
    tags: tuple[str, ...] = ()
    note: str = ""
    flip: bool = False


@dataclass(frozen=True)
class Shot:
    """Frames without a cut: footage, what is on it from the back to the front, and the camera.

    footage(k) is the k-th frame of the shot. camera(t): the map from the scene to the frame, which moves footage and
    actors. exposures: pictures that are averaged over `shutter` of a frame time, an odd number. light(t): gain.
    """

    frames: int
    footage: Callable[[int], Image]
    actors: Sequence[Actor]
    camera: Callable[[float], Matrix] | None = None
    exposures: int = 1
    shutter: float = 0.0
    light: Callable[[float], float] | None = None


class Layer(NamedTuple):
    """What a sprite covers of the frame: alpha (h, w) of a part that begins at x, y."""

    x: int
    y: int
    alpha: NDArray[np.float32]


class Seen(NamedTuple):
    """An object on a frame. box: clipped to the frame and to what is not covered; visible: 0..1; height: unclipped."""

    box: Box
    visible: float
    height: float


def placed(sprite: Sprite, pose: Pose, flip: bool = False) -> Matrix:
    """The map from a sprite's samples to the scene, both continuous."""
    scale, angle = pose.height / sprite.height, math.radians(pose.roll)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    mirror = -1.0 if flip else 1.0
    linear = np.array([[c * mirror, -s], [s * mirror, c]])
    out = np.eye(3)
    out[:2, :2] = linear
    out[:2, 2] = np.array([pose.x, pose.y]) - linear @ np.array(sprite.centre)
    return out


def moved(points: Points, matrix: Matrix) -> Points:
    """Points through an affine map."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def put(canvas: Image, sprite: Sprite, matrix: Matrix) -> Layer | None:
    """Lay a sprite on the canvas, in place; what it covers, None where it is out of the frame."""
    height, width = canvas.shape[:2]
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    picture, rest = sprite.level(scale)
    step = rest / scale
    h, w = sprite.picture.shape[:2]
    x0, y0, x1, y1 = box_of(moved(np.array([[0, 0], [w, 0], [w, h], [0, h]], float), matrix))
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(width, math.ceil(x1)), min(height, math.ceil(y1))
    if left >= right or top >= bottom:
        return None
    # OpenCV counts from sample centres: half a sample less on either side.
    linear = matrix[:2, :2] * step
    shift = matrix[:2, 2] + linear @ [0.5, 0.5] - [left + 0.5, top + 0.5]
    affine = np.hstack([linear, shift[:, None]])
    part = cv2.warpAffine(picture, affine, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    alpha = np.ascontiguousarray(part[..., 3])
    under = canvas[top:bottom, left:right]
    under *= 1 - alpha[..., None]
    under += part[..., :3]
    return Layer(left, top, alpha)


def mask_of(points: Points, width: int, height: int) -> Layer | None:
    """A polygon's share of each sample, 0..1; None where it is out of the frame."""
    x0, y0, x1, y1 = box_of(points)
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(width, math.ceil(x1)), min(height, math.ceil(y1))
    if left >= right or top >= bottom:
        return None
    fine = np.zeros(((bottom - top) * FINE, (right - left) * FINE), np.uint8)
    at = (points - [left, top]) * FINE - 0.5
    cv2.fillPoly(fine, [np.round(at * 256).astype(np.int32)], 255, shift=8)
    alpha = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return Layer(left, top, alpha.astype(np.float32) / np.float32(255))


def through(mask: Layer, layers: Sequence[Layer | None]) -> NDArray[np.float32]:
    """What of a mask is left behind `layers`."""
    left = mask.alpha.copy()
    for layer in layers:
        if layer is None:
            continue
        x0, y0 = max(mask.x, layer.x), max(mask.y, layer.y)
        x1 = min(mask.x + mask.alpha.shape[1], layer.x + layer.alpha.shape[1])
        y1 = min(mask.y + mask.alpha.shape[0], layer.y + layer.alpha.shape[0])
        if x0 < x1 and y0 < y1:
            cover = layer.alpha[y0 - layer.y : y1 - layer.y, x0 - layer.x : x1 - layer.x]
            left[y0 - mask.y : y1 - mask.y, x0 - mask.x : x1 - mask.x] *= 1 - cover
    return left


def area(points: Points) -> float:
    """Of a polygon (shoelace formula)."""
    x, y = points[:, 0], points[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def seen(points: Points, layers: Sequence[Layer | None], width: int, height: int, share: float) -> Seen | None:
    """An object with this outline behind `layers`. share: of it that could show were nothing before it."""
    mask = mask_of(points, width, height)
    if mask is None:
        return None
    left = through(mask, layers)
    visible = share * float(left.sum()) / max(area(points), 1e-9)
    x0, y0, x1, y1 = full = box_of(points)
    box = max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)
    if float(left.sum()) < 0.98 * float(mask.alpha.sum()):
        solid = left > 0.5 * np.maximum(mask.alpha, 0.5)
        columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
        if not columns.size:
            return None
        edge = mask.x + columns[0], mask.y + rows[0], mask.x + columns[-1] + 1, mask.y + rows[-1] + 1
        box = max(box[0], edge[0]), max(box[1], edge[1]), min(box[2], edge[2]), min(box[3], edge[3])
    return Seen((float(box[0]), float(box[1]), float(box[2]), float(box[3])), min(1.0, visible), full[3] - full[1])


def exposure(shot: Shot, k: int, t: float) -> tuple[Image, list[tuple[Points, float] | None], list[Layer | None]]:
    """One instant: picture, each actor's outline in the frame and the share that faces the camera, and its layer."""
    camera = np.eye(3) if shot.camera is None else shot.camera(t)
    ground = shot.footage(k)
    height, width = ground.shape[:2]
    if shot.camera is None:
        canvas = ground.copy()
    else:
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        to = (np.linalg.inv(half) @ camera @ half)[:2]
        canvas = cv2.warpAffine(ground, to, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    outlines: list[tuple[Points, float] | None] = []
    layers: list[Layer | None] = []
    for actor in shot.actors:
        pose = actor.way(t)
        if pose is None:
            outlines.append(None)
            layers.append(None)
            continue
        sprite, share = actor.sprite, 1.0
        if pose.yaw:
            scale = pose.height / sprite.height * math.sqrt(abs(float(np.linalg.det(camera[:2, :2]))))
            sprite, share = turned(sprite, pose.yaw, scale)
        matrix = camera @ placed(sprite, pose, actor.flip)
        layers.append(put(canvas, sprite, matrix))
        outlines.append(None if sprite.outline is None or share <= 0 else (moved(sprite.outline, matrix), share))
    return canvas, outlines, layers


def render(shot: Shot, k: int) -> tuple[Image, list[Seen | None]]:
    """The shot's k-th frame, without noise, and what is seen of each actor (None: nothing, or nothing to hide)."""
    times = [k + shot.shutter * ((i + 0.5) / shot.exposures - 0.5) for i in range(shot.exposures)]
    total: Image | None = None
    for i, t in enumerate(times):
        picture, here, cover = exposure(shot, k, t)
        if i == shot.exposures // 2:
            outlines, layers = here, cover
        total = picture if total is None else total + picture
    assert total is not None
    light = 1.0 if shot.light is None else shot.light(float(k))
    image = total * np.float32(light / shot.exposures)
    height, width = image.shape[:2]
    found = [
        None if outline is None else seen(outline[0], layers[i + 1 :], width, height, outline[1])
        for i, outline in enumerate(outlines)
    ]
    return image, found
