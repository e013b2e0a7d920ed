"""Whether two looks show the same objects, and weak detections that their neighbours confirm."""

from __future__ import annotations

import numpy as np
import pytest

from anonfilter.records import Region
from anonfilter.sightings import Sightings


def face(x: float, y: float = 0, size: float = 40, score: float = 0.9, cls: str = "face") -> Region:
    return Region((x, y, x + size, y + size), cls, score)


def seen(*looks: tuple[int, list[Region]]) -> Sightings:
    out = Sightings(0.4)
    for n, regions in looks:
        out.add(n, regions)
    return out


def taken(known: Sightings, n: int, whole: bool = True) -> list[float]:
    """Left edges of what counts on frame n."""
    found = known.take(n)
    assert found is not None
    assert found[1] is whole
    return [region.box[0] for region in found[0]]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ([], [], True),
        ([face(0)], [face(0)], True),
        ([face(0)], [face(8)], True),
        ([face(0)], [face(50)], False),  # too far for where it was due
        ([face(0)], [], False),
        ([], [face(0)], False),
        ([face(0), face(100)], [face(100), face(0)], True),
        ([face(0), face(100)], [face(0), face(300)], False),
        ([face(0)], [face(0, cls="plate")], False),
        ([face(0, score=0.2)], [], True),  # weak ones alone are nothing
        ([face(0, score=0.5)], [], True),  # one that is hardly sure does not ask for another look
        ([face(0, score=0.5)], [face(50, score=0.5)], True),
        ([face(0, score=0.5)], [face(50, score=0.9)], False),
        ([face(0, score=0.2)], [face(0, score=0.2)], True),
        ([face(0, size=40)], [face(0, size=120)], False),
    ],
)
def test_agreement(before: list[Region], after: list[Region], same: bool) -> None:
    assert seen((3, before), (9, after)).agree(3, 9) is same


def test_an_object_in_motion_is_due_where_it_leads() -> None:
    """30 samples in 3 frames; after 3 more it is 30 further on. Without a motion before, that is too far."""
    known = seen((0, [face(0)]), (1, [face(10)]), (4, [face(40)]))
    assert known.agree(0, 1)
    assert known.agree(1, 4)
    assert not seen((1, [face(10)]), (4, [face(40)])).agree(1, 4)
    turned = seen((0, [face(100)]), (1, [face(110)]), (4, [face(80)]))
    assert turned.agree(0, 1)
    assert not turned.agree(1, 4)


def test_weak_detections_count_where_a_neighbour_is_sure() -> None:
    known = seen((0, [face(0, score=0.3)]), (2, [face(2)]), (4, [face(4, score=0.3), face(300, score=0.3)]))
    assert known.agree(0, 2)
    assert known.agree(2, 4)
    assert [taken(known, n) for n in (0, 2, 4)] == [[0], [2], [4]]
    assert known.take(4) is None, "taken"
    assert known.take(1) is None, "no look"


def test_a_weak_one_that_counts_confirms_the_next() -> None:
    known = seen((0, [face(0)]), (2, [face(2, score=0.3)]), (4, [face(4, score=0.3)]))
    assert known.agree(0, 2)
    assert known.agree(2, 4)
    assert len(taken(known, 4)) == 1


def test_nothing_sure_is_ever_left_out() -> None:
    known = seen((0, [face(0), face(1), face(500)]), (5, []))
    known.agree(0, 5)
    assert len(taken(known, 0)) == 3


def test_places_hold_what_is_open_wherever_it_can_be_paired() -> None:
    """One face stays, one is gone, one moved too far, one came; weak ones are not asked about."""
    known = seen(
        (0, [face(0), face(200), face(1000, size=20), face(1500, score=0.5)]),
        (8, [face(0), face(1028, size=20), face(3000)]),
    )
    assert not known.agree(0, 8)
    places = dict(zip(("moved", "gone", "came"), sorted(known.places(0, 4, 8), key=lambda p: p[0][0]), strict=True))
    assert {name: side for name, (_, side) in places.items()} == {"gone": 20, "moved": 40, "came": 40}
    boxes = {name: box for name, (box, _) in places.items()}
    assert boxes["moved"] == (140, -60, 300, 100)
    assert boxes["gone"] == (970, -30, 1078, 50)
    assert boxes["came"] == (2940, -60, 3100, 100)


def test_a_moving_object_that_is_gone_is_looked_for_on_its_way() -> None:
    known = seen((0, [face(0)]), (2, [face(20)]), (10, []))
    known.agree(0, 2)
    known.agree(2, 10)
    ((box, _),) = known.places(2, 6, 10)
    assert box == (-40, -60, 160, 100), "from where it was to where it was due, and the reach"


def test_a_look_at_parts_takes_the_rest_as_seen_and_says_only_what_was_seen() -> None:
    known = seen((0, [face(0), face(200)]), (8, [face(8)]))
    assert not known.agree(0, 8)
    known.add_parts(0, 4, 8, [face(202)])
    assert known.agree(0, 4), "what both looks show is taken as seen, half way"
    assert not known.agree(4, 8)
    ((box, _),) = known.places(4, 6, 8)
    assert box[0] == 142, "only the one that went is open"
    known.add_parts(4, 6, 8, [])
    assert not known.agree(4, 6)
    assert known.agree(6, 8)
    assert taken(known, 4, whole=False) == [202]
    assert taken(known, 6, whole=False) == []
    assert taken(known, 8) == [8]


def test_parts_that_show_what_was_taken_as_seen_say_it_once() -> None:
    known = seen((0, [face(0), face(200)]), (8, [face(0)]))
    known.agree(0, 8)
    known.add_parts(0, 4, 8, [face(4)])
    assert taken(known, 4, whole=False) == [4]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_asked_everything_sure_that_was_seen_is_given(seed: int) -> None:
    rng = np.random.default_rng(seed)
    looks = {n: [face(float(x), score=float(s)) for x, s in zip(rng.integers(0, 400, 4), rng.random(4), strict=True)]
             for n in (0, 5, 10)}  # fmt: skip
    known = seen((0, looks[0]), (10, looks[10]))
    known.agree(0, 10)
    known.places(0, 5, 10)
    known.add_parts(0, 5, 10, looks[5])
    known.agree(0, 5)
    known.agree(5, 10)
    for n, regions in looks.items():
        found = known.take(n)
        assert found is not None
        assert set(found[0]) >= {region for region in regions if region.score >= 0.4}
        assert set(found[0]) <= set(regions)
