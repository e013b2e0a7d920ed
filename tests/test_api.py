"""The Python face: frames in, frames out, and never one that was not analysed."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from anonfilter import api
from anonfilter import filter as registry
from anonfilter.errors import InputError, PlanError
from anonfilter.filter import Sampler
from anonfilter.records import FrameRecord, Region


class Failing(Sampler):
    """Finds a box on every look, and fails on frame 5."""

    name = "failing"
    help = "test detector"

    def look(self, record: FrameRecord) -> None:
        if record.n == 5:
            raise ValueError("the net fell over")
        record.ran = ("failing",)
        record.regions.append(Region((0.0, 0.0, 20.0, 20.0), "face"))


def frames(count: int, base: Fraction | None = None, step: int = 1) -> list[av.VideoFrame]:
    out = []
    for n in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 200, np.uint8), "yuv420p")
        frame.pts = n * step
        if base is not None:
            frame.time_base = base
        out.append(frame)
    return out


def covered(frame: av.VideoFrame) -> bool:
    return bool(frame.to_ndarray()[2, 2] != 200)


def test_enable_follows_the_frames_time_base() -> None:
    graph = "zone=w=20:h=20:enable='lt(t,0.5)',fill"
    base = Fraction(1, 1000)
    with api.Graph(graph, width=64, height=64, rate=25, time_base=base) as made:
        out = [item for frame in frames(40, base, 40) for item in made.push(frame)] + made.flush()
        assert [covered(frame) for frame in out] == [n < 13 for n in range(40)]
        assert (made.report.frames, made.report.regions, made.report.covered_frames) == (40, 13, 13)
    # Read as ticks of 1/25 s the zone would be there on one frame only: an error, not a clear zone.
    with api.Graph(graph, width=64, height=64, rate=25) as made, pytest.raises(InputError, match="time base 1/1000"):
        made.push(frames(1, base)[0])


def test_frames_without_pts_come_at_the_rate() -> None:
    with api.Graph(
        "zone=w=20:h=20:enable='gte(t,0.5)',fill", width=64, height=64, rate=25, time_base=Fraction(1, 90000)
    ) as made:
        pictures = frames(50)
        for picture in pictures:
            picture.pts = None
        out = [item for frame in pictures for item in made.push(frame)] + made.flush()
        assert [covered(frame) for frame in out] == [n >= 13 for n in range(50)]


def test_nothing_comes_after_an_error() -> None:
    registry.register(Failing)
    try:
        with api.Graph("failing,fill", width=64, height=64, rate=25) as made:
            pictures = frames(8)
            assert all(covered(out) for frame in pictures[:5] for out in made.push(frame))
            with pytest.raises(PlanError, match=r"'failing' failed at 0.200 s \(frame 5\): the net fell over"):
                made.push(pictures[5])
            for step in (lambda: made.push(pictures[6]), made.flush):
                with pytest.raises(InputError, match="failed before"):
                    step()
    finally:
        registry.unregister(Failing)


def test_nothing_comes_after_the_end() -> None:
    with api.Graph("zone=w=20:h=20,fill", width=64, height=64, rate=25) as made:
        made.push(frames(1)[0])
        made.flush()
        with pytest.raises(InputError, match="was flushed"):
            made.push(frames(1)[0])


def test_a_head_that_changes_the_rate() -> None:
    """fps=60 and a second of look-ahead: the ring must have been planned for 60 frames."""
    with api.Graph("fps=60,zone=w=20:h=20,track,interp,grow,fill", width=64, height=64, rate=25) as made:
        out = [item for frame in frames(50) for item in made.push(frame)] + made.flush()
        assert 117 <= len(out) <= 120
        assert all(map(covered, out))
