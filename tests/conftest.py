"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anonfilter.kernels import cudadevice

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _outside_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs that tests start would otherwise import anonfilter/ and models/ of the checkout, which is not built."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `shared` need the development data; those marked `gpu`, or of a CUDA backend, need a device."""
    no_device = cudadevice.missing()
    for item in items:
        call = getattr(item, "callspec", None)
        backend = call.params.get("backend") if call else None
        if no_device and (item.get_closest_marker("gpu") or backend in ("cuda", "triton")):
            item.add_marker(pytest.mark.skip(reason=f"not run: {no_device}"))
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"no development data at {SHARED}"))


def _load(name: str) -> ModuleType:
    """A helper module beside this file: with --import-mode=importlib the folder is not on the path."""
    full = f"anonfilter_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def clips() -> ModuleType:
    """The module tests/clips.py."""
    return _load("clips")


@pytest.fixture(scope="session")
def clip(clips: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """clip("name.mp4", ...) gives the path of a generated clip (arguments of clips.make), made once a
    session."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, tuple[dict[str, Any], Path]] = {}

    def get(name: str, **how: Any) -> Path:
        if name not in made:
            made[name] = how, clips.make(folder / name, **how)
        assert made[name][0] == how, f"two different clips named {name}"
        return made[name][1]

    return get


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the development data; only for tests marked `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def clips_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Clips that both programs read in the tests against the real ffmpeg, by name."""
    made = _load("peer").made
    folder = tmp_path_factory.mktemp("parity")
    pictures = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=3")
    sound = ("-f", "lavfi", "-i", "sine=d=3:r=44100")
    code = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "20", "-c:a", "aac")
    uneven = "settb=1/1000,setpts='(N+gt(mod(N*7,5),2)*0.7+4*gt(N,40))*40'"
    kept = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    names = ("even.mkv", "uneven.mkv", "late.ts", "delayed.mkv", "silent.mkv", "short.mkv", "many.mkv")
    p = {name: str(folder / name) for name in names}
    made(*pictures, *sound, *code, p["even.mkv"])
    made(*pictures, *sound, "-vf", uneven, *kept, *code, p["uneven.mkv"])
    made("-i", p["uneven.mkv"], "-c", "copy", "-map", "0", "-output_ts_offset", "8.03", p["late.ts"])
    delayed = ("-itsoffset", "0.37", "-i", p["uneven.mkv"], "-i", p["uneven.mkv"], "-map", "0:v", "-map", "1:a")
    made(*delayed, "-c", "copy", p["delayed.mkv"])
    made(*pictures, "-vf", uneven, *kept, *code, p["silent.mkv"])
    less = ("-f", "lavfi", "-i", "sine=d=1.7", "-map", "0:v", "-map", "1:a")
    made("-i", p["even.mkv"], *less, "-c:v", "copy", p["short.mkv"])
    words, chapters = folder / "words.srt", folder / "chapters.txt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,000\nHello\n\n2\n00:00:01,500 --> 00:00:02,000\nthere\n")
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1500\ntitle=one\n")
    tracks = shlex.split("-map 0:v -map 0:a -map 0:a -map 1:s -map_metadata 2 -c copy -c:s srt")
    languages = (("a:0", "eng"), ("a:1", "ger"), ("s:0", "eng"))
    tags = [word for where, name in languages for word in (f"-metadata:s:{where}", f"language={name}")]
    made("-i", p["even.mkv"], "-i", str(words), "-i", str(chapters), *tracks, *tags, p["many.mkv"])
    return p.__getitem__
