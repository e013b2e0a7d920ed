"""The record lane as a whole: order, promises, one pass equal to two, and coverage that only grows."""

import random
from fractions import Fraction

import pytest

from anonfilter import filter as registry
from anonfilter.filter import Env, Options
from anonfilter.filters.hold import Hold
from anonfilter.frame import StreamInfo
from anonfilter.lane import Lane
from anonfilter.options import parse_options
from anonfilter.recordfile import RecordReader, RecordWriter
from anonfilter.recordjson import Header
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 12800), Fraction(25), Fraction(25))

GRAPHS = [
    "track,interp,grow",
    "track=max_age=4,interp=makima:gap=7,grow=before=3:after=2:scale=1.3:pad=1",
    "track,interp=cubic:gap=-1,grow=before=0:after=9",
    "zone=1:2:30:40:enable='lt(n,9)',track,interp=nearest:gap=3",
    "grow,track,interp=linear",
    "interp,grow",
    "track",
    "interp=gap=2,grow=before=6,track,interp,grow",
]


def filters(graph, every):
    out = []
    for text in graph.split(","):
        name, _, args = text.partition("=")
        cls = registry.find(name)
        args = args.replace("(n;", "(n,")
        parsed = parse_options(cls, args or None)
        item = cls(Options(parsed.values, parsed.given), name)
        item.enable = parsed.enable
        out.append(item)
    if every > 1:
        out.append(Hold(every, ["m"]))
    for item in out:
        item.open(Env(stream=STREAM, ring=None, input_name="x"))
    return out


def clip(seed, every, count=70):
    """Objects that move, vanish, come back, are missed; hand-made regions and removals among them."""
    rng = random.Random(seed)
    objects = [
        (
            rng.uniform(0, 600),
            rng.uniform(0, 300),
            rng.gauss(0, 6),
            rng.gauss(0, 3),
            rng.uniform(5, 60),
            rng.randrange(count),
        )
        for _ in range(rng.randint(0, 5))
    ]
    records = []
    for n in range(count):
        record = FrameRecord(n, 512 * n - 100, n / 25)
        if n % every == 0:
            record.ran = ("m",)
            for i, (x, y, dx, dy, size, start) in enumerate(objects):
                if start <= n and rng.random() > 0.25:
                    left, top = x + n * dx + rng.gauss(0, 1), y + n * dy
                    record.regions.append(
                        Region(
                            (left, top, left + size, top + size * rng.uniform(0.9, 1.1)),
                            ("face", "plate")[i % 2],
                            rng.random(),
                            deleted=rng.random() < 0.05,
                            shape=rng.choice([None, "ellipse"]),
                        )
                    )
        elif rng.random() < 0.1:
            record.regions.append(
                Region((5.0, 5.0, 50.0, 60.0), "face", 1.0, "manual", track=rng.choice([None, 1]))
            )
        records.append(record)
    return records


def copy(record):
    return FrameRecord(record.n, record.pts, record.t, record.ran, list(record.regions))


def chain(items, start, record):
    """One record through the filters from `start` on."""
    if start == len(items):
        yield record
        return
    for out in items[start].push(record):
        yield from chain(items, start + 1, out)


def drain(items):
    for i, item in enumerate(items):
        for record in item.flush():
            yield from chain(items, i + 1, record)


def run(items, records):
    """All records through a chain; the look-ahead is held to."""
    ahead = [item.lookahead(STREAM) for item in items]
    promise = None if None in ahead else sum(ahead)
    out = []
    for record in records:
        out += chain(items, 0, copy(record))
        assert promise is None or len(out) >= record.n + 1 - promise
    out += drain(items)
    return out


def contains(outer, inner):
    return all(a <= b + 1e-9 for a, b in zip(outer[:2], inner[:2], strict=True)) and all(
        a >= b - 1e-9 for a, b in zip(outer[2:], inner[2:], strict=True)
    )


CASES = [(graph, every) for graph in GRAPHS for every in (1, 4)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-every{case[1]}")
def case(request):
    return request.param


def split(graph):
    """Commas inside of quotes are the zone's."""
    return graph.replace("lt(n,9)", "lt(n;9)")


@pytest.mark.parametrize("seed", range(4))
def test_order_promise_and_coverage(case, seed):
    graph, every = case
    records = clip(seed, every)
    out = run(filters(split(graph), every), records)
    assert [(r.n, r.pts, r.t, r.ran) for r in out] == [(r.n, r.pts, r.t, r.ran) for r in records]
    for given, made in zip(records, out, strict=True):
        drawn = [r for r in made.regions if not r.deleted]
        for region in given.regions:
            if not region.deleted:
                assert any(r.cls == region.cls and contains(r.box, region.box) for r in drawn)
        for region in made.regions:
            assert region.box[0] <= region.box[2]
            assert region.box[1] <= region.box[3]


@pytest.mark.parametrize("seed", range(3))
def test_more_filters_cover_more(seed):
    """interp and grow take away nothing of what hold alone covers on a frame that was not looked at (but for
    tracks that are accounted for, and there are none here)."""
    records = [
        FrameRecord(r.n, r.pts, r.t, r.ran, [x for x in r.regions if x.track is None]) for r in clip(seed, 5)
    ]
    plain = run(filters("interp=gap=0", 5), records)
    more = run(filters("interp,grow", 5), records)
    for few, many in zip(plain, more, strict=True):
        for region in few.regions:
            if not region.deleted:
                assert any(contains(r.box, region.box) and not r.deleted for r in many.regions)


def test_every_frame_near_a_look_with_a_detection_is_covered():
    """Nothing is left out by not looking, whatever is between detector and hold."""
    for graph in ("track", "track,interp", "track,interp,grow", "grow"):
        records = [FrameRecord(n, n, n / 25, ("m",) if n % 5 == 0 else ()) for n in range(60)]
        for n in (10, 15, 40):
            records[n].regions.append(Region((9.0 * n, 50, 9.0 * n + 40, 90), "face", 0.9))
        out = run(filters(graph, 5), records)
        covered = {r.n for r in out if any(not x.deleted for x in r.regions)}
        assert covered >= {*range(6, 20), *range(36, 45)}


@pytest.mark.parametrize("seed", range(3))
def test_two_passes_equal_one(case, seed, tmp_path):
    """The lane's records through a file, or the detector's through one and then the lane: the same bits."""
    graph, every = case
    records = clip(seed, every)
    direct = run(filters(split(graph), every), records)

    def through(stage, name):
        writer = RecordWriter(tmp_path / name, Header.of("pass 1", STREAM))
        for record in stage:
            writer.write(record)
        writer.close(len(records), None)
        with RecordReader(tmp_path / name) as reader:
            back = []
            for record in records:
                stored = reader.take(record.n, record.pts) or FrameRecord(0, None, 0.0)
                back.append(FrameRecord(record.n, record.pts, record.t, stored.ran, stored.regions))
            reader.finish(len(records), None)
        return back

    assert through(direct, "rendered") == direct
    assert run(filters(split(graph), every), through(records, "detected")) == direct


@pytest.mark.parametrize("graph", [g for g in GRAPHS if "-1" not in g])
def test_what_leaves_depends_on_what_came(graph):
    """Cut the clip anywhere: what had left by then is what leaves of the whole."""
    records = clip(11, 4)
    whole = run(filters(split(graph), 4), records)
    for cut in (1, 20, 37, 69):
        items, early = filters(split(graph), 4), []
        for record in records[:cut]:
            early += chain(items, 0, copy(record))
        assert early == whole[: len(early)]


def test_a_second_run_is_the_same(case):
    """open() starts anew: two passes of one plan use the same filter objects."""
    graph, every = case
    items = filters(split(graph), every)
    first = run(items, clip(5, every))
    for item in items:
        item.open(Env(stream=STREAM, ring=None, input_name="x"))
    assert run(items, clip(5, every)) == first


class _Frame:
    """What Lane needs of a frame."""

    def __init__(self, n):
        self.n, self.pts, self.t = n, n, n / 25


def test_the_runner_s_lane():
    """Each frame's record leaves once, in order; packets leave after the frames before them."""
    items = filters("zone,track,interp,grow", 3)
    lane, out = Lane(items), []
    for n in range(50):
        out += lane.push(_Frame(n))
        lane.hold_packet(n)
        ready = list(lane.packets())
        assert all(packet < len(out) for packet in ready)
    out += lane.flush()
    assert [(r.n, len(r.regions)) for r in out] == [(n, 1) for n in range(50)]
