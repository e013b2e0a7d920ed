"""The Triton backend in Triton's interpreter, on the host's memory. To be used in a process of its own.

As a program: `triton_interpreter.py FIRST COUNT` runs the blur cases FIRST, FIRST+1, ... against the oracle and prints
one JSON line for each: {"seed", "fmt", "equal", "changed", "launched", "case"}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ["TRITON_INTERPRET"] = "1"
assert os.environ.get("TRITON_INTERPRET") == "1", "set TRITON_INTERPRET=1 before this process imports Triton"

import triton.runtime.interpreter as interpreter

from anonfilter.kernels import cuda, triton_blur, worklist
from anonfilter.kernels.formats import FORMATS

sys.path.append(str(Path(__file__).parent))
cuda_host = importlib.import_module("cuda_host")
kernel_cases = importlib.import_module("kernel_cases")

# Large tiles: the interpreter pays for each operation on a tile, hardly for its samples. Wide regions still loop.
TILE = triton_blur.Tile(32, 64)


def patch_once() -> None:
    """The interpreter puts its own functions into triton.language and takes them out again, at every launch and at
    every call of a jitted function, and computes all integers a second time in 64 bits to look for overflow. Both
    cost far more than the kernel; once for each set of globals, and the comparison with the oracle, are enough."""
    interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)
    patch, done = interpreter._patch_lang, set()

    def once(function: Any) -> Any:
        if id(function.__globals__) not in done:
            done.add(id(function.__globals__))
            patch(function)
        return interpreter._LangPatchScope()

    interpreter._patch_lang = once


class InterpretedDevice(cuda_host.HostDevice):
    """The host's memory, with Triton's interpreter to run the kernels."""

    def __init__(self, tile: triton_blur.Tile | None = TILE) -> None:
        self._memory = weakref.WeakSet()
        self.launched: list[str] = []
        self.allocated = 0
        self.tile = tile

    def launch(self, kernel: str, blocks: int, arguments: Sequence[int]) -> None:
        variant = triton_blur.VARIANTS[kernel]
        constants = dict(variant.constants)
        if self.tile:
            constants |= {"LINES": self.tile.lines, "BLOCK": self.tile.block}
        variant.kernel[(blocks,)](*arguments, **constants)
        self.launched.append(kernel)


class Interpreted:
    """The backend in the interpreter."""

    def __init__(self, tile: triton_blur.Tile | None = TILE) -> None:
        self.device = InterpretedDevice(tile)
        self.runner = cuda.Runner(self.device)

    def run(self, case: Any) -> Any:
        """The planes of a kernel_cases.Case after its operation."""
        out = case.planes.copy()
        options = dict(case.options)
        height, width = out.arrays[0].shape
        work = worklist.build(out.fmt, width, height, case.targets, options["feather"], options["siting"])
        tiles = (self.device.tile,) * 2 if self.device.tile else ()
        self.runner.edit(out.arrays, out.fmt, work, triton_blur.launches(work, options["passes"], *tiles))
        return out


def main(first: int, count: int) -> None:
    patch_once()
    backend, names = Interpreted(), list(FORMATS)
    for seed in range(first, first + count):
        name = names[seed % len(names)]
        case = kernel_cases.case("blur", name, seed)
        backend.device.launched.clear()
        expected, got = case.run("ref"), backend.run(case)
        row = {
            "seed": seed,
            "fmt": name,
            "equal": got.same_bytes(expected),
            "changed": not got.same_bytes(case.planes),
            "launched": backend.device.launched,
            "case": f"{case.options} {case.targets}",
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
