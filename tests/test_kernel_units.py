"""Every unit of the C++ backend (SSE4.1, AVX2, AVX-512, NEON, ...) against the oracle, and how one is chosen."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from anonfilter.kernels import cpu, ops
from anonfilter.kernels.formats import FORMATS

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")
harness = importlib.import_module("kernel_harness")

ROOT = Path(__file__).parent.parent
OPS = ("blur", "pixelize", "fill")
CASES = 197
"""Seeds of each operation and format: with 3 x 24 of those, 14,184 cases."""

GOLDEN = 0xA127E361
"""CRC-32 of the planes of all frames of examples/street.mp4 after `blurred`, from the oracle on every frame:
python tests/test_kernel_units.py"""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("op", OPS)
def test_units_equal_the_oracle(op: str, name: str) -> None:
    changed = 0
    for seed in range(CASES):
        case = kernel_cases.case(op, name, seed)
        harness.check(case, harness.PATHS)
        changed += not case.run("cpu").same_bytes(case.planes)
    assert changed > CASES // 3


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("op", OPS)
def test_crowds_and_large_regions(op: str, name: str) -> None:
    """Hundreds of overlapping regions; regions of many registers, on one thread and shared out to three."""
    harness.check(kernel_cases.crowd(op, name, 1), [*harness.PATHS, *harness.THREADED])
    for seed in range(3 if op == "blur" else 1):
        harness.check(kernel_cases.large(op, name, seed), [*harness.PATHS, *harness.THREADED])


@pytest.mark.parametrize("unit", [unit.name for unit in cpu.units() if not unit.runs])
def test_units_that_cannot_run_here(unit: str) -> None:
    with pytest.raises(ValueError, match=f"'{unit}'.*(cannot run|not for this)"), cpu.using(unit):
        pass
    known = {row.name: row for row in cpu.units()}[unit]
    reason = "this CPU lacks its instructions" if known.built else "it is of another architecture"
    pytest.skip(f"the unit {unit} was not run: {reason}")


def test_units_are_different_code() -> None:
    """No two units share a loop, and a case really goes through the unit that is named."""
    loops = {}
    for name in harness.UNITS:
        with cpu.using(name):
            assert cpu.unit() == name
            loops[name] = cpu._cpu.loops()
    assert len(loops) >= 3
    every = [address for addresses in loops.values() for address in addresses]
    assert len(set(every)) == len(every)


def _unit_of(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = "from anonfilter.kernels import cpu; print(cpu.unit())"
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_environment_names_the_unit() -> None:
    for unit in cpu.units():
        result = _unit_of({"ANONFILTER_CPU": unit.name})
        if unit.runs:
            assert result.stdout.split() == [unit.name]
        else:
            assert result.returncode != 0
            assert f"ANONFILTER_CPU: CPU unit '{unit.name}'" in result.stderr
    best = [unit.name for unit in cpu.units() if unit.runs and not unit.by_name][-1]
    assert _unit_of({"ANONFILTER_CPU": ""}).stdout.split() == [best]
    result = _unit_of({"ANONFILTER_CPU": "mmx"})
    assert result.returncode != 0
    assert f"ANONFILTER_CPU: CPU unit 'mmx' should be one of {', '.join(harness.UNITS)}" in result.stderr


def test_an_unknown_unit_changes_nothing() -> None:
    before = cpu.unit(), cpu._cpu.threads()
    with pytest.raises(ValueError, match="'mmx' should be one of portable"), cpu.using("mmx"):
        pass
    assert (cpu.unit(), cpu._cpu.threads()) == before


# Threads


def _big() -> kernel_cases.Case:
    """Work enough for several threads, in one region and in many."""
    rng = np.random.default_rng(4)
    planes = kernel_cases.planes(rng, FORMATS["yuv420p"], 900, 700)
    targets = [ops.Target(20, 30, 800, 600, "ellipse", None, 60), ops.Target(500, 400, 890, 690, "rect", None, 30)]
    targets += [ops.Target(x, 5, x + 30, 25, "rect", None, 4) for x in range(0, 860, 40)]
    return kernel_cases.Case("blur", planes, targets, {"passes": 2, "feather": 0})


def test_callers_do_not_disturb_each_other() -> None:
    """The GIL is released: four callers at once, of whom one has the threads, all get what one alone gets."""
    case = _big()
    with cpu.using(threads=1):
        expected = case.run("cpu")
    results: list[bool] = []

    def work() -> None:
        results.extend(case.run("cpu").same_bytes(expected) for _ in range(6))

    with cpu.using(threads=3, least=1000):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [True] * 24


def _forked(queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    queue.put(zlib.crc32(_big().run("cpu").memory[0]))


def test_a_forked_child_has_threads_of_its_own() -> None:
    """The parent's threads do not exist in the child: it must not wait for them."""
    with cpu.using(threads=3, least=1000):
        expected = zlib.crc32(_big().run("cpu").memory[0])
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_forked, args=(queue,))
        child.start()
        assert queue.get(timeout=60) == expected
        child.join(60)
        assert child.exitcode == 0


def test_threads_are_bounded() -> None:
    """However many callers and calls: at most 8 threads, and none in a process that asks for one."""
    code = (
        "import threading, time, numpy as np\n"
        "from anonfilter.kernels import cpu, ops\n"
        "from anonfilter.kernels.formats import FORMATS\n"
        "count = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('Threads:')).split()[1])\n"
        "def work():\n"
        "    for _ in range(5):\n"
        "        ops.blur((np.zeros((600, 600), np.uint8),), FORMATS['gray'], [ops.Target(0, 0, 600, 600, h=9)])\n"
        "first = count()\n"
        "with cpu.using(threads=1): work()\n"
        "alone = count() - first\n"
        "with cpu.using(threads=99, least=1):\n"
        "    callers = [threading.Thread(target=work) for _ in range(6)]\n"
        "    [t.start() for t in callers]; [t.join() for t in callers]\n"
        "time.sleep(0.5)  # a joined thread may live a moment longer\n"
        "print(alone, count() - first)\n"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("threads are counted in /proc")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    alone, shared = map(int, result.stdout.split())
    assert alone == 0
    assert 1 <= shared <= 7


# A real clip


def blurred(frame: av.VideoFrame, run: Callable[[list[np.ndarray], list[ops.Target]], None]) -> int:
    """CRC-32 of a yuv420p frame's planes after two blurs that `run` makes, targets wandering with the frame."""
    planes = []
    for index, plane in enumerate(frame.planes):
        height, width = (frame.height, frame.width) if index == 0 else (-(-frame.height // 2), -(-frame.width // 2))
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[:height, :width].copy())
    n = frame.pts // 512 if frame.pts else 0
    boxes = [
        ops.Target(40 + n % 90, 30, 140 + n % 90, 170, "ellipse", None, 22),
        ops.Target(100, 60 + n % 50, 330, 190 + n % 50, "rect", None, 40),
        ops.Target(-20, -10, 50, 60, "rect", None, 9),
    ]
    run(planes, boxes)
    crc = 0
    for plane in planes:
        crc = zlib.crc32(plane, crc)
    return crc


def _clip_crc(backend: str) -> int:
    def run(planes: list[np.ndarray], boxes: list[ops.Target]) -> None:
        ops.blur(planes, FORMATS["yuv420p"], boxes[:2], backend=backend)
        ops.blur(planes, FORMATS["yuv420p"], boxes[2:], passes=1, feather=3, backend=backend)

    crc = 0
    with av.open(str(ROOT / "examples" / "street.mp4")) as container:
        for frame in container.decode(video=0):
            crc = zlib.crc32(blurred(frame, run).to_bytes(4, "little"), crc)
    return crc


@pytest.mark.parametrize("path", [harness.ORACLE, *harness.PATHS, *harness.THREADED], ids=lambda path: path.name)
def test_golden_clip(path: harness.Way) -> None:
    with path.using():
        assert _clip_crc(path.backend) == GOLDEN


# Build


@pytest.mark.parametrize("unit", ["sse41", "avx2", "avx512", "wide512"])
def test_units_share_no_functions(unit: str, tmp_path: Path) -> None:
    """A weak symbol in a unit's object could replace the same function of code that must run on any CPU."""
    flags = {"sse41": ["-msse4.1"], "avx2": ["-mavx2"], "avx512": ["-mavx512f", "-mavx512bw"]}.get(unit, ["-Wno-psabi"])
    machine = os.uname().machine
    if machine != "x86_64" or not (shutil.which("g++") and shutil.which("nm")):
        pytest.skip("needs g++ and nm on x86-64")
    out = tmp_path / "unit.o"
    source = ROOT / "csrc" / f"unit_{unit}.cpp"
    # Unoptimised, nothing is inlined: every function that the source uses is in the object.
    command = ["g++", "-O0", "-std=c++17", "-fPIC", "-fno-exceptions", *flags, "-c", source, "-o", out]
    subprocess.run(command, check=True)
    symbols = subprocess.run(["nm", out], capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = {line.split()[-2]: line.split()[-1] for line in symbols}
    # Local ones, the table itself (D), and references to memset and the like (U).
    assert set(kinds) <= {"t", "r", "b", "d", "D", "U"}, kinds
    assert next(line for line in symbols if " D " in line).endswith(f"unit_{unit}E")


if __name__ == "__main__":
    print(f"GOLDEN = {_clip_crc('ref'):#010X}".replace("0X", "0x"))
