"""The Triton kernels against the oracle in Triton's interpreter, and ahead of time for three GPUs; neither needs one.

Interpreter and compiler exclude each other in a process, so both run in processes of their own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anonfilter.cliparse import parse_command
from anonfilter.errors import UsageError
from anonfilter.filter import Env
from anonfilter.frame import StreamInfo
from anonfilter.kernels import cuda, cudadevice, ops, triton_backend
from anonfilter.kernels.formats import FORMATS
from anonfilter.plan import _build
from anonfilter.syntax import parse_graph

HERE = Path(__file__).resolve().parent
ARCHITECTURES = (80, 89, 90)

MISSING = [name for name in ("torch", "triton") if importlib.util.find_spec(name) is None]
needs_triton = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' and '.join(MISSING)}")


def rows(script: str, *arguments: object, cache: Path | None = None, home: Path = HERE) -> list[dict[str, Any]]:
    """The JSON lines that one of the programs beside this file prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    if cache:
        environment["TRITON_CACHE_DIR"] = str(cache)
    command = [sys.executable, str(home / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_triton
def test_blur_equals_the_oracle() -> None:
    got = rows("triton_interpreter.py", "blur", 0, 200)
    assert [row["seed"] for row in got] == list(range(200))
    assert [f"{row['seed']}: {row['case']}" for row in got if not row["equal"]] == []
    assert sum(row["changed"] for row in got) >= 80
    # Every kernel of the blur took part, and two launches a pass.
    launched = {name for row in got for name in row["launched"]}
    known = {name for name in interpreted_names() if name.startswith("blur")}
    assert launched == known
    assert all(len(row["launched"]) in (0, 2 * passes(row)) for row in got)


def passes(row: dict[str, Any]) -> int:
    """The option of a case."""
    return int(row["case"].split("'passes': ")[1].split("}")[0].split(",")[0])


def interpreted_names() -> list[str]:
    """Names of all kernels; told by a process of its own, since this one must not import Triton."""
    code = "from anonfilter.kernels import triton_backend; print(*triton_backend.variants())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@needs_triton
def test_blur_equals_the_oracle_with_the_tiles_of_a_gpu() -> None:
    got = rows("triton_interpreter.py", "blur", 1000, 12, "tiles")
    assert [f"{row['seed']}: {row['case']}" for row in got if not row["equal"]] == []
    assert sum(row["changed"] for row in got) >= 4


@needs_triton
def test_wide_feathers_and_long_lines() -> None:
    got = rows("triton_interpreter.py", "edges", 0, 10)
    assert [f"{row['seed']}: {row['case']}" for row in got if not row["equal"]] == []
    assert [row["seed"] for row in got if not row["changed"]] == [6, 7]  # white stays white


@needs_triton
def test_letterbox_equals_the_oracle() -> None:
    """Within its tolerance; half precision is the same value rounded once more."""
    got = rows("triton_interpreter.py", "letterbox", 0, 2 * len(FORMATS))
    assert [f"{row['seed']}: {row['difference']} {row['case']}" for row in got if not row["equal"]] == []
    assert all(row["launched"] for row in got)
    assert {name for row in got for name in row["launched"]} == {"letterbox_u8", "letterbox_u16"}


BREAKS = {
    "nothing": ("(total + (n >> 1))", "(total + (n >> 1))", "blur"),
    "a window one sample short": ("enters, leaves = i + h, i - h - 1", "enters, leaves = i + h, i - h", "blur"),
    "floor instead of rounding": ("(total + (n >> 1))", "(total)", "blur"),
    "a carry that is lost": ("window += tl.sum(moved, AXIS, keep_dims=True)\n        n =", "n =", "blur"),
    "owners by list order alone": ("(tl.load(rival + RANK) > rank)", "(tl.load(rival + RANK) >= 0)", "blur"),
    "alpha that is never blended": ("code = (alpha * code +", "code = (256 * code +", "blur"),
    "weights of the wrong row": ("down + 1) + j * height", "down + 1) + j", "letterbox"),
}


@needs_triton
@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_kernel_is_seen(what: str, tmp_path: Path) -> None:
    """The comparison fails for kernels that are wrong in one place, and for no others."""
    import anonfilter

    before, after, op = BREAKS[what]
    package = tmp_path / "anonfilter"
    copy_package(Path(anonfilter.__file__).parent, package)
    path = package / "kernels" / f"triton_{op}.py"
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    count = 8 if what == "nothing" else 40
    command = [sys.executable, str(HERE / "triton_interpreter.py"), op, "0", str(count), "stop"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    equal = [json.loads(line)["equal"] for line in done.stdout.splitlines()]
    assert equal
    assert all(equal) == (what == "nothing")


def copy_package(package: Path, to: Path) -> None:
    """The package again, its files linked, kernels/*.py copied."""
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            there = to / path.relative_to(package)
            there.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.name == "kernels" and path.suffix == ".py":
                there.write_bytes(path.read_bytes())
            else:
                there.symlink_to(path)


@needs_triton
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_spills_and_no_local_memory(architecture: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = rows("triton_aot.py", architecture, cache=tmp_path)
    with capsys.disabled():
        print(f"\nsm_{architecture:<28} registers  shared  blocks/SM  occupancy")
        for row in got:
            print(f"{row['kernel']:<31} {row['registers']:>9} {row['shared']:>7} {row['blocks']:>10}", end="")
            print(f" {row['occupancy']:>10.0%}")
    assert [row["kernel"] for row in got] == interpreted_names()
    assert {row["kernel"]: row["local"] for row in got if row["local"]} == {}
    assert min(row["occupancy"] for row in got) >= 0.35


@needs_triton
def test_spills_would_be_seen(tmp_path: Path) -> None:
    (row,) = rows("triton_aot.py", 80, "blur_columns_u8_feather", 32, cache=tmp_path)
    assert row["registers"] <= 32
    assert row["local"] > 0


def test_without_a_device_the_backend_says_so() -> None:
    reason = cudadevice.probe()
    if reason is None:
        pytest.skip("there is a CUDA device")
    plane = np.zeros((8, 8), np.uint8)
    with pytest.raises(cudadevice.NoDevice, match="no CUDA device"):
        ops.blur((plane,), FORMATS["gray"], [ops.Target(0, 0, 4, 4, h=1)], backend="triton")
    # All of that, and this whole file, without Triton.
    code = "import sys; from anonfilter.kernels import ops; print({'triton', 'torch', 'cupy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"


def test_the_backend_is_triton_where_triton_has_a_kernel() -> None:
    row = ops.BACKENDS["triton"]
    assert (row.blur, row.letterbox) == (triton_backend.blur, triton_backend.letterbox)
    assert (row.pixelize, row.fill) == (cuda.pixelize, cuda.fill)


def test_the_option_chooses_among_the_backends_of_cuda() -> None:
    assert parse_command(["-kernels", "triton", "-i", "a", "o"]).job.kernels == "triton"
    assert parse_command(["-i", "a", "o"]).job.kernels is None
    with pytest.raises(UsageError, match="Invalid value for option 'kernels': 'cpu' is not triton or cuda"):
        parse_command(["-kernels", "cpu", "-i", "a", "o"])
    for name in ops.CUDA_BACKENDS:
        assert parse_command(["-kernels", name, "-i", "a", "o"]).job.kernels == name
        assert ops.backend_for("cuda", name) == ops.backend_for("cuda:1", name) == name
        assert name in ops.BACKENDS
        with pytest.raises(ValueError, match=f"kernels={name} needs frames on a CUDA device, these are on cpu"):
            ops.backend_for("cpu", name)
    assert ops.backend_for("cpu") == ops.DEFAULT_BACKEND
    assert ops.backend_for("cuda:0") == ops.CUDA_BACKENDS[0]
    with pytest.raises(ValueError, match="should be one of cuda, triton"):
        ops.backend_for("cuda", "cpu")


@pytest.mark.parametrize("name", ops.CUDA_BACKENDS)
def test_the_option_is_an_error_on_frames_in_host_memory(name: str, clip: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    arguments = ["-kernels", name, "-i", clip("kernels.mp4", frames=3), "-vf", "zone=0:0:40:40,blur", out]
    done = subprocess.run([sys.executable, "-m", "anonfilter", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"-kernels {name} needs frames on a CUDA device" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["blur", "pixelize", "fill"])
def test_filters_run_the_kernels_that_the_run_asks_for(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device: only the choice is looked at here, the kernels are stood in for."""
    called: list[str] = []
    monkeypatch.setattr(ops, text, lambda *_, backend, **__: called.append(backend))
    stream = StreamInfo(64, 64, "nv12", Fraction(1, 25), Fraction(25), Fraction(25))
    (spec,) = parse_graph(text).linear()
    for device, kernels in (("cpu", None), ("cuda:0", None), ("cuda:0", "triton")):
        item = _build(spec)
        item.open(Env(stream, None, "in", device=device, kernels=kernels))
        item.paint((), stream.fmt, [], "left")
    assert called == ["cpu", "cuda", "triton"]
