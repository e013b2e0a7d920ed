"""Runs a net: float32 tensor in, named float32 tensors out. Which engine does it is chosen here.

On the CPU ONNX Runtime is the base dependency: on AVX2 hardware, with the graph rewritten (onnxgraph.py), it
is as fast as OpenVINO or faster (bench/infer.py). OpenVINO, an extra, runs nets in bf16 where the CPU
multiplies bf16 natively and then takes half of ONNX Runtime's time, so there it is preferred if it is
installed. Nothing heavy is imported before a session is opened.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
from collections.abc import Mapping
from pathlib import Path

from anonfilter.errors import ModelError
from anonfilter.infer import kept
from anonfilter.infer.session import Session, Tensor

__all__ = [
    "ENGINES",
    "Session",
    "Tensor",
    "available_cores",
    "choose_engine",
    "first_line",
    "native_bf16",
    "open_session",
]

ENGINES = ("auto", "onnxruntime", "openvino")


def open_session(
    path: str | Path,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    any_size: bool = False,
    device: str = "cpu",
    threads: int = 0,
    engine: str = "auto",
) -> Session:
    """Load an ONNX file for tensors of certain shapes.

    shapes: shape of each input that is to be fixed, by name ("" is the net's first input). any_size: the net takes
    pictures of any size; an engine may then keep one copy of it for all that are open. device: "cpu" ("cuda[:N]" is a
    seam). threads: 0 = as many as this process may use. engine: one of ENGINES. Raises
    ModelError, in one line, if the file is not a net, the engine is not installed or the device is not built.
    """
    if device != "cpu":
        raise ModelError(f"inference on device {device!r} is not built yet: use device=cpu")
    if engine not in ENGINES:
        raise ModelError(f"unknown inference engine {engine!r}: use one of {', '.join(ENGINES)}")
    if engine == "auto":
        engine = choose_engine()
    try:
        model = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from None
    count = threads or available_cores()
    key = (hashlib.sha256(model).digest(), tuple(sorted(shapes.items())), any_size, engine, count)
    return kept.session(key, lambda: _open(path, model, shapes, any_size, engine, count))


def _open(
    path: str | Path, model: bytes, shapes: Mapping[str, tuple[int, ...]], any_size: bool, engine: str, count: int
) -> Session:
    if engine == "openvino":
        from anonfilter.infer.openvino import OpenVinoSession

        return OpenVinoSession(path, model, shapes, count)
    from anonfilter.infer.onnx import OnnxSession

    return OnnxSession(path, model, shapes, count, any_size)


def choose_engine() -> str:
    """The engine that "auto" means on this machine."""
    if native_bf16() and importlib.util.find_spec("openvino") is not None:
        return "openvino"
    return "onnxruntime"


def native_bf16(cpuinfo: str | Path = "/proc/cpuinfo") -> bool:
    """Whether the CPU multiplies bf16 (AVX512_BF16 or AMX). False where the system does not tell."""
    try:
        text = Path(cpuinfo).read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def available_cores() -> int:
    """Cores this process may use: its affinity, and a container's CPU quota, which Python does not look
    at."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()[:2]
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, cores)


def first_line(error: BaseException) -> str:
    """One line of an engine's message, which may be a page."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
