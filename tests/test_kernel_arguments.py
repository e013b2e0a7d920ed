"""The kernels' arguments: boxes, windows and masks made from what filters have, and errors before a sample changes."""

from __future__ import annotations

import numpy as np
import pytest

from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS

OPS = ("blur", "pixelize", "fill")
GRAY = FORMATS["gray"]


# Words: boxes, windows, masks


def test_target_grows_outward() -> None:
    def corners(item: ops.Target) -> tuple[int, int, int, int]:
        return item.x0, item.y0, item.x1, item.y1

    assert corners(ops.target((1.2, 2.9, 10.1, 20.0))) == (1, 2, 11, 20)
    assert corners(ops.target((-1.2, -2.9, 10.1, 20.0))) == (-2, -3, 11, 20)
    assert corners(ops.target((5.0, 5.0, 5.0, 6.0))) == (3, 4, 7, 8)
    assert corners(ops.target((5.5, 5.5, 7.5, 9.5))) == (5, 5, 9, 10)
    for box in ((1e9, 0, 2e9, 5), (-1e9, -1e9, 1e9, 1e9)):
        item = ops.target(box, "ellipse")
        assert item.shape == "rect"
        assert max(map(abs, corners(item))) <= 32767
    for box in ((0, 0, float("nan"), 4), (0, 0, float("inf"), 4), (4, 0, 3, 4)):
        with pytest.raises(ValueError, match="finite"):
            ops.target(box)


def test_target_dilates_masks_by_two() -> None:
    mask = np.zeros((5, 7), np.uint8)
    mask[2, 3] = 7
    item = ops.target((10.4, 20.4, 16.6, 24.6), "mask", mask)
    assert (item.x0, item.y0, item.x1, item.y1) == (8, 18, 19, 27)
    expected = np.zeros((9, 11), np.uint8)
    expected[2:7, 3:8] = 1
    assert item.mask is not None
    assert np.array_equal(item.mask, expected)
    assert ops.target((10, 20, 17, 25), "mask", np.zeros((5, 7), np.uint8)).shape == "rect"
    with pytest.raises(ValueError, match="mask is"):
        ops.target((0, 0, 7, 6), "mask", mask)


def test_mask_from_runs() -> None:
    assert ops.mask_from_runs([2, 3, 1], 3, 2).tolist() == [[0, 0, 1], [1, 1, 0]]
    assert ops.mask_from_runs([0, 4], 2, 2).tolist() == [[1, 1], [1, 1]]
    for runs in ([3], [5, -1], []):
        with pytest.raises(ValueError, match="add up"):
            ops.mask_from_runs(runs, 2, 2)


def test_windows() -> None:
    box = ops.Target(0, 0, 100, 60)
    assert ops.window(box, 1) == 10  # (100 + 60) / 16
    assert ops.window(box, 2) == 20
    assert ops.window(box, 0) == 1
    assert ops.window(ops.Target(0, 0, 4, 4), 1) == 1
    assert ops.window(ops.Target(0, 0, 12, 12), 1) == 2  # 1.5 rounds up
    for sigma in (0.1, 1, 2.5, 7.3, 40, 900):
        for passes in (1, 2, 3, 5):
            h = ops.window_sigma(sigma, passes)
            assert passes * ((2 * h + 1) ** 2 - 1) / 12 >= sigma**2
            assert h == 1 or passes * ((2 * h - 1) ** 2 - 1) / 12 < sigma**2
    for bad in (float("nan"), -1):
        with pytest.raises(ValueError, match="finite"):
            ops.window(box, bad)
        with pytest.raises(ValueError, match="finite"):
            ops.window_sigma(bad, 3)


# Wrong arguments: an error, and no sample changed


def read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


BAD_PLANES = {
    "count": (ValueError, lambda y, u, v: (y, u)),
    "dtype": (TypeError, lambda y, u, v: (y.astype(np.uint16), u, v)),
    "signed": (TypeError, lambda y, u, v: (y, u.view(np.int8), v)),
    "list": (TypeError, lambda y, u, v: (y.tolist(), u, v)),
    "chroma size": (ValueError, lambda y, u, v: (y, u[:-1], v)),
    "dimensions": (ValueError, lambda y, u, v: (y[None], u, v)),
    "empty": (ValueError, lambda y, u, v: (y[:0], u[:0], v[:0])),
    "read-only": (ValueError, lambda y, u, v: (y, u, read_only(v))),
    "columns": (ValueError, lambda y, u, v: (y, np.repeat(u, 2, 1)[:, ::2], v)),
    "mirrored": (ValueError, lambda y, u, v: (y[:, ::-1], u, v)),
    "upside down": (ValueError, lambda y, u, v: (y[::-1], u, v)),
    "transposed": (ValueError, lambda y, u, v: (y.T.copy().T, u, v)),
    "broadcast": (ValueError, lambda y, u, v: (y, np.lib.stride_tricks.as_strided(u, u.shape, (0, 1)), v)),
}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("why", BAD_PLANES)
def test_bad_planes(op: str, why: str) -> None:
    error, change = BAD_PLANES[why]
    rng = np.random.default_rng(20)
    arrays = [rng.integers(0, 256, shape, np.uint8) for shape in ((20, 24), (10, 12), (10, 12))]
    kept = [array.copy() for array in arrays]
    with pytest.raises(error):
        getattr(ops, op)(change(*arrays), FORMATS["yuv420p"], [ops.Target(2, 2, 9, 9, h=2)])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, kept, strict=True))


def test_misaligned_words() -> None:
    block = np.zeros(401, np.uint8)
    with pytest.raises(ValueError, match="aligned"):
        ops.blur((block[1:].view("<u2").reshape(10, 20),), FORMATS["gray10le"], [])


@pytest.mark.parametrize(
    ("error", "op", "options"),
    [
        (ValueError, "blur", {"passes": 0}),
        (ValueError, "blur", {"passes": -1}),
        (TypeError, "blur", {"passes": 1.5}),
        (TypeError, "blur", {"passes": True}),
        (ValueError, "blur", {"feather": -1}),
        (ValueError, "fill", {"feather": 256}),
        (TypeError, "fill", {"feather": None}),
        (ValueError, "blur", {"siting": "middle"}),
        (ValueError, "blur", {"backend": "cuda9"}),
        (ValueError, "pixelize", {"cells": 0}),
        (TypeError, "pixelize", {"cells": "8"}),
        (ValueError, "fill", {"color": (1, 2)}),
        (ValueError, "fill", {"color": (1, 2, 256)}),
        (TypeError, "fill", {"color": (1, 2, 3.5)}),
    ],
)
def test_bad_options(error: type[Exception], op: str, options: dict[str, object]) -> None:
    plane = np.arange(200, dtype=np.uint8).reshape(10, 20)
    kept = plane.copy()
    with pytest.raises(error):
        getattr(ops, op)((plane,), GRAY, [ops.Target(2, 2, 9, 9, h=2)], **options)
    assert np.array_equal(plane, kept)


def test_bad_targets() -> None:
    plane = np.zeros((10, 10), np.uint8)
    with pytest.raises(ValueError, match="no half window"):
        ops.blur((plane,), GRAY, [ops.Target(0, 0, 4, 4)])
    with pytest.raises(TypeError, match="Target"):
        ops.fill((plane,), GRAY, [(0, 0, 4, 4)])
    ones = np.ones((4, 4), np.uint8)
    for error, arguments in (
        (ValueError, (4, 0, 4, 4)),
        (ValueError, (0, 0, 4, 40000)),
        (TypeError, (0, 0, 4.0, 4)),
        (ValueError, (0, 0, 4, 4, "circle")),
        (ValueError, (0, 0, 4, 4, "mask")),
        (ValueError, (0, 0, 4, 4, "rect", ones)),
        (ValueError, (0, 0, 5, 4, "mask", ones)),
        (TypeError, (0, 0, 4, 4, "mask", ones.astype(bool))),
        (ValueError, (0, 0, 4, 4, "rect", None, 0)),
        (ValueError, (0, 0, 4, 4, "rect", None, -3)),
        (TypeError, (0, 0, 4, 4, "rect", None, 1.5)),
    ):
        with pytest.raises(error):
            ops.Target(*arguments)
