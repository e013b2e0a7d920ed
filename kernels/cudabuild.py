"""Compiled forms of csrc/cuda: the fatbin of the install, or a cubin that NVRTC makes on first use. No device needed.

NVRTC comes with CuPy's `ctk` extra. Cubins are kept in ANONFILTER_CACHE (else XDG_CACHE_HOME/anonfilter, else
~/.cache/anonfilter) under cuda/, named by architecture, NVRTC's version and the sources' hash.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).with_name("cuda_source")
"""The installed csrc/cuda."""

MAIN = "kernels.cu"
FATBIN = "kernels.fatbin"
FATBIN_ARCHITECTURES = (80, 89, 90)
"""What the fatbin holds, besides PTX of the last one that the driver compiles for later devices."""

OPTIONS = ("-std=c++17", "-fmad=false")
"""For nvcc and NVRTC. No contraction: the letterbox then rounds as it does on the CPU."""


def cache_folder() -> Path:
    """Where cubins are kept. It need not exist."""
    own, base = os.environ.get("ANONFILTER_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own) / "cuda"
    return (Path(base) if base else Path.home() / ".cache") / "anonfilter" / "cuda"


def fatbin() -> Path | None:
    """The fatbin that the install made, if it had an nvcc."""
    path = SOURCES / FATBIN
    return path if path.is_file() else None


def digest() -> str:
    """Of all sources and options."""
    state = hashlib.sha256(" ".join(OPTIONS).encode())
    for path in sorted([*SOURCES.glob("*.cu"), *SOURCES.glob("*.cuh")]):
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()


def cubin(architecture: int) -> Path:
    """A file with the kernels for sm_`architecture` (90 for H100), compiled by NVRTC unless the cache has it.

    Raises ImportError where CuPy or NVRTC is missing and RuntimeError with the compiler's log.
    """
    nvrtc: Any = importlib.import_module("cupy_backends.cuda.libs.nvrtc")
    try:
        version = ".".join(map(str, nvrtc.getVersion()))
    except Exception as error:  # CuPy finds the library at the first call, and says so in its own classes
        raise ImportError(f"NVRTC cannot be loaded (pip install 'cupy-cuda13x[ctk]'): {error}") from error
    path = cache_folder() / f"kernels-sm{architecture}-nvrtc{version}-{digest()[:16]}.cubin"
    if path.is_file():
        return path
    program = nvrtc.createProgram((SOURCES / MAIN).read_text(), MAIN, (), ())
    try:
        try:
            nvrtc.compileProgram(program, (*OPTIONS, f"-I{SOURCES}", f"-arch=sm_{architecture}"))
        except nvrtc.NVRTCError as error:
            log = nvrtc.getProgramLog(program)
            what = f"NVRTC {version} cannot compile the kernels for sm_{architecture}"
            raise RuntimeError(f"{what}: {error}\n{log}") from error
        code = nvrtc.getCUBIN(program)
    finally:
        nvrtc.destroyProgram(program)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when complete: two processes may compile at once.
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        file.write(code)
    os.replace(file.name, path)
    return path
