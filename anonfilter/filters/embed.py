"""embed: notes what each object looks like, for track's option `appearance`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from anonfilter.errors import InputError
from anonfilter.filter import Env, PixelReader
from anonfilter.frame import Frame
from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS
from anonfilter.options import Option
from anonfilter.records import FrameRecord, Region

# Cells a side: an 8 x 8 picture tells a light face from a dark one and a profile from a front, and no more than that.
_CELLS = 8


class Embed(PixelReader):
    """Every region with a box in the picture gets its luma in 8 x 8 cells, with mean and contrast taken off (so that
    light does not matter), as `look`: 64 int8 bytes. It stays with the record while it passes through the graph, and is
    no part of record files. Stands between detect and track: `detect=faces,embed,track=appearance=1`.
    """

    name = "embed"
    help = "Note what each object looks like, for track's option appearance."
    origin = False
    options = (
        Option("inner", "float", 0.6, "share of a box's sides that is looked at, about its centre", min=0.1, max=1),
    )

    def open(self, env: Env) -> None:
        """Make room for one picture."""
        super().open(env)
        self._tensor = np.empty((3, _CELLS, _CELLS), np.float32)

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Look at the record's regions."""
        wanted = [r.src in ("det", "manual") and not r.deleted for r in record.regions]
        if any(wanted):
            if self.env.ring is None:
                raise InputError(f"{self.label}: this pass has no frames to look at")
            frame = self.env.ring[record.n]
            record.regions = [
                region.with_(look=self._look(frame, region)) if want else region
                for region, want in zip(record.regions, wanted, strict=True)
            ]
        return (record,)

    def _look(self, frame: Frame, region: Region) -> bytes | None:
        """See Embed; None for a region without a sample in the frame, or a plain one."""
        width, height = frame.size
        x0, y0, x1, y1 = region.box
        dx, dy = ((1 - self.opts["inner"]) / 2 * side for side in (x1 - x0, y1 - y0))
        left, top = max(0, math.floor(x0 + dx)), max(0, math.floor(y0 + dy))
        right, bottom = min(width, math.ceil(x1 - dx)), min(height, math.ceil(y1 - dy))
        if right <= left or bottom <= top:
            return None
        luma = replace(FORMATS[frame.fmt.name], chroma=False)
        planes = frame.planes()[:1]
        ops.letterbox(planes, luma, (_CELLS, _CELLS), crop=(left, top, right, bottom), out=self._tensor)
        cells = self._tensor[0] - self._tensor[0].mean()
        spread = float(np.abs(cells).max())
        return None if spread < 1 else np.rint(cells * (127 / spread)).astype(np.int8).tobytes()


FILTER = Embed
