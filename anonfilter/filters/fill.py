"""fill: one flat colour over each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.colour import yuv
from anonfilter.filter import Env
from anonfilter.filters.painter import CLASSES, FEATHER, SHAPE, Painter
from anonfilter.kernels import ops
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.targets import Target
from anonfilter.options import Option


class Fill(Painter):
    """The only one of the three that leaves nothing of the object."""

    name = "fill"
    help = "Cover objects with one colour; nothing of the object is left."
    options = (
        Option("color", "color", (0, 0, 0), "the colour: a name or 0xRRGGBB"),
        SHAPE,
        FEATHER,
        CLASSES,
    )

    def open(self, env: Env) -> None:
        """Convert the colour once, with the stream's matrix and range."""
        super().open(env)
        self._yuv = yuv(self.opts["color"][:3], env.stream)

    def paint_alpha(self, alpha: npt.NDArray[np.generic], fmt: PixFmt, targets: list[Target]) -> None:
        """The colour is opaque."""
        before = alpha.copy()
        ops.fill(
            (alpha,), fmt, targets, color=(255, 128, 128), feather=self.opts["feather"], siting="center",
            backend=self.backend,
        )  # fmt: skip
        opaque: int = 255 << fmt.depth - 8  # the kernel's colours have 8 bits
        alpha[(alpha != before) & (alpha == opaque)] = (1 << fmt.depth) - 1

    def paint(
        self, planes: Sequence[npt.NDArray[np.generic]], fmt: PixFmt, targets: list[Target], siting: str
    ) -> None:
        """Fill the targets."""
        ops.fill(
            planes, fmt, targets, color=self._yuv, feather=self.opts["feather"], siting=siting, backend=self.backend
        )


FILTER = Fill
