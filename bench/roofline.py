"""Writes bench/roofline.md: what the CUDA blur moves, what the compiler made of it, and the bound that follows.

    python bench/roofline.py [--out bench/roofline.md]

Needs nvcc, no GPU. Computed: bytes from the work list, registers and occupancy from ptxas, bounds from data sheets.
Measured: the host's time for the work list, on this machine. Nothing that ran on a GPU is in it.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from anonfilter.kernels import cuda, ops, worklist
from anonfilter.kernels.formats import FORMATS, PixFmt
from anonfilter.kernels.targets import SHAPES

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
cuda_aot = importlib.import_module("cuda_aot")

LAUNCH = 3e-6
"""Seconds that a launch is assumed to cost at least: an assumption, not a measurement."""


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet: bytes a second of its memory, bytes of L2, multiprocessors; compute capability."""

    name: str
    bandwidth: float
    cache: int
    processors: int
    capability: int
    code: int  # architecture whose code it runs


CARDS = (
    Card("A40", 696e9, 6 << 20, 84, 86, 80),
    Card("L4", 300e9, 48 << 20, 58, 89, 89),
    Card("A100 80 GB SXM", 2039e9, 40 << 20, 108, 80, 80),
    Card("H100 SXM", 3350e9, 50 << 20, 132, 90, 90),
)


@dataclass(frozen=True)
class Scene:
    """Regions of one frame."""

    name: str
    fmt: PixFmt
    width: int
    height: int
    targets: list[ops.Target]
    feather: int
    passes: int = 3

    def work(self) -> worklist.WorkList:
        """Its work list."""
        return worklist.build(self.fmt, self.width, self.height, self.targets, self.feather, "left")


def scenes() -> Iterator[Scene]:
    """From one face to a whole frame."""

    def faces(count: int, w: int, h: int, width: int, height: int) -> list[ops.Target]:
        rng = np.random.default_rng(count)
        places = rng.integers(0, (width - w, height - h), (count, 2)).tolist()
        made = (ops.Target(x, y, x + w, y + h, "ellipse") for x, y in places)
        return [t.with_window(ops.window(t, 2.0)) for t in made]

    nv12, p010 = FORMATS["nv12"], FORMATS["p010le"]
    yield Scene("1080p NV12, 1 face of 120 x 150", nv12, 1920, 1080, faces(1, 120, 150, 1920, 1080), 0)
    yield Scene("1080p NV12, 5 faces of 120 x 150", nv12, 1920, 1080, faces(5, 120, 150, 1920, 1080), 0)
    yield Scene("1080p NV12, the same 5, feather 8", nv12, 1920, 1080, faces(5, 120, 150, 1920, 1080), 8)
    yield Scene("2160p P010, 20 faces of 200 x 250", p010, 3840, 2160, faces(20, 200, 250, 3840, 2160), 0)
    whole = ops.Target(0, 0, 3840, 2160)
    yield Scene("2160p P010, the whole frame", p010, 3840, 2160, [whole.with_window(ops.window(whole, 2.0))], 0)


def mask_samples(work: worklist.WorkList) -> int:
    """Samples of all regions' masks, all components."""
    total = 0
    for r in work.regions:
        if SHAPES[r["shape"]] == "ellipse":
            first, end = work.spans[r["rows"] :][: r["height"]].T
            total += int((end - first).sum())
        else:
            total += int(r["width"]) * int(r["height"])
    return total


def moved(work: worklist.WorkList, launch: cuda.Launch, feather: int) -> int:
    """Bytes that a launch has to read and write, each counted once: the other reads of a sample hit a cache."""
    box = int((work.regions["width"].astype(np.int64) * work.regions["height"]).sum())
    mask, item = mask_samples(work), work.fmt.itemsize
    read = mask * (2 if launch.source else item)
    if launch.target:
        return read + 2 * box
    return read + mask * item * (2 if feather else 1)


def seconds_on_host(scene: Scene) -> float:
    """Median time of one work list, built and packed."""
    times = []
    for _ in range(40):
        start = time.perf_counter()
        work = scene.work()
        work.pack([0] * scene.fmt.planes, [4096] * scene.fmt.planes)
        times.append(time.perf_counter() - start)
    return median(times)


def compiled() -> Iterator[str]:
    """The compiler's facts."""
    with tempfile.TemporaryDirectory() as folder:
        facts = {a: cuda_aot.compile_kernels(a, Path(folder)) for a in cuda_aot.LIMITS}
    heads = [f"sm_{a} {what}" for a in facts for what in ("registers", "blocks/SM", "occupancy")]
    yield f"| kernel | shared bytes | local bytes | {' | '.join(heads)} |"
    yield "| --- |" + " ---: |" * (len(heads) + 2)
    for name in sorted(facts[80]):
        cells = []
        for architecture, some in facts.items():
            limits = cuda_aot.LIMITS[architecture]
            cells += [f"{some[name].registers}", f"{some[name].blocks(limits)}", f"{some[name].occupancy(limits):.0%}"]
        local = max(some[name].local for some in facts.values())
        yield f"| `{name}` | {facts[80][name].shared} | {local} | {' | '.join(cells)} |"


def traffic() -> Iterator[str]:
    """Bytes and bounds of each scene."""
    yield "| scene | launches | blocks, rows / columns | MB a frame | bytes a luma sample of a box | MB of scratch |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for scene in scenes():
        work = scene.work()
        launches = cuda.blur_launches(work, scene.passes)
        total = sum(moved(work, launch, scene.feather) for launch in launches)
        luma = work.regions[work.regions["component"] == 0]
        samples = int((luma["width"].astype(np.int64) * luma["height"]).sum())
        yield (
            f"| {scene.name} | {len(launches)} | {len(work.row_tiles)} / {len(work.column_tiles)} | {total / 1e6:.2f} "
            f"| {total / samples:.1f} | {4 * work.scratch / 1e6:.2f} |"
        )


def bounds() -> Iterator[str]:
    """Frames a second that memory would allow."""
    yield "| scene | " + " | ".join(f"{card.name}, {card.bandwidth / 1e9:.0f} GB/s" for card in CARDS) + " |"
    yield "| --- |" + " ---: |" * len(CARDS)
    for scene in scenes():
        work = scene.work()
        launches = cuda.blur_launches(work, scene.passes)
        total = sum(moved(work, launch, scene.feather) for launch in launches)
        cells = []
        for card in CARDS:
            memory = total / card.bandwidth
            held = " (L2)" if 4 * work.scratch <= card.cache else ""
            cells.append(f"{1 / memory:,.0f}{held} / {1 / max(memory, LAUNCH * len(launches)):,.0f}")
        yield f"| {scene.name} | {' | '.join(cells)} |"


def measured() -> Iterator[str]:
    """The host's part."""
    yield "| scene | microseconds a frame | words, bytes |"
    yield "| --- | ---: | ---: |"
    for scene in scenes():
        words = scene.work().pack([0] * scene.fmt.planes, [4096] * scene.fmt.planes)
        yield f"| {scene.name} | {1e6 * seconds_on_host(scene):.0f} | {words.nbytes} |"


def machine() -> str:
    """CPU, Python, NumPy and nvcc."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
    nvcc = subprocess.run(["nvcc", "--version"], check=True, capture_output=True, text=True).stdout
    release = next(line.split("release ")[1].split(",")[0] for line in nvcc.splitlines() if "release" in line)
    return f"{model}, Python {platform.python_version()}, NumPy {np.__version__}, nvcc {release}"


TEXT = """# The CUDA blur against the memory's roof

Written by `python bench/roofline.py` on: {machine}.

**No figure on this page was measured on a GPU.** The last table was measured, on the CPU above; all else is computed.

## Computed: what the compiler made

`nvcc` for each architecture, blocks of {threads} threads, from `-Xptxas -v`; blocks and occupancy follow from registers
and shared memory. Local bytes (stack and spills) must be 0: `tests/test_cuda_aot.py` fails otherwise. The A40 (sm_86)
runs the code for sm_80.

{compiled}

## Computed: what has to move

`strength=2:passes=3`, from the work list. A sample is read once and written once in each launch (2 bytes each in
scratch, 1 or 2 on the surface, off the mask only written); samples of a feathered region are read once more at the end.
A thread asks for more: both ends of its window, and in a column launch all of it twice. Those are hits in L1 or L2
while a tile fits. The half window adds at most one more read of each sample, for the first window of a line.

{traffic}

## Computed: frames a second that memory allows

Bytes over the data sheet's bandwidth, and after the slash the same with {launch:.0f} microseconds a launch, which is an
ASSUMPTION: for a few faces launches are the bound, not memory, and a CUDA graph is what would help. "(L2)" marks where
both scratch buffers fit the L2 cache: there the true roof is higher than memory's.

{bounds}

## Measured: the work list on the host

Median of 40, one thread, building and packing; each frame pays it once, beside the device's work.

{measured}
"""


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    args = parser.parse_args()
    parts = {name: "\n".join(make()) for name, make in (
        ("compiled", compiled), ("traffic", traffic), ("bounds", bounds), ("measured", measured)
    )}
    args.out.write_text(TEXT.format(machine=machine(), threads=worklist.THREADS, launch=1e6 * LAUNCH, **parts))


if __name__ == "__main__":
    main()
