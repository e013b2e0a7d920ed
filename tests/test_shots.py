"""Cuts and gradual transitions, as record filters ask for them."""

from __future__ import annotations

import numpy as np
import pytest

from anonfilter.records import FrameRecord
from anonfilter.shots import Shots


def shots(cuts: set[int], fades: set[int], frames: int = 40) -> Shots:
    out = Shots()
    for n in range(frames):
        out.add(FrameRecord(n, n, n / 25, cut=n in cuts, fade=n in fades))
    return out


def test_a_cut_lies_before_its_frame() -> None:
    known = shots({10}, set())
    assert not known.between(5, 9)
    assert known.between(9, 10)
    assert not known.between(10, 12)
    assert known.between(0, 39)


@pytest.mark.parametrize("seed", range(20))
def test_random_shots_equal_a_walk_from_frame_to_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cuts = {int(n) for n in rng.choice(40, 4, replace=False)}
    fades = {n for start in rng.choice(40, 3) for n in range(start, start + rng.integers(1, 9))}
    known = shots(cuts, fades)
    for a in range(40):
        for b in range(40):
            low, high = sorted((a, b))
            crossed = [n for n in range(low + 1, high + 1) if n in cuts]
            assert known.between(low, high) == bool(crossed)
            if b >= a:  # onward: from the first cut that is met to b
                beyond = range(crossed[0], b + 1) if crossed else range(0)
            else:  # back: from b to the last frame before the first cut that is met
                beyond = range(b, crossed[-1]) if crossed else range(0)
            assert known.holds(a, b) == all(n in fades for n in beyond), (a, b, cuts, fades)


def test_what_is_forgotten_is_not_asked_for() -> None:
    known = shots({10, 20}, {19, 20, 21})
    known.forget(15)
    assert not known.between(15, 19)
    assert known.between(15, 20)
    assert known.holds(18, 21)
    assert not known.holds(18, 22)
