"""The CUDA letterbox on the host against the oracle, and its weights against the oracle's to the bit."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import cuda, ops, ref_letterbox, taps
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.letterbox import Letterbox, rgb_matrix

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")
cuda_host = importlib.import_module("cuda_host")

NORMALISE = ((1.5, 20.0, 300.0), (1.0, 1 / 255, -0.5), (1.0, 2.0, 3.0))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> object:
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the CUDA sources with")
    return cuda_host.Host(cuda_host.build(tmp_path_factory.mktemp("host")))


def tensor(
    host: object, planes: object, box: Letterbox, siting: str, colour: tuple[object, ...], dtype: type = np.float32
) -> np.ndarray:
    """The backend's tensor, from planes and to memory on the device."""
    out = np.full((3, box.size[1], box.size[0]), 77, dtype)
    arrays = [cuda_host.OnDevice(a) for a in planes.arrays]
    host.runner.letterbox(arrays, planes.fmt, box, siting, colour, cuda_host.OnDevice(out))
    return out


def test_weights_are_the_oracles() -> None:
    rng = np.random.default_rng(2)
    for _ in range(600):
        length, first = int(rng.choice([1, 2, 3, 16, 95, 400])), int(rng.integers(0, 60))
        wanted = int(rng.choice([1, 2, 7, 31, 64, 200]))
        p, q = wanted, length
        outputs = min(wanted, -(-length * p // q))
        log2, total = int(rng.integers(2)), int(rng.choice([64, 256, 16384]))
        reverse, cosited = (bool(rng.integers(2)) for _ in range(2))
        low, expected = ref_letterbox.taps(outputs, first, length, p, q, reverse, log2, cosited, total)
        start, weights = taps.taps(outputs, first, length, p, q, reverse, log2, cosited, total)
        got = np.zeros_like(expected)
        for i, k in zip(*np.nonzero(weights), strict=True):
            got[i, start[i] + k - low] += weights[i, k]
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("name", FORMATS)
def test_equals_the_oracle(host: object, name: str) -> None:
    fmt = FORMATS[name]
    for seed in range(20):
        rng = np.random.default_rng([seed, 11])
        width, height = (int(rng.choice([1, 2, 3, 7, 16, 33, 64, 95, 200, 401])) for _ in range(2))
        planes = kernel_cases.planes(rng, fmt, width, height, "dirty" if seed % 3 == 0 else "noise")
        size = int(rng.choice([1, 2, 5, 16, 31, 64, 96])), int(rng.choice([1, 2, 5, 16, 31, 64, 96]))
        area = (0, 0, width, height)
        if rng.integers(2):
            x, y = sorted(rng.integers(0, width + 1, 2).tolist()), sorted(rng.integers(0, height + 1, 2).tolist())
            area = (x[0], y[0], x[1], y[1]) if x[0] < x[1] and y[0] < y[1] else area
        rotation, hflip = int(rng.choice([0, 90, 180, 270])), bool(rng.integers(2))
        siting = str(rng.choice(ops.SITINGS))
        matrix_name = str(rng.choice(["bt709", "bt601", "bt2020"]))
        full, bgr = (bool(rng.integers(2)) for _ in range(2))
        before = planes.copy()
        mean, scale, pad = NORMALISE
        expected, box = ops.letterbox(
            planes.arrays, fmt, size, matrix=matrix_name, full_range=full, rotation=rotation, hflip=hflip, bgr=bgr,
            mean=mean, scale=scale, pad=pad, crop=area, siting=siting, backend="ref",
        )
        same = Letterbox.fit(area, size, rotation, hflip)
        assert box == same
        matrix = rgb_matrix(matrix_name, full, fmt.depth, fmt.chroma, bgr)
        got = tensor(host, planes, box, siting, (matrix, *NORMALISE))
        allowed = ref_letterbox.TOLERANCE * np.abs(scale)
        difference = np.abs(got.astype(float) - expected).max(axis=(1, 2))
        assert (difference <= allowed).all(), (seed, difference)
        half = tensor(host, planes, box, siting, (matrix, *NORMALISE), np.float16)
        # Rounded once more, to the nearest of 11 bits.
        assert np.array_equal(half, got.astype(np.float16))
        assert planes.same_bytes(before)


def test_half_precision_of_every_kind_of_number(host: object) -> None:
    """One grey sample as (value - mean) * scale, with scales down to half's subnormals and up to infinity."""
    gray = FORMATS["gray"]
    box = Letterbox.fit((0, 0, 16, 16), (16, 16))
    planes = kernel_cases.planes(np.random.default_rng(0), gray, 16, 16)
    matrix = rgb_matrix("bt709", True, 8, False, False)
    for power in (-40, -26, -25, -24, -23, -16, -15, -10, 0, 8, 9):
        scale = (1.0001 * 2.0**power, -(2.0**power), 3 * 2.0**power)
        colour = (matrix, (0.0, 0.0, 0.0), scale, (0.0, 0.0, 0.0))
        got = tensor(host, planes, box, "left", colour, np.float16)
        with np.errstate(over="ignore"):
            expected = tensor(host, planes, box, "left", colour).astype(np.float16)
        assert np.array_equal(got, expected), power


@pytest.mark.parametrize("name", ["nv12", "yuv444p12le"])
def test_ops_layer_reaches_the_backend(host: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "runner", lambda: host.runner)
    planes = kernel_cases.planes(np.random.default_rng(4), FORMATS[name], 131, 77)
    got, box = ops.letterbox(planes.arrays, planes.fmt, (64, 48), rotation=90, backend="cuda")
    expected, same = ops.letterbox(planes.arrays, planes.fmt, (64, 48), rotation=90, backend="ref")
    assert box == same
    assert np.abs(got - expected).max() <= ref_letterbox.TOLERANCE


def test_a_tensor_that_does_not_fit_is_refused(host: object) -> None:
    planes = kernel_cases.planes(np.random.default_rng(4), FORMATS["gray"], 16, 16)
    box = Letterbox.fit((0, 0, 16, 16), (16, 16))
    colour = (rgb_matrix("bt709", True, 8, False, False), *NORMALISE)
    for out, error in (
        (np.zeros((3, 16, 15), np.float32), ValueError),
        (np.zeros((3, 16, 32), np.float32)[:, :, ::2], ValueError),
        (np.zeros((3, 16, 16), np.float64), TypeError),
    ):
        with pytest.raises(error):
            host.runner.letterbox(planes.arrays, planes.fmt, box, "left", colour, out)
