"""Sessions of ONNX Runtime on the CPU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError
from anonfilter.infer import Tensor, first_line
from anonfilter.infer.onnxgraph import Shape, describe, rewrite

_shared: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
"""Nets that take pictures of any size, by file, threads and what is fixed of the shapes, while somebody has them
open."""


class OnnxSession:
    """A net in ONNX Runtime. See anonfilter.infer.Session.

    any_size: it takes pictures of any size. All sizes then share one copy: a run opens CenterFace for four or five, and
    each copy takes 10 to 40 MB and 40 ms.
    """

    engine = "onnxruntime"

    def __init__(
        self,
        path: str | Path,
        model: bytes,
        shapes: Mapping[str, tuple[int, ...]],
        threads: int,
        any_size: bool = False,
    ) -> None:
        # From 1.32 on the wheel collects telemetry and uploads it, unless this stands before the import. A tool for
        # footage that must not leave the house says nothing to anybody.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import onnxruntime as ort
        except ImportError:
            raise ModelError("onnxruntime is not installed: pip install onnxruntime") from None
        try:
            if any_size:
                free = {name: (*shape[:2], None, None) for name, shape in shapes.items()}
                key = (hashlib.sha256(model).digest(), threads, *sorted(free.items()))
                self._session: Any = _shared.get(key)
                if self._session is None:
                    self._session = _shared[key] = _opened(ort, model, free, threads)
            else:
                self._session = _opened(ort, model, shapes, threads)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except Exception as error:  # onnxruntime raises a dozen types of its own, without a common base
            raise ModelError(f"{path}: onnxruntime cannot load it: {first_line(error)}") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{path}: a net with one input is needed, this has {len(inputs)}")
        self.input_name: str = inputs[0].name
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())
        self._dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16}.get(inputs[0].type)
        if self._dtype is None:
            raise ModelError(f"{path}: its input is {inputs[0].type}, float or float16 is needed")
        self._path = path

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, Tensor]:
        """See anonfilter.infer.Session.run."""
        feed = {self.input_name: tensor.astype(self._dtype, copy=False)}
        try:
            results = self._session.run(self.outputs, feed)
        except Exception as error:
            raise ModelError(f"{self._path}: onnxruntime failed: {first_line(error)}") from None
        return {
            name: np.asarray(result, dtype=np.float32)
            for name, result in zip(self.outputs, results, strict=True)
        }

    def close(self) -> None:
        """Free the session."""
        self._session = None


def _opened(ort: Any, model: bytes, shapes: Mapping[str, Shape], threads: int) -> Any:
    """The engine's session."""
    first = describe(model).inputs[0].name
    fixed = {name or first: shape for name, shape in shapes.items()}
    return ort.InferenceSession(rewrite(model, fixed), _options(ort, threads), providers=["CPUExecutionProvider"])


def _options(ort: Any, threads: int) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A pool that spins between nets takes the cores away from the decoder and the encoder: beside one busy process
    # CenterFace takes 139 ms instead of 101, alone 49 instead of 54 (bench/infer.py --shared, two cores).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
