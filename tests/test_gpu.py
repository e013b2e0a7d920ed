"""The CUDA and Triton backends on a real device, against the oracle. Not run where there is none."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anonfilter.kernels import cuda, cudabuild, cudadevice, ops, ref_letterbox, triton_backend, worklist
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.letterbox import rgb_matrix

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")

pytestmark = pytest.mark.gpu

MODULES = {"cuda": cuda, "triton": triton_backend}
both = pytest.mark.parametrize("backend", MODULES)


def on_device(planes: Any) -> tuple[list[Any], list[Any]]:
    """CuPy arrays with the planes' pitch inside of copies of their memory, and these copies."""
    cupy = importlib.import_module("cupy")
    arrays, memory = [], []
    for array, block in zip(planes.arrays, planes.memory, strict=True):
        copy = cupy.asarray(block)
        offset = array.__array_interface__["data"][0] - block.__array_interface__["data"][0]
        arrays.append(cupy.ndarray(array.shape, array.dtype, copy.data + offset, strides=array.strides))
        memory.append(copy)
    return arrays, memory


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("op", "backend", "seeds"),
    [("blur", "cuda", 60), ("blur", "triton", 60), ("pixelize", "cuda", 15), ("fill", "cuda", 15)],
)
def test_equals_the_oracle(op: str, backend: str, seeds: int, name: str) -> None:
    for seed in range(seeds):
        case = kernel_cases.case(op, name, seed)
        assert case.run(backend).same_bytes(case.run("ref")), (op, name, seed)


@both
@pytest.mark.parametrize("name", ["nv12", "p010le", "yuv422p"])
def test_planes_on_the_device_are_edited_in_place(name: str, backend: str) -> None:
    for seed in range(40):
        case = kernel_cases.case("blur", name, seed)
        if not case.targets:
            continue
        arrays, memory = on_device(case.planes)
        passes, feather, siting = (case.options[key] for key in ("passes", "feather", "siting"))
        MODULES[backend].blur(arrays, FORMATS[name], case.targets, passes, feather, siting)
        expected = case.run("ref")
        for got, wanted in zip(memory, expected.memory, strict=True):
            assert np.array_equal(got.get(), wanted), (name, seed)


@both
@pytest.mark.parametrize("feather", [0, 5, 255])
def test_a_large_frame_with_many_regions(feather: int, backend: str) -> None:
    rng = np.random.default_rng(1)
    planes = kernel_cases.planes(rng, FORMATS["nv12"], 3840, 2160)
    targets = [
        ops.Target(x, y, x + w, y + h, ("rect", "ellipse")[x % 2], None, ops.window(ops.Target(0, 0, w, h), 2.0))
        for x, y, w, h in rng.integers((-50, -50, 16, 16), (3800, 2100, 600, 600), (40, 4)).tolist()
    ]
    case = kernel_cases.Case("blur", planes, targets, {"passes": 3, "feather": feather, "siting": "left"})
    # The C++ path is the oracle's equal and takes seconds less.
    assert case.run(backend).same_bytes(case.run("cpu"))


def triton_launches(work: worklist.WorkList, passes: int) -> Any:
    """As cuda.blur_launches; Triton is imported only where it runs."""
    return importlib.import_module("anonfilter.kernels.triton_blur").launches(work, passes)


@pytest.mark.parametrize(
    ("device_of", "launches_of"),
    [(cudadevice.CupyDevice, cuda.blur_launches), (triton_backend.TritonDevice, triton_launches)],
    ids=["cuda", "triton"],
)
def test_the_launches_are_captured_as_a_graph(
    device_of: Callable[[], Any], launches_of: Callable[[worklist.WorkList, int], Any]
) -> None:
    cupy = importlib.import_module("cupy")
    device = device_of()
    fmt = FORMATS["p010le"]
    planes = kernel_cases.planes(np.random.default_rng(2), fmt, 640, 360)
    room = {name: device.memory(1 << 22) for name in ("words", "a", "b")}

    def prepare(arrays: list[Any], target: ops.Target) -> Any:
        work = worklist.build(fmt, 640, 360, [target], 3, "left")
        device.upload(room["words"].address, work.pack([a.data.ptr for a in arrays], [a.strides[0] for a in arrays]))
        return launches_of(work, 3)

    def launch(launches: Any) -> None:
        for kernel, blocks, source, target in launches:
            pointers = [room[name].address if name else 0 for name in (source, target)]
            device.launch(kernel, 2 * blocks, (room["words"].address, *pointers))

    with cupy.cuda.Stream(non_blocking=True) as stream:
        first, _ = on_device(planes)
        launches = prepare(first, ops.Target(8, 20, 208, 220, "ellipse", h=9))
        launch(launches)  # the first call loads or compiles the kernels, which a capture may not
        stream.begin_capture()
        launch(launches)
        graph = stream.end_capture()
        for x in (100, 331):
            target = ops.Target(x, 20, x + 230, 250, "ellipse", h=12)
            arrays, memory = on_device(planes)
            prepare(arrays, target)
            graph.launch(stream)
            stream.synchronize()
            case = kernel_cases.Case("blur", planes, [target], {"passes": 3, "feather": 3, "siting": "left"})
            expected = case.run("ref")
            assert all(np.array_equal(m.get(), e) for m, e in zip(memory, expected.memory, strict=True))


@both
@pytest.mark.parametrize("name", ["nv12", "p010le", "yuv444p12le"])
def test_letterbox_to_host_and_device(name: str, backend: str) -> None:
    cupy = importlib.import_module("cupy")
    planes = kernel_cases.planes(np.random.default_rng(4), FORMATS[name], 1311, 777)
    matrix = rgb_matrix("bt709", False, planes.fmt.depth, True, False)
    for rotation in (0, 90, 180, 270):
        expected, box = ops.letterbox(planes.arrays, planes.fmt, (640, 480), rotation=rotation, backend="ref")
        got, same = ops.letterbox(planes.arrays, planes.fmt, (640, 480), rotation=rotation, backend=backend)
        assert box == same
        assert np.abs(got - expected).max() <= ref_letterbox.TOLERANCE
        arrays, _ = on_device(planes)
        half = cupy.zeros((3, 480, 640), cupy.float16)
        MODULES[backend].letterbox(arrays, planes.fmt, box, "left", matrix, (0.0,) * 3, (1.0,) * 3, (114.0,) * 3, half)
        assert np.array_equal(half.get(), got.astype(np.float16))


def test_what_nvrtc_compiles_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANONFILTER_CACHE", str(tmp_path))
    monkeypatch.setattr(cudabuild, "fatbin", lambda: None)
    runner = cuda.Runner(cudadevice.CupyDevice())
    monkeypatch.setattr(cuda, "runner", lambda: runner)
    for seed in range(20):
        case = kernel_cases.case("blur", "nv12", seed)
        assert case.run("cuda").same_bytes(case.run("ref")), seed
    assert list((tmp_path / "cuda").glob("*.cubin"))


def test_triton_and_cuda_run_different_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (kernel_cases.case("blur", "nv12", seed) for seed in range(50))
    case, expected = next((c, out) for c in cases if not (out := c.run("ref")).same_bytes(c.planes))

    def forbidden(*_: object) -> None:
        raise AssertionError("the other backend ran")

    monkeypatch.setattr(cuda, "runner", forbidden)
    assert case.run("triton").same_bytes(expected)
    monkeypatch.setattr(triton_backend, "runner", forbidden)
    with pytest.raises(AssertionError, match="other backend"):
        case.run("triton")
