"""pixelize: N x N averaged cells over each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.filters.painter import CLASSES, FEATHER, SHAPE, Painter
from anonfilter.kernels import ops
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.targets import Target
from anonfilter.options import Option


class Pixelize(Painter):
    """The number of cells is fixed, so that the strength scales with the object."""

    name = "pixelize"
    help = "Replace objects with averaged cells, the same number for every object."
    options = (
        Option("cells", "int", 8, "cells along each side of the object's box", min=1, max=64),
        SHAPE,
        FEATHER,
        CLASSES,
    )

    def paint(
        self, planes: Sequence[npt.NDArray[np.generic]], fmt: PixFmt, targets: list[Target], siting: str
    ) -> None:
        """Average the cells of the targets."""
        ops.pixelize(
            planes, fmt, targets, cells=self.opts["cells"], feather=self.opts["feather"], siting=siting,
            backend=self.backend,
        )


FILTER = Pixelize
