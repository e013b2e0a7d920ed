"""What the families of detectors share: input size, the shape of a result, and the way back to the frame."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError
from anonfilter.infer.onnxgraph import GraphInfo
from anonfilter.models.nms import nms

Array = npt.NDArray[np.float32]
Size = tuple[int, int]

FAMILIES = ("centerface", "retina", "yolo")
"""Modules of this package that define FAMILY."""


MAX_ENLARGE = 2.0
"""On pictures of 300 to 400 pixels twice the size finds more (faces .88 -> .91, plates .35 -> .49 of the true
boxes, at equal thresholds); beyond that nothing was gained."""

GIVE = 0.03
"""See fit_size."""

MAX_SHRINK = 3
"""By default a picture is shrunk at most so far, that the net's smallest objects stay the same share of a
large video."""


class Letterbox(Protocol):
    """The part of kernels.ops.Letterbox that decoding needs."""

    def to_frame(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(N, 2) points of the tensor -> (N, 2) points of the coded frame, in samples."""
        ...


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: box as records.Box (float luma samples of the coded frame, unclipped), class name, score
    0..1, corner points in luma samples or None."""

    box: tuple[float, float, float, float]
    cls: str
    score: float
    poly: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a head says, in samples of the tensor: boxes (N, 4) x0, y0, x1, y1; scores (N,); classes (N,)
    indices; polys (N, P, 2) or None."""

    boxes: Array
    scores: Array
    classes: npt.NDArray[np.intp]
    polys: Array | None = None


class Family(ABC):
    """A kind of net. Subclasses say which outputs they need and decode them.

    classes: class names in output order. iou: for NMS.
    """

    stride: ClassVar[int] = 32
    """The tensor's sides are multiples of this."""

    any_size: ClassVar[bool] = False
    """Whether a file that states its input size may be run at another: true of nets without a constant of
    that size."""

    def __init__(self, classes: tuple[str, ...], iou: float) -> None:
        self.classes, self.iou = classes, iou

    @classmethod
    @abstractmethod
    def check(cls, info: GraphInfo, classes: tuple[str, ...]) -> str | None:
        """Why a net cannot be of this family, as half a sentence, or None if its inputs and outputs fit."""

    @abstractmethod
    def candidates(self, outputs: Mapping[str, Array], size: Size, thresh: float) -> Candidates:
        """Boxes with a score of at least thresh, before NMS. outputs: in the net's order, batch of one.
        size: (width, height) of the tensor."""

    def decode(
        self, outputs: Mapping[str, Array], letterbox: Letterbox, size: Size, thresh: float
    ) -> list[Detection]:
        """Objects on the frame, best first. Raises ModelError if an output is not finite: a net that went
        wrong must not look like a net that found nothing."""
        found = self.candidates(outputs, size, thresh)
        if not len(found.scores):
            return []
        keep = nms(found.boxes, found.scores, found.classes, self.iou)
        x0, y0, x1, y1 = found.boxes[keep].T
        # All four corners, because the letterbox may turn the picture.
        corners = np.stack([x0, y0, x1, y0, x1, y1, x0, y1], axis=1).reshape(-1, 2)
        placed = np.asarray(letterbox.to_frame(corners), dtype=np.float64).reshape(-1, 4, 2)
        low, high = placed.min(axis=1), placed.max(axis=1)
        polys = None
        if found.polys is not None:
            points = found.polys[keep]
            polys = np.asarray(letterbox.to_frame(points.reshape(-1, 2))).reshape(points.shape)
        return [
            Detection(
                (float(low[i, 0]), float(low[i, 1]), float(high[i, 0]), float(high[i, 1])),
                self.classes[found.classes[k]],
                min(1.0, float(found.scores[k])),
                None if polys is None else tuple((float(x), float(y)) for x, y in polys[i]),
            )
            for i, k in enumerate(keep)
        ]


def finite(array: Array, what: str) -> Array:
    """The array, if every value is finite; else ModelError."""
    if not np.isfinite(array).all():
        raise ModelError(f"the net's {what} are not finite numbers: the file or the engine is broken")
    return array


def fit_size(picture: Size, room: Size, stride: int) -> Size:
    """Width and height of the tensor for an upright picture that is to fit into room (width, height).

    The picture keeps its aspect and each side is rounded up to the stride, so the letterbox pads by less than
    one stride; or down, where a picture that shrinks to less than half anyway shrinks by GIVE more at most:
    1920 x 1080 into 640 gives 640 x 352, not 384, and a net's time goes with its area. A small picture is enlarged at
    most MAX_ENLARGE times.
    """
    width, height = picture
    scale = min(MAX_ENLARGE, room[0] / width, room[1] / height)
    sides = []
    for side in (width, height):
        up = _up(side * scale, stride)
        down = up - stride
        spare = scale < 0.5 and up > round(scale * side) and down >= (1 - GIVE) * scale * side
        sides.append(down if spare else up)
    return sides[0], sides[1]


def default_room(picture: Size, size: int) -> Size:
    """Where a picture has to fit if the user does not say: size, or a third of its long side where that is
    more. The time for the net then grows with the picture as that of the encoder does."""
    side = max(size, -(-max(picture) // MAX_SHRINK))
    return side, side


def load_family(name: str) -> type[Family]:
    """The class of a family. Raises ModelError for an unknown name."""
    if name not in FAMILIES:
        raise ModelError(f"unknown model family {name!r}: use one of {', '.join(FAMILIES)}")
    family: type[Family] = importlib.import_module(f"anonfilter.models.{name}").FAMILY
    return family


def _up(value: float, stride: int) -> int:
    return max(stride, -(-round(value) // stride) * stride)
