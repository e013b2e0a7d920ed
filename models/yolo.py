"""The heads that Ultralytics exports to ONNX for YOLOv8, YOLO11 and YOLO12, and their end-to-end variant.

Raw: (1, 4 + C, N), channels centre x, centre y, width, height in samples of the tensor, then one score for
each of C classes. End to end (exported with nms=True; YOLOv10, YOLO26): (1, N, 6), rows x0, y0, x1, y1,
score, class, padded with zero scores. Input RGB 0..1, sides multiples of 32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anonfilter.errors import ModelError
from anonfilter.infer.onnxgraph import GraphInfo
from anonfilter.models.family import Array, Candidates, Family, Size, finite

_END_TO_END = 6


class Yolo(Family):
    """See the module."""

    stride = 32

    @classmethod
    def check(cls, info: GraphInfo, classes: tuple[str, ...]) -> str | None:
        """See Family.check."""
        dims = info.outputs[0].dims
        if len(info.outputs) != 1 or dims is None or len(dims) != 3:
            shapes = ", ".join(str(value.dims) for value in info.outputs)
            return f"its outputs are {shapes} where one of (1, 4 + classes, boxes) is needed"
        if dims[2] == _END_TO_END:
            return None
        if isinstance(dims[1], int) and dims[1] != 4 + len(classes):
            return f"its output has {dims[1]} channels, {4 + len(classes)} fit {len(classes)} class(es)"
        return None

    def candidates(self, outputs: Mapping[str, Array], size: Size, thresh: float) -> Candidates:
        """See Family.candidates."""
        head = next(iter(outputs.values()))[0]
        if head.shape[0] == 4 + len(self.classes):
            return self._raw(head, thresh)
        if head.shape[1] == _END_TO_END:
            return self._end_to_end(head, thresh)
        raise ModelError(
            f"the net's output {head.shape} fits neither {len(self.classes)} class(es) nor end to end"
        )

    def _raw(self, head: Array, thresh: float) -> Candidates:
        scores = finite(head[4:], "scores")
        best = scores.argmax(axis=0)
        top = scores[best, np.arange(head.shape[1])]
        chosen = np.nonzero(top >= thresh)[0]
        x, y, w, h = finite(head[:4, chosen], "boxes")
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        return Candidates(boxes, top[chosen], best[chosen])

    def _end_to_end(self, head: Array, thresh: float) -> Candidates:
        rows = finite(head, "boxes")
        rows = rows[rows[:, 4] >= max(thresh, float(np.finfo(np.float32).tiny))]
        classes = rows[:, 5].astype(np.intp)
        if len(rows) and not (classes.min() >= 0 and classes.max() < len(self.classes)):
            raise ModelError(
                f"the net names class {classes.max()}, the catalogue only {len(self.classes)} class(es)"
            )
        return Candidates(rows[:, :4], rows[:, 4], classes)


FAMILY = Yolo
