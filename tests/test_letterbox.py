"""The detector's tensor: C++ against the oracle, and both against geometry and colour stated a second time here."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import ops, ref_letterbox
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.letterbox import Letterbox, rgb_matrix

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")

GRAY = FORMATS["gray"]
TURNS = [(rotation, hflip) for rotation in (0, 90, 180, 270) for hflip in (False, True)]


def upright(picture: np.ndarray, rotation: int, hflip: bool) -> np.ndarray:
    """NumPy's own turning: rot90 goes counter-clockwise."""
    turned = np.rot90(picture, -rotation // 90)
    return turned[:, ::-1] if hflip else turned


@pytest.mark.parametrize("name", FORMATS)
def test_cpu_equals_ref(name: str) -> None:
    fmt = FORMATS[name]
    for seed in range(20):
        rng = np.random.default_rng([seed, 7])
        width, height = (int(rng.choice([1, 2, 3, 7, 16, 33, 64, 95, 200, 401])) for _ in range(2))
        planes = kernel_cases.planes(rng, fmt, width, height, "dirty" if seed % 3 == 0 else "noise")
        size = int(rng.choice([1, 2, 5, 16, 31, 64, 96])), int(rng.choice([1, 2, 5, 16, 31, 64, 96]))
        options = {
            "matrix": str(rng.choice(["bt709", "bt601", "bt2020"])),
            "full_range": bool(rng.integers(2)),
            "rotation": int(rng.choice([0, 90, 180, 270])),
            "hflip": bool(rng.integers(2)),
            "bgr": bool(rng.integers(2)),
            "siting": str(rng.choice(ops.SITINGS)),
            "mean": (1.5, 20.0, 300.0),
            "scale": (1.0, 1 / 255, -0.5),
            "pad": (1, 2, 3),
        }
        if rng.integers(2):
            x, y = sorted(rng.integers(0, width + 1, 2).tolist()), sorted(rng.integers(0, height + 1, 2).tolist())
            if x[0] < x[1] and y[0] < y[1]:
                options["crop"] = (x[0], y[0], x[1], y[1])
        before = planes.copy()
        expected, box = ops.letterbox(planes.arrays, fmt, size, backend="ref", **options)
        got, same = ops.letterbox(planes.arrays, fmt, size, backend="cpu", **options)
        assert box == same
        assert planes.same_bytes(before)
        difference = np.abs(got.astype(float) - expected).max(axis=(1, 2))
        # 300 - 255 and more stays below the 600 that the tolerance was made for.
        assert (difference <= ref_letterbox.TOLERANCE * np.abs(options["scale"])).all(), (seed, options, difference)


def test_compared_paths_are_different_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the oracle ran")

    monkeypatch.setattr(ref_letterbox, "taps", forbidden)
    plane = np.zeros((9, 9), np.uint8)
    ops.letterbox((plane,), GRAY, (4, 4), backend="cpu")
    with pytest.raises(AssertionError, match="oracle"):
        ops.letterbox((plane,), GRAY, (4, 4), backend="ref")


@pytest.mark.parametrize("backend", ops.BACKENDS)
@pytest.mark.parametrize(("rotation", "hflip"), TURNS)
def test_turning_at_scale_one(rotation: int, hflip: bool, backend: str) -> None:
    rng = np.random.default_rng(1)
    plane = rng.integers(0, 256, (37, 53), np.uint8)
    expected = upright(plane, rotation, hflip)
    out, box = ops.letterbox(
        (plane,), GRAY, expected.shape[::-1], full_range=True, rotation=rotation, hflip=hflip, backend=backend
    )
    assert box.scale == 1
    assert np.abs(out - expected).max() < 1e-3


@pytest.mark.parametrize("backend", ops.BACKENDS)
@pytest.mark.parametrize("size", [(64, 48), (47, 96), (333, 301)])
@pytest.mark.parametrize(("rotation", "hflip"), TURNS)
def test_a_bright_dot_is_found_again(rotation: int, hflip: bool, size: tuple[int, int], backend: str) -> None:
    """The centre of gravity of a soft dot, brought back by to_frame, is where the dot was drawn."""
    y, x = np.mgrid[:145, :211] + 0.5
    for centre in ((60.3, 50.9), (150.0, 99.5)):
        dot = 220 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 9.0**2))
        plane = np.round(dot).astype(np.uint8)
        for crop in (None, (11, 3, 203, 140)):
            out, box = ops.letterbox(
                (plane,), GRAY, size, full_range=True, rotation=rotation, hflip=hflip, pad=0, crop=crop, backend=backend
            )
            weight = out[0].astype(float)
            v, u = np.mgrid[: size[1], : size[0]] + 0.5
            found = box.to_frame([[(u * weight).sum() / weight.sum(), (v * weight).sum() / weight.sum()]])[0]
            assert np.abs(found - centre).max() < 0.08


@pytest.mark.parametrize(("rotation", "hflip"), TURNS)
def test_maps_are_each_others_inverse(rotation: int, hflip: bool) -> None:
    rng = np.random.default_rng(3)
    box = Letterbox.fit((13, 7, 613, 350), (320, 256), rotation, hflip)
    points = rng.uniform(-50, 700, (40, 2))
    assert np.allclose(box.to_frame(box.to_tensor(points)), points)
    # The picture's corners are the area's corners, in the order in which the display shows them.
    corners = np.array([[[13, 7], [613, 7]], [[13, 350], [613, 350]]], float)
    shown = np.stack([upright(corners[..., k], rotation, hflip) for k in (0, 1)], axis=-1)
    across = (343 if rotation % 180 else 600) * box.scale
    down = (600 if rotation % 180 else 343) * box.scale
    placed = [[box.pad_x, box.pad_y], [box.pad_x + across, box.pad_y]]
    placed += [[box.pad_x, box.pad_y + down], [box.pad_x + across, box.pad_y + down]]
    assert np.allclose(box.to_frame(placed), shown.reshape(4, 2))
    assert box.to_frame(np.zeros((0, 2))).shape == (0, 2)


def test_fit_loses_nothing_and_is_centred() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        width, height, w, h = (int(value) for value in rng.integers(1, 2000, 4))
        box = Letterbox.fit((0, 0, width, height), (w, h))
        assert box.inner[0] >= width * box.scale - 1e-6
        assert box.inner[1] >= height * box.scale - 1e-6
        assert box.inner[0] == w or box.inner[1] == h
        assert 0 <= w - box.inner[0] - 2 * box.pad_x <= 1
        assert 0 <= h - box.inner[1] - 2 * box.pad_y <= 1


def true_area(plane: np.ndarray, n: int, axis: int) -> np.ndarray:
    """Means over [i, i+1) * size/n by exact integration, in doubles."""
    total = np.cumsum(np.insert(plane.astype(float), 0, 0, axis), axis)
    edges = np.arange(n + 1) * plane.shape[axis] / n
    low = np.minimum(edges.astype(int), plane.shape[axis] - 1)
    shape = [1, 1]
    shape[axis] = -1
    part = (edges - low).reshape(shape)
    integral = total.take(low, axis) * (1 - part) + total.take(low + 1, axis) * part
    return np.diff(integral, axis=axis) * n / plane.shape[axis]


@pytest.mark.parametrize("name", ["gray", "gray10le", "gray12le"])
def test_shrinking_averages_areas(name: str) -> None:
    fmt = FORMATS[name]
    rng = np.random.default_rng(5)
    top = (1 << fmt.depth) - 1
    for height, width, h, w in ((108, 192, 36, 64), (100, 170, 50, 85), (301, 401, 43, 57), (90, 160, 63, 112)):
        planes = kernel_cases.planes(rng, fmt, width, height)
        crop = (0, 0, width, height)
        out, box = ops.letterbox(planes.arrays, fmt, (w, h), full_range=True, crop=crop)
        if box.inner != (w, h) or width * h != height * w:
            continue
        expected = true_area(true_area(planes.codes()[0], h, 0), w, 1) * (255 / top)
        # Row weights are multiples of 1/256 (1/64 for deeper formats), each cumulative sum off by half of one at
        # most. Neighbours differ by 255 at most, so both ends of a window together by 255 units; columns: 1/16384.
        unit = 1 / 256 if fmt.depth == 8 else 1 / 64
        taps = -(-height // h) + 1
        limit = 255 * (unit / 2 * min(taps, 4) + 1 / 16384 * 4) + 4 * 255 / top * (fmt.depth > 10)
        assert np.abs(out[0] - expected).max() < limit
        assert abs((out[0] - expected).mean()) < 0.1 + 1.5 * 255 / top * (fmt.depth > 10)


def test_no_alias() -> None:
    """Checkers of single samples are grey at every whole ratio, not stripes."""
    plane = (np.indices((240, 360)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for ratio in (2, 4, 6, 10, 12):
        out, _ = ops.letterbox((plane,), GRAY, (360 // ratio, 240 // ratio), full_range=True)
        assert np.abs(out - 127.5).max() < 0.6


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rotation", [0, 90])
def test_a_flat_picture_stays_flat(name: str, rotation: int) -> None:
    """Weights add up exactly, at every edge, ratio and siting."""
    fmt = FORMATS[name]
    rng = np.random.default_rng(6)
    for content, luma in (("high", 255.0), ("low", 0.0)):
        planes = kernel_cases.planes(rng, fmt, 43, 29, content)
        for plane in planes.arrays[1:]:
            plane[...] = 128 << (fmt.depth - 8) << fmt.shift
        for size in ((16, 11), (29, 43), (100, 90)):
            out, _ = ops.letterbox(planes.arrays, fmt, size, full_range=True, rotation=rotation, pad=luma)
            assert np.abs(out - luma).max() < 0.3 * (fmt.depth > 10) + 2e-3


@pytest.mark.parametrize("backend", ops.BACKENDS)
@pytest.mark.parametrize(
    ("matrix", "full", "yuv", "rgb"),
    [
        ("bt601", False, (81, 90, 240), (255, 0, 0)),
        ("bt601", False, (145, 54, 34), (0, 255, 0)),
        ("bt601", False, (41, 240, 110), (0, 0, 255)),
        ("bt709", False, (63, 102, 240), (255, 0, 0)),
        ("bt709", False, (173, 42, 26), (0, 255, 0)),
        ("bt709", False, (32, 240, 118), (0, 0, 255)),
        ("bt2020", False, (74, 97, 240), (255, 0, 0)),
        ("bt709", False, (235, 128, 128), (255, 255, 255)),
        ("bt709", False, (16, 128, 128), (0, 0, 0)),
        ("bt709", False, (4, 128, 128), (0, 0, 0)),
        ("bt709", False, (250, 128, 128), (255, 255, 255)),
        ("bt601", True, (76, 85, 255), (254, 0, 0)),
        ("bt601", True, (100, 128, 128), (100, 100, 100)),
    ],
)
def test_colours(matrix: str, full: bool, yuv: tuple[int, ...], rgb: tuple[int, ...], backend: str) -> None:
    """Codes of primary colours as the standards' colour bars have them, rounded to 8 bits."""
    for name in ("yuv420p", "nv12", "yuv444p", "p010le"):
        fmt = FORMATS[name]
        if full and fmt.depth > 8:
            continue
        planes = kernel_cases.planes(np.random.default_rng(8), fmt, 12, 10, "low")
        codes = [code << (fmt.depth - 8) << fmt.shift for code in yuv]
        planes.arrays[0][...] = codes[0]
        if fmt.interleaved:
            planes.arrays[1][...] = codes[1:]
        else:
            planes.arrays[1][...], planes.arrays[2][...] = codes[1], codes[2]
        options = {"matrix": matrix, "full_range": full, "backend": backend}
        out, _ = ops.letterbox(planes.arrays, fmt, (12, 10), **options)
        assert np.abs(out - np.reshape(rgb, (3, 1, 1))).max() < 2.0
        flipped, _ = ops.letterbox(planes.arrays, fmt, (12, 10), bgr=True, **options)
        assert np.array_equal(flipped, out[::-1])


def test_white_is_white_at_every_depth() -> None:
    for depth in (8, 10, 12):
        for matrix in ("bt709", "bt601", "bt2020"):
            limited = rgb_matrix(matrix, False, depth, True, False)
            unit = 1 << (depth - 8)
            assert np.allclose(limited @ [235 * unit, 128 * unit, 128 * unit, 1], 255)
            assert np.allclose(limited @ [16 * unit, 128 * unit, 128 * unit, 1], 0)
            full = rgb_matrix(matrix, True, depth, True, False)
            assert np.allclose(full @ [256 * unit - 1, 128 * unit, 128 * unit, 1], 255)


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_padding_and_normalising(backend: str) -> None:
    plane = np.full((10, 40), 100, np.uint8)
    out = np.full((3, 20, 20), np.nan, np.float32)
    got, box = ops.letterbox(
        (plane,), GRAY, (20, 20), full_range=True, mean=(10, 20, 30), scale=(1, 2, 0.5), pad=(1, 2, 3), out=out, backend=backend
    )
    assert got is out
    assert (box.pad_x, box.pad_y, box.inner, box.scale) == (0, 7, (20, 5), 0.5)
    for c, (inside, around) in enumerate(((90, -9), (160, -36), (35, -13.5))):
        assert np.abs(out[c, 7:12] - inside).max() < 1e-3
        assert np.abs(np.delete(out[c], slice(7, 12), axis=0) - around).max() < 1e-4


@pytest.mark.parametrize("backend", ops.BACKENDS)
@pytest.mark.parametrize("rotation", [0, 90])
def test_room_leaves_a_border(backend: str, rotation: int) -> None:
    """The picture is what it is without the border, in the middle of it."""
    planes = kernel_cases.planes(np.random.default_rng(11), FORMATS["nv12"], 60, 40).arrays
    room = (24, 16) if rotation == 0 else (16, 24)
    bare, _ = ops.letterbox(planes, FORMATS["nv12"], room, rotation=rotation, backend=backend)
    out, box = ops.letterbox(planes, FORMATS["nv12"], (40, 32), room=room, pad=7, rotation=rotation, backend=backend)
    x, y = (40 - room[0]) // 2, (32 - room[1]) // 2
    assert np.array_equal(out[:, y : y + room[1], x : x + room[0]], bare)
    out[:, y : y + room[1], x : x + room[0]] = 7
    assert np.abs(out - 7).max() < 1e-4
    assert np.allclose(box.to_frame(box.to_tensor([[3, 4], [60, 40]])), [[3, 4], [60, 40]])


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_crop_is_what_the_crop_alone_would_be(backend: str) -> None:
    """Nothing beyond the crop is read: chroma included, where the crop begins on a whole pair."""
    rng = np.random.default_rng(9)
    fmt = FORMATS["yuv420p"]
    planes = kernel_cases.planes(rng, fmt, 60, 50).arrays
    x0, y0, x1, y1 = 8, 6, 41, 39
    parts = (planes[0][y0:y1, x0:x1], *(plane[y0 // 2 : 20, x0 // 2 : 21] for plane in planes[1:]))
    for size in ((16, 16), (33, 33), (70, 64)):
        whole, box = ops.letterbox(planes, fmt, size, crop=(x0, y0, x1, y1), backend=backend)
        part, other = ops.letterbox(parts, fmt, size, backend=backend)
        assert np.array_equal(whole, part)
        assert np.allclose(box.to_frame([[3, 4]]), other.to_frame([[3, 4]]) + (x0, y0))


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (ValueError, {"rotation": 45}),
        (ValueError, {"matrix": "bt470"}),
        (ValueError, {"siting": "right"}),
        (ValueError, {"size": (0, 8)}),
        (TypeError, {"size": (8.0, 8)}),
        (ValueError, {"size": (8, 8, 3)}),
        (ValueError, {"crop": (0, 0, 41, 10)}),
        (ValueError, {"crop": (5, 5, 5, 9)}),
        (ValueError, {"crop": (-1, 0, 5, 9)}),
        (TypeError, {"crop": (0.5, 0, 5, 9)}),
        (ValueError, {"room": (9, 8)}),
        (ValueError, {"room": (8, 0)}),
        (ValueError, {"room": (8,)}),
        (ValueError, {"mean": (1, 2)}),
        (ValueError, {"scale": (1, 2, float("nan"))}),
        (ValueError, {"pad": (1, 2, float("inf"))}),
        (ValueError, {"out": np.zeros((3, 8, 9), np.float32)}),
        (TypeError, {"out": np.zeros((3, 8, 8))}),
        (ValueError, {"out": np.zeros((3, 16, 8), np.float32)[:, ::2]}),
        (ValueError, {"backend": "none"}),
    ],
)
def test_bad_arguments(error: type[Exception], change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"size": (8, 8), **change}
    with pytest.raises(error):
        ops.letterbox((np.zeros((10, 40), np.uint8),), GRAY, **arguments)


def test_a_frame_that_may_not_be_written() -> None:
    plane = np.zeros((10, 10), np.uint8)
    plane.flags.writeable = False
    assert ops.letterbox((plane,), GRAY, (4, 4))[0].shape == (3, 4, 4)
