"""The Triton backend in Triton's interpreter, on the host's memory. To be used in a process of its own.

As a program: `triton_interpreter.py WHAT FIRST COUNT [tiles] [stop]` runs the cases FIRST, FIRST+1, ... of WHAT (blur,
edges or letterbox) against the oracle and prints one JSON line for each. tiles: with the tiles that a GPU gets, which
is slower. stop: after the first case that is not equal.
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

import numpy as np

if __name__ == "__main__":
    os.environ["TRITON_INTERPRET"] = "1"
assert os.environ.get("TRITON_INTERPRET") == "1", "set TRITON_INTERPRET=1 before this process imports Triton"

import triton.runtime.interpreter as interpreter  # noqa: E402

from anonfilter.kernels import cuda, ops, ref, ref_letterbox, triton_backend, triton_blur, worklist  # noqa: E402
from anonfilter.kernels.formats import FORMATS  # noqa: E402

sys.path.append(str(Path(__file__).parent))
cuda_host = importlib.import_module("cuda_host")
kernel_cases = importlib.import_module("kernel_cases")

# The interpreter pays for each operation on a tile, hardly for its samples. Wide regions still take several steps.
Tile = triton_blur.Tile
Tiles = tuple[Tile, Tile]  # of rows, of columns
TILES = Tile(128, 64), Tile(128, 64)
LETTERBOX_BLOCKS = 16  # of a launch in one


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
    """The host's memory, with Triton's interpreter to run the kernels. tiles: of the blur, None for its own."""

    def __init__(self, tiles: Tiles | None = TILES) -> None:
        self._memory = weakref.WeakSet()
        self._variants = triton_backend.variants()
        self.launched: list[str] = []
        self.allocated = 0
        self.tiles = tiles

    def launch(self, kernel: str, blocks: int, arguments: Sequence[int]) -> None:
        variant = self._variants[kernel]
        constants = dict(variant.constants)
        if self.tiles and kernel.startswith("blur"):
            tile = self.tiles[not constants["ROWS"]]
            constants |= {"LINES": tile.lines, "BLOCK": tile.block}
            blocks += 2  # more than there is work, as a captured graph may have
        elif self.tiles:
            blocks = -(-blocks // LETTERBOX_BLOCKS)
            constants["BLOCK"] *= LETTERBOX_BLOCKS
        variant.kernel[(blocks,)](*arguments, **constants)
        self.launched.append(kernel)


class Interpreted:
    """The backend in the interpreter."""

    def __init__(self, tiles: Tiles | None = TILES) -> None:
        self.device = InterpretedDevice(tiles)
        self.runner = cuda.Runner(self.device)

    def run(self, case: Any) -> Any:
        """The planes of a kernel_cases.Case of blur after its operation."""
        out = case.planes.copy()
        options = dict(case.options)
        height, width = out.arrays[0].shape
        work = worklist.build(out.fmt, width, height, case.targets, options["feather"], options["siting"])
        tiles = self.device.tiles or ()
        self.runner.edit(out.arrays, out.fmt, work, triton_blur.launches(work, options["passes"], *tiles))
        return out


def forbidden(*_: object, **__: object) -> None:
    """Stands in for code that must not run."""
    raise AssertionError("the oracle ran")


def blur(backend: Interpreted, seed: int) -> dict[str, Any]:
    """One random case of the blur."""
    name = list(FORMATS)[seed % len(FORMATS)]
    return compare(backend, kernel_cases.case("blur", name, seed))


def edges(_: Interpreted, seed: int) -> dict[str, Any]:
    """0 to 5: wide feathers around all shapes; 6 to 9: the longest lines, on which sums come close to 2^31."""
    rng = np.random.default_rng([seed, 13])
    if seed < 6:
        planes = kernel_cases.planes(rng, FORMATS["nv12"], 95, 64)
        targets = [kernel_cases.target(rng, 95, 64) for _ in range(2)] + [ops.Target(30, 20, 51, 61, "ellipse", h=9)]
        options = {"feather": (29, 62, 63, 64, 127, 255)[seed], "siting": "left", "passes": 2}
        return compare(Interpreted(), kernel_cases.Case("blur", planes, targets, options))
    size = (32767, 2) if seed % 2 else (2, 32767)
    content = "high" if seed < 8 else "extremes"
    planes = kernel_cases.planes(rng, FORMATS["gray12le"], *size, content)
    options = {"feather": 0, "siting": "left", "passes": 1}
    case = kernel_cases.Case("blur", planes, [ops.Target(0, 0, *size, h=65535 if seed < 8 else 16000)], options)
    along, short = Tile(2, 2048), Tile(1 << 15, 2)
    return compare(Interpreted((along, short) if seed % 2 else (short, along)), case)


def compare(backend: Interpreted, case: Any) -> dict[str, Any]:
    """The oracle is out of reach while Triton's kernels run."""
    backend.device.launched.clear()
    expected = case.run("ref")
    kept = {what: getattr(ref, what) for what in ("blur", "_edit", "masked_means", "alpha_map", "contains")}
    try:
        for what in kept:
            setattr(ref, what, forbidden)
        got = backend.run(case)
    finally:
        for what, function in kept.items():
            setattr(ref, what, function)
    return {
        "equal": got.same_bytes(expected),
        "changed": not got.same_bytes(case.planes),
        "launched": list(backend.device.launched),
        "case": f"{case.planes.fmt.name} {case.options} {case.targets}",
    }


def letterbox(backend: Interpreted, seed: int) -> dict[str, Any]:
    """One tensor, every fourth in half precision too."""
    rng = np.random.default_rng([seed, 12])
    fmt = list(FORMATS.values())[seed % len(FORMATS)]
    width, height = (int(rng.choice([1, 2, 3, 7, 16, 33, 64])) for _ in range(2))
    planes = kernel_cases.planes(rng, fmt, width, height, "dirty" if seed % 3 == 0 else "noise")
    # The interpreter pays for every tap, so no tensor is much smaller than the frame.
    size = int(rng.choice([1, 16, 31, 64])), int(rng.choice([9, 16, 31, 64]))
    how = {
        "matrix": str(rng.choice(["bt709", "bt601", "bt2020"])),
        "full_range": bool(rng.integers(2)),
        "rotation": int(rng.choice([0, 90, 180, 270])),
        "hflip": bool(rng.integers(2)),
        "bgr": bool(rng.integers(2)),
        "mean": (1.5, 20.0, 300.0),
        "scale": (1.0, 1 / 255, -0.5),
        "pad": (1.0, 2.0, 3.0),
        "siting": str(rng.choice(ops.SITINGS)),
        "crop": (width // 3, 0, width, height - height // 4) if rng.integers(2) else None,
    }
    before = planes.copy()
    backend.device.launched.clear()
    expected, _ = ops.letterbox(planes.arrays, fmt, size, backend="ref", **how)
    half = np.zeros(expected.shape, np.float16)
    row = triton_backend
    kept, row.runner, kept_letterbox = row.runner, lambda: backend.runner, ref_letterbox.letterbox
    kept_half = cuda.Runner.letterbox

    def both(runner: Any, *arguments: Any) -> None:
        if seed % 4 == 0:
            kept_half(runner, *arguments[:-1], half)
        kept_half(runner, *arguments)

    try:
        ref_letterbox.letterbox, cuda.Runner.letterbox = forbidden, both
        got, _ = ops.letterbox(planes.arrays, fmt, size, backend="triton", **how)
    finally:
        row.runner, ref_letterbox.letterbox, cuda.Runner.letterbox = kept, kept_letterbox, kept_half
    difference = np.abs(got.astype(float) - expected).max(axis=(1, 2)) / np.abs(how["scale"])
    equal = bool((difference <= ref_letterbox.TOLERANCE).all())
    if seed % 4 == 0:  # rounded once more, to the nearest of 11 bits
        equal &= np.array_equal(half, got.astype(np.float16))
    return {
        "equal": equal and planes.same_bytes(before),
        "changed": float(np.ptp(got)) > 0,
        "launched": list(backend.device.launched),
        "difference": float(difference.max()),
        "case": f"{fmt.name} {width}x{height} {size} {how}",
    }


def main(what: str, first: int, count: int, tiles: bool, stop: bool) -> None:
    patch_once()
    backend = Interpreted(None if tiles else TILES)
    for seed in range(first, first + count):
        row = {"blur": blur, "edges": edges, "letterbox": letterbox}[what](backend, seed)
        print(json.dumps({"seed": seed, **row}), flush=True)
        if stop and not row["equal"]:
            return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "tiles" in sys.argv[4:], "stop" in sys.argv[4:])
