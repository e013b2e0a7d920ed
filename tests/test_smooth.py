"""smooth: less jitter, and never less cover."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from anonfilter.filter import Env, Options
from anonfilter.filters.smooth import Smooth, savgol
from anonfilter.frame import StreamInfo
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))


def smoothed(records: list[FrameRecord], args: str = "") -> list[FrameRecord]:
    parsed = parse_options(Smooth, args)
    item = Smooth(Options(parsed.values, parsed.given))
    item.open(Env(STREAM, None, "in.mp4"))
    ahead, out = item.lookahead(STREAM) or 0, []
    for record in records:
        out += list(item.push(record))
        assert len(out) >= record.n + 1 - ahead
    out += list(item.flush())
    assert [record.n for record in out] == list(range(len(records)))
    return out


def walk(seed: int, frames: int = 80, jitter: float = 2, turns: bool = True) -> list[FrameRecord]:
    """A box of 60 x 80 whose sides jitter, which moves and turns, and is not there on some frames."""
    rng = np.random.default_rng(seed)
    x, speed, out = 100.0, 3.0, []
    for n in range(frames):
        if turns and rng.random() < 0.05:
            speed = -speed
        x += speed
        record = FrameRecord(n, n, n / 25, cut=n == 50)
        if not turns or rng.random() > 0.03:
            sides = np.array([x, 100.0, x + 60, 180.0]) + rng.normal(0, jitter, 4)
            record.regions = [Region(tuple(float(v) for v in sides), "face", track=1)]  # type: ignore[arg-type]
        out.append(record)
    return out


def sides(records: list[FrameRecord]) -> np.ndarray:
    return np.array([record.regions[0].box for record in records if record.regions])


@pytest.mark.parametrize("args", ["", "average", "window=3", "average:window=21", "window=1"])
@pytest.mark.parametrize("seed", range(8))
def test_the_box_that_came_is_always_inside(seed: int, args: str) -> None:
    before, after = walk(seed), smoothed(walk(seed), args)
    for a, b in zip(before, after, strict=True):
        assert len(a.regions) == len(b.regions)
        for raw, made in zip(a.regions, b.regions, strict=True):
            assert made.box[0] <= raw.box[0]
            assert made.box[1] <= raw.box[1]
            assert made.box[2] >= raw.box[2]
            assert made.box[3] >= raw.box[3]


@pytest.mark.parametrize("args", ["", "average"])
def test_there_is_less_jitter(args: str) -> None:
    """Mean second difference of the sides, at most a third of what came."""
    before, after = (sides(r) for r in (walk(3, turns=False), smoothed(walk(3, turns=False), args)))
    raw, made = (np.abs(np.diff(values[:50], 2, axis=0)).mean() for values in (before, after))
    assert made < raw / 3


def test_even_motion_and_rest_are_left_as_they_are() -> None:
    for speed in (0, 4):
        records = [
            FrameRecord(n, n, n / 25, regions=[Region((n * speed, 5, n * speed + 20, 30), "face", track=1)])
            for n in range(40)
        ]
        wanted = sides(records)
        assert np.allclose(sides(smoothed(records)), wanted, atol=1e-6)


def test_nothing_is_carried_across_a_cut_a_gap_or_a_removed_region() -> None:
    def jump(n: int) -> Region:
        x = 0 if n < 20 else 400
        return Region((x, 0, x + 40, 40), "face", track=1)

    records = [FrameRecord(n, n, n / 25, regions=[jump(n)], cut=n == 20) for n in range(40)]
    copies = [FrameRecord(r.n, r.pts, r.t, regions=list(r.regions), cut=r.cut) for r in records]
    for a, b in zip(records, smoothed(copies), strict=True):
        assert np.allclose(a.regions[0].box, b.regions[0].box)
    gap = [FrameRecord(n, n, n / 25, regions=[jump(n)] if n != 19 else []) for n in range(40)]
    assert np.allclose(smoothed(gap)[20].regions[0].box, (400, 0, 440, 40))
    removed = [FrameRecord(n, n, n / 25, regions=[jump(n).with_(deleted=n == 19)]) for n in range(40)]
    out = smoothed(removed)
    assert out[19].regions[0].deleted
    assert np.allclose(out[20].regions[0].box, (400, 0, 440, 40))


def test_what_it_leaves_alone() -> None:
    mask = (0, 16)
    kinds = [
        Region((0, 0, 9, 9), "zone", src="zone", track=1), Region((0, 0, 9, 9), "face"),
        Region((0, 0, 4, 4), "face", track=2, mask=mask),
    ]  # fmt: skip
    records = [FrameRecord(n, n, n / 25, regions=[r.with_(box=(r.box[0] + n % 3, 0, r.box[2] + n % 3, r.box[3]))
                                                  for r in kinds]) for n in range(30)]  # fmt: skip
    wanted = [list(record.regions) for record in records]
    assert [record.regions for record in smoothed(records)] == wanted


def test_an_ellipse_becomes_a_rectangle_that_holds_it() -> None:
    records = walk(5, turns=False)
    for record in records:
        record.regions = [region.with_(shape="ellipse") for region in record.regions]
    for before, after in zip(walk(5, turns=False), smoothed(records), strict=True):
        (region,) = after.regions
        assert region.shape == ("ellipse" if region.box == before.regions[0].box else "rect")


@pytest.mark.parametrize(("before", "after"), [(4, 4), (0, 4), (4, 0), (2, 5), (0, 0), (0, 1)])
def test_the_weights_reproduce_parabolas(before: int, after: int) -> None:
    at = np.arange(-before, after + 1)
    weights = savgol(before, after)
    degree = min(2, before + after)
    for power in range(degree + 1):
        assert np.isclose(weights @ at.astype(float) ** power, 1.0 if power == 0 else 0.0)
