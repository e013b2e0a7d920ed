"""Pieces of tracks: what association saw of one object without a break, and which pieces are one object's."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from anonfilter import assoc
from anonfilter.assoc import Array
from anonfilter.records import Box, Region

# Standard deviation, in mean sides, of a detector's box centre and of what a velocity changes by in one frame: the
# ratio of SORT's and ByteTrack's filters (1/20 and 1/160 of the height). What an object does before anything is known
# of it may be as fast as half a side a frame.
_JITTER, _TURN, _FIRST_SPEED = 1 / 20, 1 / 160, 1 / 2
# An end is told by so many sightings, none farther from it than so many frames, so long as there are two.
_ENDS, _SPAN = 6, 30
# What a pair costs less where association went on from one piece to the other by itself.
_FOLLOWED = 0.4
# Share of the newest look in an appearance.
_NEWEST = 0.3
# Pairs whose costs are computed at a time.
_AT_ONCE = 40_000


class Motion:
    """Velocity of a centre: a Kalman filter with constant velocity, the same gain for both axes.

    Kalman, "A new approach to linear filtering and prediction problems", 1960; its time steps may be of any length,
    so that looks 1 and 25 frames apart weigh what they are worth. Luma samples and frames.
    """

    __slots__ = ("_at", "_cov", "_n", "_speed", "seen")

    def __init__(self, box: Box, n: int) -> None:
        side = _side(box)
        self._n, self._at, self._speed = n, _centre(box), (0.0, 0.0)
        self._cov = ((_JITTER * side) ** 2, 0.0, (_FIRST_SPEED * side) ** 2)
        self.seen = 1

    @property
    def velocity(self) -> tuple[float, float]:
        """Samples a frame; zero after one sighting."""
        return self._speed

    def add(self, box: Box, n: int) -> None:
        """A sighting at frame n, later than the ones before."""
        dt, side = n - self._n, _side(box)
        turn, (pp, pv, vv) = (_TURN * side) ** 2, self._cov
        pp, pv, vv = (
            pp + 2 * dt * pv + dt * dt * vv + turn * dt**3 / 3,
            pv + dt * vv + turn * dt * dt / 2,
            vv + turn * dt,
        )
        whole = pp + (_JITTER * side) ** 2
        gain, gain_v = pp / whole, pv / whole
        self._cov = (pp * (1 - gain), pv * (1 - gain), vv - gain_v * pv)
        due = [p + dt * v for p, v in zip(self._at, self._speed, strict=True)]
        off = [m - p for m, p in zip(_centre(box), due, strict=True)]
        self._at = (due[0] + gain * off[0], due[1] + gain * off[1])
        self._speed = (self._speed[0] + gain_v * off[0], self._speed[1] + gain_v * off[1])
        self._n, self.seen = n, self.seen + 1


@dataclass(slots=True, eq=False)
class Piece:
    """One object, as far as association followed it.

    first, last: frames of its first and last sighting. box: at `last`. head, tail: its first and last undisputed
    sightings. parent: the piece that association followed to here, if it broke off because others came too near.
    shot: cuts before it. number: what its regions get, None while undecided. fixed: it brought its number along, so
    that it is joined to no other. disputed: since its last undisputed sighting it was mixed up with others.
    """

    id: int
    cls: str
    first: int
    last: int
    box: Box
    motion: Motion
    shot: int = 0
    parent: Piece | None = None
    number: int | None = None
    fixed: bool = False
    disputed: bool = False
    followed: bool = False
    """A later piece has its number."""
    head: list[tuple[int, Box]] = field(default_factory=list)
    tail: deque[tuple[int, Box]] = field(default_factory=lambda: deque(maxlen=_ENDS))
    look: Array | None = None

    def see(self, region: Region, n: int, *, disputed: bool = False) -> None:
        """A sighting at frame n. Disputed ones tell nothing about its ends."""
        if n > self.last:
            self.motion.add(region.box, n)
        self.box, self.last = region.box, n
        if disputed and self.dispute():
            return
        self.disputed = False
        if self.tail and self.tail[-1][0] == n:
            self.tail.pop()
        self.tail.append((n, region.box))
        if len(self.head) < _ENDS and (not self.head or self.head[-1][0] < n):
            self.head.append((n, region.box))
        look = appearance(region)
        if look is not None:
            self.look = look if self.look is None else (1 - _NEWEST) * self.look + _NEWEST * look

    def dispute(self) -> bool:
        """It was mixed up with others; that counts if it is known where it was going."""
        self.disputed = self.disputed or len(self.tail) > 1
        return self.disputed

    def predicted(self, n: int) -> Box:
        """Where it would be at frame n if it went on as it did."""
        return _shifted(self.box, self.motion.velocity, n - self.last)


def start(key: int, region: Region, n: int, shot: int, parent: Piece | None = None) -> Piece:
    """A piece that begins with that sighting; as fast as its parent was, until more is known."""
    motion = Motion(region.box, n)
    if parent is not None:
        motion = copy(parent.motion)
        motion.add(region.box, n)
    piece = Piece(key, region.cls, n, n, region.box, motion, shot, parent)
    piece.see(region, n)
    return piece


def appearance(region: Region) -> Array | None:
    """What embed wrote about the region, as a vector of length 1 and mean 0; None if it wrote nothing."""
    if region.look is None:
        return None
    look: Array = np.frombuffer(region.look, np.int8).astype(np.float64)
    norm = math.sqrt(float(look @ look))
    return look / norm if norm else None


def unlike(a: Sequence[Array | None], b: Sequence[Array | None]) -> Array:
    """(N, M) 1 - correlation, at most 1; 0.5 where one is not known."""
    out = np.full((len(a), len(b)), 0.5)
    rows, columns = ([i for i, v in enumerate(side) if v is not None] for side in (a, b))
    if rows and columns:
        p, q = (np.stack([v / max(float(np.linalg.norm(v)), 1e-9) for v in side if v is not None]) for side in (a, b))
        out[np.ix_(rows, columns)] = np.minimum(1 - p @ q.T, 1.0)
    return out


def join(
    before: Sequence[Piece], after: Sequence[Piece], gates: dict[str, float], rejoin: int, weight: float
) -> list[tuple[int, int]]:
    """Which of `before` each of `after` goes on from, at least total cost (Hungarian over pieces); pairs of places.

    A pair is possible if it is of one class and shot, the later begins after the earlier's last sighting and at most
    `rejoin` frames after its last undisputed one, and its ends fit: the earlier's prediction lies by the later's start
    and the later's, back in time, by the earlier's end. A direction counts if its piece was seen twice, both with no
    movement if neither was. Where association went on by itself, a pair is always possible, and costs less.
    gates: min_iou and size of assoc.cost, dist: reach in mean sides. weight: of appearance.
    """
    pairs = [(i, j) for j, b in enumerate(after) for i, a in enumerate(before) if _can(a, b, rejoin)]
    if not pairs:
        return []
    costs = _costs([(before[i], after[j]) for i, j in pairs], gates, weight)
    return assoc.assign_pairs(pairs, costs)


def join_all(
    pieces: Sequence[Piece], gates: dict[str, float], rejoin: int, weight: float
) -> list[tuple[int, int]]:
    """The same over all pieces of a clip, sorted by `first`: places of the earlier and the later one. Memory for pairs
    that are near in time only."""
    ends = sorted(range(len(pieces)), key=lambda i: pieces[i].last)
    lasts = [pieces[i].last for i in ends]
    low, pairs = 0, []
    for j, b in enumerate(pieces):
        low = int(np.searchsorted(lasts, b.first - rejoin))
        high = int(np.searchsorted(lasts, b.first))
        near = ends[low:high]
        pairs += [(i, j) for i in near if _can(pieces[i], b, rejoin)]
    if not pairs:
        return []
    costs = np.concatenate(
        [
            _costs([(pieces[i], pieces[j]) for i, j in pairs[at : at + _AT_ONCE]], gates, weight)
            for at in range(0, len(pairs), _AT_ONCE)
        ]
    )
    return assoc.assign_pairs(pairs, costs)


def _can(a: Piece, b: Piece, rejoin: int) -> bool:
    return (
        a.cls == b.cls
        and a.shot == b.shot
        and a.last < b.first
        and not (a.followed or a.fixed or b.fixed)
        and (b.first - a.tail[-1][0] <= rejoin or b.parent is a)
    )


def _costs(pairs: Sequence[tuple[Piece, Piece]], gates: dict[str, float], weight: float) -> Array:
    """(N,) cost of each pair, infinite where its ends do not fit."""
    here, due, gaps, known = [], [], [], []
    for a, b in pairs:
        (n, box), (m, other) = a.tail[-1], b.head[0]
        forward, backward = _slope(list(a.tail), n), _slope(b.head, m)
        here += [other, box]
        due += [_shifted(box, forward or (0.0, 0.0), m - n), _shifted(other, backward or (0.0, 0.0), n - m)]
        gaps.append(m - n)
        known.append((forward is not None, backward is not None))
    reach = assoc.reach(gates["dist"], np.repeat(np.array(gaps), 2))
    both = assoc.cost_pairs(
        assoc.as_array(due), assoc.as_array(here), min_iou=gates["min_iou"], reach=reach, size=gates["size"]
    ).reshape(-1, 2)
    told = np.array(known)
    told[~told.any(axis=1)] = True
    costs: Array = np.where(told, both, 0.0).sum(axis=1) / told.sum(axis=1)
    if weight:
        far = [float(unlike([a.look], [b.look])[0, 0]) for a, b in pairs]
        costs = assoc.raised(costs, weight * np.array(far))
    followed = np.array([b.parent is a for a, b in pairs])
    costs[followed] = np.maximum(np.minimum(costs[followed], assoc.WORST) - _FOLLOWED, 0.0)
    return costs


def _slope(seen: Sequence[tuple[int, Box]], end: int) -> tuple[float, float] | None:
    """Velocity at an end: least squares over the centres near it, None if it was seen once."""
    near = [s for s in seen if abs(s[0] - end) <= _SPAN]
    if len(near) < 2:
        near = sorted(seen, key=lambda s: abs(s[0] - end))[:2]
    if len(near) < 2:
        return None
    middle = sum(n for n, _ in near) / len(near)
    spread = sum((n - middle) ** 2 for n, _ in near)
    x, y = (sum((n - middle) * (b[i] + b[i + 2]) / 2 for n, b in near) / spread for i in (0, 1))
    return x, y


def _shifted(box: Box, velocity: tuple[float, float], frames: int) -> Box:
    dx, dy = (v * frames for v in velocity)
    x0, y0, x1, y1 = box
    return x0 + dx, y0 + dy, x1 + dx, y1 + dy


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _side(box: Box) -> float:
    """Mean side, at least one sample."""
    return max(1.0, (box[2] - box[0] + box[3] - box[1]) / 2)
