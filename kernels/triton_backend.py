"""The Triton backend: Triton's blur and letterbox on the CUDA backend's work lists, memory and stream.

Importing this needs neither Triton, PyTorch, CuPy nor a device. Planes as for the CUDA backend (kernels/cuda.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.kernels import worklist
from anonfilter.kernels.cuda import Runner, per_thread, plane_size
from anonfilter.kernels.cudadevice import CupyDevice, current_device
from anonfilter.kernels.formats import PixFmt
from anonfilter.kernels.letterbox import Letterbox
from anonfilter.kernels.targets import Target
from anonfilter.kernels.triton_variants import OPTIONS, Variant

Array = Any
Triple = tuple[float, float, float]


def variants() -> dict[str, Variant]:
    """All kernels by the names that launches give. Raises ImportError without Triton."""
    modules = (importlib.import_module(f"anonfilter.kernels.triton_{name}") for name in ("blur", "letterbox"))
    return {name: variant for module in modules for name, variant in module.VARIANTS.items()}


class TritonDevice(CupyDevice):
    """The current CUDA device and CuPy stream, on which Triton launches. Raises NoDevice or ImportError."""

    def __init__(self) -> None:
        super().__init__()
        self._torch: Any = importlib.import_module("torch")
        self._variants = variants()

    def _load(self) -> None:
        """Triton compiles each kernel on its first launch and keeps it in its own cache."""

    def launch(self, kernel: str, blocks: int, arguments: Sequence[int]) -> None:
        variant, cuda = self._variants[kernel], self._torch.cuda
        number = current_device()
        # Triton launches on PyTorch's current stream; 0 is the default stream to both libraries.
        stream = cuda.ExternalStream(self._stream, device=number) if self._stream else cuda.default_stream(number)
        with cuda.device(number), cuda.stream(stream):
            variant.kernel[(blocks,)](*arguments, **variant.constants, **OPTIONS)


# Raises cudadevice.NoDevice, or ImportError without a package.
runner = per_thread(lambda: Runner(TritonDevice()))


def blur(
    planes: Sequence[Array], fmt: PixFmt, targets: Sequence[Target], passes: int, feather: int, siting: str
) -> None:
    """See ops.blur."""
    run = runner()
    work = worklist.build(fmt, *plane_size(planes), targets, feather, siting)
    run.edit(planes, fmt, work, importlib.import_module("anonfilter.kernels.triton_blur").launches(work, passes))


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
