"""Blur, pixelize and fill: rules of DESIGN 5 stated a second time, and the divisions' edges."""

from __future__ import annotations

import importlib
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import cpu, ops, ref
from anonfilter.kernels.formats import FORMATS

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")
harness = importlib.import_module("kernel_harness")

GRAY = FORMATS["gray"]


def gray(values: object) -> np.ndarray:
    return np.array(values, np.uint8)


# Sizes and divisions beyond those of the random cases (tests/test_kernel_units.py)


@pytest.mark.parametrize("size", [(1, 20001), (20001, 1), (2, 16400), (3, 700), (600, 5)])
def test_counts_of_every_size(size: tuple[int, int]) -> None:
    """Divisions by constants are exact from one sample to windows wider than 2^14, on extremes and on noise."""
    rng = np.random.default_rng(6)
    for h in (1, 2, 3, 127, 128, 4095, 8191, 8192, 9000, 15000, 65535):
        for content in ("extremes", "high"):
            planes = kernel_cases.planes(rng, GRAY, size[1], size[0], content)
            targets = [ops.Target(0, 0, size[1], size[0], h=h)]
            harness.check(kernel_cases.Case("blur", planes, targets, {"passes": 1}), harness.PATHS)


def worst_sums(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sums of n samples around the points where the rounded mean steps, highest means first; and the means."""
    q = np.unique(np.concatenate([[0, 1, 2, 65535, 65534, 32768], rng.integers(0, 65536, 200)]))
    sums = (q[:, None] * n - n // 2 + np.array([-1, 0, n - 1])).ravel()
    sums = sums[(sums >= 0) & (sums <= 65535 * n)]
    return sums.astype(np.uint32), (sums + n // 2) // n


@pytest.mark.parametrize("unit", harness.UNITS)
def test_divisions_at_their_steps(unit: str) -> None:
    """A multiplier's or a reciprocal's error shows, if at all, just beside a step and at the highest sums."""
    rng = np.random.default_rng(8)
    counts = [*range(2, 300), *(k + d for k in (512, 1024, 4096, 16384) for d in (-3, -2, -1, 0, 1)), 32766, 32767]
    with cpu.using(unit):
        for n in [*counts, *rng.integers(300, 32767, 200).tolist()]:
            sums, means = worst_sums(n, rng)
            assert np.array_equal(cpu._cpu.column_means(sums, n), means), n
            assert np.array_equal(cpu._cpu.span_means(sums, n), means), n
            assert np.array_equal(cpu._cpu.masked_means(sums, np.full(len(sums), n, np.uint16)), means), n


@pytest.mark.parametrize("unit", harness.UNITS)
def test_shared_shifts_at_their_steps(unit: str) -> None:
    """Along a row the counts h+1 .. 2h+1 share a shift: rows whose first window has a sum beside a step."""
    rng = np.random.default_rng(9)
    with cpu.using(unit):
        for h in [*range(1, 40), *(k + d for k in (64, 512, 4096, 8192) for d in (-2, -1, 0, 1)), 12000]:
            for n in (2 * h + 9, 2 * h, h + 2, h + 1):
                high = rng.random() < 0.5
                row = rng.integers(65530, 65536, n) if high else rng.integers(0, 65536, n)
                # The first sample takes the whole row's sum to just below a rounded step.
                k = min(h + 1, n)
                rest = int(row[1:k].sum())
                row[0] = min(65535, max(0, -(-rest // k) * k + k - k // 2 - 1 - rest))
                total = np.concatenate([[0], np.cumsum(row)])
                where = np.arange(n)
                low, upper = np.maximum(where - h, 0), np.minimum(where + h + 1, n)
                count = upper - low
                means = (total[upper] - total[low] + count // 2) // count
                assert np.array_equal(cpu._cpu.row_means(row.astype(np.uint16), h), means), (h, n)


def test_compared_paths_are_different_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ops.DEFAULT_BACKEND == "cpu"
    assert cpu._cpu.__file__.endswith((".so", ".pyd"))
    cases = (kernel_cases.case("blur", "nv12", seed) for seed in range(50))
    case, expected = next((c, out) for c in cases if not (out := c.run("ref")).same_bytes(c.planes))

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the other backend ran")

    with monkeypatch.context() as patch:
        for name in ("_edit", "masked_means", "alpha_map", "contains"):
            patch.setattr(ref, name, forbidden)
        assert case.run("cpu").same_bytes(expected)
        with pytest.raises(AssertionError, match="other backend"):
            case.run("ref")
    with monkeypatch.context() as patch:
        patch.setattr(cpu, "_cpu", None)
        assert case.run("ref").same_bytes(expected)
        with pytest.raises(AttributeError):
            case.run("cpu")


def test_threads_do_not_share_scratch() -> None:
    """The GIL is released: eight threads at once give what one gives."""
    cases = [kernel_cases.case("blur", name, seed) for name in ("yuv420p", "p010le") for seed in range(20)]
    expected = [case.run("cpu") for case in cases]
    wrong: list[int] = []

    def work(first: int) -> None:
        for k in range(len(cases)):
            i = (first + k) % len(cases)
            if not cases[i].run("cpu").same_bytes(expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(5 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Rules of DESIGN 5, stated independently of the oracle


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_one_pass_by_hand(backend: str) -> None:
    """Means of 3, 2 at the ends, of v * 256, rounded half up to 16 bits and then to 8."""
    row = gray([[10, 20, 60, 0]])
    ops.blur((row,), GRAY, [ops.Target(0, 0, 4, 1, h=1)], passes=1, backend=backend)
    # (10+20)/2, (10+20+60)/3, (20+60+0)/3 = 26.67, (60+0)/2
    assert row.tolist() == [[15, 30, 27, 30]]
    column = gray([[0], [1], [9]])
    ops.blur((column,), GRAY, [ops.Target(0, 0, 1, 3, h=1)], passes=1, backend=backend)
    assert column.tolist() == [[1], [3], [5]]  # 0.5 rounds up, 10/3, 5


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_masked_mean_by_hand(backend: str) -> None:
    """Samples off the mask neither count nor change."""
    row = gray([[10, 200, 30, 200, 50]])
    mask = gray([[1, 0, 9, 0, 255]])
    ops.blur((row,), GRAY, [ops.Target(0, 0, 5, 1, "mask", mask, 2)], passes=1, backend=backend)
    assert row.tolist() == [[20, 200, 30, 200, 40]]


def test_mirror_by_hand() -> None:
    """A missing sample counts as the one opposite; in the middle of a mask the means are the masked ones."""
    row = gray([[10, 20, 60, 0]])
    ref.blur((row,), GRAY, [ops.Target(0, 0, 4, 1, h=1)], 1, 0, "left", edge="mirror")
    # (20+10+20)/3 = 16.67, (10+20+60)/3, (20+60+0)/3 = 26.67, (60+0+60)/3
    assert row.tolist() == [[17, 30, 27, 40]]
    row = gray([[10, 200, 30, 200, 50]])
    mask = gray([[1, 0, 1, 0, 1]])
    ref.blur((row,), GRAY, [ops.Target(0, 0, 5, 1, "mask", mask, 2)], 1, 0, "left", edge="mirror")
    # 10 and 30 twice: 23.3 (1 off is missing on both sides); 30, 10, 50; 50 and 30 twice: 36.7
    assert row.tolist() == [[23, 200, 30, 200, 37]]
    rng = np.random.default_rng(21)
    values, ones = rng.integers(0, 65536, (40, 50)), np.ones((40, 50), np.int64)
    for axis in (0, 1):
        both = ref.masked_means(values, ones, 6, axis), ref.mirrored_means(values, ones, 6, axis)
        assert np.array_equal(both[0][6:-6, 6:-6], both[1][6:-6, 6:-6])
        assert not np.array_equal(both[0], both[1])
    with pytest.raises(ValueError, match="edge='wrap' should be"):
        ref.blur((row,), GRAY, [], 1, 0, "left", edge="wrap")


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_feather_by_hand(backend: str) -> None:
    """f = 3 around one sample: alpha 256, 192, 128, 64 with the Chebyshev distance."""
    plane = np.zeros((9, 9), np.uint8)
    ops.fill((plane,), GRAY, [ops.Target(4, 4, 5, 5)], color=(255, 0, 0), feather=3, backend=backend)
    y, x = np.mgrid[:9, :9]
    d = np.maximum(abs(x - 4), abs(y - 4))
    alpha = np.where(d <= 3, 256 * (4 - d) // 4, 0)
    assert np.array_equal(plane, (alpha * 255 + 128) >> 8)


@pytest.mark.parametrize("backend", ops.BACKENDS)
@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("content", ["high", "low"])
def test_black_and_white_stay(content: str, depth: int, backend: str) -> None:
    name = {8: "yuv420p", 10: "p010le", 12: "yuv420p12le", 16: "gbrp16le"}[depth]
    rng = np.random.default_rng(9)
    planes = kernel_cases.planes(rng, FORMATS[name], 61, 47, content)
    targets = [kernel_cases.target(rng, 61, 47) for _ in range(12)]
    for op, options in (("blur", {"passes": 3}), ("pixelize", {"cells": 5})):
        case = kernel_cases.Case(op, planes, targets, {"feather": 3, **options})
        assert case.run(backend).same_bytes(planes)


@pytest.mark.parametrize("passes", [1, 3])
@pytest.mark.parametrize("siting", ops.SITINGS)
@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv444p", "yuv422p10le", "p010le"])
def test_what_changes_and_what_does_not(name: str, siting: str, passes: int) -> None:
    """Noise of the lowest and the highest code, regions of 16 x 16 and up: every sample inside a rectangle changes, in
    every component, and none off the object and its feather does; of an ellipse nearly all.

    A sample stays only where its whole window is alike: the smallest here is a chroma corner's 3 x 3, and of these
    seeds none is.
    """
    fmt = FORMATS[name]
    rng = np.random.default_rng([11, passes, ops.SITINGS.index(siting), list(FORMATS).index(name)])
    for _ in range(8):
        before = kernel_cases.planes(rng, fmt, 90, 80, "extremes")
        x0, y0 = int(rng.integers(-8, 60)), int(rng.integers(-8, 50))
        w, h = (int(v) for v in rng.integers(16, 40, 2))
        feather = int(rng.choice([0, 0, 3, 6]))
        for shape in ("rect", "ellipse"):
            box = ops.Target(x0, y0, x0 + w, y0 + h, shape)
            box = box.with_window(max(2, ops.window(box, 2)))
            after = before.copy()
            ops.blur(after.arrays, fmt, [box], passes=passes, feather=feather, siting=siting)
            for c, (old, new) in enumerate(zip(before.codes(), after.codes(), strict=True)):
                object_, reach = covered(box, feather, old.shape, (fmt.log2_w, fmt.log2_h) if c else (0, 0), siting)
                assert np.array_equal(old[~reach], new[~reach])
                changed = old != new
                if shape == "rect":
                    assert changed[object_].all()
                else:
                    # At an ellipse's tips a row or column of the mask is a few samples, which may be alike.
                    assert changed[object_].mean() > 0.97


def covered(
    box: ops.Target, feather: int, shape: tuple[int, ...], log2: tuple[int, int], siting: str
) -> tuple[np.ndarray, np.ndarray]:
    """The object's samples of a plane, and those that object and feather may change: DESIGN 5, a third time."""
    height, width = shape
    luma = np.zeros((2 * height + 200, 2 * width + 200), bool)
    inside = brute_ellipse(0, 0, box.width, box.height, box.height, box.width) if box.shape == "ellipse" else True
    luma[box.y0 + 64 : box.y1 + 64, box.x0 + 64 : box.x1 + 64] = inside
    pad = 20
    rows = np.arange(-pad, height + pad)
    columns = np.arange(-pad, width + pad)
    thing = np.zeros((len(rows), len(columns)), bool)
    offsets_y = [0] if not log2[1] else [0, 1] + ([-1] if siting == "topleft" else [])
    offsets_x = [0] if not log2[0] else [0, 1] + ([-1] if siting != "center" else [])
    for dy in offsets_y:
        for dx in offsets_x:
            thing |= luma[np.ix_((rows << log2[1]) + dy + 64, (columns << log2[0]) + dx + 64)]
    fx, fy = ((feather + 1) >> 1 if bits else feather for bits in log2)
    reach = np.zeros_like(thing)
    for dy in range(-fy, fy + 1):
        for dx in range(-fx, fx + 1):
            reach |= np.roll(thing, (dy, dx), (0, 1))
    inner = slice(pad, pad + height), slice(pad, pad + width)
    return thing[inner], reach[inner]


def brute_ellipse(x0: int, y0: int, x1: int, y1: int, height: int, width: int) -> np.ndarray:
    """The centre rule in Python's own integers."""
    w, h = x1 - x0, y1 - y0
    return np.array(
        [
            [
                x0 <= x < x1
                and y0 <= y < y1
                and ((2 * x + 1 - x0 - x1) * h) ** 2 + ((2 * y + 1 - y0 - y1) * w) ** 2 <= (w * h) ** 2
                for x in range(width)
            ]
            for y in range(height)
        ]
    )


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_ellipse_is_the_centre_rule(backend: str) -> None:
    boxes = [(3, 4, 24, 19), (0, 0, 1, 1), (2, 2, 4, 9), (-30, -7, 20, 12), (5, 5, 18, 6), (-32767, -40, 32767, 9)]
    for box in boxes:
        plane = np.zeros((22, 30), np.uint8)
        ops.fill((plane,), GRAY, [ops.Target(*box, "ellipse")], color=(255, 0, 0), backend=backend)
        assert np.array_equal(plane > 0, brute_ellipse(*box, 22, 30)), box


@pytest.mark.parametrize("backend", ops.BACKENDS)
@pytest.mark.parametrize("siting", ops.SITINGS)
@pytest.mark.parametrize("name", ["yuv420p", "p010le", "yuv422p", "yuv444p"])
def test_chroma_is_covered_where_any_luma_is(name: str, siting: str, backend: str) -> None:
    fmt = FORMATS[name]
    rng = np.random.default_rng(13)
    for _ in range(12):
        width, height = (int(v) for v in rng.integers(5, 40, 2))
        # In the frame, so that the luma plane shows the whole object.
        x0, x1 = sorted(rng.choice(width + 1, 2, replace=False).tolist())
        y0, y1 = sorted(rng.choice(height + 1, 2, replace=False).tolist())
        shape = str(rng.choice(["rect", "ellipse", "mask"]))
        mask = (rng.random((y1 - y0, x1 - x0)) < 0.2).astype(np.uint8) if shape == "mask" else None
        planes = kernel_cases.planes(rng, fmt, width, height, "low")
        box = ops.Target(x0, y0, x1, y1, shape, mask)
        ops.fill(planes.arrays, fmt, [box], color=(200, 201, 202), siting=siting, backend=backend)
        luma, u, v = (codes > 0 for codes in planes.codes())
        for j, i in np.ndindex(u.shape):
            columns = [i] if not fmt.log2_w else [2 * i, 2 * i + 1] + ([2 * i - 1] if siting != "center" else [])
            rows = [j] if not fmt.log2_h else [2 * j, 2 * j + 1] + ([2 * j - 1] if siting == "topleft" else [])
            covered = any(luma[r, c] for r in rows for c in columns if 0 <= r < height and 0 <= c < width)
            assert u[j, i] == covered
            assert v[j, i] == covered


@pytest.mark.parametrize("feather", [0, 4])
def test_overlaps_do_not_depend_on_order(feather: int) -> None:
    """Of distinct windows the order is irrelevant; each sample is what its owner alone would have made of it."""
    fmt = FORMATS["yuv420p"]
    rng = np.random.default_rng(15)
    for _ in range(5):
        before = kernel_cases.planes(rng, fmt, 80, 70)
        targets = [
            kernel_cases.target(rng, 80, 70).with_window(2 * h) for h in rng.permutation(np.arange(1, 9)).tolist()
        ]
        results = []
        for order in (targets, targets[::-1], [targets[i] for i in rng.permutation(8)]):
            after = before.copy()
            ops.blur(after.arrays, fmt, order, feather=feather)
            results.append(after)
        assert results[1].same_bytes(results[0])
        assert results[2].same_bytes(results[0])
        alone = []
        for item in targets:
            one = before.copy()
            ops.blur(one.arrays, fmt, [item], feather=feather)
            alone.append(one.codes())
        for c, codes in enumerate(results[0].codes()):
            choices = np.stack([before.codes()[c]] + [one[c] for one in alone])
            assert (choices == codes).any(axis=0).all()


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_the_wider_window_writes(backend: str) -> None:
    rng = np.random.default_rng(16)
    plane = rng.integers(0, 256, (40, 40), np.uint8)
    narrow, wide = ops.Target(0, 0, 30, 30, h=2), ops.Target(10, 10, 40, 40, h=9)
    both, one = plane.copy(), plane.copy()
    ops.blur((both,), GRAY, [narrow, wide], backend=backend)
    ops.blur((one,), GRAY, [wide], backend=backend)
    assert np.array_equal(both[10:, 10:], one[10:, 10:])
    # Equal windows, or none: the first in the list.
    for order in ([narrow, wide.with_window(2)], [wide.with_window(2), narrow]):
        both, one = plane.copy(), plane.copy()
        ops.blur((both,), GRAY, order, backend=backend)
        ops.blur((one,), GRAY, order[:1], backend=backend)
        assert np.array_equal(both[10:30, 10:30], one[10:30, 10:30])
    first = plane.copy()
    ops.pixelize((first,), GRAY, [wide, narrow], cells=1, backend=backend)
    assert len(np.unique(first[10:, 10:])) == 1


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_p010_words(backend: str) -> None:
    """Written words have zero low bits; words that are not covered keep theirs."""
    rng = np.random.default_rng(17)
    fmt = FORMATS["p010le"]
    before = kernel_cases.planes(rng, fmt, 30, 20, "dirty")
    after = before.copy()
    ops.blur(after.arrays, fmt, [ops.Target(5, 4, 17, 14, h=3)], feather=1, siting="center", backend=backend)
    assert (after.arrays[0][3:15, 4:18] & 63 == 0).all()
    assert (after.arrays[1][1:8, 1:10] & 63 == 0).all()
    outside = np.ones((20, 30), bool)
    outside[3:15, 4:18] = False
    assert np.array_equal(after.arrays[0][outside], before.arrays[0][outside])


@pytest.mark.parametrize("backend", ops.BACKENDS)
def test_pixelize_cells(backend: str) -> None:
    rng = np.random.default_rng(18)
    plane = rng.integers(0, 256, (40, 50), np.uint8)
    before = plane.copy()
    ops.pixelize((plane,), GRAY, [ops.Target(3, 5, 28, 21)], cells=4, backend=backend)
    columns = [3 + i * 25 // 4 for i in range(5)]
    rows = [5 + i * 16 // 4 for i in range(5)]
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            cell = before[top:bottom, left:right].astype(int)
            assert (plane[top:bottom, left:right] == (cell.sum() + cell.size // 2) // cell.size).all()
    # A small box gets fewer cells, never single samples.
    plane = before.copy()
    ops.pixelize((plane,), GRAY, [ops.Target(0, 0, 7, 5)], cells=100, backend=backend)
    assert len(np.unique(plane[0:2, 0:2])) == 1
    assert len(np.unique(plane[:5, :7])) <= 3 * 2
