"""Targets that would write nothing are left out: who they are, and that the result is the oracle's."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS
from anonfilter.kernels.overlap import writers
from anonfilter.kernels.targets import Target

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).resolve().parent))
kernel_cases = importlib.import_module("kernel_cases")

WIDE = Target(10, 10, 50, 40, h=9)


@pytest.mark.parametrize(
    ("targets", "left"),
    [
        ([Target(12, 12, 40, 30, h=4), WIDE], [1]),
        ([WIDE, Target(12, 12, 40, 30, h=9)], [0]),
        ([Target(12, 12, 40, 30, h=9), WIDE], [0, 1]),  # of equal windows the first writes
        ([WIDE, WIDE], [0]),
        ([WIDE, Target(12, 12, 40, 30, h=10)], [0, 1]),
        ([WIDE, Target(10, 10, 51, 40, h=4)], [0, 1]),
        ([WIDE, Target(12, 12, 40, 30, "ellipse", h=4)], [0]),
        ([Target(10, 10, 50, 40, "ellipse", h=9), Target(25, 20, 30, 25, h=4)], [0, 1]),
        ([Target(0, 0, 30, 40, h=9), Target(28, 0, 60, 40, h=8), Target(5, 5, 55, 35, h=7)], [0, 1]),
        ([Target(0, 0, 28, 40, h=9), Target(29, 0, 60, 40, h=8), Target(5, 5, 55, 35, h=7)], [0, 1, 2]),
        ([Target(-20, 5, 30, 30, h=4), Target(0, 0, 64, 48, h=9)], [1]),  # what is outside of the frame is nowhere
        ([Target(-9, 5, -2, 30, h=4), Target(-20, 0, 64, 48, h=9)], [0, 1]),
        ([WIDE], [0]),
        ([], []),
    ],
)  # fmt: skip
def test_who_writes(targets: list[Target], left: list[int]) -> None:
    assert [targets.index(item) for item in writers(targets, 64, 48)] == left


def test_many_pieces_are_work_done_in_vain_not_a_hole() -> None:
    """A target that is left in more pieces than are counted stays, though others cover it all."""
    strips = [Target(0, 4 * i, 400, 4 * i + 4, h=30 + i) for i in range(0, 100, 2)]
    between = [Target(0, 4 * i, 400, 4 * i + 4, h=20) for i in range(1, 100, 2)]
    covered = Target(10, 10, 390, 390, h=2)
    assert covered in writers([*strips, *between, covered], 400, 400)


@pytest.mark.parametrize("feather", [0, 3])
@pytest.mark.parametrize(
    ("name", "siting"),
    [
        ("nv12", "left"), ("yuv420p", "topleft"), ("p010le", "center"), ("yuv422p", "left"), ("yuv440p", "left"),
        ("yuv444p", "center"), ("gray", "left"),
    ],
)  # fmt: skip
def test_what_is_left_out_would_change_nothing(name: str, siting: str, feather: int) -> None:
    rng = np.random.default_rng(21)
    fmt = FORMATS[name]
    left_out = 0
    for _ in range(25):
        width, height = (int(rng.integers(20, 70)) for _ in "xy")
        before = kernel_cases.planes(rng, fmt, width, height)
        targets = []
        for _ in range(int(rng.integers(2, 12))):
            x0, y0 = int(rng.integers(-9, width)), int(rng.integers(-9, height))
            x1, y1 = x0 + int(rng.integers(1, width + 9)), y0 + int(rng.integers(1, height + 9))
            shape = str(rng.choice(["rect", "rect", "rect", "ellipse", "mask"]))
            mask = (rng.random((y1 - y0, x1 - x0)) < 0.6).astype(np.uint8) if shape == "mask" else None
            targets.append(Target(x0, y0, x1, y1, shape, mask, h=int(rng.integers(1, 9))))
        left_out += len(targets) - len(writers(targets, width, height))
        results = []
        for backend in ("cpu", "ref"):
            after = before.copy()
            ops.blur(after.arrays, fmt, targets, feather=feather, siting=siting, backend=backend)
            results.append(after)
        assert results[0].same_bytes(results[1])
    assert left_out > 10
