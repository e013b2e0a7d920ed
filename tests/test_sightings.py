"""Whether two looks show the same objects, and weak detections that their neighbours confirm."""

from __future__ import annotations

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
    assert [r.box[0] for r in known.take(0) or ()] == [0]
    assert [r.box[0] for r in known.take(2) or ()] == [2]
    assert [r.box[0] for r in known.take(4) or ()] == [4]
    assert known.take(4) is None, "taken"
    assert known.take(1) is None, "no look"


def test_a_weak_one_that_counts_confirms_the_next() -> None:
    known = seen((0, [face(0)]), (2, [face(2, score=0.3)]), (4, [face(4, score=0.3)]))
    assert known.agree(0, 2)
    assert known.agree(2, 4)
    assert len(known.take(4) or ()) == 1


def test_nothing_sure_is_ever_left_out() -> None:
    known = seen((0, [face(0), face(1), face(500)]), (5, []))
    known.agree(0, 5)
    assert len(known.take(0) or ()) == 3
