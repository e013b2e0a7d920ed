"""How much memory there is for frames that wait."""

from __future__ import annotations

import os
from pathlib import Path

_LEAST = 1 << 29


def ring_budget() -> int:
    """Bytes that the frame ring may take where nobody says: a quarter of the machine's memory, or of a container's
    limit, which sysconf does not look at; 512 MiB at least."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # "max", or not such a machine
            continue
    return max(_LEAST, total // 4)
