"""The coarse look: faces that the picture's edge cuts are found."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from anonfilter.errors import ModelError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.models import catalog
from anonfilter.models.detector import Detector
from anonfilter.models.family import Detection

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT.parent / "shared" / "data" / "clips" / "speech-cuts-360p.mp4"


def face(box: tuple[float, float, float, float], score: float, cls: str = "face") -> Detection:
    return Detection(box, cls, score)


def test_the_coarse_threshold_follows_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    row = catalog.resolve("plates")
    assert row.coarse_thresh > row.thresh  # at .05 the coarse look sees plates of half a picture in the sky
    big = face((0, 0, 300, 200), 0.15, "plate")
    with real_detector("plates", (640, 360)) as item:
        assert not item._is_close_up(big)
    with real_detector("plates", (640, 360), thresh=row.thresh / 2) as item:
        assert item._is_close_up(big)
    with real_detector("plates", (640, 360), thresh=0.3) as item:
        assert item._is_close_up(face(big.box, 0.3, "plate"))
        assert not item._is_close_up(face(big.box, 0.29, "plate"))


def real_detector(name: str, picture: tuple[int, int], thresh: float | None = None) -> Detector:
    try:
        return Detector(catalog.resolve(name), picture, thresh=thresh, threads=1)
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")


def test_the_coarse_look_has_a_border() -> None:
    with real_detector("faces", (640, 360)) as item:
        full, coarse = item._looks
        assert (full.size, full.room) == ((640, 384), None)
        assert coarse.size == (160, 96)
        assert coarse.room == (107, 64)


@pytest.mark.shared
def test_a_profile_cut_by_the_edge_is_found() -> None:
    """Frames where the pianist leaves the picture: the full look alone sees next to nothing of him."""
    truth = json.loads((ROOT / "bench" / "truth" / "speech-cuts-360p.json").read_text())
    boxes = next(item for item in truth["objects"] if item["id"] == 3)["boxes"]
    wanted = (46, 48, 51, 68, 70, 71)
    info = StreamInfo(640, 360, "yuv420p", Fraction(1, 30), Fraction(30), Fraction(30))
    with real_detector("faces", (640, 360)) as item, av.open(str(CLIP)) as container:
        for n, picture in enumerate(container.decode(video=0)):
            if n in wanted:
                found = item(Frame(n, n, n / 30, picture), info)
                assert max((share(boxes[str(n)], k.box) for k in found), default=0) > 0.75, n
            if n > max(wanted):
                break


def share(box: list[float], other: tuple[float, ...]) -> float:
    """Share of `box` that `other`, grown by the model's margin, covers."""
    dx, dy = 0.3 * (other[2] - other[0]), 0.3 * (other[3] - other[1])
    wide = min(box[2], other[2] + dx) - max(box[0], other[0] - dx)
    high = min(box[3], other[3] + dy) - max(box[1], other[1] - dy)
    return max(0.0, wide) * max(0.0, high) / ((box[2] - box[0]) * (box[3] - box[1]))
