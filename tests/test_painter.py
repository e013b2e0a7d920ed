"""What the pixel writers paint: fewer regions than there are, and nothing less."""

from __future__ import annotations

import numpy as np
import pytest

from anonfilter.filters.painter import joined
from anonfilter.motion import area, union
from anonfilter.records import Box, Region


def region(box: Box, track: int | None = 1, cls: str = "face", shape: str | None = None) -> Region:
    return Region(box, cls, 0.9, "interp", track, shape)


def test_twins_become_one() -> None:
    straight, followed = region((10, 10, 50, 60)), region((11, 9.5, 51, 59.5), shape="rect")
    other = region((11, 9.5, 51, 59.5), track=2)
    assert joined([straight, other, followed]) == [region((10, 9.5, 51, 60)), other]
    assert joined([followed, straight])[0].shape is None


@pytest.mark.parametrize(
    "second",
    [
        region((20, 10, 60, 60)),  # the box around both would cover too much else
        region((10, 10, 50, 60), track=2),
        region((10, 10, 50, 60), cls="plate"),
        region((10, 10, 50, 60), shape="ellipse"),  # lies inside of its box
        region((10, 10, 50, 60)).with_(mask=(0, 2000)),
    ],
)
def test_others_stay_apart(second: Region) -> None:
    assert joined([region((10, 10, 50, 60)), second]) == [region((10, 10, 50, 60)), second]


def test_without_tracks_nothing_is_known_to_be_one_object() -> None:
    alone = [region((10, 10, 50, 60), track=None)] * 2
    assert joined(alone) == alone


def test_coverage_only_grows_and_hardly() -> None:
    rng = np.random.default_rng(3)
    fewer = 0
    for _ in range(300):
        regions: list[Region] = []
        x = y = w = h = 0.0
        for _ in range(int(rng.integers(1, 12))):
            if regions and rng.random() < 0.7:  # drifts, so that chains could grow without end
                x, y, w, h = (np.array([x, y, w, h]) + rng.uniform(-1, 2, 4)).tolist()
            else:
                x, y, w, h = rng.uniform(0, 40, 2).tolist() + rng.uniform(30, 60, 2).tolist()
            shape = None if rng.random() < 0.5 else "rect"
            regions.append(region((x, y, x + w, y + h), int(rng.integers(1, 3)), shape=shape))
        out = joined(regions)
        fewer += len(regions) - len(out)
        for track in (1, 2):
            before, after = ([r for r in some if r.track == track] for some in (regions, out))
            for item in before:
                assert any(union(item.box, r.box) == r.box for r in after)
            for r in after:
                inside = [item for item in before if union(item.box, r.box) == r.box]
                assert area(r.box) <= 1.1 * max(area(item.box) for item in inside) + 1e-9
    assert fewer > 300
