"""The small lane: what is known about each frame, without its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in luma samples of the coded frame; x1 and y1 exclusive. May reach over the frame's edge."""

SOURCES = ("det", "interp", "grow", "zone", "manual")
SHAPES = ("rect", "ellipse")


@dataclass(frozen=True, slots=True)
class Region:
    """One object on one frame.

    box: see Box. cls: class name ("face", "plate", ...). score: the detector's, 0..1. src: one of SOURCES.
    track: id of the track it belongs to, None before tracking. shape: "rect", "ellipse", or None for the pixel
    writer's own default. poly: corner points ((x, y), ...) in luma samples, informative. mask: run lengths of a
    bitmap over the integer box, row by row, starting with a run of zeros. deleted: removed by hand; it is kept so
    that interpolation does not fill it in again, and never drawn. due: made between two looks that agree on where the
    object went, so that it tells where it is; None: only adds to another region of its track, so that no filter judges
    by it. look: what embed saw in it (int8 bytes), None without embed. Both are no
    part of what a region is: not compared, not in record files.
    """

    box: Box
    cls: str
    score: float = 1.0
    src: str = "det"
    track: int | None = None
    shape: str | None = None
    poly: tuple[tuple[float, float], ...] | None = None
    mask: tuple[int, ...] | None = None
    deleted: bool = False
    due: bool | None = field(default=False, compare=False)
    look: bytes | None = field(default=None, compare=False, repr=False)

    def with_(self, **changes: object) -> Region:
        """A copy with the named fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(slots=True)
class FrameRecord:
    """All regions of one frame.

    n: decode ordinal from 0. pts: source timestamp in the stream's time base (None where the file has none).
    t: seconds since the container's start. ran: names of the models that looked at this frame; empty means
    that nobody looked, which is not the same as nothing found. looked: whether regions are the outcome of a look
    (also true of a frame that a record file speaks of). cut: the frame begins a new shot. fade: it belongs to a gradual
    transition, of which one frame is the cut (see shots.Shots). picture: small luma picture (H, W) float32 that scene
    made for the filters after it, None where nobody did or all are done with it; not part of a record file.
    """

    n: int
    pts: int | None
    t: float
    ran: tuple[str, ...] = ()
    regions: list[Region] = field(default_factory=list)
    cut: bool = False
    fade: bool = False
    picture: Any = None

    @property
    def looked(self) -> bool:
        """Whether any detector ran on this frame."""
        return bool(self.ran)
