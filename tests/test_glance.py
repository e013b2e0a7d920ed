"""Which parts of a frame a glance looks at, and what detect does with it."""

from __future__ import annotations

import numpy as np
import pytest

from anonfilter.glance import Glance
from anonfilter.records import Box

HD = (1920, 1080)


def glance(picture: tuple[int, int] = HD) -> Glance:
    return Glance((192, 320), (640, 384), picture)


def squares(places: list[tuple[Box, float]]) -> list[tuple[int, int, int]] | None:
    """Those for the smaller tensor."""
    found = Glance((192,), (640, 384), HD).squares(places)
    return None if found is None else found[1]


def test_one_place_gives_a_square_around_it() -> None:
    assert squares([((500, 300, 700, 400), 60)]) == [(500, 250, 200)]


def test_places_side_by_side_share_a_square_as_long_as_it_shows_them_large_enough() -> None:
    near = [((500, 300, 600, 400), 30.0), ((620, 300, 720, 400), 30.0)]
    assert squares(near) == [(500, 240, 220)]
    apart = [((0, 0, 100, 100), 30.0), ((1800, 900, 1900, 1000), 30.0)]
    assert squares(apart) == [(0, 0, 100), (1800, 900, 100)]


def test_a_square_is_not_enlarged_without_end() -> None:
    assert squares([((500, 300, 504, 304), 4)]) == [(478, 278, 48)]


@pytest.mark.parametrize(
    ("side", "taken"),
    [
        (0, False),  # unknown
        (100, False),  # 100 of 600 samples in 192: 32
        (130, True),
    ],
)
def test_what_would_be_too_small_asks_for_a_whole_look(side: float, taken: bool) -> None:
    """The whole look has 576 luma samples in 192 of its tensor's, so a square of 600 shows less than it."""
    assert (squares([((100, 100, 700, 200), side)]) is not None) is taken
    assert squares([((100, 100, 676, 200), side)]) is not None


def test_what_would_fill_the_tensor_asks_for_a_whole_look() -> None:
    """Nets make boxes of any size out of a part of something large."""
    assert squares([((500, 300, 700, 400), 101)]) is None
    assert squares([((500, 300, 700, 400), 99)]) is not None


def test_too_many_places_ask_for_a_whole_look() -> None:
    places = [((x, y, x + 40.0, y + 40.0), 10.0) for x in (0.0, 800.0, 1600.0) for y in (0.0, 900.0)]
    assert squares(places[:3]) is not None
    assert squares(places[:4]) is None
    assert squares([]) is None


def test_a_larger_tensor_is_taken_for_one_large_place() -> None:
    place = ((100.0, 100.0, 800.0, 200.0), 50.0)
    assert squares([place]) is None
    assert glance().squares([place]) == (320, [(100, -200, 700)])
    assert glance().squares([place, ((1500, 900, 1600, 1000), 50)]) is None, "two of them cost too much"
    assert glance().squares([((100, 100, 1200, 200), 50)]) is None


def test_what_lies_far_beyond_the_edge_is_left_out() -> None:
    assert squares([((-300, 400, 100, 600), 80)]) == [(-100, 400, 200)]
    assert squares([((1800, 1000, 1900, 1400), 80)]) == [(1760, 1000, 180)]


@pytest.mark.parametrize("seed", range(50))
def test_squares_hold_every_place(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places: list[tuple[Box, float]] = []
    for _ in range(int(rng.integers(1, 5))):
        x, y, w, h = rng.uniform(0, 1500), rng.uniform(0, 900), rng.uniform(4, 400), rng.uniform(4, 400)
        places.append(((x, y, x + w, y + h), float(rng.uniform(4, max(w, h)))))
    found = glance().squares(places)
    for (x0, y0, x1, y1), _ in places if found is not None else ():
        assert any(
            a - 0.5 <= x0 and b - 0.5 <= y0 and min(x1, HD[0]) <= a + side + 0.5 and min(y1, HD[1]) <= b + side + 0.5
            for a, b, side in (found or (0, []))[1]
        )
