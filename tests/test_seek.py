"""The luma search's kernels: the same bits as the oracle, whatever the picture; nothing is read beyond it."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import ref_seek, seek
from anonfilter.kernels.formats import FORMATS, PixFmt


def plane(rng: np.random.Generator, fmt: PixFmt, size: tuple[int, int]) -> np.ndarray:
    """(h, w) of random or nearly flat samples, in rows longer than the picture, with all bits around them set."""
    w, h = size
    kind = np.uint8 if fmt.itemsize == 1 else np.uint16
    memory = np.full((h + 2, w + int(rng.integers(0, 40))), np.iinfo(kind).max, kind)
    top = (1 << fmt.depth) - 1
    low = int(rng.integers(0, top))
    values = rng.integers(low, min(top, low + int(rng.choice([1, 9, top]))), (h, w), endpoint=True)
    out = memory[1 : h + 1, memory.shape[1] - w :]
    out[:] = values.astype(kind) << fmt.shift
    return out


@pytest.mark.parametrize("name", ["gray", "nv12", "p010le", "yuv420p10le", "yuv444p12le", "gbrp16le"])
def test_a_window_has_the_oracle_s_bits(name: str) -> None:
    rng, fmt = np.random.default_rng(len(name)), FORMATS[name]
    for _ in range(150):
        size = tuple(int(k) for k in rng.choice([1, 2, 3, 17, 64, 301], 2))
        luma = plane(rng, fmt, size)
        long = (1, 2, 5, 44, 45, 200, 900)
        part = (*(int(k) for k in rng.integers(-400, 400, 2)), *(int(k) for k in rng.choice(long, 2)))
        grid = tuple(int(k) for k in rng.choice([1, 2, 44, 45, 60], 2))
        got, known = seek.window(luma, fmt, part, grid), ref_seek.window(luma, fmt, part, grid)
        assert got.dtype == np.int16
        assert np.array_equal(got, known), (size, part, grid)
        assert got.min() >= 0
        assert got.max() <= 2048


def test_a_window_shows_its_part() -> None:
    """A ramp's samples say where they are: in the middle of their cells."""
    fmt = FORMATS["gray12le"]
    luma = np.broadcast_to(np.arange(2000, dtype=np.uint16), (40, 2000))
    for left, wide, columns in ((100, 88, 44), (100, 44, 44), (101, 20, 40), (3, 1000, 40), (500, 777, 45)):
        got = seek.window(luma, fmt, (left, 5, wide, 9), (columns, 3))[0] * 16 / seek.UNIT
        cell = seek.covered(wide, columns) / columns
        middle = left + (np.arange(columns) + 0.5) * cell - 0.5
        assert np.abs(got - middle).max() <= 1 + max(1, wide // (2 * columns)) / 2, (left, wide)


def test_the_search_has_the_oracle_s_bits() -> None:
    rng = np.random.default_rng(3)
    found = flat = 0
    for trial in range(300):
        columns, rows, reach = int(rng.integers(1, 24)), int(rng.integers(1, 20)), int(rng.integers(0, 9))
        size = (rows + 2 * reach + int(rng.integers(1, 20)), columns + 2 * reach + int(rng.integers(1, 20)))
        top = int(rng.choice([1, 60, 2047]))
        window = rng.integers(0, top, size, np.int16, endpoint=True)
        at = tuple(int(k) for k in rng.integers(-300, 900, 2))
        before = None
        if trial % 5:
            y, x = (int(rng.integers(0, a - b)) for a, b in zip(size, (rows, columns), strict=True))
            noise = rng.integers(-3, 3, (rows, columns), endpoint=True)
            before = np.clip(window[y : y + rows, x : x + columns] + noise, 0, 2047).astype(np.int16)
            if trial % 3:
                at = (16 * x + int(rng.integers(-99, 99)), 16 * y + int(rng.integers(-99, 99)))
        given = (window, before, (columns, rows), at, reach, 0.6, int(rng.choice([0, 2, 9])))
        got, known = seek.seek(*given), ref_seek.seek(*given)
        assert got[:-1] == known[:-1], trial
        assert np.array_equal(got.now, known.now), trial
        found, flat = found + got.found, flat + got.flat
    assert found > 50
    assert flat > 20


def test_sums_of_the_largest_templates_do_not_overflow() -> None:
    for value in (2048, 0):
        window = np.full((34, 66), 2048 - value, np.int16)
        window[5:21, 6:37] = np.indices((16, 31)).sum(axis=0) % 31 // 30 * -2048 + 2048
        before = window[5:21, 6:37].copy()
        given = (window, before, (31, 16), (16 * 6, 16 * 5), 8, 0.6, 2)
        got, known = seek.seek(*given), ref_seek.seek(*given)
        assert got[:-1] == known[:-1]
        assert (got.found, math.isclose(got.score, 1)) == (True, True)


def test_a_shift_is_found_to_parts_of_a_sample() -> None:
    rng = np.random.default_rng(9)
    fmt = FORMATS["gray"]
    coarse = rng.integers(0, 255, (12, 12))
    luma = np.kron(coarse, np.ones((20, 20)))
    for _ in range(6):
        kernel = np.ones(9) / 9
        luma = np.apply_along_axis(np.convolve, 0, luma, kernel, "same")
        luma = np.apply_along_axis(np.convolve, 1, luma, kernel, "same")
    luma = luma.astype(np.uint8)
    first = seek.window(luma, fmt, (60, 60, 88, 88), (44, 44))
    start = seek.seek(first, None, (16, 16), (14 * 16, 14 * 16), 8, 0.6, 2)
    for dx, dy in ((0, 0), (3, 1), (-5, 7), (10, -9)):
        there = seek.window(luma, fmt, (60 + dx, 60 + dy, 88, 88), (44, 44))
        got = seek.seek(there, start.now, (16, 16), (14 * 16, 14 * 16), 8, 0.6, 2)
        assert got.found
        assert got.score > 0.97
        assert math.hypot(got.x / 16 - 14 + dx / 2, got.y / 16 - 14 + dy / 2) < 0.3, (dx, dy)


def test_arguments_that_do_not_fit_are_errors() -> None:
    fmt, luma = FORMATS["gray"], np.zeros((9, 9), np.uint8)
    for part in ((0, 0, 0, 5), (0, 0, 5, -1), (1 << 30, 0, 5, 5)):
        with pytest.raises(ValueError, match="part"):
            seek.window(luma, fmt, part, (4, 4))
    with pytest.raises(ValueError, match="size"):
        seek.window(luma, fmt, (0, 0, 5, 5), (0, 4))
    seen, small = np.zeros((30, 30), np.int16), np.zeros((4, 4), np.int16)
    with pytest.raises(ValueError, match="too small"):
        seek.seek(seen[:10, :10].copy(), small, (4, 4), (0, 0), 4, 0.6, 2)
    with pytest.raises(ValueError, match="should be"):
        seek.seek(seen, small, (5, 4), (0, 0), 4, 0.6, 2)
    with pytest.raises(ValueError, match="samples"):
        seek.seek(seen, None, (40, 16), (0, 0), 4, 0.6, 2)


def test_sanitizers(tmp_path: Path) -> None:
    """Nothing outside of planes, windows and templates is read or written, and nothing undefined happens."""
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    rng = np.random.default_rng(1)
    cases = tmp_path / "cases.bin"
    with cases.open("wb") as file:
        for trial in range(200):
            fmt = FORMATS[("gray", "p010le", "yuv420p10le", "yuv444p12le", "gray16le")[trial % 5]]
            luma = plane(rng, fmt, tuple(int(k) for k in rng.choice([1, 2, 3, 17, 64, 301], 2)))
            part = (*(int(k) for k in rng.integers(-400, 400, 2)), *(int(k) for k in rng.choice((1, 5, 45, 900), 2)))
            columns, rows, reach = int(rng.integers(1, 24)), int(rng.integers(1, 20)), int(rng.integers(0, 9))
            size = columns + 2 * reach + int(rng.integers(1, 9)), rows + 2 * reach + int(rng.integers(1, 9))
            x, y = (int(k) for k in rng.integers(-300, 900, 2))
            window = ref_seek.window(luma, fmt, part, size)
            top, left = int(rng.integers(0, size[1] - rows)), int(rng.integers(0, size[0] - columns))
            before = window[top : top + rows, left : left + columns]
            known = ref_seek.seek(window, before, (columns, rows), (x, y), reach, 0.6, 2)
            numbers = (
                fmt.depth, fmt.shift, fmt.itemsize, *luma.shape[::-1], *part, *size, columns, rows, x, y, reach, 2,
                known.x, known.y,
            )  # fmt: skip
            file.write(np.array(numbers, "<i4").tobytes())
            for part_of in (luma, before, window, known.now):
                file.write(np.ascontiguousarray(part_of).tobytes())
    program, root = tmp_path / "seek", Path(__file__).parent.parent
    flags = ["-std=c++17", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(root / "csrc" / "seek.cpp"), str(root / "tests" / "seek.cpp")]
    include = ["-ffp-contract=off", "-I", str(root / "csrc")]
    subprocess.run(["g++", *include, *flags, *sources, "-o", str(program)], check=True)
    result = subprocess.run([program, cases], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "200 equal\n", "")
