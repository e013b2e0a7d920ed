"""track: one number for one object, through gaps, misses and crossings; and the measures under it."""

import random
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anonfilter import assoc
from anonfilter.filter import Env, Options
from anonfilter.filters.track import Track
from anonfilter.frame import StreamInfo
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(1920, 1080, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))


def track(text=None):
    item = Track(Options(parse_options(Track, text).values))
    item.open(Env(stream=STREAM, ring=None, input_name="x"))
    return item


def box(x, y, w=40, h=50):
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def face(x, y, w=40, h=50, **changes):
    return Region(box(x, y, w, h), "face", **{"score": 0.9, **changes})


def records(frames, every=1):
    """frames: lists of regions, one for each look."""
    for i, regions in enumerate(frames):
        n = i * every
        yield FrameRecord(n, n, n / 25, ("faces",), list(regions))
        for m in range(n + 1, n + every):
            yield FrameRecord(m, m, m / 25)


def through(item, stream):
    """Records pushed one by one; checks what every record filter owes: order, look-ahead, regions as they were."""
    ahead, out, given = item.lookahead(STREAM), [], []
    for record in stream:
        given.append(replace(record, regions=list(record.regions)))
        out += item.push(record)
        if ahead is not None:
            assert len(out) >= record.n - ahead + 1 - given[0].n
    out += item.flush()
    assert [strip(record) for record in out] == [strip(record) for record in given]
    return out


def strip(record):
    return replace(record, regions=[region.with_(track=None) for region in record.regions])


def run(item, frames, every=1):
    """Numbers of the regions of every look."""
    out = through(item, records(frames, every))
    return [[region.track for region in record.regions] for record in out if record.looked]


# ---- assoc

boxes = st.lists(
    st.tuples(st.floats(-99, 99), st.floats(-99, 99), st.floats(0, 60), st.floats(0, 60)).map(
        lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
    ),
    max_size=5,
)


@given(boxes, boxes)
@settings(max_examples=100, deadline=None)
def test_measures_against_plain_python(a, b):
    overlap = assoc.iou(assoc.as_array(a), assoc.as_array(b))
    apart = assoc.distance(assoc.as_array(a), assoc.as_array(b))
    sides = assoc.ratio(assoc.as_array(a), assoc.as_array(b))
    assert overlap.shape == apart.shape == sides.shape == (len(a), len(b))
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            w = max(0, min(p[2], q[2]) - max(p[0], q[0]))
            h = max(0, min(p[3], q[3]) - max(p[1], q[1]))
            area = (p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - w * h
            assert overlap[i, j] == pytest.approx(w * h / max(area, 1e-9))
            size = [max(1, r[k + 2] - r[k]) for r in (p, q) for k in (0, 1)]
            dx, dy = ((p[k] + p[k + 2] - q[k] - q[k + 2]) / 2 for k in (0, 1))
            assert apart[i, j] == pytest.approx((dx * dx + dy * dy) ** 0.5 / (sum(size) / 4))
            larger = [max(size[k], size[k + 2]) / min(size[k], size[k + 2]) for k in (0, 1)]
            assert sides[i, j] == pytest.approx(max(larger))


def test_gates():
    a, b = assoc.as_array([box(0, 0)]), assoc.as_array([box(0, 0), box(60, 0), box(70, 0), box(0, 0, 90, 50)])
    costs = assoc.cost(a, b, min_iou=0.1, reach=1.4, size=2.0)[0]
    assert costs[0] == 0
    assert 1 < costs[1] < np.inf
    assert costs[2] == costs[3] == np.inf
    assert assoc.cost(a, b, min_iou=0.1, reach=np.array([2.0]), size=2.0)[0, 2] < np.inf


def test_assign():
    inf = np.inf
    assert assoc.assign(np.zeros((0, 3))) == []
    assert assoc.assign(np.full((2, 2), inf)) == []
    assert assoc.assign(np.array([[1.0, 1.2], [1.5, inf]])) == [(0, 1), (1, 0)]
    # One sure pair is worth more than two poor ones.
    assert assoc.assign(np.array([[0.1, 1.7], [1.7, inf]])) == [(0, 0)]
    assert assoc.assign(np.array([[inf, inf, 0.5], [inf, 0.1, 0.2]])) == [(0, 2), (1, 1)]


# ---- tracks


def test_every_detection_is_numbered_at_once():
    assert run(track(), [[face(50, 50), face(500, 50, score=0.01)], []]) == [[1, 2], []]


def test_numbers_stay_through_motion_and_jitter():
    rng = random.Random(1)
    frames = [[face(100 + 6 * n + rng.gauss(0, 1), 200), face(900 - 4 * n, 600 + 2 * n)] for n in range(60)]
    assert run(track(), frames) == [[1, 2]] * 60


def test_order_of_detections_does_not_matter():
    frames = [[face(100 + n, 100), face(300, 100 + n)][:: (-1) ** n] for n in range(10)]
    assert run(track(), frames) == [[1, 2], [2, 1]] * 5


@pytest.mark.parametrize("every", [2, 5, 12])
def test_gaps_between_looks(every):
    frames = [[face(100 + 3 * every * n, 300), face(1200 - 2 * every * n, 320)] for n in range(9)]
    assert run(track(), frames, every) == [[1, 2]] * 9


def test_looks_farther_apart_than_max_age():
    """Whatever max_age is, the last look's objects are still open at the next."""
    assert run(track("max_age=0"), [[face(100, 100)]] * 4, every=60) == [[1]] * 4
    assert run(track("max_age=0:rejoin=0"), [[face(100, 100)], [], [face(100, 100)]]) == [[1], [], [2]]


def test_missed_detections():
    seen = [face(100, 100)]
    assert run(track(), [seen, *[[]] * 24, seen]) == [[1], *[[]] * 24, [1]]
    assert run(track("rejoin=0"), [seen, *[[]] * 25, seen]) == [[1], *[[]] * 25, [2]]
    assert run(track(), [seen, *[[]] * 25, seen])[-1] == [1]
    assert run(track("max_age=2s:ahead=0"), [seen, *[[]] * 40, seen])[-1] == [1]
    assert run(track("max_age=2s:rejoin=0"), [seen, *[[]] * 60, seen])[-1] == [2]


def test_prediction_carries_over_a_miss():
    """By its last box alone it would be too far away."""
    path = [face(100 + 20 * n, 100) for n in range(30)]
    frames = [[path[n]] if n < 10 or n >= 20 else [] for n in range(30)]
    assert run(track(), frames)[-1] == [1]
    far = [[path[9]], *[[]] * 10, [path[20]]]
    assert run(track(), far)[-1] == [2]


def test_an_object_that_stops_keeps_its_number():
    frames = [[face(100 + 50 * min(n, 6), 100)] for n in range(14)]
    assert run(track(), frames) == [[1]] * 14
    frames = [[] if 6 < n < 12 else [face(100 + 30 * min(n, 7), 100)] for n in range(14)]
    assert run(track(), frames)[-1] == [1]


def test_crossing():
    """Two that pass through each other keep their numbers: velocity tells them apart."""
    frames = [[face(200 + 8 * n, 300), face(680 - 8 * n, 300)] for n in range(61)]
    assert run(track(), frames) == [[1, 2]] * 61


def test_a_jump_elsewhere_is_another_object():
    assert run(track(), [[face(100, 100)], [face(900, 700)]]) == [[1], [2]]
    assert run(track("dist=40"), [[face(100, 100)], [face(900, 700)]]) == [[1], [1]]


def test_size_gate():
    assert run(track(), [[face(100, 100)], [face(100, 100, 120, 150)]]) == [[1], [2]]
    assert run(track("size=4"), [[face(100, 100)], [face(100, 100, 120, 150)]]) == [[1], [1]]


def test_classes_are_separate():
    plate = Region(box(100, 100), "plate", 0.9)
    assert run(track(), [[face(100, 100), plate], [plate, face(100, 100)]]) == [[1, 2], [2, 1]]
    assert run(track(), [[face(100, 100)], [plate]]) == [[1], [2]]


def test_low_scores_choose_last():
    """A doubtful box that fits better does not take a sure one's number."""
    frames = [[face(100, 100)], [face(101, 100, score=0.2), face(108, 100)]]
    assert run(track(), frames) == [[1], [2, 1]]
    assert run(track("high=0"), frames) == [[1], [1, 2]]
    assert run(track(), [[face(100, 100)], [face(101, 100, score=0.2)]]) == [[1], [1]]


def test_tiny_and_empty_boxes():
    dot = Region((5, 5, 5, 5), "face")
    assert run(track(), [[dot], [dot], [dot]]) == [[1]] * 3


def test_zones_and_fillings_are_left_alone():
    zone, held = face(100, 100, src="zone"), face(100, 100, src="interp")
    assert run(track(), [[zone, held], [zone, face(100, 100)]]) == [[None, None], [None, 1]]


def test_removed_regions_are_followed_too():
    gone = face(100, 100, deleted=True)
    item = track()
    assert run(item, [[face(98, 100)], [gone], [face(102, 100)]]) == [[1], [1], [1]]


def test_manual_region_on_a_frame_without_a_look():
    stream = [
        FrameRecord(0, 0, 0.0, ("faces",), [face(100, 100)]),
        FrameRecord(1, 1, 0.0, (), [face(104, 100, src="manual")]),
    ]
    assert [record.regions[0].track for record in through(track(), stream)] == [1, 1]


def test_numbers_from_a_file_are_kept():
    known = [[face(100 + n, 100, track=7), face(500, 100)] for n in range(3)]
    assert run(track(), known) == [[7, 1]] * 3
    # An identity that a person gave overrules geometry.
    assert run(track(), [[face(100, 100, track=2)], [face(900, 700, track=2)]]) == [[2], [2]]


def test_numbers_from_a_file_never_collide():
    frames = [[face(100, 100)], [face(100, 100), face(500, 500, track=1)], [face(500, 500), face(100, 100)]]
    assert run(track("rejoin=0"), frames) == [[1], [1, 2], [2, 1]]
    assert run(track(), frames) == [[2], [2, 1], [1, 2]]  # with look-ahead, the file's number stays


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_numbers_are_unique_on_a_frame_and_boxes_untouched(seed):
    rng = random.Random(seed)
    frames = [
        [
            face(rng.uniform(0, 300), rng.uniform(0, 300), rng.uniform(0, 90), score=rng.random())
            for _ in range(rng.randrange(7))
        ]
        for _ in range(12)
    ]
    every = rng.choice((1, 5))
    for text in ("rejoin=0", None, "global=1"):
        for numbers in run(track(text), frames, every):
            assert len(set(numbers)) == len(numbers)
            assert all(isinstance(number, int) and number >= 1 for number in numbers)


def test_fifty_objects_are_fast():
    """50 objects over 10000 frames in 20 s is 2 ms a frame; here with room for a busy machine."""
    rng = random.Random(3)
    paths = [(rng.uniform(0, 1900), rng.uniform(0, 1000), rng.uniform(-3, 3), rng.uniform(-3, 3)) for _ in range(50)]
    frames = [[face(x + n * dx, y + n * dy) for x, y, dx, dy in paths] for n in range(201)]
    item = track()
    item.push(FrameRecord(0, 0, 0.0, ("m",), frames[0]))
    item.push(FrameRecord(1, 1, 0.0, ("m",), frames[1]))  # loads scipy
    started = time.process_time()
    for n in range(2, 201):
        item.push(FrameRecord(n, n, 0.0, ("m",), frames[n]))
    assert time.process_time() - started < 200 * 0.008
