"""embed: what objects look like tells track who is who."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from anonfilter.filter import Env, Options
from anonfilter.filters.embed import Embed
from anonfilter.filters.pieces import appearance
from anonfilter.filters.track import Track
from anonfilter.frame import Frame, StreamInfo
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region

SIZE = (320, 180)
STREAM = StreamInfo(*SIZE, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
RNG = np.random.default_rng(1)
FACES = [np.kron(RNG.integers(40, 220, (8, 8)), np.ones((5, 5))).astype(np.uint8) for _ in range(2)]


def picture(n: int, places: list[tuple[int, int]], fmt: str = "yuv420p", gain: float = 1.0) -> Frame:
    """Faces 0, 1, ... of 40 x 40 with their corners at those places."""
    luma = np.full((SIZE[1], SIZE[0]), 90, np.uint8)
    for face, (x, y) in zip(FACES, places, strict=False):
        luma[y : y + 40, x : x + 40] = np.clip(face * gain, 0, 255)
    frame = av.VideoFrame.from_ndarray(np.vstack([luma, np.full((SIZE[1] // 2, SIZE[0]), 128, np.uint8)]), "yuv420p")
    return Frame(n, n, n / 25, frame.reformat(format=fmt))


def box(x: float, y: float) -> Region:
    return Region((x, y, x + 40, y + 40), "face", 0.9)


def looks(frame: Frame, *regions: Region) -> list[Region]:
    item = Embed(Options(parse_options(Embed, "").values))
    item.open(Env(STREAM, {frame.n: frame}, "in.mp4"))  # type: ignore[arg-type]
    (record,) = item.push(FrameRecord(frame.n, frame.pts, frame.t, ("faces",), list(regions)))
    return record.regions


def likeness(a: Region, b: Region) -> float:
    p, q = appearance(a), appearance(b)
    assert p is not None
    assert q is not None
    return float(p @ q)


@pytest.mark.parametrize("fmt", ["yuv420p", "yuv420p10le", "nv12"])
def test_the_same_face_looks_alike_elsewhere_and_in_another_light(fmt: str) -> None:
    a = looks(picture(0, [(20, 20), (200, 60)], fmt), box(20, 20), box(200, 60))
    b = looks(picture(1, [(101, 33), (30, 120)], fmt, gain=0.6), box(100, 34), box(31, 119))
    assert likeness(a[0], b[0]) > 0.8
    assert likeness(a[1], b[1]) > 0.8
    assert abs(likeness(a[0], b[1])) < 0.5


def test_what_has_no_look() -> None:
    frame = picture(0, [(20, 20)])
    plain, outside, zone, gone = looks(
        frame, box(250, 20), Region((-90, -90, -50, -50), "face"), box(20, 20).with_(src="zone"),
        box(20, 20).with_(deleted=True),
    )  # fmt: skip
    assert plain.look is None
    assert outside.look is None
    assert zone.look is None
    assert gone.look is None
    edge, tiny = looks(frame, box(-10, 5), Region((30, 30, 30.5, 30.5), "face"))
    assert edge.look is None or len(edge.look) == 64
    assert tiny.look is None or len(tiny.look) == 64


def test_a_look_is_no_part_of_what_a_region_is() -> None:
    (seen,) = looks(picture(0, [(20, 20)]), box(20, 20))
    assert seen.look is not None
    assert seen == box(20, 20)


def changed_places(weight: float) -> bool:
    """Two faces that change places between two looks, unseen: whether each keeps its number."""
    frames = {n: picture(n, [(60, 60), (110, 60)] if n < 6 else [(110, 60), (60, 60)]) for n in range(30)}
    embed = Embed(Options(parse_options(Embed, "").values))
    embed.open(Env(STREAM, frames, "in.mp4"))  # type: ignore[arg-type]
    parsed = parse_options(Track, f"appearance={weight}")
    track = Track(Options(parsed.values, parsed.given))
    track.open(Env(STREAM, None, "in.mp4"))
    out: list[FrameRecord] = []
    for n, frame in frames.items():
        regions = [box(60, 60), box(110, 60)] if n < 3 or n > 8 else []
        for record in embed.push(FrameRecord(n, n, n / 25, ("faces",), regions)):
            out += list(track.push(record))
        assert frame.n == n
    out += list(track.flush())
    before, after = ([r.track for r in out[n].regions] for n in (2, 20))
    return before == after[::-1]


def test_appearance_tells_two_who_changed_places() -> None:
    assert changed_places(4)
    assert not changed_places(0)
