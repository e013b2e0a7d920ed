"""How far the published mirror rule at a mask's edge is from the masked mean, on real footage.

    python bench/edge.py CLIP [CLIP ...] [--frames 6] [--boxes 6]

A blur that stops at the object's edge must do something where its window reaches over it. anonfilter counts the
samples of the mask only; the published rule takes the sample opposite instead (kernels/ref.py, edge="mirror"). Both run
in the oracle on the luma of the same seeded boxes (48 to 160 samples, strength 2) of frames spread over each clip.
Printed, in 8-bit codes over all samples of the objects: mean and largest difference of the two; and what each leaves of
the object, as the root mean square of the blurred samples about their own mean, beside that of the input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np

from anonfilter.kernels import ops, ref
from anonfilter.kernels.formats import FORMATS

GRAY = FORMATS["gray"]


def luma(path: str, count: int) -> list[np.ndarray]:
    """`count` frames spread evenly over a clip."""
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).astype(int)]


def measure(frames: list[np.ndarray], boxes: int, shape: str, passes: int) -> tuple[float, int, float, float, float]:
    """Mean and largest difference; contrast of the input, of the masked mean and of the mirror rule."""
    rng = np.random.default_rng(7)
    differences: list[np.ndarray] = []
    contrast: list[tuple[float, float, float]] = []
    for frame in frames:
        for _ in range(boxes):
            w, h = (int(v) for v in rng.integers(48, 161, 2))
            x, y = int(rng.integers(0, frame.shape[1] - w)), int(rng.integers(0, frame.shape[0] - h))
            item = ops.Target(x, y, x + w, y + h, shape)
            item = item.with_window(ops.window(item, 2))
            masked, mirrored = frame.copy(), frame.copy()
            ref.blur((masked,), GRAY, [item], passes, 0, "left")
            ref.blur((mirrored,), GRAY, [item], passes, 0, "left", edge="mirror")
            inside = ref.contains(item, np.arange(frame.shape[0]), np.arange(frame.shape[1]))
            differences.append(np.abs(masked[inside].astype(int) - mirrored[inside]))
            contrast.append((float(frame[inside].std()), float(masked[inside].std()), float(mirrored[inside].std())))
    every = np.concatenate(differences)
    before, a, b = np.mean(contrast, axis=0)
    return float(every.mean()), int(every.max()), float(before), float(a), float(b)


def main() -> None:
    """Print a row for each clip, shape and number of passes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--boxes", type=int, default=6)
    options = parser.parse_args()
    head = f"{'clip':26} {'shape':8} {'passes':>6} {'mean':>6} {'max':>4}   "
    print(f"{head}contrast: {'input':>6} {'mask':>6} {'mirror':>6}")
    for clip in options.clips:
        frames = luma(clip, options.frames)
        for shape in ("rect", "ellipse"):
            for passes in (1, 3):
                mean, top, before, a, b = measure(frames, options.boxes, shape, passes)
                row = f"{Path(clip).name:26} {shape:8} {passes:6} {mean:6.2f} {top:4}   "
                print(f"{row}{'':10}{before:6.2f} {a:6.2f} {b:6.2f}", flush=True)


if __name__ == "__main__":
    main()
