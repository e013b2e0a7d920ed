"""Recall, precision and coverage of a detection model on labelled images: how the default thresholds, sizes
and margins of models/catalog.toml were chosen.

    python bench/recall.py faces ../shared/data/train/faces-varied
    python bench/recall.py plates ../shared/data/train/plates-dashcam --sample 150 --size 640 --size 960

A set is a folder with annotations.json (COCO) and images/. A true box counts as found if a detection of at
least the threshold overlaps it with an IoU of 0.3 (--iou); precision counts a detection as right if it
overlaps any true box so. Of the boxes that were found, the last columns give the share whose area is covered
by 95 % or more once the detections have grown by a margin on each side. True boxes below --min-side pixels
are left out of recall.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from anonfilter.frame import Frame, StreamInfo
from anonfilter.kernels.formats import FORMATS
from anonfilter.models import catalog
from anonfilter.models.detector import Detector

MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
COVERED = 0.95

Boxes = npt.NDArray[np.float64]


@dataclass
class Tally:
    """Sums over the images of a set. covered: for each found box, the share of it that is covered at each
    margin."""

    truths: int = 0
    found: int = 0
    detections: int = 0
    right: int = 0
    covered: list[list[float]] = field(default_factory=list)


def read_set(folder: Path, sample: int) -> list[tuple[Path, Boxes]]:
    """Every k-th image, so that about `sample` remain, with its true boxes (N, 4) x0, y0, x1, y1."""
    notes = json.loads((folder / "annotations.json").read_text())
    boxes: dict[int, list[list[float]]] = {}
    for note in notes["annotations"]:
        x, y, w, h = note["bbox"]
        boxes.setdefault(note["image_id"], []).append([x, y, x + w, y + h])
    images = notes["images"]
    step = max(1, len(images) // sample) if sample else 1
    return [
        (folder / "images" / image["file_name"], np.array(boxes.get(image["id"], []), float).reshape(-1, 4))
        for image in images[::step]
    ]


def open_image(path: Path) -> tuple[Frame, StreamInfo]:
    """A picture as a frame of a one-frame video."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    if picture.format.name not in FORMATS:
        picture = picture.reformat(format="yuv444p")
    stream = StreamInfo(
        picture.width, picture.height, picture.format.name, Fraction(1, 25), Fraction(25), Fraction(25),
        # JPEG is BT.601 by its own standard (JFIF), whatever its size.
        color_space=5, color_range=int(picture.color_range),
    )  # fmt: skip
    return Frame(0, 0, 0.0, picture), stream


def overlap(a: Boxes, b: Boxes) -> Boxes:
    """Areas of the intersections, (len(a), len(b))."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=2)


def area(boxes: Boxes) -> Any:
    """Areas, (N,)."""
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def grow(boxes: Boxes, margin: float) -> Boxes:
    """Boxes grown by a share of their own size on each side."""
    extra = (boxes[:, 2:] - boxes[:, :2]) * margin
    return np.concatenate([boxes[:, :2] - extra, boxes[:, 2:] + extra], axis=1)


def count(tally: Tally, truth: Boxes, boxes: Boxes, iou: float, min_side: float) -> None:
    """Add one image."""
    tally.detections += len(boxes)
    if not len(truth):
        return
    shared = overlap(truth, boxes)
    hit = shared > iou * (area(truth)[:, None] + area(boxes)[None] - shared)
    tally.right += int(hit.any(axis=0).sum())
    counts = (truth[:, 2:] - truth[:, :2]).min(axis=1) >= min_side
    tally.truths += int(counts.sum())
    seen = hit.any(axis=1) & counts
    tally.found += int(seen.sum())
    shares = [overlap(truth, grow(boxes, margin)).max(axis=1, initial=0) / area(truth) for margin in MARGINS]
    tally.covered += np.stack(shares, axis=1)[seen].tolist()


def measure(
    model: str,
    images: Sequence[tuple[Path, Boxes]],
    size: int,
    thresholds: Sequence[float],
    iou: float,
    min_side: float,
) -> Iterator[tuple[float, Tally]]:
    """Run a model once over the images at the lowest threshold and tally at each."""
    tallies = {threshold: Tally() for threshold in thresholds}
    detectors: dict[tuple[int, int], Detector] = {}
    for path, truth in images:
        frame, stream = open_image(path)
        picture = stream.display_size
        if picture not in detectors:
            detectors[picture] = Detector(
                catalog.resolve(model), picture, size=(size, size) if size else None, thresh=min(thresholds)
            )
        found = detectors[picture](frame, stream)
        for threshold, tally in tallies.items():
            boxes = np.array([d.box for d in found if d.score >= threshold], float).reshape(-1, 4)
            count(tally, truth, boxes, iou, min_side)
    yield from tallies.items()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("set", type=Path)
    parser.add_argument("--sample", type=int, default=150, help="images, 0 = all (default 150)")
    parser.add_argument(
        "--size", type=int, action="append", help="long side of the input (default: the model's)"
    )
    parser.add_argument("--thresh", type=float, action="append", help="score (default: the model's)")
    parser.add_argument("--iou", type=float, default=0.3)
    parser.add_argument("--min-side", type=float, default=0.0, help="shorter side of a true box, in pixels")
    args = parser.parse_args()
    images = read_set(args.set, args.sample)
    thresholds = args.thresh or [catalog.resolve(args.model).thresh]
    print(
        f"{args.model} on {args.set.name}: {len(images)} images, IoU {args.iou}, "
        f"true boxes >= {args.min_side:g} px"
    )
    print(
        "size  thresh  recall  precision  boxes | >=95 % covered at margin "
        + "  ".join(f"{m:.2f}" for m in MARGINS)
    )
    for size in args.size or [0]:
        for threshold, tally in measure(args.model, images, size, thresholds, args.iou, args.min_side):
            covered = (np.array(tally.covered).reshape(-1, len(MARGINS)) >= COVERED).mean(axis=0)
            print(
                f"{size or 'auto':>4}  {threshold:6.2f}  {tally.found / max(1, tally.truths):6.3f}  "
                f"{tally.right / max(1, tally.detections):9.3f}  {tally.truths:5d} | {'':24} "
                + "  ".join(f"{share:.2f}" for share in covered),
                flush=True,
            )


if __name__ == "__main__":
    main()
