"""When detectors look: contracts of the schedules, on random clips."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from anonfilter.sampling import Auto, Every, Schedule


class Watched:
    """Runs a schedule over a clip and checks what every schedule must keep."""

    def __init__(self, frames: int, cuts: set[int], make: Callable[[Callable[[int], None]], Schedule]) -> None:
        self.looks: list[int] = []
        self.settled = 0
        self.there = -1
        schedule = make(self.look)
        for n in range(frames):
            self.there = n
            settled = schedule.push(n, n in cuts)
            assert self.settled <= settled <= n + 1
            assert settled > n - schedule.lookahead, "a frame waits for longer than it was said"
            self.settled = settled
        schedule.flush()
        assert len(set(self.looks)) == len(self.looks), "a frame was looked at twice"
        self.looks.sort()
        if frames:
            assert self.looks[0] == 0
            assert self.looks[-1] == frames - 1
            assert max(np.diff(self.looks), default=0) <= schedule.gap
        for cut in cuts:
            assert {cut - 1, cut} <= {-1, *self.looks}

    def look(self, n: int) -> None:
        assert self.settled <= n <= self.there, "a look at a frame that is not there any more, or not yet"
        self.looks.append(n)


@pytest.mark.parametrize("every", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 30])
def test_every(every: int, frames: int) -> None:
    cuts = {n for n in (0, 1, 11, 12, 29) if n < frames}
    seen = Watched(frames, cuts, lambda look: Every(look, every)).looks
    wanted = {*range(0, frames, every), *cuts, *(n - 1 for n in cuts), frames - 1} - {-1}
    assert seen == sorted(wanted)


@pytest.mark.parametrize("seed", range(60))
def test_auto_on_random_clips(seed: int) -> None:
    """Objects that come and go: neighbouring looks see the same, or are two frames apart, or a cut is between."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 150))
    cuts = {int(n) for n in rng.integers(0, frames, rng.integers(0, 5))}
    changes = {int(n) for n in rng.integers(0, frames, rng.integers(0, 12))}
    state = np.cumsum([n in changes for n in range(frames)])
    least, most = int(rng.integers(1, 6)), int(rng.integers(1, 40))
    compared: list[tuple[int, int]] = []

    def agree(a: int, b: int) -> bool:
        compared.append((a, b))
        return bool(state[a] == state[b])

    seen = Watched(frames, cuts, lambda look: Auto(look, agree, least, most)).looks
    for a, b in itertools.pairwise(seen):
        assert b <= a + 2 or state[a] == state[b] or any(a < cut <= b for cut in cuts)
    for a, b in compared:
        assert a < b
        assert not any(a < cut <= b for cut in cuts), "what a cut parts was compared"


def test_a_quiet_clip_is_looked_at_ever_more_seldom_and_a_busy_one_on_every_frame() -> None:
    quiet = Watched(1000, set(), lambda look: Auto(look, lambda a, b: True, 2, 30)).looks
    assert list(np.diff(quiet)[:7]) == [2, 3, 5, 8, 12, 18, 27]
    assert set(np.diff(quiet)[8:-1]) == {30}
    busy = Watched(100, set(), lambda look: Auto(look, lambda a, b: False, 2, 30)).looks
    assert max(np.diff(busy)) == 2


def test_one_change_costs_a_binary_search() -> None:
    looks = Watched(640, set(), lambda look: Auto(look, lambda a, b: (a < 500) == (b < 500), 16, 16)).looks
    between = [n for n in looks if n % 16 and n != 639]
    assert len(between) == 3
    assert {498, 500} <= set(looks)


def test_the_step_is_shorter_after_a_change() -> None:
    pairs: list[tuple[int, int]] = []

    def agree(a: int, b: int) -> bool:
        pairs.append((a, b))
        return (a < 200) == (b < 200)

    Watched(400, set(), lambda look: Auto(look, agree, 2, 32))
    before = next(b - a for a, b in pairs if b >= 200)
    after = next(b - a for a, b in pairs if a > 200 and b - a > 8)
    assert before == 32
    assert after < before


@pytest.mark.parametrize("seed", range(40))
def test_glances_take_the_place_of_looks_between(seed: int) -> None:
    """Where a glance says that it will not do, the frame is looked at; each frame is asked for once; whatever the
    glances do, neighbours agree or are two frames apart."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 150))
    cuts = {int(n) for n in rng.integers(0, frames, rng.integers(0, 5))}
    state = np.cumsum(rng.random(frames) < 0.05)
    willing = rng.random(frames) < 0.5
    least, most = int(rng.integers(1, 6)), int(rng.integers(1, 40))
    known: set[int] = set()
    asked: list[tuple[int, int]] = []
    glances: list[int] = []

    def agree(a: int, b: int) -> bool:
        assert {a, b} <= {*known, *watched}
        asked.append((a, b))
        return bool(state[a] == state[b])

    def glance(a: int, n: int, b: int) -> bool:
        assert a < n < b
        assert asked[-1] == (a, b) or state[a] != state[b]
        assert n not in known
        if b - a > 2:  # a frame that both its neighbours show is worth no more
            glances.append(n)
        if willing[n]:
            known.add(n)
        return bool(willing[n])

    watched: list[int] = []

    def make(look: Callable[[int], None]) -> Schedule:
        def both(n: int) -> None:
            assert n not in known
            watched.append(n)
            look(n)

        return Auto(both, agree, least, most, None, glance)

    seen = Watched(frames, cuts, make).looks
    assert {n for n in glances if not willing[n]} <= set(seen)
    for a, b in itertools.pairwise(sorted({*seen, *known})):
        assert b <= a + 2 or state[a] == state[b] or any(a < cut <= b for cut in cuts)
