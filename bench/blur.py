"""Times the CPU kernels: nanoseconds per luma sample of blur, pixelize and fill, milliseconds of a letterbox.

    python bench/blur.py [--backend cpu]

Variants alternate within a round and the median of the rounds is printed, so that a busy machine slows all alike.
Blur: one square region of a 4:2:0 frame, chroma included, divided by its luma samples; the window is that of
strength 1 and 2 (half windows of an eighth and a quarter of the side).
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from anonfilter.kernels import cpu, ops
from anonfilter.kernels.formats import FORMATS

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
kernel_cases = importlib.import_module("kernel_cases")


def paired(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each variant; round by round, one after the other."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        variant()
    for _ in range(rounds):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def machine() -> str:
    """CPU, Python and NumPy, for the head of the table."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, Python {platform.python_version()}, NumPy {np.__version__}, kernels: {cpu.unit()}"


def bench_edits(backend: str, rounds: int) -> None:
    """Blur by side, window, passes and shape; pixelize and fill beside it."""
    fmt = FORMATS["yuv420p"]
    planes = kernel_cases.planes(np.random.default_rng(1), fmt, 1920, 1080).arrays
    print("ns per luma sample, yuv420p (chroma included)")
    print(f"{'side':>6} {'half window':>11} {'1 pass':>8} {'3 passes':>8} {'3, ellipse':>10} {'pixelize':>8} {'fill':>6}")
    for side in (64, 128, 256, 512, 1024):
        for strength in (1, 2):
            box = ops.Target(201, 31, 201 + side, 31 + side)
            rect = [box.with_window(ops.window(box, strength))]
            ellipse = [ops.Target(box.x0, box.y0, box.x1, box.y1, "ellipse", None, rect[0].h)]

            def blur(targets: list[ops.Target], passes: int) -> Callable[[], object]:
                return lambda: ops.blur(planes, fmt, targets, passes=passes, backend=backend)

            times = paired(
                {
                    "one": blur(rect, 1),
                    "three": blur(rect, 3),
                    "ellipse": blur(ellipse, 3),
                    "pixelize": lambda rect=rect: ops.pixelize(planes, fmt, rect, backend=backend),
                    "fill": lambda rect=rect: ops.fill(planes, fmt, rect, backend=backend),
                },
                rounds,
            )
            one, three, oval, pixels, colour = (seconds * 1e9 / side**2 for seconds in times.values())
            print(f"{side:6} {rect[0].h:11} {one:8.2f} {three:8.2f} {oval:10.2f} {pixels:8.2f} {colour:6.2f}")


def bench_letterbox(backend: str, rounds: int) -> None:
    """Tensors of 640 x 384 by size and format."""
    out = np.empty((3, 384, 640), np.float32)
    print("\nms per letterbox to 640 x 384")
    for width, height in ((1280, 720), (1920, 1080), (3840, 2160)):
        variants: dict[str, Callable[[], object]] = {}
        for name in ("yuv420p", "nv12", "yuv420p10le", "p010le"):
            fmt = FORMATS[name]
            planes = kernel_cases.planes(np.random.default_rng(2), fmt, width, height).arrays
            for rotation in (0, 90) if name == "yuv420p" else (0,):
                variants[f"{name} rotation {rotation}"] = lambda planes=planes, fmt=fmt, rotation=rotation: ops.letterbox(
                    planes, fmt, (640, 384), rotation=rotation, out=out, backend=backend
                )
        for name, seconds in paired(variants, rounds).items():
            print(f"{width:5} x {height:<5} {name:24} {seconds * 1e3:6.2f}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=list(ops.BACKENDS), default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(machine())
    bench_edits(options.backend, options.rounds)
    bench_letterbox(options.backend, options.rounds)


if __name__ == "__main__":
    main()
