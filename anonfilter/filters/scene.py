"""scene: finds where shots begin, so that nothing is joined across a cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from anonfilter.errors import InputError
from anonfilter.filter import Env, PixelReader
from anonfilter.frame import StreamInfo
from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS
from anonfilter.options import Duration, Option
from anonfilter.records import FrameRecord
from anonfilter.transitions import SIZE, Content, Mark, Thumb


class Scene(PixelReader):
    """Marks the first frame of each shot and the frames of gradual transitions, from a small luma picture of each
    frame.

    What comes after it in the graph takes notice: detect looks at the frames on both sides of a cut, track begins anew,
    interp and smooth end there, grow goes on to the end of a dissolve. The planner puts one in front of the first
    detect where a graph has track and none of its own.
    """

    pictures = False
    """Whether records carry their picture to a detect behind (set by the planner)."""

    name = "scene"
    help = "Find shot transitions; no track, interpolation or smoothing crosses one."
    origin = False
    options = (
        Option(
            "method", "enum", "content", "how transitions are found",
            choices=(("content", "from correlations of small luma pictures"), ("off", "not at all")),
        ),
        Option(
            "threshold", "float", 0.2, "least difference of two frames with a cut between (1 - correlation)",
            min=0, max=2,
        ),
        Option("ratio", "float", 3.0, "so many times their neighbours' must it be", min=1, max=1000),
        Option(
            "gradual", "duration", Duration(0.4, "s"),
            "half of the longest dissolve that is surely seen; 0: look for hard cuts only", min=0,
        ),
    )  # fmt: skip

    def lookahead(self, stream: StreamInfo) -> int | None:
        """What the finder needs of the future."""
        return 0 if self.opts["method"] == "off" else self._finder(stream).delay

    def open(self, env: Env) -> None:
        """Start without a picture."""
        super().open(env)
        self._content = self._finder(env.stream)
        self._waiting: deque[FrameRecord] = deque()
        self._tensor = np.empty((3, SIZE[1], SIZE[0]), np.float32)

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Look at the frame; records leave with their marks."""
        if self.opts["method"] == "off":
            return (record,)
        self._waiting.append(record)
        picture = self._thumb(record.n)
        if self.pictures:
            record.picture = picture.copy()
        return list(self._marked(self._content.push(picture)))

    def flush(self) -> Iterable[FrameRecord]:
        """The last ones."""
        return list(self._marked(self._content.flush())) if self._waiting else ()

    def _finder(self, stream: StreamInfo) -> Content:
        half = self.opts["gradual"].frames(stream.rate)
        return Content(self.opts["threshold"], self.opts["ratio"], half)

    def _marked(self, marks: Iterator[Mark]) -> Iterator[FrameRecord]:
        for mark in marks:
            record = self._waiting.popleft()
            record.cut, record.fade = record.cut or mark.cut, record.fade or mark.fade
            yield record

    def _thumb(self, n: int) -> Thumb:
        """The frame's luma fitted into SIZE, (H, W) float32; the tensor's own memory."""
        if self.env.ring is None:
            raise InputError(f"{self.label}: this pass has no frames to look at")
        frame = self.env.ring[n]
        luma = replace(FORMATS[frame.fmt.name], chroma=False)
        _, box = ops.letterbox(frame.planes()[:1], luma, SIZE, out=self._tensor)
        # Without the border: plain areas that all frames have in common would hide a change.
        thumb: Thumb = self._tensor[0, box.pad_y : box.pad_y + box.inner[1], box.pad_x : box.pad_x + box.inner[0]]
        return thumb


FILTER = Scene
