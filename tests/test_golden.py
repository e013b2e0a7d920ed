"""One golden line a filter: the graph and the CRC-32 of every output frame, on a generated clip with a stub detector.

Regenerate with ANONFILTER_REGEN=1 after a change that is meant, and read the difference.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from anonfilter import api
from anonfilter import filter as registry
from anonfilter.filter import Sampler
from anonfilter.kernels.formats import FORMATS
from anonfilter.options import Option
from anonfilter.records import FrameRecord, Region

GOLDEN = Path(__file__).with_name("golden.json")
WIDTH, HEIGHT, FRAMES = 162, 98, 12

GRAPHS = {
    "blur": "stub,blur",
    "blur-one-pass": "stub,blur=strength=1:passes=1",
    "blur-gaussian": "stub,blur=gaussian:sigma=4:shape=ellipse",
    "blur-feather": "stub,blur=feather=5",
    "pixelize": "stub,pixelize=cells=4",
    "fill": "stub,fill=red:shape=ellipse",
    "fill-classes": "stub,fill=classes=plate",
    "draw": "stub,track,draw",
    "zone": "zone=x=10:y=10:w=40:h=30:shape=ellipse:enable='between(n,2,6)',fill",
    "track-interp": "stub=every=4,track,interp=pchip,draw=text=0",
    "interp-linear": "stub=every=4,track,interp=linear,fill",
    "grow": "stub=until=6,track,grow=before=2:after=3,fill",
    "hold": "stub=every=4,fill",
    "lavfi-between": "stub,hflip,fill,negate",
    "lavfi-first": "crop=100:60:20:10,stub,fill",
}


class Stub(Sampler):
    """Finds the same two moving objects in every clip: no net, but everything around it is real."""

    name = "stub"
    help = "test detector"
    options = (
        Option("every", "int", 1, "look at every Nth frame", min=1),
        Option("until", "int", 1000, "find nothing from this frame on"),
    )

    def look(self, record: FrameRecord) -> None:
        assert self.env.ring is not None
        assert self.env.ring[record.n].n == record.n
        record.ran = ("stub",)
        if record.n < self.opts["until"]:
            x = 5.25 + 6.5 * record.n
            record.regions.append(Region((x, 12.5, x + 34.0, 52.75), "face", 0.9))
            record.regions.append(
                Region((120.0 - 4 * record.n, 60.0, 150.0 - 4 * record.n, 72.0), "plate", 0.8)
            )

    def every(self) -> int:
        return int(self.opts["every"])

    def models(self) -> tuple[str, ...]:
        return ("stub",)




@pytest.fixture(scope="module", autouse=True)
def _test_filters() -> Iterator[None]:
    """Known to this module's graphs only."""
    registry.register(Stub)
    yield
    registry.unregister(Stub)


def picture(n: int, pix_fmt: str) -> av.VideoFrame:
    """Frame n of the clip: noise over a moving gradient, the same for every libav version."""
    fmt = FORMATS[pix_fmt]
    frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
    rng = np.random.default_rng(n)
    for index, plane in enumerate(frame.planes):
        width, height = (WIDTH, HEIGHT) if index == 0 else fmt.chroma_size(WIDTH, HEIGHT)
        width *= 2 if index and fmt.interleaved else 1
        y, x = np.mgrid[:height, :width]
        values = (3 * x + 2 * y + 5 * n + rng.integers(0, 40, (height, width))) % (1 << 8) << (fmt.depth - 8)
        rows = np.zeros((height, plane.line_size), np.uint8)
        data = (values << fmt.shift).astype("<u2" if fmt.itemsize == 2 else "u1").view(np.uint8)
        rows[:, : data.shape[1]] = data
        plane.update(rows.tobytes())
    frame.pts = n
    return frame


def crc(frame: av.VideoFrame) -> int:
    """CRC-32 over the visible samples of all planes."""
    fmt, value = FORMATS[frame.format.name], 0
    for index, plane in enumerate(frame.planes):
        width, height = (frame.width, frame.height)
        if index:
            width, height = fmt.chroma_size(width, height)
            width *= 2 if fmt.interleaved else 1
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, : width * fmt.itemsize]
        value = zlib.crc32(np.ascontiguousarray(rows), value)
    return value


def render(graph: str, pix_fmt: str = "yuv420p") -> list[int]:
    """CRCs of a graph's output."""
    out = []
    with api.Graph(graph, width=WIDTH, height=HEIGHT, pix_fmt=pix_fmt, rate=Fraction(25)) as made:
        for n in range(FRAMES):
            out += [crc(frame) for frame in made.push(picture(n, pix_fmt))]
        out += [crc(frame) for frame in made.flush()]
    return out


CASES = {**{name: (graph, "yuv420p") for name, graph in GRAPHS.items()}}
for _fmt in ("nv12", "yuv422p", "yuv444p", "yuv420p10le", "p010le", "gray"):
    CASES[f"blur-{_fmt}"] = ("stub,blur", _fmt)
    CASES[f"pixelize-{_fmt}"] = ("stub,pixelize", _fmt)


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden(name: str) -> None:
    graph, pix_fmt = CASES[name]
    got = render(graph, pix_fmt)
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("ANONFILTER_REGEN"):
        stored[name] = {"graph": graph, "pix_fmt": pix_fmt, "crc": got}
        rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(stored[key])}" for key in sorted(stored))
        GOLDEN.write_text("{\n" + rows + "\n}\n")
        return
    assert name in stored, "no golden line yet: run once with ANONFILTER_REGEN=1"
    assert stored[name]["graph"] == graph
    assert got == stored[name]["crc"]


def test_untouched_frames_stay_untouched() -> None:
    source = [crc(picture(n, "yuv420p")) for n in range(FRAMES)]
    got = render("zone=x=0:y=0:w=20:h=20:enable='gte(n,6)',fill")
    assert got[:6] == source[:6]
    assert all(a != b for a, b in zip(got[6:], source[6:], strict=True))


def test_every_golden_line_has_a_case() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(CASES)
