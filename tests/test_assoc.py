"""Assignment: the same optimum as SciPy's on the whole matrix, by groups, and few objects do not load it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from anonfilter import assoc


def whole(costs: np.ndarray) -> float:
    """Least total cost of the whole matrix, where an impossible pair costs as much as leaving both alone."""
    filled = np.where(np.isfinite(costs), costs, assoc._UNPAIRED)
    return float(filled[linear_sum_assignment(filled)].sum())


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2), (5, 5), (6, 6), (2, 9), (12, 7), (40, 40)])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 1.0])
def test_assign_is_optimal(shape: tuple[int, int], density: float) -> None:
    rng = np.random.default_rng([*shape, int(density * 10)])
    for _ in range(30):
        costs = rng.random(shape) * (assoc._UNPAIRED - 1e-3)
        costs[rng.random(shape) >= density] = np.inf
        pairs = assoc.assign(costs)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
        assert all(np.isfinite(costs[i, j]) for i, j in pairs)
        total = sum(costs[i, j] for i, j in pairs) + (min(shape) - len(pairs)) * assoc._UNPAIRED
        assert total == pytest.approx(whole(costs))


def test_nothing_to_assign() -> None:
    assert assoc.assign(np.zeros((0, 3))) == []
    assert assoc.assign(np.zeros((3, 0))) == []
    assert assoc.assign(np.full((2, 2), np.inf)) == []


def test_few_objects_do_not_load_scipy() -> None:
    """Half a second of a short run."""
    script = (
        "import sys, numpy as np; from anonfilter import assoc; from anonfilter.filters import track, interp, grow;"
        "costs = np.full((12, 12), np.inf); np.fill_diagonal(costs, 1.0); costs[0, 1] = costs[1, 0] = 0.5;"
        "assert assoc.assign(costs)[:2] == [(0, 1), (1, 0)];"
        "interp.path('pchip', np.arange(4.0), np.zeros((4, 2, 4)), 1, np.array([1.5]));"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'scipy']"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
