"""The CUDA backend: launches of csrc/cuda's kernels over a work list, through CuPy. Importing this needs neither."""

from __future__ import annotations

from typing import NamedTuple

from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.kernels.worklist import THREADS, WorkList


class Launch(NamedTuple):
    """One kernel over `blocks` blocks of worklist.THREADS threads.

    source, target: the scratch buffer ("a" or "b") or the cells' means ("cells") that it reads and writes, or None:
    the planes, which the work list names.
    """

    kernel: str
    blocks: int
    source: str | None
    target: str | None


def blur_launches(work: WorkList, passes: int) -> list[Launch]:
    """2 x passes launches: the first reads the planes, only the last writes them."""
    word = f"u{8 * work.fmt.itemsize}"
    out = []
    for nth in range(passes):
        out.append(Launch("blur_rows" if nth else f"blur_rows_{word}", len(work.row_tiles), "b" if nth else None, "a"))
        last = nth == passes - 1
        name = f"blur_columns_{word}" if last else "blur_columns"
        out.append(Launch(name, len(work.column_tiles), "a", None if last else "b"))
    return out


def pixelize_launches(work: WorkList) -> list[Launch]:
    """One launch for the cells' means, one that writes the planes."""
    word = f"u{8 * work.fmt.itemsize}"
    return [
        Launch(f"cell_means_{word}", len(work.cell_tiles), None, "cells"),
        Launch(f"pixelize_{word}", len(work.row_tiles), "cells", None),
    ]


def fill_launches(work: WorkList) -> list[Launch]:
    """One launch."""
    return [Launch(f"fill_u{8 * work.fmt.itemsize}", len(work.row_tiles), None, None)]


def letterbox_launches(fmt: PixFmt, box: Letterbox) -> list[Launch]:
    """One launch; its target is the tensor."""
    return [Launch(f"letterbox_u{8 * fmt.itemsize}", -(-box.size[0] * box.size[1] // THREADS), None, "tensor")]
