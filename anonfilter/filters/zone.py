"""zone: a region drawn by hand, on every frame or at the times that enable= gives."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from anonfilter.errors import PlanError
from anonfilter.filter import Env, RecordFilter
from anonfilter.frame import StreamInfo
from anonfilter.options import Option
from anonfilter.records import Box, FrameRecord, Region

_SIZE = ("iw", "ih", "in_w", "in_h")


class Zone(RecordFilter):
    """Adds one region of src "zone" to each frame, looked at or not, whatever the detectors find."""

    name = "zone"
    help = "Mark a box drawn by hand, in display coordinates."
    timeline = True
    origin = True
    options = (
        Option("x", "expr", "0", "left edge", unit="luma samples", names=(*_SIZE, "w", "h")),
        Option("y", "expr", "0", "top edge", unit="luma samples", names=(*_SIZE, "w", "h")),
        Option("w", "expr", "iw", "width", unit="luma samples", names=_SIZE),
        Option("h", "expr", "ih", "height", unit="luma samples", names=_SIZE),
        Option("shape", "enum", "rect", "shape within the box", choices=("rect", "ellipse")),
        Option("class", "string", "zone", "class name, for the writers' classes=", aliases=("cls",)),
    )

    def classes(self) -> tuple[str, ...]:
        """See RecordLane.classes."""
        return (self.opts["class"],)

    def open(self, env: Env) -> None:
        """Turn the display box into coded coordinates. Raises PlanError for one that covers nothing."""
        super().open(env)
        # -noautorotate: coordinates are the coded picture's, for every filter.
        stream = env.stream if env.autorotate else replace(env.stream, rotation=0, hflip=False)
        wide, high = stream.display_size
        size = {"iw": wide, "ih": high, "in_w": wide, "in_h": high}
        w, h = (self.opts[key].eval(**size) for key in ("w", "h"))
        x, y = (self.opts[key].eval(**size, w=w, h=h) for key in ("x", "y"))
        box = f"{self.label}: the box x={x:g}:y={y:g}:w={w:g}:h={h:g}"
        if not all(map(math.isfinite, (x, y, w, h))):
            raise PlanError(f"{box} is not finite")
        if w <= 0 or h <= 0:
            raise PlanError(f"{box} is empty: w and h must be above 0")
        if x >= wide or y >= high or x + w <= 0 or y + h <= 0:
            raise PlanError(f"{box} lies outside of the picture, which is {wide}x{high} as shown")
        # Far beyond the picture nothing is gained, and an integer made of it would not fit; but an ellipse's
        # shape depends on its whole box.
        if max(abs(x), abs(y), abs(x + w), abs(y + h)) > 1 << 20:
            raise PlanError(f"{box} is larger than a million samples")
        self._size = {"w": wide, "h": high}
        self._region = Region(
            to_coded((x, y, x + w, y + h), stream),
            self.opts["class"],
            1.0,
            "zone",
            shape=self.opts["shape"],
        )

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Add the zone where it is enabled."""
        enable = self.enable
        if enable is None or enable.enabled(t=record.t, n=record.n, pos=math.nan, **self._size):
            record.regions = [*record.regions, self._region]
        return (record,)


def to_coded(box: Box, stream: StreamInfo) -> Box:
    """A box in display coordinates, in the coordinates of the coded picture."""
    x0, y0, x1, y1 = box
    wide, high = stream.display_size
    if stream.hflip:
        x0, x1 = wide - x1, wide - x0
    # The display is the coded picture turned clockwise: (x, y) of the coded picture is shown at (height - y,
    # x) after a quarter turn.
    if stream.rotation == 90:
        return y0, wide - x1, y1, wide - x0
    if stream.rotation == 180:
        return wide - x1, high - y1, wide - x0, high - y0
    if stream.rotation == 270:
        return high - y1, x0, high - y0, x1
    return x0, y0, x1, y1


FILTER = Zone
