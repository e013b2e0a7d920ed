"""The detect filter: options, records, geometry, failures; with a net that always answers the same, and real
ones."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import tiny_onnx as tiny

from anonfilter.errors import GraphError, InputError, ModelError
from anonfilter.filter import Env, Options
from anonfilter.filters.detect import Detect
from anonfilter.frame import Frame, StreamInfo
from anonfilter.models import catalog, detector
from anonfilter.models.adding import add
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "clips"


def stream(width: int = 64, height: int = 64, **changes: Any) -> StreamInfo:
    values = {
        "pix_fmt": "yuv420p",
        "time_base": Fraction(1, 25),
        "rate": Fraction(25),
        "average_rate": Fraction(25),
    }
    return StreamInfo(width, height, **{**values, **changes})


def frame(n: int = 0, width: int = 64, height: int = 64, fmt: str = "yuv420p") -> Frame:
    return Frame(n, n, n / 25, av.VideoFrame(width, height, fmt))


def make(args: str) -> Detect:
    parsed = parse_options(Detect, args)
    return Detect(Options(parsed.values, parsed.given))


def env(info: StreamInfo, frames: Sequence[Frame], **changes: Any) -> Env:
    return Env(info, {f.n: f for f in frames}, "in.mp4", **changes)  # type: ignore[arg-type]


def look(args: str, info: StreamInfo | None = None, picture: Frame | None = None) -> FrameRecord:
    """The record of one frame."""
    picture = picture or frame()
    item = make(args)
    item.open(env(info or stream(), [picture]))
    (record,) = item.push(FrameRecord(picture.n, picture.pts, picture.t))
    item.close()
    return record


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the models `one` (a face at 10,20,30,40 and a plate at 40,8,56,16 of a 64 x 64 input) and
    `other` (a face at 0,0,8,8); margins of the yolo family."""
    monkeypatch.setenv("ANONFILTER_CACHE", str(tmp_path / "cache"))
    for name, rows in {
        "one": [[10, 20, 30, 40, 0.9, 0], [40, 8, 56, 16, 0.5, 1]],
        "other": [[0, 0, 8, 8, 0.8, 0], [0, 0, 0, 0, 0, 0]],
    }.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(tiny.constant_net([rows]))
        add(name, path)
    return tmp_path


def boxes(record: FrameRecord) -> list[tuple[float, ...]]:
    return [region.box for region in record.regions]


def test_regions_of_a_frame(cache: Path) -> None:
    record = look("one:margin=0")
    assert record.ran == ("one",)
    assert record.regions == [
        Region((10, 20, 30, 40), "face", pytest.approx(0.9), "det"),
        Region((40, 8, 56, 16), "plate", pytest.approx(0.5), "det"),
    ]


def test_margin_grows_by_a_share_of_each_side(cache: Path) -> None:
    assert boxes(look("one:margin=0.5")) == [(0, 10, 40, 50), (32, 4, 64, 20)]
    share = catalog.resolve("one").margin
    assert boxes(look("one"))[1] == pytest.approx(
        (40 - 16 * share, 8 - 8 * share, 56 + 16 * share, 16 + 8 * share)
    )


def test_boxes_over_the_edge_are_kept_whole_and_those_beyond_it_dropped(cache: Path) -> None:
    assert boxes(look("other:margin=1")) == [(-8, -8, 16, 16)]
    path = cache / "out.onnx"
    path.write_bytes(tiny.constant_net([[[70, 10, 90, 20, 0.9, 0], [10, -30, 20, -4, 0.8, 0]]]))
    assert look(f"{path}:margin=0").regions == []
    assert boxes(look(f"{path}:margin=0.5")) == [(60, 5, 100, 25), (5, -43, 25, 9)]


def test_thresh_and_overrides(cache: Path) -> None:
    assert boxes(look("one:margin=0:thresh=0.6")) == [(10, 20, 30, 40)]
    record = look("one:other:margin=0:one.thresh=0.95:other.margin=1")
    assert record.ran == ("one", "other")
    assert boxes(record) == [(-8, -8, 16, 16)]
    assert boxes(look("models=one|other:thresh=0.85:other.thresh=0.1:margin=0")) == [
        (10, 20, 30, 40),
        (0, 0, 8, 8),
    ]


def test_classes(cache: Path) -> None:
    assert [r.cls for r in look("one:other:classes=plate").regions] == ["plate"]
    assert [r.cls for r in look("one:other:one.classes=plate").regions] == ["plate", "face"]
    for args in ("one:classes=plat", "one:other:classes=face|car", "one:faces:one.classes=car"):
        with pytest.raises(
            ModelError, match=r"detect: no class (plat|car) in what one finds \(face, plate\)"
        ):
            look(args)


def test_every(cache: Path) -> None:
    """Every Nth frame, and the last: what is held after the last look must not be guessed from one side."""
    item = make("one:every=3")
    frames = [frame(n) for n in range(9)]
    item.open(env(stream(), frames))
    records = []
    for f in frames:
        records += item.push(FrameRecord(f.n, f.pts, f.t))
        assert len(records) == f.n
    records += item.flush()
    assert [r.n for r in records] == list(range(9))
    assert [r.looked for r in records] == [True, False, False, True, False, False, True, False, True]
    assert [len(r.regions) for r in records] == [2, 0, 0, 2, 0, 0, 2, 0, 2]
    assert (item.lookahead(stream()), item.gap(stream()), item.models()) == (1, 3, ("one",))


@pytest.mark.parametrize(
    ("args", "run", "cores", "threads"),
    [
        ("", 0, 4, 0), (":every=5", 0, 4, 2), (":every=5", 0, 1, 1), (":every=5", 3, 4, 3),
        (":every=5:threads=0", 3, 4, 0),
    ],
)
def test_threads(monkeypatch: pytest.MonkeyPatch, args: str, run: int, cores: int, threads: int) -> None:
    """A net that looks at every fifth frame leaves cores to the encoder, unless threads were asked for."""
    from anonfilter.filters import detect

    monkeypatch.setattr(detect, "available_cores", lambda: cores)
    assert make(f"faces{args}")._threads("faces", env(stream(), [], threads=run)) == threads


@pytest.mark.parametrize("every", ["every=auto:max=6", "every=3"])
def test_models_look_at_the_same_time_and_see_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch, every: str
) -> None:
    from anonfilter.filters import detect
    from anonfilter.watch import Watch

    met = threading.Barrier(2, timeout=20)
    real = Watch.look

    def together(self: Watch, *args: Any) -> None:
        if cores == 4:
            met.wait()  # nobody gets on alone
        real(self, *args)

    monkeypatch.setattr(Watch, "look", together)
    frames = [frame(n) for n in range(13)]
    results = []
    for cores in (1, 4):
        monkeypatch.setattr(detect, "available_cores", lambda cores=cores: cores)
        item = make(f"one:other:threads=1:{every}")
        item.open(env(stream(), frames))
        out = []
        for picture in frames[:-1]:
            out += item.push(FrameRecord(picture.n, picture.pts, picture.t))
        cores = 1  # at the end they look one after the other
        out += item.flush()
        item.close()
        results.append([(record.n, record.ran, record.regions) for record in out])
    assert results[0] == results[1]
    assert results[0][0][1] == ("one", "other")
    assert not any("anonfilter-look" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("which", ["one", "other"])
def test_a_net_that_fails_beside_another(cache: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """The error comes when the other net is done (`one` fails in the thread that waits for it): closing would take its
    memory away from it."""
    from anonfilter.filters import detect
    from anonfilter.watch import Watch

    real, done = Watch.look, []

    def fails(self: Watch, *args: Any) -> None:
        if self.detector.model.name == which:
            raise ModelError("broken")
        time.sleep(0.2)
        real(self, *args)
        done.append(1)

    monkeypatch.setattr(Watch, "look", fails)
    monkeypatch.setattr(detect, "available_cores", lambda: 4)
    item = make("one:other:threads=1:every=3")
    item.open(env(stream(), [frame()]))
    with pytest.raises(ModelError, match=f"{which}: in.mp4: frame 0 .*broken"):
        item.push(FrameRecord(0, 0, 0.0))
    assert done, "the other net is still at work"
    item.close()


def test_a_frame_without_objects_was_still_looked_at(cache: Path) -> None:
    record = look("one:thresh=0.99")
    assert (record.ran, record.regions, record.looked) == (("one",), [], True)


def test_two_detect_filters_add_up(cache: Path) -> None:
    record = FrameRecord(0, 0, 0.0)
    for args in ("one:margin=0:classes=plate", "other:margin=0"):
        item = make(args)
        item.open(env(stream(), [frame()]))
        (record,) = item.push(record)
    assert record.ran == ("one", "other")
    assert boxes(record) == [(40, 8, 56, 16), (0, 0, 8, 8)]


def test_models_used(cache: Path) -> None:
    item = make("one:other")
    place = env(stream(), [frame()])
    item.open(place)
    assert place.models_used == [(name, catalog.resolve(name).sha256) for name in ("one", "other")]


@pytest.mark.parametrize(
    ("rotation", "hflip", "box"),
    [
        # The net sees the 40 x 80 picture upright in its 64 x 64 input: scale 0.8 (or 64/80), padding 16 on
        # two sides.
        (0, False, ((10 - 16) / 0.8, 20 / 0.8, (30 - 16) / 0.8, 40 / 0.8)),
        (0, True, (40 - (30 - 16) / 0.8, 25, 40 - (10 - 16) / 0.8, 50)),
        (180, False, (40 - (30 - 16) / 0.8, 80 - 50, 40 - (10 - 16) / 0.8, 80 - 25)),
        # Coded 40 x 80 turned clockwise is shown as 80 x 40: shown (x, y) is coded (y, 80 - x).
        (90, False, ((20 - 16) / 0.8, 80 - 30 / 0.8, (40 - 16) / 0.8, 80 - 10 / 0.8)),
        (270, False, (40 - (40 - 16) / 0.8, 10 / 0.8, 40 - (20 - 16) / 0.8, 30 / 0.8)),
    ],
)
def test_boxes_are_in_coded_coordinates(
    cache: Path, rotation: int, hflip: bool, box: tuple[float, ...]
) -> None:
    info = stream(40, 80, rotation=rotation, hflip=hflip)
    record = look("one:margin=0:classes=face", info, frame(0, 40, 80))
    assert boxes(record) == [pytest.approx(box)]


@pytest.mark.parametrize(
    ("size", "changes", "name"),
    [
        ((1280, 720), {}, "bt709"),
        ((720, 1280), {}, "bt709"),
        ((640, 360), {}, "bt601"),
        ((640, 360), {"color_space": 1}, "bt709"),
        ((1280, 720), {"color_space": 5}, "bt601"),
        ((1280, 720), {"color_space": 6}, "bt601"),
        ((3840, 2160), {"color_space": 9}, "bt2020"),
    ],
)
def test_matrix(size: tuple[int, int], changes: dict[str, int], name: str) -> None:
    assert detector.matrix(stream(*size, **changes)) == name


@pytest.mark.parametrize("fmt", ["yuv420p", "nv12", "yuvj422p", "yuv444p10le", "gray"])
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (33, 7), (3000, 2)])
def test_formats_and_odd_sizes(cache: Path, fmt: str, size: tuple[int, int]) -> None:
    record = look("one:other", stream(*size, pix_fmt=fmt), frame(0, *size, fmt))
    assert record.ran == ("one", "other")


def test_the_default_model_is_faces() -> None:
    assert make("").models() == ("centerface",)
    assert make("faces:plates").models() == ("centerface", "clpdet")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("models=", "detect: no model is named: detect=faces, detect=faces:plates, ..."),
        ("one:one", "detect: the model one is named twice"),
        ("faces:centerface", "detect: the model centerface is named twice"),
        ("faecs", "unknown model 'faecs' (did you mean 'faces'?)"),
        ("yolo12-face", "anonfilter models add yolo12-face FILE.onnx"),
        ("one:device=cuda", "detect: inference on device 'cuda' is not built yet: use device=cpu"),
    ],
)
def test_errors_before_the_first_frame(cache: Path, args: str, line: str) -> None:
    with pytest.raises(ModelError) as caught:
        look(args)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "args",
    ["one:thresh=2", "one:thresh=0", "one:every=0", "one:size=8", "one:margin=-1", "one:engine=tpu", "one:x=1",
     "one:two.thresh=0.5"],
)  # fmt: skip
def test_options_are_checked(args: str) -> None:
    with pytest.raises(GraphError):
        make(args)


def test_a_net_that_fails_names_the_frame(cache: Path) -> None:
    path = cache / "broken.onnx"
    path.write_bytes(tiny.constant_net(np.full((1, 6, 7), np.nan)))
    with pytest.raises(ModelError, match=r"detect: broken: in\.mp4: frame 50 at 2\.000 s: .*not finite"):
        look(str(path), picture=frame(50))


def test_a_pass_without_frames(cache: Path) -> None:
    item = make("one")
    item.open(Env(stream(), None, "in.mp4"))
    with pytest.raises(InputError, match="no frames to look at"):
        list(item.push(FrameRecord(0, 0, 0.0)))


# Real nets


def real_frame(clip: str, at: int) -> tuple[StreamInfo, Frame]:
    with av.open(str(SHARED / clip)) as container:
        for n, picture in enumerate(container.decode(video=0)):
            if n == at:
                info = stream(picture.width, picture.height, pix_fmt=picture.format.name)
                return info, Frame(n, picture.pts, 0.0, picture)
    raise AssertionError(f"{clip} has no frame {at}")


def real_look(model: str, info: StreamInfo, picture: Frame, args: str = "") -> list[Region]:
    try:
        catalog.resolve(model).path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")
    return look(f"{model}:margin=0:thresh=0.4{args}", info, picture).regions


def near(region: Region, box: Sequence[float], share: float = 0.15) -> bool:
    """Whether each edge is within a share of the true box's size."""
    size = box[2] - box[0], box[3] - box[1]
    return all(
        abs(a - b) <= share * size[i % 2] for i, (a, b) in enumerate(zip(region.box, box, strict=True))
    )


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the development data in ../shared is not here")


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("model", ["faces", "yolo-faceghost"])
@pytest.mark.parametrize("size", ["", ":size=320", ":size=512x512"])
def test_a_real_face(model: str, size: str) -> None:
    # Box drawn by hand on frame 180: from hairline to chin.
    (face,) = real_look(model, *real_frame("speech-cuts-360p.mp4", 180), size)
    assert face.cls == "face"
    assert near(face, (200, 27, 284, 147))


@needs_shared
@pytest.mark.shared
def test_a_real_plate_and_its_corners() -> None:
    (plate,) = real_look("plates", *real_frame("plate-uk-720p.mp4", 0))
    assert plate.cls == "plate"
    assert near(plate, (489, 376, 573, 404))
    assert plate.poly is not None
    assert len(plate.poly) == 4
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = plate.poly
    assert max(x0, x3) < min(x1, x2)  # top left, top right, bottom right, bottom left
    assert max(y0, y1) < min(y2, y3)


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_real_face_in_a_turned_video(rotation: int) -> None:
    info, picture = real_frame("speech-cuts-360p.mp4", 180)
    planes = [np.rot90(plane, rotation // 90) for plane in picture.planes()]
    high, wide = planes[0].shape
    turned = av.VideoFrame(wide, high, "yuv420p")
    for target, plane in zip(turned.planes, planes, strict=True):
        rows = np.zeros((plane.shape[0], target.line_size), np.uint8)
        rows[:, : plane.shape[1]] = plane
        target.update(rows.tobytes())
    (face,) = real_look("faces", stream(wide, high, rotation=rotation), Frame(0, 0, 0.0, turned))
    # np.rot90 turns anticlockwise, rotation says how to turn back: (x, y) of the upright picture, coded.
    x0, y0, x1, y1 = 200, 27, 284, 147
    want = {
        90: (y0, info.width - x1, y1, info.width - x0),
        180: (info.width - x1, info.height - y1, info.width - x0, info.height - y0),
        270: (info.height - y1, x0, info.height - y0, x1),
    }[rotation]
    assert near(face, want)
