"""Compiles the Triton kernels ahead of time and reads from the binaries what they take. Needs no GPU.

As a program: `triton_aot.py SM [KERNEL MAXREG]` prints one JSON line for each kernel (or of one, held to MAXREG
registers, to see it spill): {"kernel", "sm", "registers", "shared", "local", "blocks", "occupancy"}.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))
cuda_aot = importlib.import_module("cuda_aot")

WARP = 32


def facts(variant: Any, architecture: int, **options: Any) -> dict[str, int]:
    """registers a thread, bytes of shared memory a block, of local memory a thread, and warps of a block."""
    triton: Any = importlib.import_module("triton")
    target = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", architecture, WARP)
    arguments = [name for name in variant.kernel.arg_names if name not in variant.constants]
    signature = dict.fromkeys(arguments, "i64") | dict.fromkeys(variant.constants, "constexpr")
    source = triton.compiler.ASTSource(variant.kernel, signature, variant.constants)
    common = importlib.import_module("anonfilter.kernels.triton_variants").OPTIONS
    compiled = triton.compile(source, target=target, options=common | options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(compiled.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        said = subprocess.run([str(tool), "-res-usage", str(path)], check=True, capture_output=True, text=True).stdout
    used = {key: int(number) for key, number in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
    # What spills lies on the stack. Shared memory is asked for at the launch, so the binary does not tell it.
    local = used["STACK"] + used["LOCAL"]
    metadata = compiled.metadata
    return {"registers": used["REG"], "shared": metadata.shared, "local": local, "warps": metadata.num_warps}


def blocks(registers: int, shared: int, warps: int, limits: Any) -> int:
    """Blocks of `warps` warps that fit a multiprocessor at once: registers come in 256 to a warp, warps in fours."""
    by_registers = limits.registers // (-(-registers * WARP // 256) * 256) // 4 * 4 // warps
    by_shared = limits.shared // (-(-shared // 128) * 128 + limits.reserved)
    return int(min(limits.blocks, limits.threads // (warps * WARP), by_registers, by_shared))


def main(architecture: int, only: str = "", maxreg: int = 0) -> None:
    limits = cuda_aot.LIMITS[architecture]
    options = {"maxnreg": maxreg} if maxreg else {}
    for name, variant in importlib.import_module("anonfilter.kernels.triton_backend").variants().items():
        if only and name != only:
            continue
        row = facts(variant, architecture, **options)
        warps = row.pop("warps")
        fit = blocks(row["registers"], row["shared"], warps, limits)
        row |= {"blocks": fit, "occupancy": fit * warps * WARP / limits.threads}
        print(json.dumps({"kernel": name, "sm": architecture, **row}), flush=True)


if __name__ == "__main__":
    assert os.environ.get("TRITON_INTERPRET", "0") != "1", "TRITON_INTERPRET=1 leaves nothing to compile"
    main(int(sys.argv[1]), *sys.argv[2:3], *map(int, sys.argv[3:4]))
