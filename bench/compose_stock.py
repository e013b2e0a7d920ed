"""What the scenes of bench/compose.py are made with: footage, sprites, and ways to move.

Times are frames, places luma samples, sizes the height of a face or plate.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from compose_render import Image, Matrix, Motion, Pose, Shot
from compose_sprites import Sprite, car, person

END = math.inf


@dataclass(frozen=True)
class Scene:
    """One clip. movement: "little" or "busy". joins: how each shot follows the one before: 0 a hard cut, N a dissolve
    of N frames. noise: of the sensor, standard deviation in 8-bit codes; soft: of the lens, in luma samples; gain:
    dark.
    """

    name: str
    movement: str
    shots: Sequence[Shot]
    joins: Sequence[int] = (0,)
    noise: float = 2.0
    soft: float = 0.5
    gain: float = 1.0
    rate: int = 25


class Stock:
    """Sprites and footage of the development data, each made once."""

    def __init__(self, data: Path) -> None:
        self.data = data

    @cache  # noqa: B019 (one Stock lives as long as the process)
    def face(self, name: str) -> Sprite:
        """A person of compose_sprites.FACES."""
        return person(self.data, name)

    @cache  # noqa: B019
    def car(self, text: str, paint: str = "blue", yellow: bool = False, band: bool = False) -> Sprite:
        """A car with this number."""
        return car(self.data, text, paint, yellow, band)

    @cache  # noqa: B019
    def frames(self, clip: str, first: int, count: int, crop: tuple[int, int, int, int], size: tuple[int, int]) -> list[
        np.ndarray
    ]:  # fmt: skip
        """`count` frames of a clip from `first`, cropped (x0, y0, x1, y1) and scaled to `size`, uint8 RGB."""
        out = []
        x0, y0, x1, y1 = crop
        with av.open(str(self.data / "clips" / clip)) as container:
            for n, frame in enumerate(container.decode(video=0)):
                if n >= first + count:
                    break
                if n >= first:
                    rgb = frame.to_ndarray(format="rgb24")[y0:y1, x0:x1]
                    how = cv2.INTER_AREA if x1 - x0 > size[0] else cv2.INTER_CUBIC
                    out.append(np.asarray(cv2.resize(rgb, size, interpolation=how)))
        return out

    def footage(
        self, clip: str, first: int, count: int, crop: tuple[int, int, int, int], size: tuple[int, int] = (640, 360)
    ) -> Callable[[int], Image]:
        """Footage that runs to and fro over `count` frames: no cut where it repeats."""

        def at(k: int) -> Image:
            frames = self.frames(clip, first, count, crop, size)
            back = k % max(1, 2 * count - 2)
            return np.asarray(frames[back if back < count else 2 * count - 2 - back], np.float32) / np.float32(255)

        return at

    def corridor(self, first: int = 0, count: int = 56, size: tuple[int, int] = (640, 360)) -> Callable[[int], Image]:
        """An empty corridor, camera at rest."""
        return self.footage("people-corridor.mp4", first, count, (0, 0, 768, 432), size)

    def street(self, size: tuple[int, int] = (640, 360)) -> Callable[[int], Image]:
        """A street whose few people are seen from behind, camera moving a little."""
        return self.footage("street-tokyo-360p.mp4", 14, 56, (0, 0, 640, 360), size)

    def houses(self, size: tuple[int, int] = (640, 360)) -> Callable[[int], Image]:
        """Houses and trees without cars, camera moving a little."""
        return self.footage("plate-uk-720p.mp4", 0, 48, (640, 0, 1280, 360), size)

    def junction(self, size: tuple[int, int] = (1280, 720)) -> Callable[[int], Image]:
        """A road without cars, camera nearly at rest."""
        return self.footage("plate-uk-720p.mp4", 0, 10, (640, 180, 1280, 540), size)


def ease(u: float) -> float:
    """0 to 1, at rest at both ends."""
    u = min(1.0, max(0.0, u))
    return u * u * (3 - 2 * u)


def keys(*points: tuple[float, float, float, float], bob: float = 0.02, smooth: bool = False) -> Motion:
    """A way through (t, x, y, height), straight and steady between two; steps bob by a share of the height.

    smooth: at rest at every point, speeding up and slowing down between. Not there before the first and after the last.
    """

    def at(t: float) -> Pose | None:
        if not points[0][0] <= t <= points[-1][0]:
            return None
        for a, b in itertools.pairwise(points):
            if t <= b[0]:
                u = (t - a[0]) / (b[0] - a[0])
                u = ease(u) if smooth else u
                x, y, height = (a[i] + (b[i] - a[i]) * u for i in (1, 2, 3))
                step = math.hypot(b[1] - a[1], b[2] - a[2]) / (b[0] - a[0])
                lift = bob * height * min(1.0, step) * math.sin(0.5 * t) if bob else 0.0
                return Pose(x, y + lift, height, 1.2 * math.sin(0.25 * t + a[1]) if bob else 0.0)
        return None

    return at


def stands(x: float, y: float, height: float, first: float = -END, last: float = END) -> Motion:
    """At rest but for a slow sway of half a sample, and breathing."""

    def at(t: float) -> Pose | None:
        if not first <= t <= last:
            return None
        return Pose(x + 0.6 * math.sin(0.11 * t), y + 0.5 * math.sin(0.17 * t + 1), height, 0.8 * math.sin(0.07 * t))

    return at


def fixed(x: float, y: float, height: float) -> Motion:
    """At rest."""
    return lambda _: Pose(x, y, height)


def about(motion: Motion, yaw: Callable[[float], float]) -> Motion:
    """A motion with the head turned by yaw(t) degrees."""

    def at(t: float) -> Pose | None:
        pose = motion(t)
        return None if pose is None else pose._replace(yaw=yaw(t))

    return at


def looks(mean: float, swing: float, period: float, phase: float = 0.0) -> Callable[[float], float]:
    """A head that looks about: yaw in degrees, as a function of time."""
    return lambda t: mean + swing * math.sin(2 * math.pi * t / period + phase)


def view(centre: tuple[float, float], zoom: float, dx: float = 0.0, dy: float = 0.0, roll: float = 0.0) -> Matrix:
    """A camera that enlarges and rolls (degrees) about a point, then shifts."""
    c, s = zoom * math.cos(math.radians(roll)), zoom * math.sin(math.radians(roll))
    linear = np.array([[c, -s], [s, c]])
    out = np.eye(3)
    out[:2, :2] = linear
    out[:2, 2] = np.array(centre) - linear @ np.array(centre) + [dx, dy]
    return out
