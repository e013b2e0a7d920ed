"""interp=luma=1: what is followed between two sightings by its picture; and that it only ever adds."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from anonfilter import filter as registry
from anonfilter import lumasearch
from anonfilter.api import Graph
from anonfilter.errors import PlanError
from anonfilter.filter import Env, Options, Sampler
from anonfilter.filters.grow import Grow
from anonfilter.filters.hold import Hold
from anonfilter.filters.interp import Interp
from anonfilter.frame import Frame, StreamInfo
from anonfilter.job import Job
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.seek import PARTS, UNIT
from anonfilter.options import Option, parse_options
from anonfilter.plan import make_plan
from anonfilter.records import Box, FrameRecord, Region
from anonfilter.run import run

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out
import clips

SIZE = (320, 240)
Way = Callable[[int], tuple[int, int]]


def texture(seed: int, size: tuple[int, int], grain: int) -> np.ndarray:
    """(h, w) uint8 of random structure about `grain` samples large."""
    rng = np.random.default_rng(seed)
    w, h = size
    small = rng.uniform(20, 235, (h // grain + 2, w // grain + 2))
    y, x = np.arange(h) / grain, np.arange(w) / grain
    rows = np.array([np.interp(x, np.arange(small.shape[1]), line) for line in small])
    return np.array([np.interp(y, np.arange(small.shape[0]), column) for column in rows.T]).T.astype(np.uint8)


def arc(n: int) -> tuple[int, int]:
    """Up and down again between frames 0 and 20, by more than its own height."""
    t = n / 20
    return round(60 + 120 * t), round(100 + 4 * 44 * t * (1 - t))


def box_at(way: Way, n: int, side: int) -> Box:
    x, y = way(n)
    return float(x), float(y), float(x + side), float(y + side)


def picture(n: int, way: Way, side: int = 40, size: tuple[int, int] = SIZE, flat: bool = False) -> np.ndarray:
    """A textured square over textured background, (h, w) uint8; the square may reach out of the picture."""
    out = texture(1, size, 7)
    wide = np.zeros((size[1] + 2 * side, size[0] + 2 * side), np.uint8)
    wide[side:-side, side:-side] = 90 if flat else out
    x, y = way(n)
    wide[y + side : y + 2 * side, x + side : x + 2 * side] = 90 if flat else texture(2, (side, side), max(1, side // 8))
    return wide[side:-side, side:-side].copy()


def frame(n: int, luma: np.ndarray, pix_fmt: str = "yuv420p") -> Frame:
    """A frame of any format with that luma."""
    made = av.VideoFrame(luma.shape[1], luma.shape[0], pix_fmt)
    fmt = FORMATS[pix_fmt]
    made_frame = Frame(n, n, n / 25, made)
    made_frame.writable = True
    for i, plane in enumerate(made_frame.planes()):
        top = 1 << (fmt.depth - 8) << fmt.shift
        plane[:] = luma.astype(plane.dtype) * top if i == 0 else 128 * top
    made_frame.writable = False
    return made_frame


class StrictRing:
    """Gives the frames that the look-ahead promises, and no others."""

    def __init__(self, frames: dict[int, Frame], ahead: int) -> None:
        self._frames, self._ahead, self.newest, self.asked = frames, ahead, -1, set[int]()

    def __getitem__(self, n: int) -> Frame:
        assert self.newest - self._ahead <= n <= self.newest
        self.asked.add(n)
        return self._frames[n]


def lane(
    text: str, pictures: list[np.ndarray], seen: dict[int, list[Region]], cuts: set[int] = frozenset(),  # type: ignore[assignment]
    pix_fmt: str = "yuv420p",
) -> tuple[list[list[Region]], StrictRing]:  # fmt: skip
    """Regions of each frame behind one interp, and the ring that it looked at."""
    h, w = pictures[0].shape
    stream = StreamInfo(w, h, pix_fmt, Fraction(1, 25), Fraction(25), Fraction(25))
    item = Interp(Options(parse_options(Interp, text).values))
    ahead = item.lookahead(stream)
    assert ahead is not None
    ring = StrictRing({n: frame(n, luma, pix_fmt) for n, luma in enumerate(pictures)}, ahead)
    item.open(Env(stream=stream, ring=ring, input_name="x"))
    out: list[FrameRecord] = []
    for n in range(len(pictures)):
        ring.newest = n
        out += item.push(FrameRecord(n, n, n / 25, ("faces",) if n in seen else (), list(seen.get(n, ())), n in cuts))
        assert len(out) == max(0, n + 1 - ahead)
    out += item.flush()
    assert [record.n for record in out] == list(range(len(pictures)))
    return [record.regions for record in out], ring


def looks(way: Way, side: int, at: tuple[int, ...] = (0, 20)) -> dict[int, list[Region]]:
    return {n: [Region(box_at(way, n, side), "face", 0.9, track=1)] for n in at}


def share(regions: list[Region], box: Box) -> float:
    """How much of a box the regions cover."""
    x0, y0, x1, y1 = box
    xs, ys = np.linspace(x0, x1, 81)[:-1], np.linspace(y0, y1, 81)[:-1]
    hit = np.zeros((80, 80), bool)
    for r in regions:
        hit |= ((ys >= r.box[1]) & (ys < r.box[3]))[:, None] & ((xs >= r.box[0]) & (xs < r.box[2]))
    return float(hit.mean())


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "gray", "yuv420p10le", "p010le", "yuv444p12le"])
def test_a_square_on_a_curve_is_followed(pix_fmt: str) -> None:
    pictures = [picture(n, arc) for n in range(21)]
    without, blind = lane("pchip", pictures, looks(arc, 40), pix_fmt=pix_fmt)
    found, ring = lane("pchip:luma=1", pictures, looks(arc, 40), pix_fmt=pix_fmt)
    assert min(share(without[n], box_at(arc, n, 40)) for n in range(21)) < 0.3
    assert min(share(found[n], box_at(arc, n, 40)) for n in range(21)) >= 0.95
    assert (blind.asked, ring.asked) == (set(), set(range(21)))
    for n in range(21):
        assert found[n][: len(without[n])] == without[n]
    new = found[10][-1]
    assert (new.cls, new.src, new.track, new.score, new.shape) == ("face", "interp", 1, 0.9, "rect")


def test_nothing_is_ever_taken_away_and_where_the_way_is_straight_little_is_added() -> None:
    rng = np.random.default_rng(5)
    for trial in range(6):
        # A random walk seen at random times, sometimes with a cut, so that the search is often wrong.
        steps = np.cumsum(rng.integers(-9, 10, (40, 2)), axis=0)

        def way(n: int, steps: np.ndarray = steps) -> tuple[int, int]:
            return int(np.clip(140 + steps[n, 0], 0, 280)), int(np.clip(100 + steps[n, 1], 0, 200))

        at = tuple(sorted(rng.choice(40, 5, replace=False).tolist()))
        pictures = [picture(n, way, flat=trial == 4) for n in range(40)]
        cuts = {20} if trial % 2 else set()
        without, _ = lane("pchip", pictures, looks(way, 40, at), cuts)
        found, _ = lane("luma=1", pictures, looks(way, 40, at), cuts)
        for a, b in zip(without, found, strict=True):
            assert b[: len(a)] == a
            assert all(r.src == "interp" and r.due is None for r in b[len(a) :])

    def straight(n: int) -> tuple[int, int]:
        return 60 + 4 * n, 100

    pictures = [picture(n, straight) for n in range(21)]
    without, _ = lane("", pictures, looks(straight, 40))
    found, _ = lane("luma=1", pictures, looks(straight, 40))
    for n in range(1, 20):
        x0, y0, x1, y1 = box_at(straight, n, 40)
        for r in found[n][len(without[n]) :]:
            assert max(abs(a - b) for a, b in zip(r.box, (x0, y0, x1, y1), strict=True)) < 2


def test_never_across_a_cut() -> None:
    found, ring = lane("luma=1", [picture(n, arc) for n in range(21)], looks(arc, 40), {10})
    assert [len(regions) for regions in found] == [1, *[0] * 19, 1]
    assert ring.asked == set()


def test_missing_texture_adds_nothing() -> None:
    found, ring = lane("luma=1", [picture(n, arc, flat=True) for n in range(21)], looks(arc, 40))
    without, _ = lane("pchip", [picture(n, arc, flat=True) for n in range(21)], looks(arc, 40))
    assert found == without
    assert ring.asked


def test_what_is_gone_adds_nothing() -> None:
    """Between two looks the square is somewhere else entirely and the background another one: low correlation."""
    rng = np.random.default_rng(0)
    pictures = [picture(n, arc) for n in range(21)]
    for n in range(1, 20):
        pictures[n] = rng.integers(0, 256, pictures[n].shape).astype(np.uint8)
    found, _ = lane("luma=1", pictures, looks(arc, 40))
    assert [len(regions) for regions in found[1:20]] == [len(r) for r in lane("", pictures, looks(arc, 40))[0][1:20]]


@pytest.mark.parametrize(("side", "size"), [(8, (64, 48)), (12, (160, 120)), (90, (240, 200)), (400, (1000, 640))])
def test_tiny_and_huge_boxes(side: int, size: tuple[int, int]) -> None:
    """Down to what has no texture of its own, and up to more than half of the picture."""

    def way(n: int) -> tuple[int, int]:
        t = n / 10
        return round(1.2 * side * t), round(1.6 * side * t * (1 - t))

    pictures = [picture(n, way, side, size) for n in range(11)]
    found, _ = lane("luma=1", pictures, looks(way, side, (0, 10)))
    assert min(share(found[n], box_at(way, n, side)) for n in range(11)) >= (0.95 if side > 8 else 0.85)


@pytest.mark.parametrize(
    "box", [(3.0, 3.0, 3.5, 9.0), (5.0, 5.0, 5.0, 5.0), (2.0, 8.0, 1.0, 3.0), (0.0, 0.0, 1e4, 5.0)]
)
def test_boxes_without_sense_change_nothing(box: Box) -> None:
    pictures = [picture(n, arc) for n in range(6)]
    seen = {n: [Region(box, "face", 0.9, track=1)] for n in (0, 5)}
    without, _ = lane("pchip", pictures, seen)
    found, _ = lane("luma=1", pictures, seen)
    for a, b in zip(without, found, strict=True):
        assert b[: len(a)] == a


def test_at_the_picture_s_edge() -> None:
    """It slides along the left edge, a third of it outside, on a curve along that edge."""

    def way(n: int) -> tuple[int, int]:
        t = n / 20
        return -13, round(60 + 40 * t + 4 * 40 * t * (1 - t))

    pictures = [picture(n, way) for n in range(21)]
    found, _ = lane("luma=1", pictures, looks(way, 40))
    assert min(share(found[n], box_at(way, n, 40)) for n in range(21)) >= 0.95
    without, _ = lane("pchip", pictures, looks(way, 40))
    assert min(share(without[n], box_at(way, n, 40)) for n in range(21)) < 0.5


def test_outside_of_the_picture_there_is_nothing() -> None:
    luma = picture(0, arc)
    assert lumasearch.window(luma, FORMATS["gray"], (-90.0, 10.0, -50.0, 50.0), (16, 16)) is None
    assert lumasearch.window(luma, FORMATS["gray"], (10.0, 10.0, 10.0, 50.0), (16, 16)) is None


@pytest.mark.parametrize("box", [(40.0, 60.0, 80.0, 100.0), (31.3, 50.2, 151.9, 80.7), (-12.0, 60.0, 28.0, 150.5)])
def test_a_window_knows_where_it_is(box: Box) -> None:
    """A ramp's samples tell their own place: that of the window's map, to a sample of it."""
    y, x = np.mgrid[16:256, 16:256]
    shape = lumasearch.shape_of(box)
    assert shape is not None
    for luma, axis in ((x, 1), (y, 0)):
        seen = lumasearch.window(luma.astype(np.uint8), FORMATS["yuvj444p"], box, shape)
        assert seen is not None
        rows, columns = seen.samples.shape
        middle, scale = (rows // 2, columns // 2), seen.scale[1 - axis]
        value = seen.samples[middle] / UNIT - 16
        where = (seen.top, seen.left)[axis] + (middle[axis] + 0.5) / scale - 0.5
        assert value == pytest.approx(where, abs=1 / scale)
        column, row = (k / PARTS + s / 2 for k, s in zip(seen.corner(box, shape), shape, strict=True))
        at = (seen.top + row / seen.scale[1], seen.left + column / seen.scale[0])[axis]
        assert at == pytest.approx((box[1 - axis] + box[3 - axis]) / 2, abs=1 / PARTS / scale)


def test_removed_frames_stay_empty() -> None:
    seen = looks(arc, 40)
    for n in (8, 12):
        seen[n] = [Region(box_at(arc, n, 40), "face", 0.9, track=1, deleted=True)]
    found, _ = lane("luma=1", [picture(n, arc) for n in range(21)], seen)
    assert [len([r for r in found[n] if not r.deleted]) for n in range(8, 13)] == [0] * 5
    assert share(found[7], box_at(arc, 7, 40)) >= 0.95


class Square(Sampler):
    """A test detector that finds the square on every 20th frame."""

    name = "square"
    help = "test detector"
    options = (Option("every", "int", 20, "", min=1),)

    def look(self, record: FrameRecord) -> None:
        record.ran = ("square",)
        record.regions.append(Region(box_at(wave, record.n, 40), "face", 0.9))

    def every(self) -> int:
        return int(self.opts["every"])

    def models(self) -> tuple[str, ...]:
        return ("square",)


def wave(n: int) -> tuple[int, int]:
    return round(60 + 3 * n), round(100 + 44 * math.sin(math.pi * n / 20) ** 2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    def draw(n: int, made: av.VideoFrame) -> None:
        rows = np.frombuffer(made.planes[0], np.uint8).reshape(SIZE[1], -1)
        rows.flags.writeable or pytest.fail("the plane cannot be drawn on")
        rows[:, : SIZE[0]] = picture(n, wave)

    path = tmp_path_factory.mktemp("luma") / "clip.mp4"
    clips.make(path, size=SIZE, frames=46, options={"qp": "4"}, picture=draw)
    registry.register(Square)
    yield path
    registry.unregister(Square)


def job(clip: Path, out: Path, graph: str, **more: object) -> Job:
    return Job(str(clip), str(out), graph, encoder_options={"preset": "ultrafast"}, threads=1, **more)  # type: ignore[arg-type]


GRAPHS = [
    "square,track,interp=luma=1,fill",
    "square,track,interp=gap=21:luma=1,grow=before=3:after=3,blur",
    "square=every=7,track,interp=luma=1,interp=luma=1:gap=0.5s,fill",
]


@pytest.mark.parametrize("graph", GRAPHS)
def test_one_pass_equals_two_passes(clip: Path, tmp_path: Path, graph: str) -> None:
    outs = []
    for passes in (1, 2):
        out = tmp_path / f"{passes}.mp4"
        assert run(job(clip, out, graph, passes=passes, ring_memory=0 if passes == 2 else 1 << 30)).passes == passes
        outs.append(hashlib.sha256(out.read_bytes()).hexdigest())
    plain = tmp_path / "plain.mp4"
    run(job(clip, plain, graph.replace("luma=1", "luma=0")))
    assert outs[0] == outs[1]
    if "every" not in graph:
        assert hashlib.sha256(plain.read_bytes()).hexdigest() != outs[0]


def test_fed_by_hand(clip: Path) -> None:
    """api.Graph has one ring and one pass; all frames come out, and the square is gone from each."""
    graph = Graph(
        "square,track,interp=luma=1,fill", width=SIZE[0], height=SIZE[1], rate=25, time_base=Fraction(1, 12800)
    )
    out = []
    with graph, av.open(str(clip)) as source:
        for decoded in source.decode(video=0):
            out += graph.push(decoded.reformat(format="yuv420p"))
        out += graph.flush()
    assert len(out) == 46
    for n, shown in enumerate(out[:41]):
        x, y = wave(n)
        inner = shown.to_ndarray()[y + 2 : y + 38, x + 2 : x + 38]
        assert (np.abs(inner.astype(int) - inner[18, 18]) < 3).mean() > 0.95


def test_the_plan_holds_the_frames_and_says_so(clip: Path) -> None:
    stream = StreamInfo(*SIZE, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))

    def plan(graph: str, **more: object) -> object:
        return make_plan(Job(str(clip), "-", graph, output_format="null", **more), stream)  # type: ignore[arg-type]

    without, found = plan("square,track,interp=luma=0,fill"), plan("square,track,interp=luma=1,fill")
    assert found.lookahead == without.lookahead + 1
    upto = [item.lookahead(stream) for item in found.lane[: [i.name for i in found.lane].index("interp") + 1]]
    assert (without.reader_ahead, found.reader_ahead, upto[-1]) == (sum(upto[:-1]), sum(upto), 26)
    texts = [next(k for k in p.describe().splitlines() if "interp " in k) for p in (without, found)]
    assert ("records" in texts[0], "reads pixels" in texts[1], "26 frames" in texts[1]) == (True, True, True)
    assert any(", interp: a look" in line for line in found.describe().splitlines())
    with pytest.raises(PlanError, match="'interp' cannot look at pixels when it needs the whole clip"):
        plan("square,track,interp=gap=-1:luma=1,fill")
    with pytest.raises(PlanError, match="'interp' cannot look at pixels after a filter that needs the whole clip"):
        plan("square,track,interp=gap=-1,interp=luma=1,fill")


@pytest.mark.parametrize("gap", [18, 19, 20, 25])
def test_the_same_gaps_are_filled(gap: int) -> None:
    """19 frames between two sightings are a gap of 19: the frame more of look-ahead does not change that."""
    pictures = [picture(n, arc) for n in range(21)]
    without, _ = lane(f"gap={gap}", pictures, looks(arc, 40))
    found, _ = lane(f"luma=1:gap={gap}", pictures, looks(arc, 40))
    assert [bool(r) for r in without] == [bool(r) for r in found] == [True, *[gap >= 19] * 19, True]


@pytest.mark.parametrize("seed", range(4))
def test_filters_behind_it_cover_no_less(seed: int) -> None:
    """The planner's hold leaves out a look's box where the track has one in its place, and grow goes on as it moved:
    neither may judge by what was only added."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.integers(-7, 8, (60, 2)), axis=0)

    def way(n: int) -> tuple[int, int]:
        return int(np.clip(140 + steps[n, 0], 0, 280)), int(np.clip(100 + steps[n, 1], 0, 200))

    stream = StreamInfo(*SIZE, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
    frames = {n: frame(n, picture(n, way)) for n in range(60)}
    outs = []
    for luma in (0, 1):
        items = [
            Interp(Options(parse_options(Interp, f"luma={luma}").values)),
            Grow(Options(parse_options(Grow, None).values)),
            Hold(12, ("faces",)),
        ]
        records = [FrameRecord(n, n, n / 25) for n in range(60)]
        for n in range(3, 60, 12):
            records[n].ran, records[n].regions = ("faces",), [Region(box_at(way, n, 40), "face", 0.9, track=1)]
        for item in items:
            ring = StrictRing(frames, 60)
            ring.newest = 59
            item.open(Env(stream=stream, ring=ring, input_name="x"))
            records = [out for record in records for out in item.push(record)] + list(item.flush())
        outs.append([record.regions for record in records])
    assert any(len(b) > len(a) for a, b in zip(*outs, strict=True))
    for a, b in zip(*outs, strict=True):
        assert all(region in b for region in a)
