"""An NVIDIA device as the CUDA backend uses it, through CuPy. Importing this imports no CuPy."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import cudabuild
from anonfilter.kernels.worklist import THREADS


class NoDevice(RuntimeError):
    """There is no usable CUDA device, or no CuPy; the message says which."""


def probe() -> str | None:
    """Why there is no CUDA device, or None. Asks the driver only: CuPy and others may end the process without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no CUDA device: the NVIDIA driver (libcuda.so.1) is not installed"
    code = driver.cuInit(0)
    if code:
        return f"no CUDA device: cuInit says {code} ({_error_name(driver, code)})"
    count = ctypes.c_int()
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return f"no CUDA device: the driver counts {count.value}" + (f" and says {code}" if code else "")
    return None


@functools.cache
def missing() -> str | None:
    """Why the CUDA backend cannot run here, or None: asked once."""
    if importlib.util.find_spec("cupy") is None:
        return probe() or "the CUDA backend needs CuPy: pip install 'anonfilter[gpu]'"
    return probe()


def current_device() -> int:
    """CuPy's current device. Raises NoDevice."""
    if reason := missing():
        raise NoDevice(reason)
    return int(importlib.import_module("cupy").cuda.runtime.getDevice())


def _error_name(driver: ctypes.CDLL, code: int) -> str:
    name = ctypes.c_char_p()
    driver.cuGetErrorName(code, ctypes.byref(name))
    return (name.value or b"unknown").decode()


class Memory(Protocol):
    """Device memory, freed with the object."""

    @property
    def address(self) -> int:
        """Of its first byte."""


class Device(Protocol):
    """What the backend asks of a device. Everything is queued in order; only `finish` waits."""

    def ordered(self) -> AbstractContextManager[None]:
        """What is queued inside comes after all that was queued inside of earlier ones, on whatever stream."""

    def memory(self, size: int) -> Memory:
        """`size` bytes, aligned to 256."""

    def upload(self, address: int, words: npt.NDArray[np.int32]) -> None:
        """Copies words to the device; they may be changed at once after this."""

    def copy_in(self, to: int, to_pitch: int, source: int, source_pitch: int, row: int, rows: int) -> None:
        """Copies `rows` rows of `row` bytes from host memory; pitches in bytes."""

    def copy_out(self, to: int, to_pitch: int, source: int, source_pitch: int, row: int, rows: int) -> None:
        """The way back; complete after `finish`."""

    def launch(self, kernel: str, blocks: int, arguments: Sequence[int]) -> None:
        """A kernel over `blocks` blocks of THREADS threads; arguments are addresses."""

    def finish(self) -> None:
        """Waits for all of that. Raises RuntimeError when any of it failed."""


class _CupyMemory:
    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer

    @property
    def address(self) -> int:
        return int(self._pointer.ptr)


class CupyDevice:
    """The current CUDA device and its current CuPy stream. Raises NoDevice."""

    def __init__(self) -> None:
        if reason := missing():
            raise NoDevice(reason)
        cupy: Any = importlib.import_module("cupy")
        self._cupy, self._runtime = cupy, cupy.cuda.runtime
        self._kernels: dict[str, Any] = {}
        self._module = self._load()
        self._last: Any = None
        # Two pinned buffers in turn, so that the next list is made while the last one is copied.
        self._staging: list[tuple[Any, int, Any]] = [(None, 0, cupy.cuda.Event()), (None, 0, cupy.cuda.Event())]

    def _load(self) -> Any:
        """The fatbin where it has code for this device, else what NVRTC compiles."""
        architecture = int(self._cupy.cuda.Device().compute_capability)
        path = cudabuild.fatbin()
        if path is None or architecture < cudabuild.FATBIN_ARCHITECTURES[0]:
            path = cudabuild.cubin(architecture)
        return self._cupy.RawModule(path=str(path))

    @contextmanager
    def ordered(self) -> Iterator[None]:
        stream = self._cupy.cuda.get_current_stream()
        if self._last is not None:
            stream.wait_event(self._last)
        yield
        self._last = stream.record()

    @property
    def _stream(self) -> int:
        return int(self._cupy.cuda.get_current_stream().ptr)

    def memory(self, size: int) -> Memory:
        return _CupyMemory(self._cupy.cuda.alloc(size))

    def upload(self, address: int, words: npt.NDArray[np.int32]) -> None:
        buffer, size, used = self._staging.pop(0)
        used.synchronize()
        if size < words.nbytes:
            size = 1 << max(12, (words.nbytes - 1).bit_length())
            buffer = self._cupy.cuda.alloc_pinned_memory(size)
        np.frombuffer(buffer, np.int32, words.size)[:] = words
        self._runtime.memcpyAsync(address, buffer.ptr, words.nbytes, self._runtime.memcpyHostToDevice, self._stream)
        used.record(self._cupy.cuda.get_current_stream())
        self._staging.append((buffer, size, used))

    def copy_in(self, to: int, to_pitch: int, source: int, source_pitch: int, row: int, rows: int) -> None:
        kind = self._runtime.memcpyHostToDevice
        self._runtime.memcpy2DAsync(to, to_pitch, source, source_pitch, row, rows, kind, self._stream)

    def copy_out(self, to: int, to_pitch: int, source: int, source_pitch: int, row: int, rows: int) -> None:
        kind = self._runtime.memcpyDeviceToHost
        self._runtime.memcpy2DAsync(to, to_pitch, source, source_pitch, row, rows, kind, self._stream)

    def launch(self, kernel: str, blocks: int, arguments: Sequence[int]) -> None:
        if kernel not in self._kernels:
            self._kernels[kernel] = self._module.get_function(kernel)
        self._kernels[kernel]((blocks,), (THREADS,), tuple(map(np.uintp, arguments)))

    def finish(self) -> None:
        self._cupy.cuda.get_current_stream().synchronize()
