"""The CUDA sources, compiled by the host's compiler, against the oracle: equal to the bit, in both orders of blocks."""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anonfilter.kernels import cuda, ops, ref, worklist
from anonfilter.kernels.formats import FORMATS

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")
cuda_host = importlib.import_module("cuda_host")
kernel_harness = importlib.import_module("kernel_harness")

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the CUDA sources with")

FILES = ("worklist.cuh", "blur.cu", "paint.cu", "letterbox.cu")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> object:
    return cuda_host.Host(cuda_host.build(tmp_path_factory.mktemp("host")))


def check(host: object, case: object, label: str) -> bool:
    """Both orders give the oracle's bytes, canaries included; whether anything was edited."""
    expected = case.run("ref")
    for descending in (False, True):
        # Planes in the host's memory travel in boxes; planes on the device are edited where they are.
        way = SimpleNamespace(run=lambda case, d=descending: host.run(case, d, on_device=not d))
        if not way.run(case).same_bytes(expected):
            small = kernel_harness.shrink(case, lambda case, way=way: not way.run(case).same_bytes(case.run("ref")))
            pytest.fail(f"{label} {'descending' * descending}: {kernel_harness.describe(small, way)}")
    return not expected.same_bytes(case.planes)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("op", ["blur", "pixelize", "fill"])
def test_equals_the_oracle(host: object, op: str, name: str) -> None:
    """60 cases of each format for the blur: 1,020 in all."""
    count = 60 if op == "blur" else 15
    edited = sum(check(host, kernel_cases.case(op, name, seed), f"{op} {name} seed {seed}") for seed in range(count))
    assert edited > count // 4


def wide_case(seed: int, name: str = "p010le") -> object:
    """Regions of many chunks and several warps a row, tall ones, windows far wider than they are."""
    rng = np.random.default_rng([seed, 3])
    width, height = ((2600, 9), (11, 2600), (300, 90), (700, 40))[seed % 4]
    planes = kernel_cases.planes(rng, FORMATS[name], width, height, str(rng.choice(["noise", "extremes", "high"])))
    targets = [
        ops.Target(-3, -2, width - 1, height + 2, shape, None, int(rng.choice([1, 7, 200, 65535])))
        for shape in ("rect", "ellipse")
    ]
    mask = (rng.random((height, width)) < 0.5).astype(np.uint8)
    targets.append(ops.Target(0, 0, width, height, "mask", mask, int(rng.choice([1, 30, 900]))))
    # One of them, so that each shape is written.
    options = {"passes": 1 + seed % 3, "feather": (0, 3)[seed // 4 % 2], "siting": "left"}
    return kernel_cases.Case("blur", planes, [targets[seed % 3]], options)


def test_long_rows_tall_columns_and_huge_windows(host: object) -> None:
    assert sum(check(host, wide_case(seed), f"wide {seed}") for seed in range(24)) >= 16


@pytest.mark.parametrize("name", ["nv12", "yuv422p12le"])
def test_hundreds_of_overlapping_regions(host: object, name: str) -> None:
    rng = np.random.default_rng(5)
    planes = kernel_cases.planes(rng, FORMATS[name], 131, 97)
    targets = [
        ops.Target(x, y, x + w, y + h, ("rect", "ellipse")[x % 2], None, int(rng.integers(1, 40)))
        for x, y, w, h in rng.integers((-20, -20, 1, 1), (130, 100, 32, 32), (200, 4)).tolist()
    ]
    for feather in (0, 4):
        options = {"passes": 2, "feather": feather, "siting": "left"}
        assert check(host, kernel_cases.Case("blur", planes, targets, options), f"{name} feather {feather}")


@pytest.mark.parametrize(("name", "feather", "siting"), [("yuv422p", 255, "topleft"), ("p010le", 37, "left")])
def test_the_widest_feather_and_the_farthest_corners(host: object, name: str, feather: int, siting: str) -> None:
    rng = np.random.default_rng(9)
    mask = (rng.random((30, 41)) < 0.1).astype(np.uint8)
    far = 32767
    targets = [
        ops.Target(20, 11, 61, 41, "mask", mask, 30),
        ops.Target(-far, -far, far, 12, "ellipse", None, 65535),
        ops.Target(70, 20, 90, 45, "ellipse", None, 4),
        ops.Target(90, -far, far, far, "rect", None, 50),
    ]
    planes = kernel_cases.planes(rng, FORMATS[name], 101, 67)
    options = {"passes": 1, "feather": feather, "siting": siting}
    some = targets[:3:2] if feather == 255 else targets  # the oracle takes seconds for each
    assert check(host, kernel_cases.Case("blur", planes, some, options), name)


def test_the_number_of_launches_does_not_depend_on_regions(host: object) -> None:
    for count in (1, 2, 50):
        case = kernel_cases.case("blur", "nv12", 3)
        case.targets = [ops.Target(i, 0, i + 9, 9, h=2) for i in range(count)]
        case.options["passes"] = 3
        host.device.launched.clear()
        host.run(case)
        between = ["blur_columns", "blur_rows"]
        assert host.device.launched == ["blur_rows_u8", *between, *between, "blur_columns_u8"]


def test_memory_is_kept_between_calls(host: object) -> None:
    case = wide_case(0)
    host.run(case)
    before = host.device.allocated
    host.run(case)
    assert host.device.allocated == before


@pytest.mark.parametrize("op", ["blur", "pixelize", "fill"])
def test_ops_layer_reaches_the_backend(host: object, op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "runner", lambda: host.runner)
    case = next(c for s in range(50) if (c := kernel_cases.case(op, "p010le", s)).targets)
    host.device.launched.clear()
    assert case.run("cuda").same_bytes(case.run("ref"))
    assert host.device.launched


def test_planes_that_do_not_fit_are_refused(host: object) -> None:
    fmt, plane, chroma = FORMATS["nv12"], np.zeros((8, 8), np.uint8), np.zeros((4, 4, 2), np.uint8)
    work = worklist.build(fmt, 8, 8, [ops.Target(0, 0, 8, 8, h=1)], 0, "left")
    for planes, error in (
        ([plane], ValueError),
        ([plane, chroma[:3]], ValueError),
        ([plane, chroma.astype(np.uint16)], TypeError),
        ([plane, cuda_host.OnDevice(chroma)], TypeError),
        ([cuda_host.OnDevice(plane), object()], TypeError),
        ([cuda_host.OnDevice(plane), cuda_host.OnDevice(np.zeros((4, 8, 2), np.uint8)[:, ::2])], ValueError),
        ([cuda_host.OnDevice(np.zeros((8, 16), np.uint8)[:, ::2]), cuda_host.OnDevice(chroma)], ValueError),
        ([cuda_host.OnDevice(plane[::-1]), cuda_host.OnDevice(chroma)], ValueError),
    ):
        with pytest.raises(error):
            host.runner.edit(planes, fmt, work, cuda.blur_launches(work, 1))


def barriers() -> list[int]:
    """The numbers of all BARRIERs in the sources, each used once."""
    sources = "".join((cuda_host.SOURCES / file).read_text() for file in FILES)
    found = [int(n) for n in re.findall(r"^\s*BARRIER\((\d+)\)", sources, re.M)]
    assert found
    assert sorted(found) == list(range(1, len(found) + 1))
    return found


def goes_wrong(library: Path) -> bool:
    """Whether a library's kernels fail one of a few cases, in a process of its own: a wrong count may divide by 0."""

    def probe() -> None:
        faulthandler.disable()
        host = cuda_host.Host(library)
        cases = [wide_case(seed) for seed in range(4)]
        for case in cases + [kernel_cases.case("blur", "nv12", seed) for seed in range(10)]:
            expected = case.run("ref")
            for descending in (False, True):
                if not host.run(case, descending).same_bytes(expected):
                    os._exit(1)

    child = multiprocessing.get_context("fork").Process(target=probe)
    child.start()
    child.join()
    return child.exitcode != 0


def test_the_probe_passes_the_right_kernels(tmp_path: Path) -> None:
    assert not goes_wrong(cuda_host.build(tmp_path))


@pytest.mark.parametrize("site", barriers())
def test_a_missing_barrier_is_caught(site: int, tmp_path: Path) -> None:
    assert goes_wrong(cuda_host.build(tmp_path, drop_barrier=site))


MUTATIONS = {
    "one half of the totals": ("half_ ^= 1;", ""),
    "no carry between steps of a row": ("window = window + all;", ""),
    "rounding down": ("p.sum + p.count / 2", "p.sum"),
    "a column's last segment left out": ("r.height + SEGMENTS - 1", "r.height"),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_wrong_kernel_is_caught(what: str, tmp_path: Path) -> None:
    old, new = MUTATIONS[what]
    copy = tmp_path / "cuda"
    shutil.copytree(cuda_host.SOURCES, copy)
    source = (copy / "blur.cu").read_text()
    assert source.count(old) == 1
    (copy / "blur.cu").write_text(source.replace(old, new))
    assert goes_wrong(cuda_host.build(tmp_path, copy))


def test_compared_paths_are_different_code(host: object, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (kernel_cases.case("blur", "nv12", seed) for seed in range(50))
    case, expected = next((c, out) for c in cases if not (out := c.run("ref")).same_bytes(c.planes))

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the oracle ran")

    for name in ("_edit", "masked_means", "alpha_map", "contains"):
        monkeypatch.setattr(ref, name, forbidden)
    assert host.run(case).same_bytes(expected)
    with pytest.raises(AssertionError, match="oracle"):
        case.run("ref")


def test_structs_are_the_work_lists() -> None:
    """The fields of worklist.cuh, in order, are those of worklist.py."""
    source = (cuda_host.SOURCES / "worklist.cuh").read_text()

    def fields(struct: str) -> tuple[str, ...]:
        body = re.search(rf"struct {struct} {{(.*?)}};", source, re.S)
        assert body
        names = ",".join(re.sub(r"^\s*(long long|int)\b", "", line) for line in body[1].split(";")[:-1])
        return tuple(name.strip() for name in names.split(","))

    assert fields("Region") == worklist.REGION.names
    assert fields("Component") == worklist.COMPONENT.names
    assert fields("Header") == worklist.HEADER
    constants = {name: int(value) for name, value in re.findall(r"(\w+) = (\d+)[,;]", source)}
    assert constants["LANES"] * constants["WARPS"] == worklist.THREADS
    for name in ("WARPS", "PER_LANE", "COLUMNS", "ALIGN"):
        assert constants[name] == getattr(worklist, name)
