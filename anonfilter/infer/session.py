"""What every engine offers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[np.float32]


class Session(Protocol):
    """A net that is ready to run.

    input_name: name of its one input. outputs: names of its outputs, in the file's order. engine: what runs
    it.
    """

    input_name: str
    outputs: tuple[str, ...]
    engine: str

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, Tensor]:
        """tensor: float32 (N, C, H, W), contiguous, of the shape the session was opened with. The arrays that
        come back may be overwritten by the next call. Raises ModelError if the engine fails."""
        ...

    def close(self) -> None:
        """Give the engine's memory back."""
        ...
