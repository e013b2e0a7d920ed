"""A glance: small parts of a frame for a net to look at, where only those are in question."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from anonfilter.models.detector import Square
from anonfilter.models.family import Size
from anonfilter.motion import union
from anonfilter.records import Box

SIDES = (192, 320)
"""Sides of the tensors that a part is fitted into: 15 and 42 % of the area of a whole look's at 640 x 384."""

_FILL = 0.5
"""An object may be so long in the tensor, as a share of its side. Nets make boxes of any size out of what is larger;
the whole look, and its coarse one, are for that."""

_SHARE = 0.5
"""Glances at one frame may cost so much of a whole look, by area; where more is in question all of it is looked at."""

_LEAST = 40.0
"""Longer side of an object's box, with its margin, in the tensor: a face of 25 samples is in it, and CenterFace
finds as many of those as of larger ones (bench/recall.py). Smaller will do where the whole look has it smaller."""

_BEYOND = 0.25
"""Of a place that reaches over the picture's edge so much is looked at: nets find what the edge cuts when there is
something beyond it."""

_CONTEXT = 7.0
"""Side of the square around one object, in its longer sides."""

_ENLARGE = 4.0
"""A part is enlarged at most so many times."""


class Glance:
    """Which squares of a frame to fit into which tensor.

    sides: of the tensors there are, smallest first. whole: (width, height) of the whole look's tensor. picture: the
    coded frame's, however it is turned, since places are on that.
    """

    def __init__(self, sides: Sequence[int], whole: Size, picture: Size) -> None:
        self._picture = picture
        self._scale = max(whole) / max(picture)
        self._most = {side: int(_SHARE * whole[0] * whole[1] / side**2) for side in sides}

    def squares(self, places: Sequence[tuple[Box, float]]) -> tuple[int, list[Square]] | None:
        """Side of the tensor, and squares in luma samples that hold all of these places as far as they are in the
        picture (a box, and the longer side of what is looked for in it; 0: unknown). None if that would show it too
        small, or would cost too much."""
        for side, most in self._most.items():
            squares = _Squares(side, self._scale)
            if all(squares.add(self._inside(box), least) for box, least in places) and 0 < len(squares.hulls) <= most:
                return side, [square for hull in squares.hulls if (square := squares.square(*hull)) is not None]
        return None

    def around(self, box: Box) -> tuple[int, Square] | None:
        """Side of the smallest tensor, and the square to fit into it, that shows one object with what is around it no
        smaller than the whole look did. None for an object that is too large for that."""
        side = min(self._most)
        long = max(box[2] - box[0], box[3] - box[1])
        whole = round(min(max(_CONTEXT * long, side / _ENLARGE), side / self._scale))
        if long > _FILL * whole:
            return None
        return side, (round((box[0] + box[2] - whole) / 2), round((box[1] + box[3] - whole) / 2), whole)

    def _inside(self, box: Box) -> Box:
        """What is in the picture, or near enough to be cut by its edge."""
        width, height = self._picture
        wide, high = _BEYOND * (box[2] - box[0]), _BEYOND * (box[3] - box[1])
        return max(box[0], -wide), max(box[1], -high), min(box[2], width + wide), min(box[3], height + high)


class _Squares:
    """Places put together into few squares, for a tensor of that side; scale: the whole look's."""

    def __init__(self, side: int, scale: float) -> None:
        self._side, self._scale = side, scale
        self.hulls: list[tuple[Box, float]] = []

    def add(self, box: Box, least: float) -> bool:
        """Whether it fits alone; it is then in a square with others where it can be."""
        if self.square(box, least) is None:
            return False
        for i, (other, its) in enumerate(self.hulls):
            both = union(other, box), min(least, its)
            if self.square(*both) is not None:
                self.hulls[i] = both
                return True
        self.hulls.append((box, least))
        return True

    def square(self, box: Box, least: float) -> Square | None:
        """Around that box; None if what is of that length at least would be too small in the tensor, or too large."""
        whole = ceil(max(box[2] - box[0], box[3] - box[1], self._side / _ENLARGE))
        scale = self._side / whole
        if (scale < self._scale and least * scale < _LEAST) or least * scale > _FILL * self._side:
            return None
        return round((box[0] + box[2] - whole) / 2), round((box[1] + box[3] - whole) / 2), whole
