"""A model that is ready to look at frames: row, sessions and family put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.infer import Session, open_session
from anonfilter.infer.onnxgraph import Dim
from anonfilter.kernels import ops
from anonfilter.kernels.formats import PixFmt
from anonfilter.models.catalog import Log, Model, read_info
from anonfilter.models.family import Detection, Family, Size, default_room, fit_size, load_family
from anonfilter.models.nms import nms

Square = tuple[int, int, int]
"""x0, y0, side in luma samples of the coded frame."""

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""

CLOSE_UP = 0.3
"""Of the coarse look only boxes with a longer side of at least this share of the picture's shorter side count: what it
is for. Smaller ones are seen better by the full look, and here are mostly wrong."""

BORDER = 1.5
"""The coarse look's tensor is so many times larger than the picture in it; the rest is plain border. Nets learnt from
whole faces, and find one that the picture's edge cuts when there is something beyond that edge: of the pianist's
profile in bench/truth/speech-cuts-360p.json, who leaves the picture and comes back, 53 of 62 frames were covered
without the border and all are with it."""


class Detector:
    """Finds a model's objects on frames of one size. A context manager.

    picture: (width, height) of the upright pictures. size: (width, height) that the tensor should fit into,
    None for the model's default; a net whose file fixes its input keeps that. thresh: score, None for the
    model's default. weak: score from which the full look's detections are given, None for thresh.
    coarse: None for the model's default; the picture is looked at a second time, so many
    times smaller and with a border around it, 0 for not. Nets miss faces that fill the picture or are cut by its
    edge, which they find then. threads, engine, device: see infer.open_session. Raises ModelError.
    """

    def __init__(
        self,
        model: Model,
        picture: Size,
        *,
        size: Size | None = None,
        thresh: float | None = None,
        weak: float | None = None,
        coarse: int | None = None,
        threads: int = 0,
        engine: str = "auto",
        device: str = "cpu",
        log: Log | None = None,
    ) -> None:
        kind = load_family(model.family)
        path = model.path(log)
        fixed = None if kind.any_size else _fixed(read_info(path).inputs[0].dims)
        room = size or default_room(picture, model.size)
        full = fixed or fit_size(picture, room, kind.stride)
        looks: list[tuple[Size, Size | None]] = [(full, None)]
        divisor = model.coarse if coarse is None else coarse
        if divisor and not fixed:
            small = fit_size(picture, (room[0] // divisor, room[1] // divisor), kind.stride)
            if small != full:
                looks.append((small, (round(small[0] / BORDER), round(small[1] / BORDER))))
        self.model = model
        self.any_size = fixed is None
        """Whether the net takes pictures of any size."""
        self.thresh = model.thresh if thresh is None else thresh
        self._weak = self.thresh if weak is None else min(weak, self.thresh)
        # Who asks for more of the full look asks for as much more of the coarse one.
        self._coarse_thresh = max(self.thresh, model.coarse_thresh * min(1.0, self.thresh / model.thresh))
        self._close_up = CLOSE_UP * min(picture)
        self._family = kind(model.classes, model.nms)
        self._looks: list[_Look] = []
        try:
            for (width, height), inner in looks:
                shape = (1, 3, height, width)
                session = open_session(
                    path, shapes={"": shape}, any_size=kind.any_size, device=device, threads=threads, engine=engine
                )
                self._looks.append(_Look((width, height), inner, session, np.empty(shape, np.float32)))
        except BaseException:
            self.close()
            raise

    @property
    def sizes(self) -> list[Size]:
        """(width, height) of the tensor of each look."""
        return [look.size for look in self._looks]

    def __call__(self, frame: Frame, stream: StreamInfo) -> list[Detection]:
        """Objects on a frame, best first; boxes as the net gives them, without margin.

        stream says what the frame's colours mean and how it is turned. Raises ModelError if the net fails.
        """
        found = self._look(self._looks[0], frame, stream, self._weak)
        for look in self._looks[1:]:
            found += [item for item in self._look(look, frame, stream, self.thresh) if self._is_close_up(item)]
        return found if len(self._looks) == 1 else self._merged(found)

    def probe(self) -> None:
        """Run the net once on a grey picture and decode what it says. Raises ModelError if that cannot be done."""
        value = (np.float32(128) - np.array(self.model.mean)) * np.array(self.model.scale)
        for look in self._looks:
            look.tensor[0] = value[:, None, None]
            outputs = look.session.run(look.tensor)
            try:
                self._family.decode(outputs, _Identity(), look.size, 0.05)
            except (ValueError, IndexError) as error:
                raise ModelError(
                    f"the outputs of {self.model.path()} are not those of family {self.model.family}: {error}"
                ) from None

    def close(self) -> None:
        """Free the sessions."""
        for look in self._looks:
            look.session.close()
        self._looks = []

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look(self, look: _Look, frame: Frame, stream: StreamInfo, thresh: float) -> list[Detection]:
        return _run(self.model, self._family, look, frame, stream, thresh, look.room)

    def _is_close_up(self, item: Detection) -> bool:
        x0, y0, x1, y1 = item.box
        return item.score >= self._coarse_thresh and max(x1 - x0, y1 - y0) >= self._close_up

    def _merged(self, found: list[Detection]) -> list[Detection]:
        boxes = np.array([item.box for item in found], np.float64).reshape(-1, 4)
        scores = np.array([item.score for item in found])
        classes = np.array([self.model.classes.index(item.cls) for item in found], np.intp)
        return [found[i] for i in nms(boxes, scores, classes, self.model.nms)]


@dataclass(frozen=True, slots=True)
class _Look:
    """A session, the (width, height) of its tensor, those that the picture has to fit (None: all of it), and the tensor
    (1, 3, height, width), used again and again."""

    size: Size
    room: Size | None
    session: Session
    tensor: npt.NDArray[np.float32]


class CropDetector:
    """Finds a model's objects in square parts of frames, each fitted into one small tensor.

    side: of the tensor, in samples, rounded up to what the net takes; a net whose file fixes its input keeps that.
    thresh: score from which a detection is given. threads, engine, device: see infer.open_session. Raises ModelError.
    """

    def __init__(
        self,
        model: Model,
        side: int,
        thresh: float,
        *,
        threads: int = 0,
        engine: str = "auto",
        device: str = "cpu",
        log: Log | None = None,
    ) -> None:
        kind = load_family(model.family)
        path = model.path(log)
        up = -(-side // kind.stride) * kind.stride
        size = (None if kind.any_size else _fixed(read_info(path).inputs[0].dims)) or (up, up)
        shape = (1, 3, size[1], size[0])
        session = open_session(
            path, shapes={"": shape}, any_size=kind.any_size, device=device, threads=threads, engine=engine
        )
        self.model, self._thresh, self._family = model, thresh, kind(model.classes, model.nms)
        self._tensor = _Look(size, None, session, np.empty(shape, np.float32))

    @property
    def size(self) -> Size:
        """(width, height) of the tensor."""
        return self._tensor.size

    def __call__(self, frame: Frame, stream: StreamInfo, square: Square) -> list[Detection]:
        """Objects in a square of the frame, best first; boxes on the frame, as the net gives them, without margin.

        square: x0, y0 and side in luma samples of the coded frame. Where it reaches over the frame's edge the tensor
        has plain border, as for Detector's coarse look, so that the scale does not depend on where the square lies. One
        that has nothing of the frame gives nothing. Raises ModelError if the net fails.
        """
        x0, y0, side = square
        width, height = frame.size
        crop = max(0, x0), max(0, y0), min(width, x0 + side), min(height, y0 + side)
        if crop[0] >= crop[2] or crop[1] >= crop[3]:
            return []
        least = min(self.size)
        across, down = (max(1, -(-least * (crop[i + 2] - crop[i]) // side)) for i in (0, 1))
        room = (down, across) if stream.rotation in (90, 270) else (across, down)
        return _run(self.model, self._family, self._tensor, frame, stream, self._thresh, room, crop)

    def close(self) -> None:
        """Free the session."""
        self._tensor.session.close()


def _run(
    model: Model,
    family: Family,
    look: _Look,
    frame: Frame,
    stream: StreamInfo,
    thresh: float,
    room: Size | None,
    crop: tuple[int, int, int, int] | None = None,
) -> list[Detection]:
    """One run of a net on a frame or its part `crop`."""
    _, letterbox = ops.letterbox(
        frame.planes(),
        frame.fmt,
        look.size,
        **colours(stream, frame.fmt),
        rotation=stream.rotation,
        hflip=stream.hflip,
        bgr=model.bgr,
        mean=model.mean,
        scale=model.scale,
        pad=model.pad,
        crop=crop,
        room=room,
        out=look.tensor[0],
    )
    return family.decode(look.session.run(look.tensor), letterbox, look.size, thresh)


class Colours(TypedDict):
    """What ops.letterbox has to know of a stream's colours."""

    matrix: str
    full_range: bool


def colours(stream: StreamInfo, fmt: PixFmt) -> Colours:
    """How a stream's samples of that format are read."""
    whole = stream.color_range == _FULL_RANGE or fmt.name.startswith("yuvj")
    return {"matrix": "gbr" if fmt.rgb else matrix(stream), "full_range": whole}


def matrix(stream: StreamInfo) -> str:
    """The name that kernels.ops has for a stream's YUV matrix.

    Unspecified is read as players do: BT.709 from 720 lines up, BT.601 below (upright or turned alike: the
    shorter side decides).
    """
    known = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
    unspecified = "bt709" if min(stream.width, stream.height) >= 720 else "bt601"
    return known.get(stream.color_space, unspecified)


class _Identity:
    def to_frame(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return points


def _fixed(dims: Sequence[Dim] | None) -> Size | None:
    """Width and height that a file fixes for its input, or None."""
    if dims is None or not isinstance(dims[2], int) or not isinstance(dims[3], int):
        return None
    return dims[3], dims[2]
