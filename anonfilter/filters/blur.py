"""blur: a masked, constant-time blur in place on the frame's own planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter.filters.painter import CLASSES, FEATHER, SHAPE, Painter
from anonfilter.kernels import ops
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.targets import Target
from anonfilter.options import Option


class Blur(Painter):
    """The window follows the object's size (adaptive) or a given sigma (gaussian); see docs/design of the blur."""

    name = "blur"
    help = "Blur objects; reduces identifiability, the strength follows the object's size."
    options = (
        Option(
            "mode",
            "enum",
            "adaptive",
            "how wide the window is",
            choices=(
                ("adaptive", "half window = strength * (width + height) / 16 of each object"),
                ("gaussian", "the same sigma for every object"),
            ),
        ),
        Option(
            "strength", "float", 2.0, "adaptive: width of the window relative to the object", min=0.25, max=16
        ),
        Option("passes", "int", 3, "box passes; 3 is close to a Gaussian", min=1, max=8),
        Option(
            "sigma", "float", 24.0, "gaussian: standard deviation", min=0.5, max=1024, unit="luma samples"
        ),
        SHAPE,
        FEATHER,
        CLASSES,
    )

    def paint(
        self, planes: Sequence[npt.NDArray[np.generic]], fmt: PixFmt, targets: list[Target], siting: str
    ) -> None:
        """Blur the targets; the samples averaged are always the filter's input."""
        opts = self.opts
        if opts["mode"] == "gaussian":
            fixed = ops.window_sigma(opts["sigma"], opts["passes"])
            targets = [target.with_window(fixed) for target in targets]
        else:
            targets = [target.with_window(ops.window(target, opts["strength"])) for target in targets]
        ops.blur(
            planes, fmt, targets, passes=opts["passes"], feather=opts["feather"], siting=siting, backend=self.backend
        )


FILTER = Blur
