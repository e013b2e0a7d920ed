"""Runs the CUDA sources on the host: builds csrc/cuda/host with g++, and stands in for the device below the backend."""

from __future__ import annotations

import ctypes
import subprocess
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anonfilter.kernels import cuda, worklist

SOURCES = Path(__file__).resolve().parent.parent / "csrc" / "cuda"
POISON = 0xA5
BORDER = 256


def build(folder: Path, sources: Path = SOURCES, drop_barrier: int = 0) -> Path:
    """A shared library of the kernels; drop_barrier: number of a BARRIER that is left out."""
    out = folder / f"kernels{drop_barrier}.so"
    options = ["-std=c++17", "-O2", "-shared", "-fPIC", "-fwrapv", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
    options += ["-DANONFILTER_HOST", f"-DANONFILTER_DROP_BARRIER={drop_barrier}", f"-I{sources}"]
    subprocess.run(["g++", *options, str(sources / "host" / "host.cpp"), "-o", str(out)], check=True)
    return out


class HostMemory:
    """Memory between two borders."""

    def __init__(self, size: int) -> None:
        self.all = np.full(size + 2 * BORDER, POISON, np.uint8)
        self.address = self.all.ctypes.data + BORDER

    def check(self) -> None:
        """Raises AssertionError when a border was written to."""
        assert (self.all[:BORDER] == POISON).all(), "written before memory"
        assert (self.all[-BORDER:] == POISON).all(), "written behind memory"


class HostDevice:
    """cudadevice.Device over one library. Memory is poisoned anew before each operation.

    descending: blocks, warps and lanes run in descending order. launched: names of the kernels so far.
    """

    def __init__(self, library: Path) -> None:
        self._run = ctypes.CDLL(str(library)).run
        self._run.restype = ctypes.c_char_p
        self._run.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
        self._memory: weakref.WeakSet[HostMemory] = weakref.WeakSet()
        self.descending = False
        self.launched: list[str] = []
        self.allocated = 0

    @contextmanager
    def ordered(self) -> Iterator[None]:
        for item in self._memory:
            item.all[:] = POISON
        yield
        for item in self._memory:
            item.check()

    def memory(self, size: int) -> HostMemory:
        self.allocated += 1
        memory = HostMemory(size)
        self._memory.add(memory)
        return memory

    def upload(self, address: int, words: np.ndarray) -> None:
        ctypes.memmove(address, words.ctypes.data, words.nbytes)

    def copy_in(self, to: int, to_pitch: int, source: int, source_pitch: int, row: int, rows: int) -> None:
        assert min(to_pitch, source_pitch) >= row
        for y in range(rows):
            ctypes.memmove(to + y * to_pitch, source + y * source_pitch, row)

    copy_out = copy_in

    def launch(self, kernel: str, blocks: int, arguments: Sequence[int]) -> None:
        # More blocks than there is work, as a captured graph may have.
        pointers = (ctypes.c_void_p * len(arguments))(*arguments)
        error = self._run(kernel.encode(), blocks + 2, worklist.THREADS, self.descending, pointers)
        if error:
            raise RuntimeError(f"{kernel}: {error.decode()}")
        self.launched.append(kernel)

    def finish(self) -> None:
        pass


class OnDevice:
    """An array that says it lies in CUDA memory, though here it is the host's."""

    def __init__(self, array: np.ndarray) -> None:
        self.shape = array.shape
        self.__cuda_array_interface__ = array.__array_interface__ | {"strides": array.strides}


class Host:
    """The backend on one library."""

    def __init__(self, library: Path) -> None:
        self.device = HostDevice(library)
        self.runner = cuda.Runner(self.device)

    def run(self, case: object, descending: bool = False, on_device: bool = False) -> object:
        """The planes of a kernel_cases.Case after its operation; on_device: edited where they lie."""
        out = case.planes.copy()
        options = dict(case.options)
        feather, siting = options.pop("feather"), options.pop("siting")
        height, width = out.arrays[0].shape
        own = {} if case.op == "blur" else {"windows": False, **options}
        work = worklist.build(out.fmt, width, height, case.targets, feather, siting, **own)
        if case.op == "blur":
            launches = cuda.blur_launches(work, options["passes"])
        else:
            launches = (cuda.pixelize_launches if case.op == "pixelize" else cuda.fill_launches)(work)
        self.device.descending = descending
        self.runner.edit([OnDevice(a) for a in out.arrays] if on_device else out.arrays, out.fmt, work, launches)
        return out
