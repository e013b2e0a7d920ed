"""Runs the CUDA sources on the host: builds csrc/cuda/host with g++, and launches what the backend would launch."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np

from anonfilter.kernels import cuda, taps, worklist
from anonfilter.kernels.letterbox import Letterbox

SOURCES = Path(__file__).resolve().parent.parent / "csrc" / "cuda"
POISON = 0xA5


def build(folder: Path, sources: Path = SOURCES, drop_barrier: int = 0) -> Path:
    """A shared library of the kernels; drop_barrier: number of a BARRIER that is left out."""
    out = folder / f"kernels{drop_barrier}.so"
    options = ["-std=c++17", "-O2", "-shared", "-fPIC", "-fwrapv", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
    options += ["-DANONFILTER_HOST", f"-DANONFILTER_DROP_BARRIER={drop_barrier}", f"-I{sources}"]
    subprocess.run(["g++", *options, str(sources / "host" / "host.cpp"), "-o", str(out)], check=True)
    return out


class Host:
    """The kernels of one library."""

    def __init__(self, path: Path) -> None:
        self._run = ctypes.CDLL(str(path)).run
        self._run.restype = ctypes.c_char_p
        self._run.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
        self.launched: list[str] = []

    def launch(self, kernel: str, blocks: int, arguments: list[int], descending: bool = False) -> None:
        """One launch; blocks and threads run in ascending or descending order. Raises RuntimeError."""
        pointers = (ctypes.c_void_p * len(arguments))(*arguments)
        error = self._run(kernel.encode(), blocks, worklist.THREADS, descending, pointers)
        if error:
            raise RuntimeError(f"{kernel}: {error.decode()}")
        self.launched.append(kernel)

    def run(self, case: object, descending: bool = False) -> object:
        """The planes of a kernel_cases.Case after its operation. Writes outside of the scratch buffers are errors."""
        out = case.planes.copy()
        options = dict(case.options)
        feather, siting = options.pop("feather"), options.pop("siting")
        height, width = out.arrays[0].shape
        work = worklist.build(
            out.fmt, width, height, case.targets, feather, siting,
            windows=case.op == "blur", cells=options.get("cells", 0), color=options.get("color", (0, 0, 0)),
        )
        words = work.pack(
            [a.__array_interface__["data"][0] for a in out.arrays],
            [a.strides[0] for a in out.arrays],
        )
        sizes = {"a": work.scratch, "b": work.scratch, "cells": work.cells}
        buffers = {name: np.full(2 * size + 128, POISON, np.uint8) for name, size in sizes.items()}
        before = words.copy()
        launches = {
            "blur": lambda: cuda.blur_launches(work, options["passes"]),
            "pixelize": lambda: cuda.pixelize_launches(work),
            "fill": lambda: cuda.fill_launches(work),
        }[case.op]()
        for kernel, blocks, source, target in launches:
            pointers = [buffers[name].ctypes.data + 64 if name else 0 for name in (source, target)]
            # More blocks than tiles, as a captured graph has them.
            self.launch(kernel, blocks + 2, [words.ctypes.data, *pointers], descending)
        for name, buffer in buffers.items():
            assert (buffer[:64] == POISON).all(), f"written before {name}"
            assert (buffer[-64:] == POISON).all(), f"written behind {name}"
        assert np.array_equal(words, before)
        return out

    def letterbox(
        self,
        planes: object,
        box: Letterbox,
        siting: str,
        matrix: np.ndarray,
        normalise: tuple[tuple[float, float, float], ...],
        dtype: type = np.float32,
    ) -> np.ndarray:
        """The tensor (3, H, W) of planes; normalise: mean, scale, pad."""
        height, width = planes.arrays[0].shape
        words = taps.pack(
            planes.fmt, width, height, box, siting, matrix, *normalise, dtype == np.float16,
            tuple(a.__array_interface__["data"][0] for a in planes.arrays),
            tuple(a.strides[0] for a in planes.arrays),
        )
        size = 3 * box.size[0] * box.size[1] * np.dtype(dtype).itemsize
        memory = np.full(size + 128, POISON, np.uint8)
        ((kernel, blocks, _, _),) = cuda.letterbox_launches(planes.fmt, box)
        self.launch(kernel, blocks + 1, [words.ctypes.data, 0, memory.ctypes.data + 64])
        assert (memory[:64] == POISON).all()
        assert (memory[-64:] == POISON).all()
        return memory[64:-64].view(dtype).reshape(3, box.size[1], box.size[0])
