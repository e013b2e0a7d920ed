"""Compiles the CUDA kernels ahead of time with nvcc and reads what ptxas says of them. Needs no GPU."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from anonfilter.kernels import cudabuild
from anonfilter.kernels.worklist import THREADS

SOURCES = Path(__file__).resolve().parent.parent / "csrc" / "cuda"


@dataclass(frozen=True)
class Limits:
    """What a streaming multiprocessor has: CUDA C++ Programming Guide, table of compute capabilities.

    shared: bytes for blocks, of which each takes `reserved` more than it asks for.
    """

    threads: int
    blocks: int
    shared: int
    registers: int = 65536
    reserved: int = 1024


LIMITS = {80: Limits(2048, 32, 164 << 10), 89: Limits(1536, 24, 100 << 10), 90: Limits(2048, 32, 228 << 10)}


@dataclass(frozen=True)
class Facts:
    """One kernel: registers a thread, and bytes of shared memory a block, of stack and of spills a thread."""

    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int

    @property
    def local(self) -> int:
        """Bytes that a thread keeps in local memory, which is off the chip."""
        return self.stack + self.spill_stores + self.spill_loads

    def blocks(self, limits: Limits) -> int:
        """Blocks of THREADS that fit a multiprocessor at once: registers come in 256 to a warp, warps in fours."""
        warps = THREADS // 32
        by_registers = limits.registers // (-(-self.registers * 32 // 256) * 256) // 4 * 4 // warps
        by_shared = limits.shared // (-(-self.shared // 128) * 128 + limits.reserved)
        return min(limits.blocks, limits.threads // THREADS, by_registers, by_shared)

    def occupancy(self, limits: Limits) -> float:
        """Resident threads over the most a multiprocessor can hold."""
        return self.blocks(limits) * THREADS / limits.threads


def compile_kernels(architecture: int, folder: Path, *more: str, nvcc: str = "nvcc") -> dict[str, Facts]:
    """All kernels for sm_`architecture`. Raises CalledProcessError."""
    source, out = SOURCES / cudabuild.MAIN, folder / f"kernels{architecture}.cubin"
    command = [nvcc, "-cubin", f"-arch=sm_{architecture}", "-Xptxas", "-v", *cudabuild.OPTIONS, *more]
    done = subprocess.run([*command, str(source), "-o", str(out)], check=True, capture_output=True, text=True)
    return parse(done.stderr)


def parse(log: str) -> dict[str, Facts]:
    """The facts of each kernel in what `ptxas -v` prints."""
    facts = {}
    for part in re.split(r"Compiling entry function '", log)[1:]:
        name = part[: part.index("'")]
        stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers, shared = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes smem", part)
        assert stack, part
        assert registers, part
        facts[name] = Facts(int(registers[1]), int(shared[1]) if shared else 0, *(int(n) for n in stack.groups()))
    return facts
