"""interp: what lies between two sightings is covered, and never less than the straight path."""

import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import Akima1DInterpolator, CubicSpline, PchipInterpolator

from anonfilter.filter import Env, Options
from anonfilter.filters.interp import Interp
from anonfilter.frame import StreamInfo
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
METHODS = ("pchip", "nearest", "linear", "cubic", "makima")


def interp(text=None):
    item = Interp(Options(parse_options(Interp, text).values))
    item.open(Env(stream=STREAM, ring=None, input_name="x"))
    return item


def seen(x, y=100.0, w=20.0, h=30.0, track=1, **changes):
    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return Region(box, "face", **{"score": 0.9, "track": track, **changes})


def run(item, sightings, count):
    """sightings: {frame: regions}. Gives each frame's regions, checking order and look-ahead on the way."""
    out, ahead = [], item.lookahead(STREAM)
    for n in range(count):
        regions = list(sightings.get(n, ()))
        out += item.push(FrameRecord(n, n, n / 25, ("faces",) if regions else (), regions))
        assert ahead is None or len(out) == max(0, n + 1 - ahead)
    out += item.flush()
    assert [record.n for record in out] == list(range(count))
    return [record.regions for record in out]


def centre(region):
    x0, y0, x1, y1 = region.box
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def contains(outer, inner, slack=1e-9):
    return (
        outer[0] <= inner[0] + slack
        and outer[1] <= inner[1] + slack
        and outer[2] >= inner[2] - slack
        and outer[3] >= inner[3] - slack
    )


@pytest.mark.parametrize("method", METHODS)
def test_straight_motion_is_straight(method):
    sightings = {n: [seen(100 + 4 * n)] for n in range(0, 21, 5)}
    out = run(interp(f"{method}:gap=10"), sightings, 21)
    for n, regions in enumerate(out):
        assert len(regions) == 1
        if n % 5 and method != "nearest":
            assert centre(regions[0]) == pytest.approx((100 + 4 * n, 100, 20, 30))
            assert (regions[0].src, regions[0].track, regions[0].cls) == ("interp", 1, "face")


def test_sightings_are_untouched():
    sightings = {0: [seen(3, score=0.5)], 4: [seen(9, src="manual")]}
    out = run(interp(), sightings, 5)
    assert (out[0], out[4]) == (sightings[0], sightings[4])
    assert [r[0].score for r in out] == [0.5, 0.5, 0.5, 0.5, 0.9]


def test_nearest():
    out = run(interp("nearest"), {0: [seen(0)], 4: [seen(40)]}, 5)
    # Each holds the nearer end's box and the straight path's.
    assert [(r[0].box[0], r[0].box[2]) for r in out] == [(-10, 10), (-10, 20), (-10, 30), (20, 50), (30, 50)]


@pytest.mark.parametrize("method", ["pchip", "cubic", "makima"])
def test_curves_are_scipys(method):
    """On a curved path, with all knots in reach, the box is the hull of scipy's and the straight one."""
    frames = [0, 3, 7, 9]
    values = {0: (100, 50, 20, 30), 3: (130, 80, 24, 30), 7: (140, 60, 30, 44), 9: (90, 55, 28, 40)}
    out = run(interp(f"{method}:gap=20"), {n: [seen(*values[n])] for n in frames}, 10)
    states = np.array([values[n] for n in frames], float)
    curve = {
        "pchip": lambda: PchipInterpolator(frames, states),
        "cubic": lambda: CubicSpline(frames, states),
        "makima": lambda: Akima1DInterpolator(frames, states, method="makima"),
    }[method]()
    for n in (1, 2, 4, 5, 6, 8):
        straight = [np.interp(n, frames, states[:, k]) for k in range(4)]
        edges = [
            [c[0] - c[2] / 2, c[1] - c[3] / 2, c[0] + c[2] / 2, c[1] + c[3] / 2] for c in (curve(n), straight)
        ]
        hull = (*np.minimum(*edges)[:2], *np.maximum(*edges)[2:])
        assert out[n][0].box == pytest.approx(hull)
        assert not contains(edges[1], edges[0], 1e-3)  # the curve is not the straight line


@pytest.mark.parametrize(
    ("gap", "filled"), [("3", 2), ("2", 2), ("1", 0), ("0", 0), ("80ms", 2), ("-1", 2), ("0s", 0)]
)
def test_gap_counts_the_frames_between(gap, filled):
    out = run(interp(f"gap={gap}"), {1: [seen(0)], 4: [seen(3)]}, 6)
    assert [len(r) for r in out] == [0, 1, *[filled // 2] * 2, 1, 0]


def test_lookahead():
    assert interp("gap=12").lookahead(STREAM) == 12
    assert interp().lookahead(STREAM) == 25
    assert interp("luma=1").lookahead(STREAM) == 26
    assert interp("gap=-1").lookahead(STREAM) is None


def test_whole_clip():
    out = run(interp("gap=-1"), {0: [seen(0)], 90: [seen(5)]}, 100)
    assert [len(r) for r in out] == [1] * 91 + [0] * 9


def test_a_look_that_missed_is_filled():
    item = interp()
    out = []
    for n in range(5):
        out += item.push(FrameRecord(n, n, 0.0, ("faces",), [seen(n)] if n in (0, 4) else []))
    out += item.flush()
    assert [len(r.regions) for r in out] == [1] * 5


def test_tracks_are_apart_and_untracked_regions_stay():
    sightings = {
        0: [seen(0), seen(200, track=2), seen(50, track=None)],
        4: [seen(4), seen(50, track=None)],
        6: [seen(206, track=2)],
    }
    out = run(interp(), sightings, 7)
    assert [sorted(r.track or 0 for r in regions) for regions in out] == [
        [0, 1, 2], [1, 2], [1, 2], [1, 2], [0, 1, 2], [2], [2]
    ]  # fmt: skip


def test_zones_are_not_tracks():
    zone = seen(0, src="zone", track=3)
    assert [len(r) for r in run(interp(), {0: [zone], 3: [zone]}, 4)] == [1, 0, 0, 1]


def test_removed_by_hand():
    def counts(removed, sighted, count=10):
        sightings = {n: [seen(n / 2)] for n in sighted} | {n: [seen(n / 2, deleted=True)] for n in removed}
        return [sum(not r.deleted for r in regions) for regions in run(interp(), sightings, count)]

    assert counts([3], [0, 9]) == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    # Removed at 3 and at 6: what a detector that looks at every third frame would have had between them, too.
    assert counts([3, 6], [0, 9]) == [1, 1, 1, 0, 0, 0, 0, 1, 1, 1]
    assert counts([9], [0, 5]) == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert counts([0], [5, 9]) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    # Redrawn elsewhere on the same frame: seen.
    out = run(interp(), {0: [seen(0)], 3: [seen(3, deleted=True), seen(5, src="manual")], 6: [seen(6)]}, 7)
    assert [sum(not r.deleted for r in regions) for regions in out] == [1] * 7


def test_two_regions_of_a_track_are_one_sighting():
    out = run(interp("linear"), {0: [seen(0), seen(40)], 2: [seen(0), seen(40)]}, 3)
    assert out[1][0].box == (-10, 85, 50, 115)
    assert len(out[1]) == 1


def test_shape_poly_and_mask():
    square = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
    moved = tuple((x + 4, y) for x, y in square)
    a = seen(0, poly=square, shape="ellipse", mask=(0, 600))
    out = run(interp(), {0: [a], 4: [seen(4, poly=moved, shape="ellipse")], 6: [seen(4, poly=square[:3])]}, 7)
    assert np.allclose(out[1][0].poly, [(1, 0), (5, 0), (5, 4), (1, 4)])
    # Between two places no ellipse covers for sure what those of the ends do.
    assert (out[1][0].shape, out[1][0].mask) == ("rect", None)
    assert (out[5][0].shape, out[5][0].poly) == ("rect", None)
    still = run(interp(), {0: [seen(4, shape="ellipse")], 4: [seen(4, shape="ellipse")]}, 5)
    assert still[2][0].shape == "ellipse"


def test_track_that_comes_back_after_a_long_gap():
    out = run(interp("gap=2"), {0: [seen(0)], 8: [seen(80)], 10: [seen(90)]}, 11)
    assert [len(r) for r in out] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 3, 1]  # 80 and 90 alone do not agree
    assert centre(out[9][0]) == pytest.approx((85, 100, 20, 30))  # not bent by the sighting at 0


@given(st.integers(0, 2**32), st.sampled_from(METHODS), st.sampled_from([1, 3, 7, -1]))
@settings(max_examples=120, deadline=None)
def test_any_path(seed, method, gap):
    """Every box is finite, at least as large as the smaller end, and contains the straight path."""
    rng = random.Random(seed)
    count = 40
    frames = sorted(rng.sample(range(count), rng.randint(2, 20)))
    wild = {
        n: [seen(rng.uniform(-500, 500), rng.gauss(0, 90), rng.choice([0, 1, 80]), rng.uniform(0, 300))]
        for n in frames
    }
    out = run(interp(f"{method}:gap={gap}"), wild, count)
    for a, b in pairwise(frames):
        p, q = wild[a][0], wild[b][0]
        for n in range(a + 1, b):
            if gap >= 0 and b - a - 1 > gap:
                assert out[n] == []
                continue
            region = out[n][0]
            assert np.isfinite(region.box).all()
            share = (n - a) / (b - a)
            assert contains(
                region.box, [u + share * (v - u) for u, v in zip(p.box, q.box, strict=True)], 1e-6
            )
            for k in (2, 3):
                assert centre(region)[k] >= min(centre(p)[k], centre(q)[k]) - 1e-6


def test_ends_that_do_not_agree_are_held():
    """Two objects taken for one: the path between them covers neither, so what each end alone tells is covered too."""
    left = {n: [seen(100 + n, w=40)] for n in range(5)}
    right = {n: [seen(300 - n, w=40)] for n in range(10, 15)}
    out = run(interp("linear"), left | right, 15)
    for n in range(5, 10):
        assert out[n][0].src == "interp"
        for still in (seen(104, w=40), seen(100 + n, w=40), seen(290, w=40), seen(300 - n, w=40)):
            assert any(contains(r.box, still.box) for r in out[n][1:])
    # Not for ever: five frames from each end.
    late = run(interp("linear"), {n: [seen(100, w=40)] for n in range(3)} | {20: [seen(400, w=40)]}, 21)
    assert [len(r) for r in late[3:20]] == [2] * 5 + [1] * 7 + [2] * 5


def test_ends_that_agree_have_the_path_alone():
    """A steady course is predicted from either end, however far it goes."""
    out = run(interp("linear"), {n: [seen(100 + 10 * n)] for n in (0, 1, 2, 12, 13)}, 14)
    assert [len(r) for r in out] == [1] * 14


def test_a_held_ellipse_becomes_its_hull():
    out = run(interp(), {0: [seen(100, shape="ellipse")], 6: [seen(200, shape="ellipse")]}, 7)
    assert [r.shape for r in out[3]] == ["rect", "ellipse", "ellipse"]  # a path, and two that stay


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_what_leaves_does_not_depend_on_what_comes_later(seed):
    """The first frames of a clip come out the same, however it goes on after their look-ahead."""
    rng = random.Random(seed)
    frames = {n: [seen(rng.uniform(0, 500))] for n in range(60) if rng.random() < 0.3}
    whole = run(interp("gap=6"), frames, 60)
    item, cut = interp("gap=6"), rng.randint(6, 59)
    early = [
        r for n in range(cut + 1) for r in item.push(FrameRecord(n, n, 0.0, (), list(frames.get(n, ()))))
    ]
    assert [r.regions for r in early] == whole[: cut - 5]
