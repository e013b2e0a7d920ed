"""CenterFace: a heat map of face centres with size, offset and five landmarks at a quarter of the input's
scale.

Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019. Input RGB 0..255, sides
multiples of 32. Outputs in the net's order, at stride 4: heat map (1), scale (2: height, width), offset (2:
y, x), landmarks (10). A cell's face has its centre at (cell + offset + 1/2) * 4 and the size exp(scale) * 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anonfilter.infer.onnxgraph import GraphInfo
from anonfilter.models.family import Array, Candidates, Family, Size, finite

_STRIDE = 4
_CHANNELS = (1, 2, 2, 10)


class CenterFace(Family):
    """See the module."""

    stride = 32
    any_size = True

    @classmethod
    def check(cls, info: GraphInfo, classes: tuple[str, ...]) -> str | None:
        """See Family.check."""
        found = tuple(
            value.dims[1] if value.dims and len(value.dims) == 4 else None for value in info.outputs
        )
        if found != _CHANNELS:
            return f"its outputs have {found} channels; heat map, scale, offset, landmarks have {_CHANNELS}"
        return None if len(classes) == 1 else f"it finds one class, {len(classes)} are named"

    def candidates(self, outputs: Mapping[str, Array], size: Size, thresh: float) -> Candidates:
        """See Family.candidates."""
        heat, scale, offset = (output[0] for output in list(outputs.values())[:3])
        rows, columns = np.nonzero(finite(heat[0], "scores") >= thresh)
        scores = heat[0, rows, columns]
        # A huge exponent would overflow; a face is at most a few times the picture.
        largest = np.log(np.float32(max(size)))
        h, w = np.exp(np.minimum(finite(scale[:, rows, columns], "boxes"), largest)) * _STRIDE
        dy, dx = finite(offset[:, rows, columns], "boxes")
        x, y = (columns + dx + 0.5) * _STRIDE, (rows + dy + 0.5) * _STRIDE
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        return Candidates(boxes, scores, np.zeros(len(scores), dtype=np.intp))


FAMILY = CenterFace
