"""The CUDA kernels compiled for the devices that matter: no spills, no local memory, enough threads at once."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import cuda, cudabuild, cudadevice, ops, worklist
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.letterbox import Letterbox

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
cuda_aot = importlib.import_module("cuda_aot")

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc to compile the CUDA kernels with")


def kernels() -> set[str]:
    """Names of all kernels in the sources."""
    sources = "".join(path.read_text() for path in cuda_aot.SOURCES.glob("*.cu"))
    return set(re.findall(r"^KERNEL (\w+)\(", sources, re.M))


@needs_nvcc
@pytest.mark.parametrize("architecture", cuda_aot.LIMITS)
def test_no_spills_and_no_local_memory(architecture: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = cuda_aot.compile_kernels(architecture, tmp_path)
    limits = cuda_aot.LIMITS[architecture]
    with capsys.disabled():
        print(f"\nsm_{architecture:<13} registers  shared  blocks/SM  occupancy")
        for name, f in sorted(facts.items()):
            print(f"{name:<16} {f.registers:>9} {f.shared:>7} {f.blocks(limits):>10} {f.occupancy(limits):>10.0%}")
    assert set(facts) == kernels()
    assert {name: f.local for name, f in facts.items() if f.local} == {}
    assert min(f.occupancy(limits) for f in facts.values()) >= 0.5


@needs_nvcc
def test_spills_would_be_seen(tmp_path: Path) -> None:
    facts = cuda_aot.compile_kernels(80, tmp_path, "-DANONFILTER_BLOCKS=8")  # at most 32 registers
    assert any(f.spill_stores and f.local for f in facts.values())


def test_the_backend_launches_kernels_that_exist() -> None:
    names = set()
    for name in ("nv12", "p010le"):
        fmt = FORMATS[name]
        work = worklist.build(fmt, 8, 8, [ops.Target(0, 0, 4, 4, h=1)], 0, "left", cells=2)
        launches = cuda.blur_launches(work, 2) + cuda.pixelize_launches(work) + cuda.fill_launches(work)
        launches += cuda.letterbox_launches(fmt, Letterbox.fit((0, 0, 8, 8), (4, 4)))
        names |= {launch.kernel for launch in launches}
    assert names == kernels()


def test_nvrtc_compiles_without_a_device_and_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    monkeypatch.setenv("ANONFILTER_CACHE", str(tmp_path))
    try:
        path = cudabuild.cubin(80)
    except ImportError as error:
        pytest.skip(str(error))
    assert path.parent == tmp_path / "cuda"
    code = path.read_bytes()
    assert code[:4] == b"\x7fELF"
    assert all(name.encode() in code for name in kernels())
    path.write_bytes(b"kept")
    assert cudabuild.cubin(80).read_bytes() == b"kept"
    assert cudabuild.cubin(90) != path
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".cubin", ".cubin"]


def test_install_holds_the_sources() -> None:
    names = {path.name for path in cuda_aot.SOURCES.glob("*.cu*")}
    assert {path.name for path in cudabuild.SOURCES.glob("*.cu*")} == names
    for name in names:
        assert (cudabuild.SOURCES / name).read_bytes() == (cuda_aot.SOURCES / name).read_bytes()
    fatbin = cudabuild.fatbin()
    if fatbin:
        assert fatbin.read_bytes()[:4] == bytes.fromhex("50ed55ba")
    if os.environ.get("CI"):  # where the install and the tests are of one machine
        assert bool(fatbin) == bool(shutil.which("nvcc"))


def test_importing_needs_no_cupy() -> None:
    code = "import sys; import anonfilter.kernels.ops; sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(cudadevice.missing() is None, reason="there is a CUDA device")
def test_without_a_device_nothing_is_left_clear() -> None:
    plane = np.zeros((8, 8), np.uint8)
    targets = [ops.Target(0, 0, 4, 4, h=1)]
    fmt = FORMATS["gray"]
    for call in (
        lambda: ops.blur((plane,), fmt, targets, backend="cuda"),
        lambda: ops.pixelize((plane,), fmt, targets, backend="cuda"),
        lambda: ops.fill((plane,), fmt, targets, backend="cuda"),
        lambda: ops.letterbox((plane,), fmt, (4, 4), backend="cuda"),
    ):
        with pytest.raises(cudadevice.NoDevice, match="CUDA"):
            call()
