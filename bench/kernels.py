"""Times the kernels beside other libraries' blurs on the same regions: nanoseconds per sample, one core.

    python bench/kernels.py [--plot docs/kernels.png] [--rounds 9] [--part window side count depth letterbox]

One luma plane (format gray) unless a table says otherwise, so that single-plane libraries compare; an ellipse is
divided by its own samples. The variants of a row alternate within a round, and the median of the rounds is printed, so
that a busy machine slows all alike: compare within a row. `memory` is an in-place pass over the region that inverts
every byte. Needs the extra "bench": opencv-python-headless, pillow, matplotlib. FFmpeg's gblur runs in PyAV's
libavfilter; boxblur is not built in there, so it is the ffmpeg program's time on 4 M samples less that of `null`.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from math import pi, sqrt
from pathlib import Path
from statistics import median

import av
import av.filter
import cv2
import numpy as np
from PIL import Image, ImageFilter, __version__

from anonfilter.kernels import cpu, ops
from anonfilter.kernels.formats import FORMATS

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
kernel_cases = importlib.import_module("kernel_cases")

GRAY = FORMATS["gray"]
LEFT, TOP = 201, 31
PROGRAM_SAMPLES = 4 << 20
SLOW = 0.08
"""Seconds: variants above it run three rounds only."""

Variants = dict[str, Callable[[], object]]
Row = dict[str, float]


def paired(variants: Variants, rounds: int) -> Row:
    """Median seconds of each variant; round by round, one after the other."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        variant()
    for round_ in range(rounds):
        for name, variant in variants.items():
            if round_ >= 3 and median(times[name]) > SLOW:
                continue
            repeat = 1 if not times[name] else max(1, min(20, int(0.002 / times[name][0])))
            if repeat > 1:
                variant()  # not timed: what ran before has taken the caches
            start = time.perf_counter()
            for _ in range(repeat):
                variant()
            times[name].append((time.perf_counter() - start) / repeat)
    return {name: median(values) for name, values in times.items()}


def machine() -> str:
    """CPU, versions, for the head of the tables."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}"
    return f"{model}, {versions}, Pillow {__version__}, PyAV {av.__version__}; chosen unit: {cpu.unit()}"


def with_unit(unit: str, run: Callable[[], object]) -> Callable[[], object]:
    """run on one unit; naming it again costs nothing that shows."""

    def call() -> None:
        cpu._cpu.use_unit(unit)
        run()

    return call


def measured_units() -> list[str]:
    """Units that a machine would choose, best first: not the one that is for tests alone."""
    return [unit.name for unit in cpu.units() if unit.runs and not unit.by_name][::-1]


def lavfi(picture: np.ndarray, filters: str) -> Callable[[], object]:
    """One frame through libavfilter's filters, on one thread."""
    frame = av.VideoFrame.from_ndarray(picture, format="gray")
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(template=None, width=frame.width, height=frame.height, format=frame.format, time_base=1)]
    name, _, options = filters.partition("=")
    nodes += [graph.add(name, options + ":threads=1"), graph.add("buffersink")]
    graph.link_nodes(*nodes).configure()

    def call() -> None:
        graph.push(frame)
        graph.pull()

    return call


def program(side: int, filters: str) -> Callable[[], object]:
    """The ffmpeg program over PROGRAM_SAMPLES of noise in frames of side x side, on one thread."""
    path = Path(tempfile.gettempdir()) / "anonfilter-bench.gray"
    path.write_bytes(np.random.default_rng(1).integers(0, 256, PROGRAM_SAMPLES, np.uint8).tobytes())
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{side}x{side}", "-i", str(path)]
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-filter_threads", "1", *source, "-vf", filters]
    return lambda: subprocess.run([*command, "-f", "null", "-"], check=True)


def others(frame: np.ndarray, side: int, h: int) -> Variants:
    """Other libraries on the same region: one box; three boxes, or a Gaussian of the same standard deviation."""
    region = frame[TOP : TOP + side, LEFT : LEFT + side]
    sigma = sqrt(3 * ((2 * h + 1) ** 2 - 1) / 12)
    box, stack = (2 * h + 1, 2 * h + 1), 2 * round(sqrt(6) * sigma) + 1
    image = Image.fromarray(region)

    def boxes(passes: int) -> None:
        blurred = region
        for _ in range(passes):
            blurred = cv2.blur(blurred, box)
        region[:] = blurred

    def back(blurred: object) -> None:
        region[:] = np.asarray(blurred)

    copy = np.ascontiguousarray(region)
    return {
        "memory": lambda: np.bitwise_not(region, out=region),
        "cv2.blur x 1": lambda: boxes(1),
        "cv2.blur x 3": lambda: boxes(3),
        "cv2.stackBlur": lambda: back(cv2.stackBlur(region, (stack, stack))),
        "cv2.GaussianBlur": lambda: back(cv2.GaussianBlur(region, (0, 0), sigma)),
        "PIL BoxBlur": lambda: back(image.filter(ImageFilter.BoxBlur(h))),
        "PIL GaussianBlur": lambda: back(image.filter(ImageFilter.GaussianBlur(sigma))),
        "ffmpeg gblur": lavfi(copy, f"gblur=sigma={sigma:.3f}:steps=1"),
        "ffmpeg null": program(side, "null"),
        "ffmpeg boxblur x 3": program(side, f"boxblur=luma_radius={min(h, (side - 1) // 2)}:luma_power=3"),
    }


def ours(frame: np.ndarray, side: int, h: int) -> Variants:
    """Each unit: 1 and 3 passes, rectangle and ellipse."""
    out: Variants = {}
    for unit in measured_units():
        for shape in ("rect", "ellipse"):
            for passes in (1, 3):
                target = [ops.Target(LEFT, TOP, LEFT + side, TOP + side, shape, None, h)]
                run = lambda target=target, passes=passes: ops.blur((frame,), GRAY, target, passes=passes)  # noqa: E731
                out[f"{unit} {shape} x {passes}"] = with_unit(unit, run)
    return out


def per_sample(times: Row, side: int) -> Row:
    """ns per sample of the region; of an ellipse, per sample of the ellipse."""
    start = times.pop("ffmpeg null", 0.0)
    if "ffmpeg boxblur x 3" in times:
        times["ffmpeg boxblur x 3"] = (times["ffmpeg boxblur x 3"] - start) * side * side / PROGRAM_SAMPLES
    return {k: v * 1e9 / (side * side * (pi / 4 if "ellipse" in k else 1)) for k, v in times.items()}


def show(title: str, head: str, rows: dict[str, Row]) -> None:
    """Variants down, rows across."""
    print(f"\n{title}\n{head:22}" + "".join(f"{label:>10}" for label in rows))
    for name in next(iter(rows.values())):
        print(f"{name:22}" + "".join(f"{row[name]:10.3f}" for row in rows.values()), flush=True)


def bench_window(rounds: int) -> dict[str, Row]:
    """By half window, region 512 x 512."""
    frame = np.random.default_rng(1).integers(0, 256, (1080, 1920), np.uint8)
    side, rows = 512, {}
    for h in (2, 8, 32, 64, 128, 256):
        rows[str(h)] = per_sample(paired({**ours(frame, side, h), **others(frame, side, h)}, rounds), side)
    show("ns per luma sample, region 512 x 512, by half window (window 2h+1)", "h", rows)
    return rows


def bench_side(rounds: int) -> dict[str, Row]:
    """By region size; half window an eighth of the side (strength 1)."""
    frame = np.random.default_rng(1).integers(0, 256, (1080, 1920), np.uint8)
    rows = {}
    for side in (32, 64, 128, 256, 512, 1024):
        variants = {**ours(frame, side, side // 8), **others(frame, side, side // 8)}
        rows[str(side)] = per_sample(paired(variants, rounds), side)
    show("ns per luma sample by side of the region, half window an eighth of it", "side", rows)
    return rows


def bench_count(rounds: int) -> None:
    """By number of regions: apart, and piled up."""
    frame = np.random.default_rng(1).integers(0, 256, (1080, 1920), np.uint8)
    rows: dict[str, Row] = {}
    for count in (1, 4, 16, 64):
        apart = [(20 + 110 * (i % 16), 20 + 110 * (i // 16)) for i in range(count)]
        piled = [(20 + 13 * (i % 16), 20 + 17 * (i // 16)) for i in range(count)]
        variants: Variants = {}
        for label, places in (("apart", apart), ("overlapping", piled)):
            for shape in ("rect", "ellipse"):
                targets = [ops.Target(x, y, x + 96, y + 96, shape, None, 12) for x, y in places]
                variants[f"{label}, {shape}"] = lambda targets=targets: ops.blur((frame,), GRAY, targets)
        rows[str(count)] = {k: v / count for k, v in per_sample(paired(variants, rounds), 96).items()}
    title = f"ns per luma sample, regions of 96 x 96, 3 passes, h = 12, {cpu.unit()}, by number of regions"
    show(title, "regions", rows)


def bench_depth(rounds: int) -> None:
    """By format, feather and effect, with chroma; and shared by two threads."""
    rows: dict[str, Row] = {}
    side, h = 512, 64
    for name in ("gray", "gray10le", "yuv420p", "nv12", "yuv420p10le", "p010le"):
        fmt = FORMATS[name]
        planes = kernel_cases.planes(np.random.default_rng(1), fmt, 1920, 1080).arrays
        box = ops.Target(LEFT, TOP, LEFT + side, TOP + side, "rect", None, h)
        oval = ops.Target(LEFT, TOP, LEFT + side, TOP + side, "ellipse", None, h)
        bitmap = np.ones((side, side), np.uint8)
        mask = ops.Target(LEFT, TOP, LEFT + side, TOP + side, "mask", bitmap, h)

        def two(planes: object = planes, fmt: object = fmt, box: ops.Target = box) -> None:
            before = cpu._cpu.threads()
            cpu._cpu.set_threads(2, before[1])
            ops.blur(planes, fmt, [box])
            cpu._cpu.set_threads(*before)

        def blur(item: ops.Target, planes: object = planes, fmt: object = fmt, **how: int) -> Callable[[], object]:
            return lambda: ops.blur(planes, fmt, [item], **how)

        variants: Variants = {
            "blur x 1": blur(box, passes=1),
            "blur x 3": blur(box),
            "blur x 3, 2 threads": two,
            "blur x 3, feather 8": blur(box, feather=8),
            "ellipse x 3": blur(oval),
            "ellipse, feather 8": blur(oval, feather=8),
            "bitmap mask x 3": blur(mask),
            "pixelize": lambda planes=planes, fmt=fmt, box=box: ops.pixelize(planes, fmt, [box]),
            "fill": lambda planes=planes, fmt=fmt, box=box: ops.fill(planes, fmt, [box]),
        }
        rows[name] = per_sample(paired(variants, rounds), side)
    head = "512 x 512, h = 64"
    show(f"ns per luma sample, chroma included, {head}, {cpu.unit()}, by format", "format", rows)


def bench_letterbox(rounds: int) -> None:
    """Tensors of 640 x 384 by size and format."""
    out = np.empty((3, 384, 640), np.float32)
    print("\nms per letterbox to 640 x 384")
    for width, height in ((1280, 720), (1920, 1080), (3840, 2160)):
        variants: Variants = {}
        for name in ("yuv420p", "nv12", "yuv420p10le", "p010le"):
            fmt = FORMATS[name]
            planes = kernel_cases.planes(np.random.default_rng(2), fmt, width, height).arrays
            for turn in (0, 90) if name == "yuv420p" else (0,):
                variants[f"{name} rotation {turn}"] = lambda planes=planes, fmt=fmt, turn=turn: ops.letterbox(
                    planes, fmt, (640, 384), rotation=turn, out=out
                )
        for name, seconds in paired(variants, rounds).items():
            print(f"{width:5} x {height:<5} {name:24} {seconds * 1e3:6.2f}")


def plot(path: str, windows: dict[str, Row], sides: dict[str, Row]) -> None:
    """Both tables as lines, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    unit = cpu.unit()
    lines = {
        f"{unit} rect x 3": ("anonfilter, rectangle, 3 passes", "#c0392b", "-", 2.4),
        f"{unit} ellipse x 3": ("anonfilter, ellipse, 3 passes", "#c0392b", "--", 1.8),
        f"{unit} rect x 1": ("anonfilter, rectangle, 1 pass", "#e67e22", "-", 2.4),
        "cv2.blur x 1": ("cv2.blur, 1 pass", "#2980b9", "-", 1.2),
        "cv2.blur x 3": ("cv2.blur, 3 passes", "#2980b9", "--", 1.2),
        "cv2.stackBlur": ("cv2.stackBlur", "#16a085", "-", 1.2),
        "cv2.GaussianBlur": ("cv2.GaussianBlur", "#8e44ad", "-", 1.2),
        "PIL GaussianBlur": ("Pillow GaussianBlur", "#7f8c8d", "-", 1.2),
        "ffmpeg gblur": ("FFmpeg gblur", "#2c3e50", "-", 1.2),
        "ffmpeg boxblur x 3": ("FFmpeg boxblur, power 3", "#2c3e50", "--", 1.2),
        "memory": ("in-place memory pass", "#bbbbbb", ":", 1.6),
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
    labels = ("half window h, region 512 x 512", "side of the region, h = side / 8")
    for axis, rows, label in zip(axes, (windows, sides), labels, strict=True):
        for name, (text, colour, style, width) in lines.items():
            ns = [row[name] for row in rows.values()]
            axis.plot([int(k) for k in rows], ns, style, color=colour, lw=width, label=text, marker="o", ms=3)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks([int(k) for k in rows], list(rows))
        axis.set_xlabel(label)
        axis.grid(True, which="major", color="#dddddd", lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("ns per luma sample, one core")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="center right", fontsize=8, frameon=False)
    figure.suptitle(f"Blurring a region in place ({unit} unit), lower is faster", fontsize=11)
    figure.tight_layout(rect=(0, 0, 0.78, 0.97))
    figure.savefig(path, dpi=110)


PARTS = {
    "window": bench_window,
    "side": bench_side,
    "count": bench_count,
    "depth": bench_depth,
    "letterbox": bench_letterbox,
}


def main() -> None:
    """Print the tables and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--plot", metavar="PNG", help="draw the parts window and side")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(machine())
    with cpu.using(threads=1):
        best = cpu.unit()
        rows = {}
        for part in PARTS:
            if part in options.part:
                rows[part] = PARTS[part](options.rounds)
                cpu._cpu.use_unit(best)
        if options.plot:
            plot(options.plot, rows["window"], rows["side"])


if __name__ == "__main__":
    main()
