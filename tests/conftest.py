"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
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
