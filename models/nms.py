"""Greedy non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MAX_CANDIDATES = 4096
"""Boxes looked at, best first. Far above what any real picture holds; bounds the work at a threshold near
zero."""


def nms(
    boxes: npt.NDArray[Any], scores: npt.NDArray[Any], classes: npt.NDArray[Any], iou: float
) -> npt.NDArray[np.intp]:
    """Indices of the boxes to keep, best score first.

    boxes: (N, 4) x0, y0, x1, y1. scores: (N,). classes: (N,) integers: boxes of different classes never
    suppress one another. iou: a box is dropped if its intersection over union with a better one of its class
    is larger. Equal scores keep the order of the input, so the result does not depend on the sort.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    x0, y0, x1, y1 = np.asarray(boxes, dtype=np.float64)[order].T
    kinds = classes[order]
    area = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    alive = np.ones(len(order), dtype=bool)
    keep = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        keep.append(order[i])
        w = np.minimum(x1[i], x1[i + 1 :]) - np.maximum(x0[i], x0[i + 1 :])
        h = np.minimum(y1[i], y1[i + 1 :]) - np.maximum(y0[i], y0[i + 1 :])
        shared = np.maximum(w, 0) * np.maximum(h, 0)
        # Compared as a product: two boxes without area have no quotient.
        over = shared > iou * (area[i] + area[i + 1 :] - shared)
        alive[i + 1 :] &= ~(over & (kinds[i + 1 :] == kinds[i]))
    return np.array(keep, dtype=np.intp)
