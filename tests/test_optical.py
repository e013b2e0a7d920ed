"""bench/optical*.py: the measures and the motion estimates themselves, on small synthetic cases."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
optical = importlib.import_module("optical")
motion = importlib.import_module("optical_motion")
trigger = importlib.import_module("optical_trigger")
sys.path.pop(0)


def scene(n: int, way: tuple[float, float] = (3.0, 1.0)) -> Any:
    """A patch of noise, 48 x 48, over smooth ground; at frame n it has moved n times the way (whole samples)."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:144, 0:256]
    plane = 90 + 0.2 * x + 0.3 * y + rng.normal(0, 1, (144, 256))
    left, top = round(20 + n * way[0]), round(30 + n * way[1])
    noise = np.kron(rng.uniform(30, 220, (12, 12)), np.ones((4, 4)))
    plane[top : top + 48, left : left + 48] = noise
    return np.round(plane).astype(np.uint8)


def box(n: int) -> tuple[float, float, float, float]:
    """Where the patch is."""
    return 20.0 + 3 * n, 30.0 + n, 68.0 + 3 * n, 78.0 + n


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Twenty frames of the scene as H.264 with B frames, read with vectors."""
    path = tmp_path_factory.mktemp("optical") / "moving.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        stream.options = {"preset": "medium", "bf": "3", "b-adapt": "0", "crf": "18", "threads": "1"}
        for n in range(20):
            planes = np.full((216, 256), 128, np.uint8)
            planes[:144] = scene(n)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        out.mux(stream.encode(None))
    return motion.read(path)


def test_references_of_plain_b_frames() -> None:
    """I b b P in the order I P b b: both B frames lie between I and P, neither serves the other."""
    past, future = motion.references("IBBP", [0, 2, 3, 1])
    assert past == [None, 0, 0, 0]
    assert future == [None, 3, 3, None]


def test_references_of_a_pyramid() -> None:
    """I b B b P in the order I P B b b: the middle B frame serves both others."""
    past, future = motion.references("IBBBP", [0, 3, 2, 4, 1])
    assert past == [None, 0, 0, 2, 0]
    assert future == [None, 2, 4, 4, None]


def test_clip_has_vectors_on_all_but_i_frames(clip: Any) -> None:
    """The codec's data arrives, on frames of both other kinds."""
    assert len(clip.luma) == 20
    assert {"P", "B"} <= set(clip.kinds)
    assert [n for n, v in enumerate(clip.vectors) if v is None] == [n for n, k in enumerate(clip.kinds) if k == "I"]


def test_vector_path_follows_what_interpolation_gets_wrong(clip: Any) -> None:
    """The guess stands still up to the middle and then jumps; the vectors know better."""
    guess = {n: box(n) for n in (4, 14)} | {n: box(4 if n < 9 else 14) for n in range(5, 14)}
    path, missing = motion.vector_path(clip, 4, 14, guess)
    assert missing == 0
    errors = [np.hypot(path[n][0] - 44 - 3 * n, path[n][1] - 54 - n) for n in range(5, 14)]
    assert max(errors) < 2.5


def test_block_shift_without_vectors() -> None:
    """An I frame, another codec: nothing is known."""
    assert motion.block_shift(None, box(0), -1) is None


@pytest.mark.parametrize("off", [(0.0, 0.0), (5.0, -7.0), (-11.5, 4.25)])
def test_search_finds_the_patch(off: tuple[float, float]) -> None:
    """From a box that is off by some samples back to the patch, to a third of a cell of 3 samples."""
    before, now = motion.integral(scene(2)), motion.integral(scene(8))
    template = motion.patch(before, box(2), (16, 16))
    x0, y0, x1, y1 = box(8)
    dx, dy, value, there = motion.search(now, template, (x0 + off[0], y0 + off[1], x1 + off[0], y1 + off[1]))
    assert (dx, dy) == pytest.approx((-off[0], -off[1]), abs=1.0)
    assert value > 0.75  # the noise changes every 4 samples, a cell has 3: where they meet differs
    assert there <= value


@pytest.mark.parametrize("way", ["luma_path", "chain_path"])
def test_luma_paths_agree_with_the_truth(way: str) -> None:
    """Both searches, from a guess that stands still up to the middle and then jumps."""
    sums = {n: motion.integral(scene(n)) for n in range(4, 15)}
    guess = {n: box(n) for n in (4, 14)} | {n: box(4 if n < 9 else 14) for n in range(5, 14)}
    for n, found in getattr(motion, way)(sums, 4, 14, guess).items():
        assert found.centre == pytest.approx((44 + 3 * n, 54 + n), abs=1.5)


def test_luma_path_does_not_follow_what_is_not_there() -> None:
    """The looks' object is gone in between."""
    ground = np.random.default_rng(9).integers(0, 255, (144, 256)).astype(np.uint8)
    sums = {n: motion.integral(scene(n) if n in (4, 8) else ground) for n in range(4, 9)}
    found = motion.luma_path(sums, 4, 8, {n: box(n) for n in range(4, 9)})
    assert all(item.centre is None for item in found.values())


def test_patch_is_an_area_mean_and_fills_what_lies_outside() -> None:
    """Against sums by hand; cells outside of the frame take the mean."""
    plane = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
    sums = motion.integral(plane)
    whole = motion.patch(sums, (0, 0, 16, 12), (3, 4))
    assert whole == pytest.approx(plane.reshape(3, 4, 4, 4).mean(axis=(1, 3)))
    half = motion.patch(sums, (-16, 0, 16, 12), (1, 2))
    assert half == pytest.approx(np.full((1, 2), plane.mean()))
    assert motion.patch(sums, (0.5, 0, 1.5, 1), (1, 1))[0, 0] == pytest.approx(0.5)


def test_need() -> None:
    """A cover that is exact needs a little less than no margin (5 % may show); one that is off by a fifth of its side
    needs that less 5 %; two halves cover together."""
    truth = (0.0, 0.0, 100.0, 100.0)
    assert -0.02 < optical.need([truth], truth) <= 0
    assert optical.need([(20.0, 0.0, 120.0, 100.0)], truth) == pytest.approx(0.15, abs=0.015)
    assert optical.need([(0.0, 0.0, 50.0, 100.0), (50.0, 0.0, 100.0, 100.0)], truth) <= 0
    assert optical.need([], truth) > 5


def test_spare() -> None:
    """Area beyond the truth's; what two boxes share counts once."""
    truth = (0.0, 0.0, 10.0, 10.0)
    assert optical.spare([truth], truth, 0.5) == pytest.approx(3.0)
    assert optical.spare([truth, (5.0, 0.0, 15.0, 10.0)], truth, 0.0) == pytest.approx(0.5)


def test_gaps_are_filled_by_the_real_filters_and_end_at_cuts() -> None:
    """Straight motion: interp is exact; hold adds the looks where the object went far; a gap over a cut is left out."""
    boxes = {n: (10.0 * n, 0.0, 10.0 * n + 20, 20.0) for n in range(31)}
    track = optical.Track(1, "face", boxes, boxes)
    found = list(optical.gaps("x", [track], [25], 31, 10))
    assert sorted((gap.a, gap.b) for gap in found) == [(0, 10), (3, 13), (6, 16), (10, 20), (13, 23)]
    ways = found[0].regions[5]
    assert ways["interp"][0] == pytest.approx(boxes[5])
    assert boxes[0] in ways["interp, hold"]
    assert boxes[10] in ways["interp, hold"]
    assert found[0].guess[5] == pytest.approx(boxes[5])


def test_roc() -> None:
    """A sign that tells all, one that tells nothing, one that is the wrong way round."""
    wrong = np.array([False] * 20 + [True] * 5)
    assert trigger.area(wrong.astype(float), wrong) == 1
    assert trigger.area(np.zeros(25), wrong) == 0.5
    assert trigger.area(-wrong.astype(float), wrong) == 0
    assert trigger.at(wrong.astype(float), wrong, 0.05) == 1


def test_alarm_sees_what_is_new_and_not_what_is_known() -> None:
    """A face on one frame is new; in a known box it is not; a change of the whole frame's light is not, to `plain`."""
    ground = np.full((360, 640), 100, np.uint8)
    face = np.random.default_rng(2).integers(120, 250, (60, 48)).astype(np.uint8)
    place = (300.0, 100.0, 348.0, 160.0)
    before = trigger.thumbnail(ground, (45, 80))
    now = trigger.thumbnail(trigger.insert(ground, face, place), (45, 80))
    free, known = (trigger.known_cells(boxes, (360, 640), (45, 80)) for boxes in ([], [place]))
    for name, change in trigger.difference(now, before, before, 0.5).items():
        assert trigger.score(change, free) > 40, name
        assert trigger.score(change, known) < 2, name
    assert trigger.score(trigger.difference(before + 30, before, before, 0.5)["plain"], free) == 0
