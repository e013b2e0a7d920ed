"""What is new between two looks: the measure, the schedule that asks it, a real net that finds what came and went."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from anonfilter import cli
from anonfilter.novelty import Novelty
from anonfilter.records import Region
from anonfilter.sampling import Auto
from anonfilter.sightings import Sightings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "clips"
Picture = npt.NDArray[np.float32]


def ground(seed: int = 1) -> Picture:
    """A picture of 64 x 36 with structure of all sizes."""
    noise = np.random.default_rng(seed).normal(0, 1, (9, 16))
    return (120 + 30 * np.kron(noise, np.ones((4, 4)))).astype(np.float32)


def plain() -> Picture:
    """A picture without structure."""
    return np.full((36, 64), 90, np.float32)


def novelty(pictures: dict[int, Picture], limit: float = 12.0) -> Novelty:
    """For frames of 640 x 360."""
    item = Novelty(limit, (640, 360))
    for n, picture in pictures.items():
        item.add(n, picture)
    return item


def frame(item: Novelty, a: int, b: int, *known: Any) -> int | None:
    """The frame that is told."""
    found = item.between(a, b, *known)
    return None if found is None else found[0]


def marked(value: float, size: int = 3) -> Picture:
    """The ground with a square of cells that differs by so much from what is brightest or darkest around."""
    out = ground()
    part = out[20 : 20 + size, 30 : 30 + size]
    part[:] = out[18 : 22 + size, 28 : 32 + size].max() + value if value > 0 else part.min() + value
    return out


def test_the_frame_of_the_largest_change_is_told() -> None:
    still = {n: ground() for n in range(11)}
    assert frame(novelty(still), 0, 10) is None
    assert frame(novelty({**still, 4: marked(30), 7: marked(60)}), 0, 10) == 7
    assert frame(novelty({**still, 4: marked(-60)}), 0, 10) == 4


def test_what_one_of_the_looks_shows_is_not_new() -> None:
    pictures = {n: marked(60) if n >= 4 else ground() for n in range(11)}
    assert frame(novelty(pictures), 0, 10) is None
    assert frame(novelty({n: pictures[10 - n] for n in pictures}), 0, 10) is None


def test_the_limit_is_on_the_mean_of_four_cells() -> None:
    for cells, value, found in ((2, 13.0, 1), (2, 11.0, None), (1, 44.0, None), (1, 52.0, 1)):
        now = plain()
        now[20 : 20 + cells, 30 : 30 + cells] += value
        assert frame(novelty({0: plain(), 1: now, 2: plain()}), 0, 2) == found


def test_a_step_of_one_cell_is_not_new_and_a_longer_one_is() -> None:
    for cells, found in ((1, None), (4, 1)):
        moved = np.pad(ground(), ((0, 0), (cells, 0)), mode="edge")[:, :64]
        assert frame(novelty({0: ground(), 1: moved, 2: ground()}), 0, 2) == found


def test_known_boxes_are_left_out() -> None:
    pictures = {0: ground(), 1: marked(60), 2: ground()}
    assert frame(novelty(pictures), 0, 2, [(300.0, 200.0, 330.0, 230.0)]) is None
    assert frame(novelty(pictures), 0, 2, [(0.0, 0.0, 250.0, 360.0)]) == 1
    assert frame(novelty(pictures), 0, 2, [(-50.0, -50.0, 900.0, 900.0)]) is None


def test_frames_without_a_picture_and_forgotten_ones() -> None:
    item = novelty({0: ground(), 1: marked(60), 4: ground()})
    assert frame(item, 0, 4) == 1
    item.forget(2)
    assert frame(item, 0, 4) is None
    assert frame(item, 3, 4) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (36, 2)])
def test_pictures_of_narrow_frames(shape: tuple[int, int]) -> None:
    dark, light = np.zeros(shape, np.float32), np.full(shape, 200, np.float32)
    found = frame(novelty({0: dark, 1: light, 2: dark}), 0, 2)
    assert found == (1 if min(shape) > 1 else None)


def test_what_is_new_is_told_with_its_place() -> None:
    found = novelty({0: ground(), 1: marked(60), 2: ground()}).between(0, 2)
    assert found is not None
    x0, y0, x1, y1 = found[1]
    assert x0 <= 300 < 330 <= x1 <= 350
    assert y0 <= 200 < 230 <= y1 <= 250
    assert (x0, y0) >= (280, 180)


@pytest.mark.parametrize("seed", range(40))
def test_auto_looks_once_more_where_something_is_new(seed: int) -> None:
    """On random clips: no frame twice, none that is settled, none beyond the newest; all that is told is looked at and
    neighbours that differ are bisected; without anything new the looks are those without the question."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 150))
    cuts = {int(n) for n in rng.integers(0, frames, rng.integers(0, 4))}
    state = np.zeros(frames, int)
    for start in rng.integers(0, frames, 4):
        state[start : start + int(rng.integers(1, 12))] += 1
    least, most = int(rng.integers(1, 6)), int(rng.integers(1, 40))
    told: list[int] = []

    def novel(a: int, b: int) -> int | None:
        assert a in looks
        assert b in looks
        new = [n for n in range(a + 1, b) if state[n] != state[a]]
        told.extend(new[:1])
        return new[0] if new else None

    looks: list[int] = []
    settled = 0
    auto = Auto(looks.append, lambda a, b: bool(state[a] == state[b]), least, most, novel)
    for n in range(frames):
        known = len(looks)
        before, settled = settled, auto.push(n, n in cuts)
        assert all(before <= m <= n for m in looks[known:])
        assert n - auto.lookahead < settled <= n + 1
    auto.flush()
    assert len(set(looks)) == len(looks)
    assert set(told) <= set(looks)
    order = sorted(looks)
    for a, b in itertools.pairwise(order):
        assert b <= a + 2 or state[a] == state[b] or any(a < cut <= b for cut in cuts)
    without: list[int] = []
    for target, ask in ((without, None), (silent := [], lambda a, b: None)):
        auto = Auto(target.append, lambda a, b: bool(state[a] == state[b]), least, most, ask)
        for n in range(frames):
            auto.push(n, n in cuts)
        auto.flush()
    assert without == silent


def test_a_vain_look_does_not_shorten_the_step() -> None:
    looks: list[int] = []
    auto = Auto(looks.append, lambda a, b: True, 4, 32, lambda a, b: (a + b) // 2)
    for n in range(200):
        auto.push(n, False)
    steps = np.diff(sorted(looks))
    assert steps.max() == 16
    assert len(looks) < 2 * 13


def test_known_ways_of_what_moves() -> None:
    """Between two looks an object that pairs is known all the way."""
    item = Sightings(0.2)
    for n in (0, 10):
        item.add(n, [Region((10.0 + 4 * n, 20.0, 50.0 + 4 * n, 60.0), "face", 0.9)])
    item.agree(0, 10)
    assert (10.0, 20.0, 90.0, 60.0) in item.ways(0, 10)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data in ../shared is not here")
def test_a_face_that_shows_for_half_a_second_between_two_looks_is_found(tmp_path: Path) -> None:
    """An empty corridor; a face hangs there on frames 36 to 46, between the looks at 33 and 54."""
    clip = tmp_path / "visit.mp4"
    write_visit(clip)
    seen = {}
    for new in (0, 12):
        records = tmp_path / f"{new}.jsonl"
        graph = f"detect=faces:every=auto:max=2s:threads=1:new={new},track,write={records}"
        code = cli.main(["-v", "error", "-i", str(clip), "-vf", graph, "-f", "null", "-"])
        assert code == 0
        lines = [json.loads(line) for line in records.read_text().splitlines()]
        seen[new] = {k["n"]: [d["cls"] for d in k["det"]] for k in lines if "n" in k and (k["ran"] or k["det"])}
    assert not any(seen[0].values()), "the clip does not show what it should: plain auto met the face"
    assert not set(range(36, 47)) & set(seen[0])
    met = [n for n in range(36, 47) if seen[12].get(n) == ["face"]]
    assert met[0] <= 37
    assert met[-1] >= 45
    assert len(seen[12]) <= len(seen[0]) + 12


def write_visit(path: Path) -> None:
    """80 frames of the corridor's first picture, with a real face pasted in."""
    pictures: dict[str, Any] = {}
    for name, n in (("people-corridor.mp4", 0), ("speech-cuts-360p.mp4", 180)):
        with av.open(str(SHARED / name)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i == n:
                    pictures[name] = frame.to_ndarray(format="rgb24")
                    break
    scene, face = pictures["people-corridor.mp4"], pictures["speech-cuts-360p.mp4"][0:180, 170:310]
    shown = scene.copy()
    shown[120:300, 500:640] = face
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width = scene.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "18"}
        for n in range(80):
            picture = shown if 36 <= n <= 46 else scene
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


