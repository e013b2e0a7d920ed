"""What blur, pixelize and fill share: which regions they take and how a region becomes a kernel target."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anonfilter import regionmask
from anonfilter.filter import Env, PixelWriter
from anonfilter.frame import Frame
from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS, PixFmt
from anonfilter.kernels.targets import Target
from anonfilter.options import Option
from anonfilter.records import Box, FrameRecord, Region

CLASSES = Option(
    "classes", "list", (), "write only objects of these classes, separated by '|' (default: all)"
)
SHAPE = Option(
    "shape",
    "enum",
    "rect",
    "shape that covers a box; an ellipse is drawn around the box, never inside it",
    choices=("rect", "ellipse"),
)
FEATHER = Option("feather", "int", 0, "soft edge outside of the object", min=0, max=255, unit="luma samples")

# Two rectangles of one object are painted as the one around both if that is so much larger than the larger at most.
_JOINED = 1.1
# libavutil's AVChromaLocation. Unspecified is taken as left: its mask contains that of the centred siting.
_SITING = {2: "center", 3: "topleft"}
_GREY = {8: FORMATS["gray"], 10: FORMATS["gray10le"], 12: FORMATS["gray12le"], 16: FORMATS["gray16le"]}


class Painter(PixelWriter):
    """Base of the pixel writers that cover objects. Options of a subclass include CLASSES, SHAPE and FEATHER."""

    def open(self, env: Env) -> None:
        """Choose the kernels once. Raises ValueError where they cannot reach the run's device."""
        super().open(env)
        self.backend = ops.backend_for(env.device, env.kernels)

    def select(self, record: FrameRecord) -> Sequence[Region]:
        """All regions of the wanted classes, except those removed by hand."""
        wanted = self.opts["classes"]
        return [r for r in record.regions if not r.deleted and (not wanted or r.cls in wanted)]

    def render(self, frame: Frame, regions: Sequence[Region]) -> None:
        """Cover the regions in place."""
        targets = joined(regions, [self.target(region) for region in regions])
        siting = _SITING.get(self.env.stream.chroma_location, "left")
        self.paint(frame.planes(), frame.fmt, targets, siting)
        alpha = frame.alpha()
        if alpha is not None:
            self.paint_alpha(alpha, _GREY[frame.fmt.depth], targets)

    def target(self, region: Region) -> Target:
        """The kernel target of one region."""
        if region.mask is not None:
            height, width = regionmask.size(region.box)
            return ops.target(region.box, "mask", ops.mask_from_runs(region.mask, width, height))
        if region.shape is not None:
            return ops.target(region.box, region.shape)
        if self.opts["shape"] == "ellipse":
            return ops.target(around(region.box), "ellipse")
        return ops.target(region.box, "rect")

    def paint_alpha(self, alpha: npt.NDArray[np.generic], fmt: PixFmt, targets: list[Target]) -> None:
        """Treat the alpha plane as the colours are: a cut-out's outline shows who it is, too."""
        self.paint((alpha,), fmt, targets, "center")

    def paint(
        self, planes: Sequence[npt.NDArray[np.generic]], fmt: PixFmt, targets: list[Target], siting: str
    ) -> None:
        """Run the kernel."""
        raise NotImplementedError


def joined(regions: Sequence[Region], targets: Sequence[Target]) -> list[Target]:
    """The regions' targets, in fewer rectangles: those of one object that nearly coincide become the one around them,
    in the place of the first.

    An object between two looks is covered on its straight way and where its luma was found, which are nearly always
    within a few samples of each other, and take twice the time of one. Other shapes stay: none of them holds what it
    held in a smaller box.
    """
    out: list[Target] = []
    largest: list[int] = []  # area of the largest target that each was made of
    places: dict[tuple[int, str], list[int]] = {}
    for region, target in zip(regions, targets, strict=True):
        size = target.width * target.height
        own = [] if region.track is None else places.setdefault((region.track, region.cls), [])
        for i in own if target.shape == "rect" else ():
            other, most = out[i], max(largest[i], size)
            x0, y0 = min(other.x0, target.x0), min(other.y0, target.y0)
            x1, y1 = max(other.x1, target.x1), max(other.y1, target.y1)
            if (x1 - x0) * (y1 - y0) <= _JOINED * most:
                out[i], largest[i] = Target(x0, y0, x1, y1), most
                break
        else:
            if target.shape == "rect":
                own.append(len(out))
            out.append(target)
            largest.append(size)
    return out


def around(box: Box) -> Box:
    """The box whose inscribed ellipse passes through the corners of `box`, so that it covers all of it.

    One luma sample is added on each side, since the kernel decides by sample centres.
    """
    x0, y0, x1, y1 = box
    dx = (x1 - x0) * (math.sqrt(2) - 1) / 2 + 1
    dy = (y1 - y0) * (math.sqrt(2) - 1) / 2 + 1
    return x0 - dx, y0 - dy, x1 + dx, y1 + dy
