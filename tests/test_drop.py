"""drop: short tracks go, and nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest

from anonfilter.filter import Env, Options
from anonfilter.filters.drop import Drop
from anonfilter.frame import StreamInfo
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))


def face(track: int | None, score: float = 0.4, **changes: object) -> Region:
    return Region((0, 0, 20, 20), "face", score, track=track).with_(**changes)


def dropped(there: dict[int, list[Region]], frames: int = 40, args: str = "min=5", every: int = 1,
            cuts: tuple[int, ...] = ()) -> dict[int, list[Region]]:  # fmt: skip
    """What is left on frames that have regions; a long track 9 is on all looked-at frames, so that looks are known."""
    parsed = parse_options(Drop, args)
    item = Drop(Options(parsed.values, parsed.given))
    item.open(Env(STREAM, None, "in.mp4"))
    ahead, out = item.lookahead(STREAM) or 0, []
    for n in range(frames):
        looked = n % every == 0
        regions = [*there.get(n, []), *([face(9)] if looked else [])]
        out += list(item.push(FrameRecord(n, n, n / 25, ("faces",) if looked else (), regions, cut=n in cuts)))
        assert len(out) >= n + 1 - ahead
    out += list(item.flush())
    assert [record.n for record in out] == list(range(frames))
    for record in out:
        assert not record.ran or any(r.track == 9 for r in record.regions), "a long track stays"
    left = {record.n: [r for r in record.regions if r.track != 9] for record in out}
    return {n: regions for n, regions in left.items() if regions}


def over(first: int, count: int, track: int = 1, **changes: object) -> dict[int, list[Region]]:
    return {n: [face(track, **changes)] for n in range(first, first + count)}  # type: ignore[arg-type]


@pytest.mark.parametrize("count", range(1, 8))
def test_by_length(count: int) -> None:
    assert len(dropped(over(10, count))) == (count if count >= 5 else 0)


def test_filled_frames_of_a_short_track_go_too() -> None:
    there = {10: [face(1)], 11: [face(1, src="interp")], 12: [face(1)], 13: [face(1, src="grow")]}
    assert dropped(there) == {}


@pytest.mark.parametrize(
    "there",
    [
        over(10, 2, score=0.9),
        {10: [face(1, src="manual")]},
        {10: [face(1, deleted=True)]},
        {10: [face(None)]},
        {10: [face(1, src="zone", cls="zone")]},
        over(0, 2),  # the clip begins with it
        over(38, 2),  # and ends with it
    ],
)
def test_in_doubt_it_stays(there: dict[int, list[Region]]) -> None:
    assert dropped(there) == there


def test_at_a_cut_nobody_can_tell() -> None:
    assert dropped(over(18, 2), cuts=(20,)) == over(18, 2)
    assert dropped(over(20, 2), cuts=(20,)) == over(20, 2)
    assert dropped(over(15, 2), cuts=(20,)) == {}


def test_one_sighting_stands_for_the_frames_to_the_next_look() -> None:
    assert dropped({12: [face(1)]}, every=12, args="min=5") == {12: [face(1)]}
    assert dropped({12: [face(1)]}, every=4, args="min=5") == {}


def test_a_gap_does_not_shorten_a_track() -> None:
    there = {**over(10, 2), **over(16, 2)}
    assert dropped(there) == there
