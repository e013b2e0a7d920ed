"""The CUDA backend: csrc/cuda's kernels over a work list. Importing this needs neither CuPy nor a device.

Planes are NumPy arrays, of which the regions' boxes go to the device and back, or arrays in device memory
(anything with `__cuda_array_interface__`, such as CuPy's), which are edited in place without a copy or a wait, in the
order of CuPy's current stream. Both have the shapes that `ops` states.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import taps
from anonfilter.kernels.cudadevice import CupyDevice, Device, Memory, current_device
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.kernels.targets import Target
from anonfilter.kernels.worklist import THREADS, WorkList, build

Array = Any
Triple = tuple[float, float, float]

PITCH = 256
"""Bytes that rows of uploaded planes are padded to."""


class Launch(NamedTuple):
    """One kernel over `blocks` blocks of worklist.THREADS threads.

    source, target: the scratch buffer ("a" or "b") or the cells' means ("cells") that it reads and writes, or None:
    the planes, which the work list names.
    """

    kernel: str
    blocks: int
    source: str | None
    target: str | None


def blur_launches(work: WorkList, passes: int) -> list[Launch]:
    """2 x passes launches: the first reads the planes, only the last writes them."""
    word = f"u{8 * work.fmt.itemsize}"
    out = []
    for nth in range(passes):
        out.append(Launch("blur_rows" if nth else f"blur_rows_{word}", len(work.row_tiles), "b" if nth else None, "a"))
        last = nth == passes - 1
        name = f"blur_columns_{word}" if last else "blur_columns"
        out.append(Launch(name, len(work.column_tiles), "a", None if last else "b"))
    return out


def pixelize_launches(work: WorkList) -> list[Launch]:
    """One launch for the cells' means, one that writes the planes."""
    word = f"u{8 * work.fmt.itemsize}"
    return [
        Launch(f"cell_means_{word}", len(work.cell_tiles), None, "cells"),
        Launch(f"pixelize_{word}", len(work.row_tiles), "cells", None),
    ]


def fill_launches(work: WorkList) -> list[Launch]:
    """One launch."""
    return [Launch(f"fill_u{8 * work.fmt.itemsize}", len(work.row_tiles), None, None)]


def letterbox_launches(fmt: PixFmt, box: Letterbox) -> list[Launch]:
    """One launch; its target is the tensor."""
    return [Launch(f"letterbox_u{8 * fmt.itemsize}", -(-box.size[0] * box.size[1] // THREADS), None, "tensor")]


class Surface(NamedTuple):
    """A plane in memory: its first sample, and bytes from row to row, of a row's samples, and rows."""

    address: int
    pitch: int
    row: int
    rows: int


def _shapes(fmt: PixFmt, height: int, width: int) -> list[tuple[int, ...]]:
    chroma_w, chroma_h = fmt.chroma_size(width, height)
    chroma: tuple[int, ...] = (chroma_h, chroma_w, 2) if fmt.interleaved else (chroma_h, chroma_w)
    return [(height, width), *[chroma] * (fmt.planes - 1)]


def surfaces(planes: Sequence[Array], fmt: PixFmt) -> tuple[list[Surface], bool]:
    """Where planes lie, and whether that is on the device. Raises TypeError or ValueError where they do not fit fmt."""
    if len(planes) != fmt.planes:
        raise ValueError(f"{fmt.name} has {fmt.planes} planes, not {len(planes)}")
    device = {not isinstance(plane, np.ndarray) for plane in planes}
    if len(device) != 1:
        raise TypeError("the planes should all be NumPy arrays or all lie in CUDA memory")
    out: list[Surface] = []
    shapes: list[tuple[int, ...]] = []
    for index, plane in enumerate(planes):
        name = "__array_interface__" if isinstance(plane, np.ndarray) else "__cuda_array_interface__"
        interface = getattr(plane, name, None)
        if interface is None:
            raise TypeError(f"plane {index} should be a NumPy array or lie in CUDA memory, not {type(plane).__name__}")
        dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
        if dtype != np.dtype("u1" if fmt.itemsize == 1 else "<u2"):
            raise TypeError(f"plane {index} of {fmt.name} has samples of {dtype}")
        shapes = shapes or _shapes(fmt, *(shape if len(shape) == 2 else (0, 0)))
        if shape != shapes[index] or 0 in shape:
            raise ValueError(f"plane {index} of {fmt.name} is {shape}, not {shapes[index]}")
        # Along a row the samples must be adjacent; an axis of one sample has no stride to speak of.
        row, pitch = dtype.itemsize, 0
        strides = interface.get("strides")
        for length, stride in zip(shape[:0:-1], strides[:0:-1] if strides else (0, 0), strict=False):
            if strides and length > 1 and stride != row:
                raise ValueError(f"plane {index} has samples {stride} bytes apart in a row, it should be {row}")
            row *= length
        pitch = strides[0] if strides and shape[0] > 1 else row
        if pitch < row:
            raise ValueError(f"plane {index} has a row stride of {pitch} bytes, it needs {row} or more")
        out.append(Surface(int(interface["data"][0]), pitch, row, shape[0]))
    return out, device.pop()


class Runner:
    """The operations on one device. Its memory is kept between calls and grows in powers of two; for one thread."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: dict[str, tuple[int, Memory]] = {}

    def edit(self, planes: Sequence[Array], fmt: PixFmt, work: WorkList, launches: Sequence[Launch]) -> None:
        """Runs an operation's launches over its work list, made for planes of this size."""
        given, on_device = surfaces(planes, fmt)
        if not len(work.regions):
            return
        with self._device.ordered():
            used = given if on_device else self._room_for(given)
            boxes = [] if on_device else _boxes(work)
            for index, offset, row, first, rows in boxes:
                there, here = used[index], given[index]
                to, source = there.address + first * there.pitch + offset, here.address + first * here.pitch + offset
                self._device.copy_in(to, there.pitch, source, here.pitch, row, rows)
            words = work.pack([s.address for s in used], [s.pitch for s in used])
            size = {"a": 2 * work.scratch, "b": 2 * work.scratch, "cells": 2 * work.cells}
            named = {name for launch in launches for name in (launch.source, launch.target) if name}
            self._run(words, launches, {name: self._room(name, size[name]) for name in sorted(named)})
            for index, offset, row, first, rows in boxes:
                there, here = used[index], given[index]
                to, source = here.address + first * here.pitch + offset, there.address + first * there.pitch + offset
                self._device.copy_out(to, here.pitch, source, there.pitch, row, rows)
        if not on_device:
            self._device.finish()

    def letterbox(
        self,
        planes: Sequence[Array],
        fmt: PixFmt,
        box: Letterbox,
        siting: str,
        colour: tuple[npt.NDArray[np.float64], Triple, Triple, Triple],
        out: Array,
    ) -> None:
        """Fills out (3, H, W), float32 or float16; colour: matrix, mean, scale, pad. See ops.letterbox."""
        given, on_device = surfaces(planes, fmt)
        host_tensor = isinstance(out, np.ndarray)
        interface = out.__array_interface__ if host_tensor else out.__cuda_array_interface__
        dtype, size = np.dtype(interface["typestr"]), (3, box.size[1], box.size[0])
        if dtype not in (np.float32, np.float16):
            raise TypeError(f"the tensor should be float32 or float16, not {dtype}")
        dense = (size[1] * size[2] * dtype.itemsize, size[2] * dtype.itemsize, dtype.itemsize)
        if tuple(interface["shape"]) != size or tuple(interface.get("strides") or dense) != dense:
            raise ValueError(f"the tensor is {tuple(interface['shape'])}, it should be {size} and contiguous")
        with self._device.ordered():
            used = given if on_device else self._room_for(given)
            for there, here in zip(used, given if not on_device else [], strict=False):
                self._device.copy_in(there.address, there.pitch, here.address, here.pitch, here.row, here.rows)
            places = tuple(s.address for s in used), tuple(s.pitch for s in used)
            words = taps.pack(fmt, *plane_size(planes), box, siting, colour, dtype == np.float16, *places)
            address, total = int(interface["data"][0]), 3 * dense[0]
            tensor = self._room("tensor", total) if host_tensor else address
            self._run(words, letterbox_launches(fmt, box), {"tensor": tensor})
            if host_tensor:
                self._device.copy_out(address, total, tensor, total, total, 1)
        if host_tensor or not on_device:
            self._device.finish()

    def _run(self, words: npt.NDArray[np.int32], launches: Sequence[Launch], rooms: dict[str, int]) -> None:
        at = self._room("words", words.nbytes)
        self._device.upload(at, words)
        for kernel, blocks, source, target in launches:
            self._device.launch(kernel, blocks, (at, *(rooms[name] if name else 0 for name in (source, target))))

    def _room_for(self, given: Sequence[Surface]) -> list[Surface]:
        """Room on the device for planes of the host."""
        out = []
        for index, (_, _, row, rows) in enumerate(given):
            pitch = -(-row // PITCH) * PITCH
            out.append(Surface(self._room(f"plane{index}", pitch * rows), pitch, row, rows))
        return out

    def _room(self, name: str, size: int) -> int:
        """Address of at least `size` bytes that are kept under a name."""
        kept = self._kept.get(name)
        if kept is None or kept[0] < size:
            self._kept.pop(name, None)
            size = 1 << max(12, (size - 1).bit_length())
            kept = self._kept[name] = size, self._device.memory(size)
        return kept[1].address


def _boxes(work: WorkList) -> list[tuple[int, int, int, int, int]]:
    """The box around the regions of each plane that has any: plane, first byte and bytes of a row, first row, rows."""
    out = []
    plane_of = np.array([part.plane for part in work.components])[work.regions["component"]]
    for index in range(work.fmt.planes):
        some = work.regions[plane_of == index]
        if len(some):
            left, top = int(some["x"].min()), int(some["y"].min())
            right, bottom = int((some["x"] + some["width"]).max()), int((some["y"] + some["height"]).max())
            size = work.fmt.itemsize * (2 if index and work.fmt.interleaved else 1)
            out.append((index, left * size, (right - left) * size, top, bottom - top))
    return out


def per_thread(make: Callable[[], Runner]) -> Callable[[], Runner]:
    """A function that gives the calling thread's runner on the current device, made at the first call. It raises what
    `make` does, and cudadevice.NoDevice."""
    local = threading.local()

    def runner() -> Runner:
        number = current_device()
        if getattr(local, "number", None) != number:
            local.runner, local.number = make(), number
        made: Runner = local.runner
        return made

    return runner


runner = per_thread(lambda: Runner(CupyDevice()))


def blur(
    planes: Sequence[Array], fmt: PixFmt, targets: Sequence[Target], passes: int, feather: int, siting: str
) -> None:
    """See ops.blur."""
    work = build(fmt, *plane_size(planes), targets, feather, siting)
    runner().edit(planes, fmt, work, blur_launches(work, passes))


def pixelize(
    planes: Sequence[Array], fmt: PixFmt, targets: Sequence[Target], cells: int, feather: int, siting: str
) -> None:
    """See ops.pixelize."""
    work = build(fmt, *plane_size(planes), targets, feather, siting, windows=False, cells=cells)
    runner().edit(planes, fmt, work, pixelize_launches(work))


def fill(
    planes: Sequence[Array],
    fmt: PixFmt,
    targets: Sequence[Target],
    color: tuple[int, int, int],
    feather: int,
    siting: str,
) -> None:
    """See ops.fill."""
    work = build(fmt, *plane_size(planes), targets, feather, siting, windows=False, color=color)
    runner().edit(planes, fmt, work, fill_launches(work))


def letterbox(
    planes: Sequence[Array],
    fmt: PixFmt,
    box: Letterbox,
    siting: str,
    matrix: npt.NDArray[np.float64],
    mean: Triple,
    scale: Triple,
    pad: Triple,
    out: Array,
) -> None:
    """See ops.letterbox; out may also be float16, and lie on the device."""
    runner().letterbox(planes, fmt, box, siting, (matrix, mean, scale, pad), out)


def plane_size(planes: Sequence[Array]) -> tuple[int, int]:
    """Width and height of the first plane."""
    height, width = planes[0].shape
    return int(width), int(height)
