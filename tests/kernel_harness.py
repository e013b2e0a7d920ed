"""The kernels' harness, after checkasm: one list of paths, the oracle's answer, and a small case when one differs.

    from kernel_harness import PATHS, check
    check(kernel_cases.case("blur", "nv12", 17), PATHS)

A path is a backend, or one unit of the C++ backend. `check` runs a case on every path, compares all bytes (canaries
included) with the oracle's, and raises AssertionError with the smallest case it finds that still differs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anonfilter.kernels import cpu, ops

# With --import-mode=importlib this folder is not on the path.
sys.path.append(str(Path(__file__).parent))
kernel_cases = importlib.import_module("kernel_cases")

Case, Planes = kernel_cases.Case, kernel_cases.Planes


@dataclass(frozen=True)
class Way:
    """One path to the result: a backend of ops, with a unit and a number of threads of the C++ one."""

    name: str
    backend: str
    unit: str | None = None
    threads: int | None = None

    def using(self) -> AbstractContextManager[None]:
        if self.backend != "cpu":
            return nullcontext()
        return cpu.using(self.unit, self.threads, None if self.threads in (None, 1) else 1)

    def run(self, case: Case) -> Planes:
        with self.using():
            return case.run(self.backend)


ORACLE = Way("oracle", "ref")
UNITS = [unit.name for unit in cpu.units() if unit.runs]
PATHS = [Way(name, "cpu", name, 1) for name in UNITS]
THREADED = [Way(f"{name} x 3", "cpu", name, 3) for name in UNITS]


def check(case: Case, paths: list[Way]) -> None:
    """Raises AssertionError where a path's bytes are not the oracle's."""
    expected = case.run("ref")
    for path in paths:
        if not path.run(case).same_bytes(expected):
            small = shrink(case, lambda c, path=path: not path.run(c).same_bytes(c.run("ref")))
            raise AssertionError(f"{path.name} differs from the oracle:\n{describe(small, path)}")


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """The smallest case that still differs, found by taking away what can be taken away, one thing at a time."""
    best = case
    for _ in range(400):
        for smaller in _smaller(best):
            if differs(smaller):
                best = smaller
                break
        else:
            return best
    return best


def _smaller(case: Case) -> Iterator[Case]:
    """Cases that are simpler than this one, the boldest first."""
    targets = case.targets
    for count in (len(targets) // 2, 1):
        if len(targets) > count > 0:
            for first in range(0, len(targets), count):
                yield replace(case, targets=targets[:first] + targets[first + count :])
    if case.options.get("feather"):
        yield replace(case, options={**case.options, "feather": 0})
        yield replace(case, options={**case.options, "feather": int(str(case.options["feather"])) // 2})
    for key in ("passes", "cells"):
        if int(str(case.options.get(key, 1))) > 1:
            yield replace(case, options={**case.options, key: 1})
    height, width = case.planes.arrays[0].shape
    fmt = case.planes.fmt
    for w, h in ((width // 2, height), (width, height // 2), (width - 1, height), (width, height - 1)):
        if w > 0 and h > 0 and (w, h) != (width, height):
            arrays = [case.planes.arrays[0][:h, :w]]
            chroma_w, chroma_h = fmt.chroma_size(w, h)
            arrays += [array[:chroma_h, :chroma_w] for array in case.planes.arrays[1:]]
            yield replace(case, planes=Planes(fmt, tuple(arrays), case.planes.memory))
    for i, item in enumerate(targets):
        for change in _smaller_targets(item):
            yield replace(case, targets=[*targets[:i], change, *targets[i + 1 :]])
    flat = case.planes.copy()
    for array in flat.arrays:
        array[...] = (1 << fmt.depth) - 1 << fmt.shift
    if any((a != b).any() for a, b in zip(flat.arrays, case.planes.arrays, strict=True)):
        yield replace(case, planes=flat)


def _smaller_targets(item: ops.Target) -> Iterator[ops.Target]:
    """The target as a rectangle, with a smaller box or a smaller window."""
    if item.shape != "rect":
        yield replace(item, shape="rect", mask=None)
    width, height = item.width, item.height
    for w, h in ((width // 2, height), (width, height // 2), (width - 1, height), (width, height - 1)):
        if w > 0 and h > 0 and (w, h) != (width, height):
            mask = None if item.mask is None else np.ascontiguousarray(item.mask[:h, :w])
            yield replace(item, x1=item.x0 + w, y1=item.y0 + h, mask=mask)
    for h in (1, (item.h or 0) // 2):
        if 0 < h < (item.h or 0):
            yield replace(item, h=h)


def describe(case: Case, path: Way) -> str:
    """The case in words, and where the results differ."""
    lines = [f"{case.op} {case.options} on {case.planes.fmt.name} {case.planes.arrays[0].shape[::-1]}"]
    for item in case.targets:
        box = (item.x0, item.y0, item.x1, item.y1)
        lines.append(f"  {item.shape} {box} h={item.h}" + ("" if item.mask is None else f" mask {item.mask.tolist()}"))
    expected, got = case.run("ref"), path.run(case)
    for i, (before, want, have) in enumerate(zip(case.planes.arrays, expected.arrays, got.arrays, strict=True)):
        for where in np.argwhere(want != have)[:4].tolist():
            at = tuple(where)
            lines.append(f"  plane {i}{where}: {before[at]} should be {want[at]}, is {have[at]}")
        if before.size <= 64:
            lines.append(f"  plane {i} before: {before.tolist()}")
    if all(np.array_equal(a, b) for a, b in zip(expected.arrays, got.arrays, strict=True)):
        lines.append("  the samples are equal: bytes around them were written")
    return "\n".join(lines)
