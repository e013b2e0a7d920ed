"""The kernels without Python: under the address and undefined-behaviour sanitizers, and as ARM code under QEMU.

Both build csrc/ with tests/replay.cpp and give it cases with the oracle's answers. NEON needs Debian's packages
g++-aarch64-linux-gnu and qemu-user.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")

ROOT = Path(__file__).parent.parent
OPS = ("blur", "pixelize", "fill")
COUNT = len(OPS) * len(FORMATS) * 19 + 4  # as `cases` writes them
X86_FLAGS = {"sse41": ["-msse4.1"], "avx2": ["-mavx2"], "avx512": ["-mavx512f", "-mavx512bw", "-w"]}


def dump(case: kernel_cases.Case) -> bytes:
    """What tests/replay.cpp reads: the case, and each plane before and after, from its first to its last sample."""
    fmt, options = case.planes.fmt, case.options
    siting = options["siting"]
    parts: list[bytes] = []

    def put(*numbers: int) -> None:
        parts.append(np.array(numbers, "<i4").tobytes())

    put(OPS.index(case.op), fmt.depth, fmt.shift, fmt.itemsize, fmt.log2_w, fmt.log2_h)
    put(siting != "center", siting == "topleft", options["feather"], options.get("passes", 1), options.get("cells", 1))
    put(*options.get("color", (0, 0, 0)), len(case.planes.arrays))
    after = case.run("ref")
    for i, array in enumerate(case.planes.arrays):
        height, width = array.shape[:2]
        step, stride = (2 if array.ndim == 3 else 1), array.strides[0]
        size = (height - 1) * stride + width * step * fmt.itemsize
        offset = array.__array_interface__["data"][0] - case.planes.memory[i].__array_interface__["data"][0]
        put(height, width, step, stride, size)
        parts += [planes.memory[i][offset : offset + size].tobytes() for planes in (case.planes, after)]
    put(len(case.targets))
    for item in case.targets:
        put(item.x0, item.y0, item.x1, item.y1, ("rect", "ellipse", "mask").index(item.shape), item.h or 0)
        if item.mask is not None:
            parts.append(item.mask.tobytes())
    return b"".join(parts)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds beyond those of test_kernel_units, every operation and format, small and large, and crowds."""
    path = tmp_path_factory.mktemp("replay") / "cases.bin"
    with path.open("wb") as file:
        for op in OPS:
            for name in FORMATS:
                for seed in range(1000, 1018):
                    file.write(dump(kernel_cases.case(op, name, seed)))
                file.write(dump(kernel_cases.large(op, name, 1000)))
        for op, name in (("blur", "nv12"), ("blur", "p010le"), ("pixelize", "yuv444p"), ("fill", "yuv422p10le")):
            file.write(dump(kernel_cases.crowd(op, name, 1000)))
    return path


# What has no region to blur; tests of their own run seek and the JPEG code under sanitizers.
NO_KERNELS = ("bind", "bindjpeg", "jpeg", "jpegwrite", "letterbox", "seek", "taps")


def build(compiler: str, flags: list[str], folder: Path, x86: bool) -> Path:
    """tests/replay.cpp and csrc/ but for the Python binding, each unit with its own flags."""
    objects = []
    for source in [*sorted((ROOT / "csrc").glob("*.cpp")), ROOT / "tests" / "replay.cpp"]:
        if source.stem in NO_KERNELS:
            continue
        unit = X86_FLAGS.get(source.stem.removeprefix("unit_"), []) if x86 else []
        objects.append(folder / f"{source.stem}.o")
        command = [compiler, "-std=c++17", "-Wno-psabi", *flags, *unit, "-I", str(ROOT / "csrc"), "-c", str(source)]
        subprocess.run([*command, "-o", str(objects[-1])], check=True)
    out = folder / "replay"
    subprocess.run([compiler, *flags, *map(str, objects), "-o", str(out), "-pthread"], check=True)
    return out


def passed(result: subprocess.CompletedProcess[str], units: list[str]) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    for unit in units:
        for threads in (1, 3):
            assert f"{unit} x {threads}: {COUNT} of {COUNT} equal" in result.stdout, result.stdout


def test_sanitizers(cases: Path, tmp_path: Path) -> None:
    """No byte outside of a plane is read or written, and nothing undefined happens, in any unit that runs here."""
    if platform.machine() != "x86_64" or not shutil.which("g++"):
        pytest.skip("needs g++ on x86-64")
    flags = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    program = build("g++", flags, tmp_path, x86=True)
    result = subprocess.run([program, cases], capture_output=True, text=True, check=False)
    passed(result, [unit.name for unit in ops.cpu.units() if unit.runs])
    assert not result.stderr


def test_neon(cases: Path, tmp_path: Path) -> None:
    """The unit for ARM, in QEMU's emulation of one; also the portable and the 512-bit code as compiled for ARM."""
    arm = platform.machine() == "aarch64"
    compiler = shutil.which("g++" if arm else "aarch64-linux-gnu-g++")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if not compiler or (not arm and not emulator):
        pytest.skip("the unit neon was not run: needs g++-aarch64-linux-gnu and qemu-user, or a 64-bit ARM machine")
    program = build(compiler, ["-O2", "-static"], tmp_path, x86=False)
    start = [] if arm else [str(emulator)]
    environment = {key: value for key, value in os.environ.items() if key != "ANONFILTER_CPU"}
    names = ["neon", "wide512", "portable"]
    command = [*start, str(program), str(cases), *names]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    passed(result, names)
