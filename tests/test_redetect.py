"""redetect: where it looks, what it takes, and when it stops; with a scripted world, and with the real net."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from anonfilter import filter as registry
from anonfilter.errors import ModelError
from anonfilter.filter import Env, Options, RecordFilter
from anonfilter.filters import redetect
from anonfilter.filters.redetect import Redetect
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.lane import Lane
from anonfilter.models import catalog
from anonfilter.models.detector import CropDetector, Square
from anonfilter.models.family import Detection
from anonfilter.motion import overlap
from anonfilter.options import parse_options
from anonfilter.plan import make_plan
from anonfilter.records import Box, FrameRecord, Region

ROOT = Path(__file__).resolve().parent.parent
STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
FACES = catalog.resolve("faces")
TIME = 13  # frames of the default 0.5 s


def at(x: float, y: float = 180.0, side: float = 40.0) -> Box:
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def face(box: Box, track: int | None = 1, **changes: Any) -> Region:
    return Region(box, "face", **{"score": 0.9, "track": track, **changes})


class World:
    """What shows on each frame, and which frames were looked at, in which squares."""

    def __init__(self, shows: Callable[[int], list[Box]]) -> None:
        self.shows = shows
        self.score = 0.5
        self.looks: list[tuple[int, Square]] = []

    @property
    def frames(self) -> list[int]:
        return [n for n, _ in self.looks]


class _Picture:
    """A frame that says only which it is."""

    def __init__(self, n: int) -> None:
        self.n, self.t, self.size = n, n / 25, (STREAM.width, STREAM.height)


class _Ring:
    """Frames of which the records have not left."""

    def __init__(self) -> None:
        self.kept: set[int] = set()

    def __getitem__(self, n: int) -> Any:
        assert n in self.kept, f"frame {n} has left"
        return _Picture(n)


def stand_in(world: World) -> type:
    class Scripted:
        def __init__(self, model: Any, side: int, thresh: float, **how: Any) -> None:
            self.model, self.size = replace(model, margin=0.0), (side, side)

        def __call__(self, frame: Any, stream: StreamInfo, square: Square) -> list[Detection]:
            world.looks.append((frame.n, square))
            x0, y0, side = square
            return [
                Detection(box, "face", world.score)
                for box in world.shows(frame.n)
                if x0 <= (box[0] + box[2]) / 2 < x0 + side and y0 <= (box[1] + box[3]) / 2 < y0 + side
            ]

        def close(self) -> None:
            pass

    return Scripted


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[FrameRecord]]:
    def go(
        world: World, sightings: dict[int, list[Region]], count: int, args: str = "", *, every: int = 1,
        cuts: tuple[int, ...] = (), log: list[str] | None = None,
    ) -> list[FrameRecord]:  # fmt: skip
        """Push `count` records; checks order, look-ahead and that no frame is asked for that has left the ring."""
        monkeypatch.setattr(redetect, "CropDetector", stand_in(world))
        parsed = parse_options(Redetect, args or None)
        item, ring = Redetect(Options(parsed.values, parsed.given)), _Ring()
        used = [(FACES.name, FACES.sha256)]
        lines = [] if log is None else log
        item.open(Env(STREAM, ring, "x", models_used=used, log=lambda level, line: lines.append(line)))
        ahead = item.lookahead(STREAM)
        assert ahead is not None
        out: list[FrameRecord] = []
        for n in range(count):
            ring.kept.add(n)
            ran = (FACES.name,) if n % every == 0 or n == count - 1 else ()
            out += item.push(FrameRecord(n, n, n / 25, ran, list(sightings.get(n, ())), n in cuts))
            assert len(out) == max(0, n + 1 - ahead)
            ring.kept.discard(n - ahead)
        out += item.flush()
        item.close()
        assert [record.n for record in out] == list(range(count))
        assert [bool(record.ran) for record in out] == [n % every == 0 or n == count - 1 for n in range(count)]
        for record in out:
            assert record.regions[: len(sightings.get(record.n, ()))] == list(sightings.get(record.n, ()))
        return out

    return go


def added(out: list[FrameRecord], sightings: dict[int, list[Region]]) -> dict[int, Region]:
    """What was found, by frame; one a frame in these tests."""
    found = {}
    for record in out:
        new = record.regions[len(sightings.get(record.n, ())) :]
        assert len(new) <= 1
        if new:
            found[record.n] = new[0]
    return found


def moving(n: int) -> Box:
    return at(100 + 3 * n)


def test_forward_it_goes_on_as_long_as_the_object_shows(run: Any) -> None:
    world = World(lambda n: [moving(n)] if n < 90 else [])
    sightings = {n: [face(moving(n))] for n in range(11)}
    found = added(run(world, sightings, 130), sightings)
    assert max(found) == 89  # the last one by halving
    assert {b - a for a, b in pairwise([10, *found])} <= {1, 2, 3}
    for n, region in found.items():
        assert region == Region(moving(n), "face", 0.5, "det", 1)
    assert max(world.frames) == max(found) + TIME
    assert len(world.looks) < 45


def test_backward_it_reaches_as_far_as_frames_are_kept(run: Any) -> None:
    sightings = {n: [face(moving(n))] for n in range(50, 80)}
    world = World(lambda n: [moving(n)])
    found = added(run(world, sightings, 80), sightings)
    assert min(found) == 50 - TIME
    assert set(found) >= {47, 44, 41, 38}
    world = World(lambda n: [moving(n)] if n >= 42 else [])
    found = added(run(world, sightings, 80), sightings)
    assert min(found) == 42
    assert found[42].box == moving(42)


def test_a_track_seen_on_every_frame_costs_one_search_at_each_end(run: Any) -> None:
    sightings = {n: [face(at(300))] for n in range(30, 60)}
    world = World(lambda n: [])
    assert added(run(world, sightings, 100), sightings) == {}
    # Every third frame as far as half a second, and after the first miss one between.
    assert sorted(world.frames) == [17, 18, 21, 24, 27, 29, 60, 62, 65, 68, 71, 72]


@pytest.mark.parametrize("every", [1, 6])
def test_a_gap_is_looked_into_only_where_a_look_lacks_the_track(run: Any, every: int) -> None:
    """Ends that agree, nobody looked between: interp's. Looked at without finding it: ours."""
    sightings = {n: [face(moving(n))] for n in (*range(0, 37, every), *range(48, 97, every))}
    world = World(lambda n: [moving(n)])
    out = run(world, sightings, 97, every=every)
    inside = {n: region for n, region in added(out, sightings).items() if n < 96}
    assert inside
    assert all(36 < n < 48 for n in inside)
    assert all(region.box == moving(n) and region.track == 1 for n, region in inside.items())
    whole = [n for record in out for n in (record.n,) if any(r.track == 1 for r in record.regions)]
    most = max(b - a for a, b in pairwise(whole))
    assert most <= (6 if every == 6 else 3)
    if every == 6:
        assert [n for n in world.frames if n < 96] == [42]


def test_a_gap_whose_ends_disagree_is_searched_from_both(run: Any) -> None:
    """Round a corner: the straight way between does not lead over it."""

    def corner(n: int) -> Box:
        return at(100 + 12 * min(n, 20), 100 + 12 * max(0, n - 20))

    sightings = {n: [face(corner(n))] for n in (*range(0, 16), *range(26, 36))}
    world = World(lambda n: [corner(n)])
    found = {n: r for n, r in added(run(world, sightings, 36, every=5), sightings).items() if 15 < n < 26}
    assert len(found) >= 2
    assert all(r.box == corner(n) for n, r in found.items())


@pytest.mark.parametrize("score", [0.5, FACES.thresh, 0.9 * FACES.thresh])
def test_what_is_not_sure_uncovers_nothing_of_the_straight_way(run: Any, score: float) -> None:
    """Ends that do not agree, and something beside the way between them."""
    world = World(lambda n: [at(150, 205)])
    world.score = score
    seen = {0: [face(at(100))], 10: [face(at(200))]}
    found = added(run(world, seen, 11, "time=10"), seen)
    assert 5 in found
    for n, region in found.items():
        x0, y0, x1, y1 = region.box
        assert (x0, y0, x1, y1) == at(150, 205) or score < FACES.thresh
        if score < FACES.thresh:
            way = at(100 + 10 * n)
            assert (x0, y0) <= way[:2]
            assert (x1, y1) >= way[2:]


def test_nothing_crosses_a_cut(run: Any) -> None:
    world = World(lambda n: [at(300)])
    sightings = {n: [face(at(300))] for n in range(40, 50)}
    found = added(run(world, sightings, 100, cuts=(33, 54)), sightings)
    assert (min(found), max(found)) == (33, 53)
    assert (min(world.frames), max(world.frames)) == (33, 53)
    # Seen again behind the cut: still an end and a beginning.
    sightings |= {n: [face(at(300))] for n in range(58, 60)}
    found = added(run(world, sightings, 60, cuts=(33, 54)), sightings)
    assert (min(found), max(found)) == (33, 55)
    assert {53, 55} <= set(found)


@pytest.mark.parametrize("box", [(-4.0, 100, 40, 140), (100.0, 330, 140, 361), (600.0, 20, 640, 60)])
def test_ends_at_the_pictures_edge_are_left_to_grow(run: Any, box: Box) -> None:
    world = World(lambda n: [box])
    sightings = {n: [face(box)] for n in range(20, 30)}
    assert added(run(world, sightings, 60), sightings) == {}
    assert world.looks == []


def test_what_a_person_removed_is_not_looked_for(run: Any) -> None:
    world = World(lambda n: [at(300)])
    sightings = {n: [face(at(300))] for n in range(20, 30)}
    for n in (15, 35):
        sightings[n] = [face(at(300), deleted=True)]
    found = added(run(world, sightings, 60), sightings)
    assert (min(found), max(found)) == (16, 34)
    # Nor under another number, in its place.
    sightings = {n: [face(at(300))] for n in range(20, 30)} | {
        n: [face(at(302), None, deleted=True)] for n in (*range(20), *range(30, 60))
    }
    assert added(run(world, sightings, 60), sightings) == {}


def test_another_track_is_not_taken(run: Any) -> None:
    other = at(330)
    world = World(lambda n: [other])
    sightings = {n: [face(other, 2)] for n in range(60)}
    for n in range(20, 30):
        sightings[n].append(face(at(300), 1))
    assert added(run(world, sightings, 60), sightings) == {}
    assert world.looks


def test_far_and_misshapen_ones_are_not_taken(run: Any) -> None:
    sightings = {n: [face(at(300))] for n in range(20, 30)}
    for box in (at(300, side=12), at(300, side=110), (280.0, 172, 380, 184)):
        assert added(run(World(lambda n, box=box: [box]), sightings, 60), sightings) == {}


def test_time_zero_looks_nowhere(run: Any) -> None:
    world = World(lambda n: [moving(n)])
    sightings = {n: [face(moving(n))] for n in range(5, 20, 3)}
    assert added(run(world, sightings, 30, "time=0"), sightings) == {}
    assert world.looks == []


def test_the_budget(run: Any) -> None:
    log: list[str] = []
    tracks = {n: [face(at(60 + 50 * k, 100), k + 1) for k in range(10)] for n in range(40)}
    world = World(lambda n: [])
    run(world, tracks, 160, "max=0.2", log=log)
    assert 1 < len(world.looks) <= 0.2 * 160
    assert len(log) == 1
    assert "second looks were beyond the budget (max=0.2 a frame)" in log[0]
    world = World(lambda n: [])
    run(world, tracks, 160, "max=0")
    assert world.looks == []


def test_a_class_that_no_model_finds_is_left_alone(run: Any) -> None:
    world = World(lambda n: [at(300)])
    sightings = {n: [Region(at(300), "dog", 0.9, "manual", 1), face(at(300), None)] for n in range(20, 30)}
    assert added(run(world, sightings, 60), sightings) == {}
    assert world.looks == []


@pytest.mark.parametrize("seed", range(8))
def test_any_record_is_answered_in_time_and_alike(run: Any, seed: int) -> None:
    """Objects that come, go, are missed and removed: the promises that `run` checks, twice the same, nothing taken."""
    rng = random.Random(seed)
    ways = [(rng.uniform(50, 590), rng.uniform(50, 300), rng.gauss(0, 4), rng.gauss(0, 3)) for _ in range(4)]

    def boxes(n: int) -> list[Box]:
        return [at(x + n * dx, y + n * dy) for x, y, dx, dy in ways]

    sightings: dict[int, list[Region]] = {}
    for n in range(90):
        row = [face(b, k, deleted=rng.random() < 0.05) for k, b in enumerate(boxes(n), 1) if rng.random() < 0.6]
        sightings[n] = row if rng.random() < 0.9 else []
    cuts = tuple(rng.sample(range(90), 2))
    runs = [(World(boxes), every) for every in (1, 1, 4)]
    outs = [run(world, sightings, 90, f"max=3:stride={1 + seed % 4}", every=every, cuts=cuts) for world, every in runs]
    assert runs[0][0].looks == runs[1][0].looks
    assert outs[0] == outs[1]
    assert any(len(record.regions) > len(sightings[record.n]) for record in outs[0])


def test_models_that_cannot_be_had(run: Any) -> None:
    with pytest.raises(ModelError, match="redetect: unknown model 'fases'"):
        run(World(lambda n: []), {}, 1, "models=fases")


def test_a_model_of_a_bare_file_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redetect, "CropDetector", stand_in(World(lambda n: [])))
    log: list[str] = []
    item = Redetect(Options(parse_options(Redetect, None).values))
    used = [("my-net", "00"), (FACES.name, "other"), (FACES.name, FACES.sha256)]
    item.open(Env(STREAM, None, "x", models_used=used, log=lambda level, line: log.append(line)))
    assert [("my-net" in log[0]), ("centerface" in log[1]), len(log)] == [True, True, 2]


# With the real net.


def street() -> tuple[Path, dict[int, Box]]:
    """The clip, and the walker's face, frame by frame."""
    truth = json.loads((ROOT / "bench" / "truth" / "street.json").read_text())
    boxes = next(item for item in truth["objects"] if item["id"] == 1)["boxes"]
    return ROOT / "examples" / "street.mp4", {int(n): tuple(box) for n, box in boxes.items()}


def crop_detector(thresh: float = 0.1) -> CropDetector:
    try:
        return CropDetector(FACES, 160, thresh, threads=1)
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")


def pictures(path: Path, wanted: set[int]) -> Iterator[Frame]:
    with av.open(str(path)) as container:
        for n, picture in enumerate(container.decode(video=0)):
            if n in wanted:
                yield Frame(n, n, n / 25, picture)


def turned(picture: av.VideoFrame, filters: str) -> av.VideoFrame:
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(template=None, width=picture.width, height=picture.height, format=picture.format,
                              time_base=Fraction(1, 25))]  # fmt: skip
    nodes += [graph.add(name, args) for name, _, args in (text.partition("=") for text in filters.split(","))]
    nodes.append(graph.add("buffersink"))
    for a, b in pairwise(nodes):
        a.link_to(b)
    graph.configure()
    graph.push(picture)
    out = graph.pull()
    assert isinstance(out, av.VideoFrame)
    return out


def test_a_crop_is_looked_at_in_place(run: Any) -> None:
    """Also where the square reaches over the picture's edge, and where the picture is stored turned."""
    path, boxes = street()
    item = crop_detector()
    assert item.size == (160, 160)
    info = StreamInfo(960, 540, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
    for frame in pictures(path, {20, 100}):
        x0, y0, x1, y1 = boxes[frame.n]
        square = round((x0 + x1) / 2 - 150), round((y0 + y1) / 2 - 150), 300
        assert frame.n == 20 or square[0] < 0
        upright = item(frame, info, square)
        assert max(overlap(boxes[frame.n], k.box) for k in upright) > 0.5, frame.n
        # Stored turned by 90 degrees counterclockwise, so that 90 clockwise bring it upright.
        picture = replace_frame(frame, turned(frame.av, "transpose=cclock"))
        side = replace(info, width=540, height=960, rotation=90)
        stored = item(picture, side, (square[1], 960 - square[0] - square[2], square[2]))
        back = [(960 - y1, x0, 960 - y0, x1) for x0, y0, x1, y1 in (k.box for k in stored)]
        assert max(overlap(boxes[frame.n], box) for box in back) > 0.5, frame.n
        assert item(frame, info, (960, 0, 100)) == []
    item.close()


def replace_frame(frame: Frame, picture: av.VideoFrame) -> Frame:
    return Frame(frame.n, frame.pts, frame.t, picture)


class Forget(RecordFilter):
    """Loses what was found of faces from frame 30 to 60: a detector that does not see them there."""

    name = "forget"
    help = "test filter"

    def push(self, record: FrameRecord) -> list[FrameRecord]:
        if 30 <= record.n <= 60:
            record.regions = [region for region in record.regions if region.cls != "face"]
        return [record]


@pytest.fixture
def forget() -> Iterator[None]:
    registry.register(Forget)
    yield
    registry.unregister(Forget)


def records(path: Path, graph: str) -> list[FrameRecord]:
    """Through the real planner and lane; a frame leaves the ring as in the pass that does not render."""
    job = Job(str(path), "-", graph, output_format="null", audio=False)
    reader = Reader(job)
    try:
        plan = make_plan(job, reader.info)
        ring: dict[int, Frame] = {}
        lane = Lane(plan.lane)
        env = Env(plan.stream, ring, str(path), plan.detection, threads=1)  # type: ignore[arg-type]
        for item in plan.lane:
            item.open(env)
        out: list[FrameRecord] = []
        for frame in reader.frames():
            if isinstance(frame, Frame):
                ring[frame.n] = frame
                out += lane.push(frame)
                ring.pop(frame.n - plan.reader_ahead, None)
        out += lane.flush()
        for item in plan.lane:
            item.close()
        return out
    finally:
        reader.close()


@pytest.mark.usefixtures("forget")
def test_the_real_net_finds_again_what_was_lost() -> None:
    path, boxes = street()
    crop_detector().close()  # or skip
    graph = "detect=faces:every=2,forget,track"
    without, with_it = records(path, graph), records(path, f"{graph},redetect")
    assert [r.ran for r in without] == [r.ran for r in with_it]

    def seen(out: list[FrameRecord]) -> set[int]:
        return {
            record.n
            for record in out
            for region in record.regions
            if record.n in boxes and region.src == "det" and 30 <= record.n <= 60
            and overlap(boxes[record.n], region.box) > 0.25
        }  # fmt: skip

    assert seen(without) == set()
    found = sorted(seen(with_it))
    assert found[0] <= 33
    assert found[-1] >= 57
    assert max(b - a for a, b in pairwise(found)) <= 7
    tracks = {
        region.track
        for record in with_it
        if 25 <= record.n <= 65 and record.n in boxes
        for region in record.regions
        if overlap(boxes[record.n], region.box) > 0.25
    }
    assert len(tracks) <= 2  # the number before the loss, and the one after it
