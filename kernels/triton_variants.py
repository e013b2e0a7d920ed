"""What a Triton kernel is launched or compiled with. Importing this needs no Triton."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}
"""Of all kernels: a contracted multiplication and addition would round the letterbox's last step otherwise."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A jitted kernel with its compile-time constants. Its other arguments are all addresses, as 64-bit integers."""

    kernel: Any
    constants: dict[str, Any]
