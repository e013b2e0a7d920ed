"""grow: both ends of a track in time, every box in space; it adds, and takes nothing away."""

from fractions import Fraction

import pytest

from anonfilter.filter import Env, Options
from anonfilter.filters.grow import Grow
from anonfilter.frame import StreamInfo
from anonfilter.motion import extrapolate
from anonfilter.options import Duration, parse_options
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))


def grow(text=None):
    item = Grow(Options(parse_options(Grow, text).values))
    item.open(Env(stream=STREAM, ring=None, input_name="x"))
    return item


def seen(x=100.0, y=100.0, w=20.0, h=30.0, track=1, **changes):
    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return Region(box, "face", **{"score": 0.9, "track": track, **changes})


def run(item, sightings, count):
    """sightings: {frame: regions}. Gives each frame's regions, checking order and look-ahead on the way."""
    out, ahead = [], item.lookahead(STREAM)
    for n in range(count):
        out += item.push(FrameRecord(n, n, n / 25, (), list(sightings.get(n, ()))))
        assert len(out) >= n + 1 - ahead
    out += item.flush()
    assert [record.n for record in out] == list(range(count))
    return [record.regions for record in out]


def grown(out):
    """{frame: boxes of src grow}."""
    return {n: [r.box for r in regions if r.src == "grow"] for n, regions in enumerate(out)} | {}


def times(out):
    return [n for n, boxes in grown(out).items() if boxes]


def test_space():
    zone, gone = seen(src="zone", track=None), seen(deleted=True, track=2)
    hand = seen(src="manual", track=None)
    (out,) = run(grow("before=0:after=0:scale=1.5:pad=2"), {0: [seen(), zone, gone, hand]}, 1)
    assert out == [
        seen(w=34, h=49), zone, gone, seen(w=34, h=49, src="manual", track=None)
    ]  # fmt: skip


def test_space_of_nothing_changes_no_bit():
    odd = seen(1 / 3, 0.1, 0.7, 1e-3, track=None, mask=(0, 2))
    assert run(grow("before=0:after=0:scale=1"), {0: [odd]}, 1) == [[odd]]


def test_a_bitmap_becomes_its_box():
    (out,) = run(grow("before=0:after=0:pad=1"), {0: [seen(shape="ellipse", mask=(0, 600))]}, 1)
    assert (out[0].shape, out[0].mask) == ("rect", None)
    out = run(grow("before=1:after=1:scale=1"), {1: [seen(shape="ellipse", mask=(0, 600))]}, 3)
    assert [(r.shape, r.mask, r.src) for r in out[0] + out[2]] == [("rect", None, "grow")] * 2
    assert out[1][0].mask == (0, 600)


def test_lookahead():
    assert grow("before=0:after=99").lookahead(STREAM) == 0
    assert grow("before=7").lookahead(STREAM) == 11
    assert grow("before=200ms").lookahead(STREAM) == 9


def test_time_around_a_still_track():
    sightings = {n: [seen()] for n in range(10, 15)}
    out = run(grow("before=4:after=3:scale=1"), sightings, 30)
    assert times(out) == [6, 7, 8, 9, 15, 16, 17]
    for boxes in grown(out).values():
        assert all(box == pytest.approx(seen().box) for box in boxes)
    assert (out[6][0].track, out[6][0].cls, out[6][0].score) == (1, "face", 0.9)


def test_defaults_grow_half_a_second_back_and_five_frames_on():
    assert times(run(grow(), {15: [seen()]}, 31)) == [*range(15 - 13, 15), *range(16, 21)]


@pytest.mark.parametrize("at", [0, 2])
def test_the_ends_of_the_clip(at):
    out = run(grow("before=4:after=4"), {at: [seen()]}, 4)
    assert times(out) == [n for n in range(4) if n != at]


def test_motion_goes_on_and_the_end_stays_covered():
    sightings = {n: [seen(100 + 6 * n)] for n in range(10, 20)}
    out = run(grow("before=3:after=3:scale=1"), sightings, 30)
    for k in (1, 2, 3):
        (late,), (early,) = grown(out)[19 + k], grown(out)[10 - k]
        first, last = seen(160).box, seen(214).box
        assert late == pytest.approx((last[0], last[1], last[2] + 6 * k, last[3]))
        assert early == pytest.approx((first[0] - 6 * k, first[1], first[2], first[3]))


def test_size_goes_on_only_upward():
    nearing = run(grow("before=0:after=2:scale=1"), {n: [seen(w=20 + 2 * n)] for n in range(5)}, 7)
    assert grown(nearing)[6][0] == pytest.approx(seen(w=32).box)
    passing = run(grow("before=0:after=2:scale=1"), {n: [seen(10 * n, w=40 - 2 * n)] for n in range(5)}, 7)
    assert grown(passing)[6][0] == pytest.approx((24, 85, 76, 115))  # as wide at 60 as it was at 40
    leaving = run(grow("before=0:after=2:scale=1"), {n: [seen(w=40 - 2 * n)] for n in range(5)}, 7)
    assert grown(leaving)[6][0] == pytest.approx(seen(w=32).box)


def test_extrapolate():
    still = (0.0, 0.0, 10.0, 10.0)
    assert extrapolate([(4, still)], 4, 9) == still
    path = [(n, (n, 0.0, 10.0 + n, 10.0)) for n in range(4)]
    assert extrapolate(path, 3, 5) == pytest.approx((3, 0, 15, 10))
    assert extrapolate(path, 0, -2) == pytest.approx((-2, 0, 10, 10))


def test_velocity_is_of_the_last_sightings():
    """A turn long ago does not bend it, nor does a sighting before a long pause."""
    path = [0] * 20 + [10, 20, 30, 40, 50]
    out = run(grow("before=0:after=1:scale=1"), {n: [seen(x)] for n, x in enumerate(path)}, 26)
    assert grown(out)[25][0] == pytest.approx((40, 85, 70, 115))
    out = run(grow("before=0:after=20:scale=1"), {0: [seen(0)], 18: [seen(400)]}, 20)
    assert grown(out)[19] == [seen(400).box]


def test_a_gap_is_grown_into_from_both_sides():
    out = run(grow("before=2:after=2:scale=1"), {0: [seen(0)], 7: [seen(70)]}, 8)
    assert [len(r) for r in out] == [1, 1, 1, 0, 0, 1, 1, 1]
    out = run(grow("before=5:after=5:scale=1"), {0: [seen(0)], 4: [seen(70)]}, 5)
    assert [len(r) for r in out] == [1, 2, 2, 2, 1]
    assert all(r.src == "grow" for regions in out[1:4] for r in regions)


def test_present_tracks_are_not_doubled():
    sightings = {n: [seen(), seen(300, track=2)] for n in range(6)}
    assert [len(r) for r in run(grow(), sightings, 6)] == [2] * 6


def test_removed_by_hand_ends_it():
    gone = seen(deleted=True)
    out = run(grow("before=4:after=4"), {10: [seen()], 12: [gone]}, 20)
    assert times(out) == [6, 7, 8, 9, 11]
    out = run(grow("before=4:after=4"), {8: [gone], 10: [seen()]}, 20)
    assert times(out) == [9, 11, 12, 13, 14]
    # Seen again after that: a new beginning, with no memory of the speed before.
    sightings = {n: [seen(10 * n)] for n in range(4)} | {4: [gone], 5: [seen(300)]}
    out = run(grow("before=0:after=5:scale=1"), sightings, 7)
    assert grown(out)[6] == [seen(300).box]


def test_zones_do_not_grow():
    assert run(grow(), {5: [seen(src="zone")]}, 10)[4:7] == [[], [seen(src="zone")], []]


def test_without_tracks():
    loose = seen(track=None)
    out = run(grow("before=2:after=2:scale=1"), {5: [loose]}, 10)
    assert times(out) == [3, 4, 6, 7]
    assert out[4] == [loose.with_(src="grow")]
    # Where the like is found, nothing is added.
    out = run(grow("before=2:after=2:scale=1"), {n: [seen(100 + n, track=None)] for n in range(5)}, 6)
    assert [len(r) for r in out] == [1, 1, 1, 1, 1, 2]
    # Elsewhere, or of another class, is not the like.
    other = Region(loose.box, "plate")
    out = run(grow("before=0:after=1:scale=1"), {0: [loose], 1: [other, seen(400, track=None)]}, 2)
    assert loose.with_(src="grow") in out[1]
    out = run(grow("before=3:after=3:scale=1"), {4: [loose], 5: [loose.with_(deleted=True)]}, 9)
    assert times(out) == [1, 2, 3]


def test_two_regions_of_a_track_grow_as_one():
    out = run(grow("before=0:after=1:scale=1"), {0: [seen(0), seen(40)]}, 2)
    assert grown(out)[1] == [(-10, 85, 50, 115)]


def edged(frames=20):
    item = Grow.of_track(Duration(frames), False)
    item.open(Env(stream=STREAM, ring=None, input_name="x"))
    return item


@pytest.mark.parametrize("place", [{"x": 5}, {"y": 10}, {"x": 635}, {"y": 350}])
def test_a_track_that_leaves_at_the_edge_stays_covered(place):
    """Nets miss what the edge cuts: so many frames after the last sighting, half as many before the first."""
    out = run(edged(), {n: [seen(**place)] for n in range(15, 25)}, 60)
    assert times(out) == [*range(5, 15), *range(25, 45)]
    assert out[44][0].box == pytest.approx(seen(**place).box)


def test_a_track_that_ends_inside_is_not_extended_by_the_edge_rule():
    assert times(run(edged(), {n: [seen()] for n in range(15, 25)}, 60)) == []


def test_a_single_sighting_at_the_edge_is_trusted_for_five_frames():
    assert times(run(edged(), {20: [seen(5)]}, 60)) == [*range(15, 20), *range(21, 26)]


def test_it_goes_out_of_the_picture():
    out = run(edged(6), {n: [seen(40 - 3 * n)] for n in range(12)}, 20)
    assert times(out) == list(range(12, 18))
    last = seen(40 - 33).box
    for n in range(12, 18):
        assert grown(out)[n][0] == pytest.approx((last[0] - 3 * (n - 11), last[1], last[2], last[3]))


def test_grown_ellipses_become_hulls_when_they_move():
    moving = {n: [seen(100 + 6 * n, shape="ellipse")] for n in range(10, 20)}
    out = run(grow("before=0:after=2:scale=1"), moving, 22)
    assert [r.shape for r in out[20]] == ["rect"]
    still = run(grow("before=0:after=2:scale=1"), {5: [seen(shape="ellipse")]}, 8)
    assert [r.shape for r in still[6]] == ["ellipse"]
