"""Size of a region's bitmap. The run lengths themselves are read by kernels.targets.mask_from_runs."""

from __future__ import annotations

import math

from anonfilter.records import Box


def size(box: Box) -> tuple[int, int]:
    """Height and width of the bitmap of a box: the box grown outward to whole luma samples."""
    return math.ceil(box[3]) - math.floor(box[1]), math.ceil(box[2]) - math.floor(box[0])
