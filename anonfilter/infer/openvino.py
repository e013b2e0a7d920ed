"""Sessions of OpenVINO on the CPU (an extra)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError
from anonfilter.infer import Tensor, first_line
from anonfilter.infer.onnxgraph import describe


class OpenVinoSession:
    """A net in OpenVINO, in the precision that OpenVINO chooses (bf16 where the CPU has it)."""

    engine = "openvino"

    def __init__(
        self, path: str | Path, model: bytes, shapes: Mapping[str, tuple[int, ...]], threads: int
    ) -> None:
        try:
            import openvino
        except ImportError:
            raise ModelError(
                "openvino is not installed: pip install 'anonfilter[openvino]', or use engine=onnxruntime"
            ) from None
        try:
            info = describe(model)
            first = info.inputs[0].name
            core = openvino.Core()
            net = core.read_model(str(path))
            if shapes:
                net.reshape({name or first: list(shape) for name, shape in shapes.items()})
            settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            self._request = core.compile_model(net, "CPU", settings).create_infer_request()
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except Exception as error:
            raise ModelError(f"{path}: openvino cannot load it: {first_line(error)}") from None
        if len(net.inputs) != 1:
            raise ModelError(f"{path}: a net with one input is needed, this has {len(net.inputs)}")
        self.input_name: str = first
        self.outputs: tuple[str, ...] = tuple(value.name for value in info.outputs)
        self._path = path

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, Tensor]:
        """See anonfilter.infer.Session.run."""
        try:
            self._request.infer([tensor])
            return {
                name: np.asarray(self._request.get_tensor(name).data, dtype=np.float32)
                for name in self.outputs
            }
        except Exception as error:
            raise ModelError(f"{self._path}: openvino failed: {first_line(error)}") from None

    def close(self) -> None:
        """Free the request."""
        self._request = None
