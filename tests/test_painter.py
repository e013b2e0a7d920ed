"""What the pixel writers paint: fewer rectangles than there are regions, and nothing less."""

from __future__ import annotations

import numpy as np
import pytest

from anonfilter.filter import Options
from anonfilter.filters.fill import Fill
from anonfilter.filters.painter import joined
from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.targets import Target
from anonfilter.options import parse_options
from anonfilter.records import Box, Region


def region(box: Box, track: int | None = 1, cls: str = "face", shape: str | None = None) -> Region:
    return Region(box, cls, 0.9, "interp", track, shape)


def writer(shape: str) -> Fill:
    return Fill(Options(parse_options(Fill, f"shape={shape}").values))


def painted(targets: list[Target]) -> np.ndarray:
    plane = np.zeros((130, 130), np.uint8)
    ops.fill((plane,), FORMATS["gray"], targets, color=(255, 128, 128))
    return plane > 0


def boxes(regions: list[Region], shape: str = "rect") -> list[Box]:
    item = writer(shape)
    return [(t.x0, t.y0, t.x1, t.y1) for t in joined(regions, [item.target(r) for r in regions])]


def test_twins_become_one() -> None:
    straight, followed = region((10, 10, 50, 60)), region((11, 9.5, 51, 59.5), shape="rect")
    other = region((11, 9, 51, 60), track=2)
    assert boxes([straight, other, followed]) == [(10, 9, 51, 60), (11, 9, 51, 60)]


@pytest.mark.parametrize(
    "second",
    [
        region((20, 10, 60, 60)),  # the box around both would cover too much else
        region((10, 10, 50, 60), track=2),
        region((10, 10, 50, 60), cls="plate"),
        region((10, 10, 50, 60), shape="ellipse"),
        region((10, 10, 50, 60)).with_(mask=(0, 2000)),
    ],
)
def test_others_stay_apart(second: Region) -> None:
    assert len(boxes([region((10, 10, 50, 60)), second])) == 2


def test_ellipses_and_what_has_no_track_stay() -> None:
    assert len(boxes([region((10, 10, 50, 60))] * 2, "ellipse")) == 2
    assert len(boxes([region((10, 10, 50, 60), track=None)] * 2)) == 2


@pytest.mark.parametrize("shape", ["rect", "ellipse"])
@pytest.mark.parametrize("least", [0.5, 30.0])
def test_coverage_only_grows_and_hardly(shape: str, least: float) -> None:
    rng = np.random.default_rng(3)
    item, fewer = writer(shape), 0
    for _ in range(150):
        regions: list[Region] = []
        x = y = w = h = 0.0
        for _ in range(int(rng.integers(1, 12))):
            if regions and rng.random() < 0.7:  # drifts, so that chains could grow without end
                x, y, w, h = (np.array([x, y, w, h]) + rng.uniform(-1, 2, 4) * [1, 1, 0.1, 0.1]).tolist()
            else:
                x, y, w, h = rng.uniform(0, 40, 2).tolist() + rng.uniform(least, 2 * least, 2).tolist()
            own = None if rng.random() < 0.5 else "rect"
            regions.append(region((x, y, x + max(w, 0), y + max(h, 0)), int(rng.integers(1, 3)), shape=own))
        before = [item.target(r) for r in regions]
        after = joined(regions, before)
        assert not (painted(before) & ~painted(after)).any()
        for target in after:
            inside = [
                t for t in before
                if target.x0 <= t.x0 and target.y0 <= t.y0 and t.x1 <= target.x1 and t.y1 <= target.y1
            ]  # fmt: skip
            assert target.width * target.height <= 1.1 * max(t.width * t.height for t in inside)
        fewer += len(before) - len(after)
    assert fewer > 3
