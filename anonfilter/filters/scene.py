"""scene: finds where shots begin, so that nothing is joined across a cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from anonfilter.errors import InputError, ModelError
from anonfilter.filter import Env, Options, PixelReader
from anonfilter.frame import Frame, StreamInfo
from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS
from anonfilter.models.transnetv2 import TransNet
from anonfilter.options import Duration, Option
from anonfilter.records import FrameRecord
from anonfilter.shotnet import Learned, Thumbs
from anonfilter.transitions import SIZE, Content, Mark, Thumb

# Of PySceneDetect's kind of rule (docs/scene.md), and the one that the net was published with.
_THRESHOLDS = {"content": 0.2, "transnetv2": 0.5}


class Scene(PixelReader):
    """Marks the first frame of each shot and the frames of gradual transitions, from a small picture of each frame.

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
            choices=(
                ("content", "from correlations of small luma pictures"),
                ("transnetv2", "by the net TransNetV2: more of them and more exactly, for much more time"),
                ("off", "not at all"),
            ),
        ),
        Option(
            "threshold", "float", None,
            "content: least difference of two frames with a cut between, 1 - correlation (default: 0.2); transnetv2: "
            "the net's probability from which a frame counts as transition (default: 0.5)",
            min=0, max=2,
        ),
        Option("ratio", "float", 3.0, "content: so many times their neighbours' must it be", min=1, max=1000),
        Option(
            "gradual", "duration", Duration(0.4, "s"),
            "content: half of the longest dissolve that is surely seen; 0: look for hard cuts only", min=0,
        ),
    )  # fmt: skip

    def __init__(self, opts: Options, label: str = "") -> None:
        super().__init__(opts, label)
        self._method: str = opts["method"]
        given = opts["threshold"]
        self._threshold: float = _THRESHOLDS.get(self._method, 0.0) if given is None else given
        self._net: TransNet | None = None

    @property
    def searches(self) -> bool:
        """Whether it looks for transitions at all."""
        return self._method != "off"

    def lookahead(self, stream: StreamInfo) -> int | None:
        """What the finder needs of the future."""
        if self._method == "off":
            return 0
        return Learned.delay if self._method == "transnetv2" else self._content(stream).delay

    def open(self, env: Env) -> None:
        """Start without a picture; load the net, downloading it if it is missing. Raises ModelError."""
        super().open(env)
        self._waiting: deque[FrameRecord] = deque()
        self._tensor = np.empty((3, SIZE[1], SIZE[0]), np.float32)
        self._finder: Content | Learned = self._content(env.stream)
        if self._method == "transnetv2":
            try:
                self._net = TransNet(env.threads, lambda line: env.log("info", line))
            except ModelError as error:
                raise ModelError(f"{self.label}: {error}") from None
            self._finder, self._thumbs = Learned(self._net, self._threshold), Thumbs(env.stream)

    def close(self) -> None:
        """Free the net."""
        if self._net is not None:
            self._net.close()
            self._net = None

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Look at the frame; records leave with their marks. Raises ModelError if the net fails."""
        if self._method == "off":
            return (record,)
        self._waiting.append(record)
        frame = self._frame(record.n)
        if self.pictures or isinstance(self._finder, Content):
            thumb = self._luma(frame)
        if self.pictures:
            record.picture = thumb.copy()
        if isinstance(self._finder, Content):
            return list(self._marked(self._finder.push(thumb)))
        try:
            return list(self._marked(self._finder.push(self._thumbs(frame))))
        except ModelError as error:
            place = f"{self.env.input_name}: frame {record.n} at {record.t:.3f} s"
            raise ModelError(f"{self.label}: {place}: {error}") from None

    def flush(self) -> Iterable[FrameRecord]:
        """The last ones."""
        return list(self._marked(self._finder.flush())) if self._waiting else ()

    def _content(self, stream: StreamInfo) -> Content:
        return Content(self._threshold, self.opts["ratio"], self.opts["gradual"].frames(stream.rate))

    def _marked(self, marks: Iterator[Mark]) -> Iterator[FrameRecord]:
        for mark in marks:
            record = self._waiting.popleft()
            record.cut, record.fade = record.cut or mark.cut, record.fade or mark.fade
            yield record

    def _frame(self, n: int) -> Frame:
        if self.env.ring is None:
            raise InputError(f"{self.label}: this pass has no frames to look at")
        return self.env.ring[n]

    def _luma(self, frame: Frame) -> Thumb:
        """The frame's luma fitted into SIZE, (H, W) float32; the tensor's own memory."""
        luma = replace(FORMATS[frame.fmt.name], chroma=False)
        _, box = ops.letterbox(frame.planes()[:1], luma, SIZE, out=self._tensor)
        # Without the border: plain areas that all frames have in common would hide a change.
        thumb: Thumb = self._tensor[0, box.pad_y : box.pad_y + box.inner[1], box.pad_x : box.pad_x + box.inner[0]]
        return thumb


FILTER = Scene
