"""One model at work: looks at all of a frame and at parts of it, with a scripted net and with a real one."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from anonfilter import cli
from anonfilter.errors import ModelError
from anonfilter.filter import Env, Options
from anonfilter.filters import detect
from anonfilter.frame import StreamInfo
from anonfilter.glance import SIDES, Glance
from anonfilter.models import catalog
from anonfilter.models.detector import Square
from anonfilter.models.family import Detection
from anonfilter.options import parse_options
from anonfilter.records import Box
from anonfilter.sightings import Sightings
from anonfilter.watch import Watch

STREET = Path(__file__).resolve().parents[1] / "examples" / "street.mp4"
STREAM = StreamInfo(1920, 1080, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))


class Picture:
    """A frame that says only which it is."""

    def __init__(self, n: int) -> None:
        self.n, self.t, self.size = n, n / 25, (STREAM.width, STREAM.height)


class Net:
    """Both of a model's detectors; shows: boxes by frame."""

    def __init__(self, shows: dict[int, list[Box]]) -> None:
        self.shows, self.looks, self.squares, self.opened = shows, [], [], []
        self.closed = 0

    def __call__(self, frame: Any, stream: StreamInfo, square: Square | None = None) -> list[Detection]:
        found = [Detection(box, "face", 0.9) for box in self.shows.get(frame.n, [])]
        if square is None:
            self.looks.append(frame.n)
            return found
        self.squares.append((frame.n, square))
        x0, y0, side = square
        return [k for k in found if x0 <= (k.box[0] + k.box[2]) / 2 <= x0 + side and y0 <= k.box[1] <= y0 + side]

    def close(self) -> None:
        self.closed += 1


def watch(net: Net) -> Watch:
    item = Watch(net, 0.0, frozenset({"face"}), Sightings(0.4))  # type: ignore[arg-type]
    item.glances = Glance(SIDES, (640, 384), (STREAM.width, STREAM.height))

    def crops(side: int) -> Any:
        net.opened.append(side)
        return net

    item.crops = crops
    return item


def at(x: float, y: float = 300, side: float = 60) -> Box:
    return x, y, x + side, y + side


def test_a_glance_looks_only_where_two_looks_do_not_agree() -> None:
    net = Net({0: [at(100), at(900)], 4: [at(100), at(905), at(1500)], 8: [at(100)]})
    item = watch(net)
    for n in (0, 8):
        item.look(Picture(n), STREAM)  # type: ignore[arg-type]
    assert not item.sightings.agree(0, 8)
    assert item.glance(0, 8, Picture(4), STREAM)  # type: ignore[arg-type]
    ((n, square),) = net.squares
    assert n == 4
    assert square[0] <= 810
    assert square[0] + square[2] >= 1050
    assert not item.sightings.agree(4, 8)
    assert item.sightings.agree(0, 4)
    found = item.sightings.take(4)
    assert found is not None
    assert [region.box for region in found[0]] == [at(905)], "what was seen there, and nothing that was taken as seen"
    assert found[1] is False
    assert net.opened == [192]
    assert net.looks == [0, 8]
    item.close()
    assert net.closed == 2


def test_a_box_larger_than_all_that_was_looked_at_asks_for_a_whole_look() -> None:
    net = Net({0: [at(900)], 4: [(-3000.0, -2000.0, 4800.0, 2700.0)], 8: []})
    net.shows[4] = [(500.0, 320.0, 1360.0, 700.0)]
    item = watch(net)
    for n in (0, 8):
        item.look(Picture(n), STREAM)  # type: ignore[arg-type]
    item.sightings.agree(0, 8)
    assert not item.glance(0, 8, Picture(4), STREAM)  # type: ignore[arg-type]
    assert item.sightings.take(4) is None
    assert len(net.squares) == 1


class Doubting(Net):
    """Looks at all of a frame are `score` sure, magnified ones `again`."""

    def __init__(self, shows: dict[int, list[Box]], score: float, again: float) -> None:
        super().__init__(shows)
        self.score, self.again = score, again

    def __call__(self, frame: Any, stream: StreamInfo, square: Square | None = None) -> list[Detection]:
        score = self.score if square is None else self.again
        return [Detection(k.box, k.cls, score) for k in super().__call__(frame, stream, square)]


@pytest.mark.parametrize(("score", "again", "counts"), [(0.17, 0.5, True), (0.3, 0.5, True), (0.17, 0.3, False)])
def test_what_is_not_sure_is_looked_at_magnified(score: float, again: float, counts: bool) -> None:
    net = Doubting({0: [at(900, side=20)]}, score, again)
    item = watch(net)
    item.weak = 0.2
    item.look(Picture(0), STREAM)  # type: ignore[arg-type]
    ((n, (x, y, side)),) = net.squares
    assert n == 0
    assert (x + side / 2, y + side / 2) == (910, 310)
    assert 20 * 4 <= side <= 192 * 3, "with context, and no smaller than the whole look showed it"
    found = item.sightings.take(0)
    assert found is not None
    assert [region.score for region in found[0]] == ([again] if counts else [])
    assert found[1], "all of the frame was looked at"


def test_doubts_cost_little() -> None:
    """Two at most of one look, none beside what is sure, none twice running, none of what is large."""
    net = Doubting({n: [at(x, side=20) for x in (100, 500, 900)] for n in range(3)}, 0.3, 0.1)
    net.shows[3] = [at(100, side=500)]
    item = watch(net)
    asked = []
    for n in range(4):
        item.look(Picture(n), STREAM)  # type: ignore[arg-type]
        asked.append(sum(m == n for m, _ in net.squares))
    assert asked == [2, 1, 2, 0]
    net = Doubting({0: [at(100, side=20)]}, 0.5, 0.1)
    item = watch(net)
    item.look(Picture(0), STREAM)  # type: ignore[arg-type]
    assert net.squares == []


def test_a_known_object_that_fades_is_left_to_redetect() -> None:
    """It knows the way between the sightings around it, and widens that instead of bending it."""
    net = Doubting({0: [at(900, side=20)], 5: [at(905, side=20)], 9: [at(905, side=20)]}, 0.5, 0.5)
    item = watch(net)
    item.look(Picture(0), STREAM)  # type: ignore[arg-type]
    net.score = 0.3
    item.look(Picture(5), STREAM)  # type: ignore[arg-type]
    assert net.squares == []
    item.look(Picture(9), STREAM)  # type: ignore[arg-type]
    assert [n for n, _ in net.squares] == [9], "the look before was not sure any more"


def test_many_disagreements_ask_for_a_whole_look() -> None:
    net = Net({0: [at(x, y) for x in (0, 600, 1200, 1800) for y in (0, 900)], 8: []})
    item = watch(net)
    for n in (0, 8):
        item.look(Picture(n), STREAM)  # type: ignore[arg-type]
    item.sightings.agree(0, 8)
    assert not item.glance(0, 8, Picture(4), STREAM)  # type: ignore[arg-type]
    assert net.squares == []
    item.glances = None
    assert not item.glance(0, 8, Picture(4), STREAM)  # type: ignore[arg-type]


def test_glances_take_the_place_of_whole_looks_in_a_real_run(tmp_path: Path) -> None:
    """Fewer frames are looked at, the objects of the others are in the file all the same, and every region that is
    said to be a detection is on a frame where a net looked."""
    try:
        catalog.resolve("plates").path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")
    lines = {}
    for glance in (0, 1):
        records = tmp_path / f"{glance}.jsonl"
        graph = f"detect=plates:every=auto:threads=1:glance={glance},write={records}"
        options = ["-v", "error", "-t", "2.4", "-i", str(STREET), "-an"]
        assert cli.main([*options, "-vf", graph, "-f", "null", "-"]) == 0
        lines[glance] = [k for k in map(json.loads, records.read_text().splitlines()) if "n" in k]
    whole = {glance: {k["n"] for k in rows if k["ran"]} for glance, rows in lines.items()}
    assert len(whole[1]) < len(whole[0])
    parts = [k for k in lines[1] if not k["ran"]]
    assert parts
    assert any(k["det"] for k in parts)
    assert all(d["src"] == "det" for k in parts for d in k["det"])
    assert all(k["ran"] for k in lines[0])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_places_are_on_the_coded_picture_however_it_is_turned(
    monkeypatch: pytest.MonkeyPatch, rotation: int
) -> None:
    class Fake:
        def __init__(self, model: Any, picture: Any, **how: Any) -> None:
            self.model, self.any_size, self.sizes = model, True, [(640, 384) if rotation in (0, 180) else (384, 640)]

        def close(self) -> None:
            pass

    monkeypatch.setattr(detect, "Detector", Fake)
    parsed = parse_options(detect.Detect, "every=auto")
    item = detect.Detect(Options(parsed.values, parsed.given))
    item.open(Env(replace(STREAM, rotation=rotation), {}, "in.mp4"))
    (made,) = item._watches
    assert made.glances is not None
    # In the right half, where a picture that stands upright has nothing.
    assert made.glances.squares([((1600.0, 300.0, 1800.0, 500.0), 30.0)]) == (192, [(1600, 300, 200)])
    item.close()
