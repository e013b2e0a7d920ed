"""The pixel operations: checks arguments, chooses the backend. See docs/internals.md for the interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import cpu, cuda, ref, ref_letterbox, triton_backend
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import MATRICES, Letterbox, rgb_matrix
from anonfilter.kernels.overlap import writers
from anonfilter.kernels.targets import LIMIT, Target, mask_from_runs, target, window, window_sigma

__all__ = [
    "BACKENDS",
    "CUDA_BACKENDS",
    "DEFAULT_BACKEND",
    "SITINGS",
    "Backend",
    "Letterbox",
    "Target",
    "backend_for",
    "blur",
    "fill",
    "letterbox",
    "mask_from_runs",
    "pixelize",
    "target",
    "window",
    "window_sigma",
]

Plane = npt.NDArray[Any]
Triple = tuple[float, float, float]

SITINGS = ("left", "center", "topleft")
MAX_FEATHER = 255
MAX_PASSES = 64


@dataclass(frozen=True, slots=True)
class Backend:
    """One row of the op table. The functions get checked arguments, in this order, and return nothing.

    blur(planes, fmt, targets, passes, feather, siting); pixelize(planes, fmt, targets, cells, feather, siting);
    fill(planes, fmt, targets, color, feather, siting);
    letterbox(planes, fmt, box, siting, matrix (3, 4), mean, scale, pad, out).
    """

    blur: Callable[[Sequence[Plane], PixFmt, Sequence[Target], int, int, str], None]
    pixelize: Callable[[Sequence[Plane], PixFmt, Sequence[Target], int, int, str], None]
    fill: Callable[[Sequence[Plane], PixFmt, Sequence[Target], tuple[int, int, int], int, str], None]
    letterbox: Callable[..., None]


BACKENDS: dict[str, Backend] = {
    "cpu": Backend(cpu.blur, cpu.pixelize, cpu.fill, cpu.letterbox),
    "cuda": Backend(cuda.blur, cuda.pixelize, cuda.fill, cuda.letterbox),
    "triton": Backend(triton_backend.blur, cuda.pixelize, cuda.fill, triton_backend.letterbox),
    "ref": Backend(ref.blur, ref.pixelize, ref.fill, ref_letterbox.letterbox),
}
DEFAULT_BACKEND = "cpu"
CUDA_BACKENDS = ("cuda", "triton")
"""Backends for frames on a CUDA device, the default first; docs/internals.md says why."""


def backend_for(device: str, kernels: str | None = None) -> str:
    """The backend for frames on a device ("cpu" or "cuda[:N]"), or the one of CUDA_BACKENDS that is asked for.

    Raises ValueError when these kernels cannot reach the device, or are unknown.
    """
    if kernels is not None:
        _choice("kernels", kernels, CUDA_BACKENDS)
    if device.partition(":")[0] == "cuda":
        return kernels or CUDA_BACKENDS[0]
    if kernels is not None:
        raise ValueError(f"kernels={kernels} needs frames on a CUDA device, these are on {device}")
    return DEFAULT_BACKEND


def blur(
    planes: Sequence[Plane],
    fmt: PixFmt,
    targets: Sequence[Target],
    *,
    passes: int = 3,
    feather: int = 0,
    siting: str = "left",
    backend: str | None = None,
) -> None:
    """Blur the targets in place: `passes` box blurs of 2h+1 luma samples, h being each target's own.

    planes: as `Frame.planes()` gives them, (h, w) uint8 or uint16, interleaved chroma (h, w, 2); writable, with any
    positive row stride. feather: luma samples over which the edge fades (0..255). siting: of the chroma samples.
    The samples read are always the input, so overlapping targets do not depend on each other.
    Raises TypeError or ValueError before anything is touched.
    """
    run = _backend(backend).blur
    _check(planes, fmt, targets, feather, siting)
    _integer("passes", passes, 1, MAX_PASSES)
    for item in targets:
        if item.h is None:
            raise ValueError(f"target {item.x0, item.y0, item.x1, item.y1} has no half window h")
    # The oracle does all the work, which is what shows that leaving some of it out changes nothing.
    if backend != "ref":
        targets = writers(targets, planes[0].shape[1], planes[0].shape[0])
    if targets:
        run(planes, fmt, targets, passes, feather, siting)


def pixelize(
    planes: Sequence[Plane],
    fmt: PixFmt,
    targets: Sequence[Target],
    *,
    cells: int = 8,
    feather: int = 0,
    siting: str = "left",
    backend: str | None = None,
) -> None:
    """Replace each target by cells x cells means, in place; a cell has at least 2 x 2 luma samples.

    Arguments and errors as for `blur`. Where targets overlap, the first in the list wins.
    """
    run = _backend(backend).pixelize
    _check(planes, fmt, targets, feather, siting)
    _integer("cells", cells, 1, LIMIT)
    if targets:
        run(planes, fmt, targets, cells, feather, siting)


def fill(
    planes: Sequence[Plane],
    fmt: PixFmt,
    targets: Sequence[Target],
    *,
    color: tuple[int, int, int] = (16, 128, 128),
    feather: int = 0,
    siting: str = "left",
    backend: str | None = None,
) -> None:
    """Paint each target in one colour (Y, U, V as 8-bit codes, shifted up for deeper formats), in place.

    Arguments and errors as for `blur`.
    """
    run = _backend(backend).fill
    _check(planes, fmt, targets, feather, siting)
    if len(color) != 3:
        raise ValueError(f"color should be Y, U, V, not {color!r}")
    for code in color:
        _integer("color", code, 0, 255)
    if targets:
        run(planes, fmt, targets, (int(color[0]), int(color[1]), int(color[2])), feather, siting)


def letterbox(
    planes: Sequence[Plane],
    fmt: PixFmt,
    size: tuple[int, int],
    *,
    matrix: str = "bt709",
    full_range: bool = False,
    rotation: int = 0,
    hflip: bool = False,
    bgr: bool = False,
    mean: Sequence[float] = (0, 0, 0),
    scale: Sequence[float] = (1, 1, 1),
    pad: Sequence[float] | float = (114, 114, 114),
    crop: tuple[int, int, int, int] | None = None,
    room: tuple[int, int] | None = None,
    siting: str = "left",
    out: npt.NDArray[np.float32] | None = None,
    backend: str | None = None,
) -> tuple[npt.NDArray[np.float32], Letterbox]:
    """A detector's input in one pass over the planes: float32 (3, H, W) and where it lies on the frame.

    size: (W, H) of the tensor. The frame, or its part `crop` (x0, y0, x1, y1 in luma samples of the coded frame),
    is turned upright (rotation: clockwise degrees 0, 90, 180, 270; hflip: then mirrored), fitted into `room` (W, H;
    default: the whole tensor) and centred; averaged over areas when it shrinks, interpolated linearly when it grows.
    The value is (rgb - mean) * scale with rgb in 0..255; around the picture (pad - mean) * scale. mean, scale and
    pad are in the order of the tensor's channels (R, G, B, or B, G, R with bgr). matrix: bt709, bt601, bt2020 or gbr.
    out: written and returned when given: float32 (3, H, W), contiguous. Raises TypeError or ValueError.
    """
    run = _backend(backend).letterbox
    height, width = _check_planes(planes, fmt, writable=False)
    _choice("siting", siting, SITINGS)
    _choice("matrix", matrix, MATRICES)
    _choice("rotation", rotation, (0, 90, 180, 270))
    if len(size) != 2:
        raise ValueError(f"size should be (W, H), not {size!r}")
    for value in size:
        _integer("size", value, 1, LIMIT)
    if room is not None:
        if len(room) != 2:
            raise ValueError(f"room should be (W, H), not {room!r}")
        for value, high in zip(room, size, strict=True):
            _integer("room", value, 1, high)
    area = (0, 0, width, height)
    if crop is not None:
        if len(crop) != 4:
            raise ValueError(f"crop should be x0, y0, x1, y1, not {crop!r}")
        for value, high in zip(crop, (width, height, width, height), strict=True):
            _integer("crop", value, 0, high)
        area = (int(crop[0]), int(crop[1]), int(crop[2]), int(crop[3]))
        if area[0] >= area[2] or area[1] >= area[3]:
            raise ValueError(f"crop {crop!r} is empty")
    shape = (3, int(size[1]), int(size[0]))
    if out is None:
        out = np.empty(shape, np.float32)
    elif not isinstance(out, np.ndarray) or out.dtype != np.float32:
        raise TypeError("out should be a float32 array")
    elif out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out is {out.shape}, it should be {shape}, contiguous and writable")
    pads = (pad, pad, pad) if isinstance(pad, int | float) else pad
    box = Letterbox.fit(area, (shape[2], shape[1]), rotation, bool(hflip), room)
    coefficients = rgb_matrix(matrix, bool(full_range), fmt.depth, fmt.chroma, bool(bgr))
    run(
        planes, fmt, box, siting, coefficients, _triple("mean", mean), _triple("scale", scale),
        _triple("pad", pads), out
    )
    return out, box


def _backend(name: str | None) -> Backend:
    try:
        return BACKENDS[DEFAULT_BACKEND if name is None else name]
    except KeyError:
        raise ValueError(f"backend {name!r} should be one of {', '.join(BACKENDS)}") from None


def _integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} should be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name}={value} should be {low}..{high}")


def _choice(name: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} should be one of {', '.join(map(str, choices))}")


def _triple(name: str, values: Sequence[float]) -> Triple:
    if len(values) != 3 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"{name}={values!r} should be three finite numbers")
    return float(values[0]), float(values[1]), float(values[2])


def _check(planes: Sequence[Plane], fmt: PixFmt, targets: Sequence[Target], feather: int, siting: str) -> None:
    _check_planes(planes, fmt, writable=True)
    _choice("siting", siting, SITINGS)
    _integer("feather", feather, 0, MAX_FEATHER)
    for item in targets:
        if not isinstance(item, Target):
            raise TypeError(f"targets should hold Target objects, not {item!r}")


def _check_planes(planes: Sequence[Plane], fmt: PixFmt, *, writable: bool) -> tuple[int, int]:
    """Height and width in luma samples of planes that a kernel can work on."""
    if len(planes) != fmt.planes:
        raise ValueError(f"{fmt.name} has {fmt.planes} planes, not {len(planes)}")
    dtype = np.dtype("u1") if fmt.itemsize == 1 else np.dtype("<u2")
    height, width = 0, 0
    for index, plane in enumerate(planes):
        if not isinstance(plane, np.ndarray) or plane.dtype != dtype:
            raise TypeError(f"plane {index} of {fmt.name} should be a {dtype} array")
        if index == 0:
            if plane.ndim != 2 or not 1 <= plane.shape[0] <= LIMIT or not 1 <= plane.shape[1] <= LIMIT:
                raise ValueError(f"plane 0 is {plane.shape}, it should be (height, width), 1..{LIMIT} each")
            height, width = plane.shape
            shape: tuple[int, ...] = plane.shape
        else:
            chroma_w, chroma_h = fmt.chroma_size(width, height)
            shape = (chroma_h, chroma_w, 2) if fmt.interleaved else (chroma_h, chroma_w)
            if plane.shape != shape:
                raise ValueError(f"plane {index} of {fmt.name} {width}x{height} is {plane.shape}, not {shape}")
        # Along a row the samples must be adjacent; an axis of one sample has no stride to speak of.
        row = dtype.itemsize
        for length, stride in zip(shape[:0:-1], plane.strides[:0:-1], strict=True):
            if length > 1 and stride != row:
                raise ValueError(f"plane {index} has samples {stride} bytes apart in a row, it should be {row}")
            row *= length
        if shape[0] > 1 and plane.strides[0] < row:
            raise ValueError(f"plane {index} has a row stride of {plane.strides[0]} bytes, it needs {row} or more")
        if not plane.flags.aligned:
            raise ValueError(f"plane {index} is not aligned to its {dtype} samples")
        if writable and not plane.flags.writeable:
            raise ValueError(f"plane {index} is read-only (call make_writable first)")
    return height, width

