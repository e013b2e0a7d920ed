"""The C++ backend: hands checked arguments to the extension, which releases the GIL while it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import _cpu
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.kernels.targets import SHAPES, Target

Plane = npt.NDArray[Any]
Layout = tuple[int, int, int, int, int, bool, bool]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Unit:
    """The inner loops compiled for one instruction set.

    built: part of this build. runs: on this CPU too. by_name: only when named, never chosen ("wide512" is the 512-bit
    code in plain instructions: the proof of its logic where there is no AVX-512).
    """

    name: str
    built: bool
    runs: bool
    by_name: bool


def unit() -> str:
    """Name of the unit that runs: the best this CPU has, or ANONFILTER_CPU's. Chosen once, at import."""
    return str(_cpu.unit())


def units() -> list[Unit]:
    """All units, from the plainest to the best, those of other architectures included."""
    return [Unit(*row) for row in _cpu.units()]


@contextmanager
def using(unit: str | None = None, threads: int | None = None, least: int | None = None) -> Iterator[None]:
    """Runs another unit, or on another number of threads, for tests and benchmarks; the whole process is affected.

    threads: 1 keeps all work in the calling thread; at most 8. least: samples times passes that are worth a thread.
    Raises ValueError for a unit that is unknown or cannot run here.
    """
    unit_before, (threads_before, least_before) = _cpu.unit(), _cpu.threads()
    try:
        if unit is not None:
            _cpu.use_unit(unit)
        _cpu.set_threads(threads_before if threads is None else threads, least_before if least is None else least)
        yield
    finally:
        _cpu.use_unit(unit_before)
        _cpu.set_threads(threads_before, least_before)


def blur(
    planes: Sequence[Plane], fmt: PixFmt, targets: Sequence[Target], passes: int, feather: int, siting: str
) -> None:
    """See ops.blur."""
    _cpu.blur(list(planes), _layout(fmt, siting), *_packed(targets), feather, passes)


def pixelize(
    planes: Sequence[Plane], fmt: PixFmt, targets: Sequence[Target], cells: int, feather: int, siting: str
) -> None:
    """See ops.pixelize."""
    _cpu.pixelize(list(planes), _layout(fmt, siting), *_packed(targets), feather, cells)


def fill(
    planes: Sequence[Plane],
    fmt: PixFmt,
    targets: Sequence[Target],
    color: tuple[int, int, int],
    feather: int,
    siting: str,
) -> None:
    """See ops.fill."""
    _cpu.fill(list(planes), _layout(fmt, siting), *_packed(targets), feather, color)


def letterbox(
    planes: Sequence[Plane],
    fmt: PixFmt,
    box: Letterbox,
    siting: str,
    matrix: npt.NDArray[np.float64],
    mean: Triple,
    scale: Triple,
    pad: Triple,
    out: npt.NDArray[np.float32],
) -> None:
    """See ops.letterbox."""
    across, down = box.inner[::-1] if box.swap else box.inner
    placement = (
        *box.size,
        *(box.x0, box.y0, box.width, box.height),
        *(box.numerator, box.denominator),
        *(across, down),
        *(box.pad_x, box.pad_y),
        *(int(box.reverse_x), int(box.reverse_y), int(box.swap)),
    )
    _cpu.letterbox(list(planes), _layout(fmt, siting), placement, (*matrix.ravel().tolist(), *mean, *scale, *pad), out)


def _layout(fmt: PixFmt, siting: str) -> Layout:
    return fmt.depth, fmt.shift, fmt.itemsize, fmt.log2_w, fmt.log2_h, siting != "center", siting == "topleft"


def _packed(targets: Sequence[Target]) -> tuple[npt.NDArray[np.int32], list[npt.NDArray[np.uint8]]]:
    """The targets as rows of x0, y0, x1, y1, shape, h, and the masks of those that have one."""
    rows = [(t.x0, t.y0, t.x1, t.y1, SHAPES.index(t.shape), t.h or 0) for t in targets]
    masks = [np.ascontiguousarray(t.mask) for t in targets if t.mask is not None]
    return np.array(rows, np.int32).reshape(-1, 6), masks
