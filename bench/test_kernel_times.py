"""The harness's cases, timed: the same seeds, on the same paths, checked against the oracle before the clock starts.

    pytest bench/test_kernel_times.py --benchmark-group-by=param:op,param:name

Not among the tests that CI runs: figures of small awkward cases, mostly of what a call costs. bench/kernels.py times
regions of the sizes that matter.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
kernel_cases = importlib.import_module("kernel_cases")
harness = importlib.import_module("kernel_harness")


@pytest.mark.parametrize("path", [harness.ORACLE, *harness.PATHS], ids=lambda path: path.name)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("op", ["blur", "pixelize", "fill"])
def test_large_case(benchmark: Any, op: str, name: str, path: harness.Way) -> None:
    """One to three regions some 300 samples wide: kernel_cases.large."""
    case = kernel_cases.large(op, name, 0)
    harness.check(case, [path])
    planes = case.planes.copy()
    call = getattr(ops, op)
    with path.using():
        benchmark.pedantic(
            lambda: call(planes.arrays, planes.fmt, case.targets, backend=path.backend, **case.options),
            rounds=1 if path.backend == "ref" else 5,
            warmup_rounds=0 if path.backend == "ref" else 1,
        )
