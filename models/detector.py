"""A model that is ready to look at frames: row, session and family put together."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.infer import open_session
from anonfilter.infer.onnxgraph import Dim
from anonfilter.kernels import ops
from anonfilter.models.catalog import Log, Model, read_info
from anonfilter.models.family import Detection, Size, default_room, fit_size, load_family

_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""


class Detector:
    """Finds a model's objects on frames of one size. A context manager.

    picture: (width, height) of the upright pictures. size: (width, height) that the tensor should fit into,
    None for the model's default; a net whose file fixes its input keeps that. thresh: score, None for the
    model's default. threads, engine, device: see infer.open_session. Raises ModelError.
    """

    def __init__(
        self,
        model: Model,
        picture: Size,
        *,
        size: Size | None = None,
        thresh: float | None = None,
        threads: int = 0,
        engine: str = "auto",
        device: str = "cpu",
        log: Log | None = None,
    ) -> None:
        kind = load_family(model.family)
        path = model.path(log)
        dims = read_info(path).inputs[0].dims
        fixed = None if kind.any_size else _fixed(dims)
        self.model = model
        self.size = fixed or fit_size(picture, size or default_room(picture, model.size), kind.stride)
        self.thresh = model.thresh if thresh is None else thresh
        self._family = kind(model.classes, model.nms)
        width, height = self.size
        self._session = open_session(
            path, shapes={"": (1, 3, height, width)}, device=device, threads=threads, engine=engine
        )
        self.engine = self._session.engine
        self._tensor = np.empty((3, height, width), dtype=np.float32)

    def __call__(self, frame: Frame, stream: StreamInfo) -> list[Detection]:
        """Objects on a frame, best first; boxes as the net gives them, without margin.

        stream says what the frame's colours mean and how it is turned. Raises ModelError if the net fails.
        """
        model = self.model
        tensor, letterbox = ops.letterbox(
            frame.planes(),
            frame.fmt,
            self.size,
            matrix=matrix(stream),
            full_range=stream.color_range == _FULL_RANGE or frame.fmt.name.startswith("yuvj"),
            rotation=stream.rotation,
            hflip=stream.hflip,
            bgr=model.bgr,
            mean=model.mean,
            scale=model.scale,
            pad=model.pad,
            out=self._tensor,
        )
        return self._family.decode(self._run(tensor), letterbox, self.size, self.thresh)

    def probe(self) -> None:
        """Run the net once on a grey picture and decode what it says. Raises ModelError if that cannot be
        done."""
        value = (np.float32(128) - np.array(self.model.mean)) * np.array(self.model.scale)
        self._tensor[:] = value[:, None, None]
        outputs = self._run(self._tensor)
        try:
            self._family.decode(outputs, _Identity(), self.size, 0.05)
        except (ValueError, IndexError) as error:
            raise ModelError(
                f"{self.model.path()}: its outputs are not those of family {self.model.family}: {error}"
            ) from None

    def close(self) -> None:
        """Free the session."""
        self._session.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
        return self._session.run(tensor[None])


def matrix(stream: StreamInfo) -> str:
    """The name that kernels.ops has for a stream's YUV matrix.

    Unspecified is read as players do: BT.709 from 720 lines up, BT.601 below (upright or turned alike: the
    shorter side decides).
    """
    known = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
    return known.get(stream.color_space) or ("bt709" if min(stream.width, stream.height) >= 720 else "bt601")


class _Identity:
    def to_frame(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return points


def _fixed(dims: Sequence[Dim] | None) -> Size | None:
    """Width and height that a file fixes for its input, or None."""
    if dims is None or not isinstance(dims[2], int) or not isinstance(dims[3], int):
        return None
    return dims[3], dims[2]
