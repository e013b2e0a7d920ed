"""Follows a track's object over frames without a sighting of it, by its luma: interp's option luma."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from anonfilter import lumasearch
from anonfilter.curves import state
from anonfilter.errors import InputError
from anonfilter.filter import Env
from anonfilter.records import Box, Region


class Follower:
    """What it finds are regions to add, each with its frame. They have due None: they only add to what is known of a
    track, and no filter judges by them where the object is. Frames are taken from the ring."""

    def __init__(self, env: Env, label: str) -> None:
        self._env, self._label = env, label

    def between(
        self, a: Region, b: Region, start: int, stop: int, made: Mapping[int, Box]
    ) -> Iterator[tuple[int, Region]]:
        """Between the sightings on frames start and stop, where the object is not inside of the box made for a frame.
        Frames without a box stay without."""
        shape = lumasearch.shape_of(a.box)
        if shape is None:
            return
        frames = range(start, stop + 1)
        guesses = [_guess(a.box, b.box, (n - start) / (stop - start), made.get(n)) for n in frames]
        found = lumasearch.follow(lambda i, box: self._window(frames[i], box, shape), guesses, shape)
        for n, box in zip(frames, found, strict=True):
            if box is not None and n in made and not _inside(box, made[n]):
                yield n, Region(box, a.cls, min(a.score, b.score), "interp", a.track, "rect", due=None)

    def _window(self, n: int, box: Box, shape: lumasearch.Shape) -> lumasearch.Window | None:
        if self._env.ring is None:
            raise InputError(f"{self._label}: this pass has no frames to look at")
        frame = self._env.ring[n]
        return lumasearch.window(frame.planes()[0], frame.fmt, box, shape)


def _guess(a: Box, b: Box, share: float, made: Box | None) -> Box:
    """Where the object should be at `share` of the way from a to b: the centre of the box made for it, and the size
    between both. The box itself is larger."""
    x, y, w, h = (u + share * (v - u) for u, v in zip(state(a), state(b), strict=True))
    if made is not None:
        x, y = state(made)[:2]
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _inside(inner: Box, outer: Box) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
