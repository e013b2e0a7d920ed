"""What a Triton kernel is launched or compiled with. Importing this needs no Triton."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Variant:
    """A jitted kernel with its compile-time constants and warps. Its other arguments are all addresses."""

    kernel: Any
    constants: dict[str, Any] = field(default_factory=dict)
    warps: int = 4
