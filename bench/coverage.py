"""How much of every object is covered, against boxes drawn by hand (bench/truth).

    python bench/coverage.py --truth bench/truth/speech-cuts-360p.json --source IN.mp4 --output OUT.mp4 \\
        [--records OUT.jsonl --shape ellipse] [--require 0.95-all]

Two measures, each by itself:

*records*: the share of the truth box's samples that lie inside the union of a record file's regions.

*pixels*: what the OUTPUT file still shows, seen through its encoder. Both files' luma is taken to the band
of 3 to 17 samples (box mean 3 minus box mean 17): finer detail an encoder may lose by itself, coarser
detail is no feature. The truth box is cut into blocks of about 8 x 8 that lie inside it. With s and o the
bands of source and output, a block's gain is sum(s*o)/sum(s*s), the share of the source's detail that is
left (least squares): 1 for an untouched block, about 0 for a blurred or filled one. A block is clear where
the gain is at least GAIN and the two bands' correlation at least LIKE (new edges are strong detail of their
own, and have some gain by chance). A block with less detail than FLAT (root mean square) says nothing,
unless its mean level moved by LEVEL or more (then it was painted over): it is left out of the share. An
object-frame with less than KNOWN of its area left counts as unmeasurable, never as covered. A plain
re-encode must read about 0, a filled box 1: tests/test_coverage.py, and the calibration in
bench/truth/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Box = Sequence[float]
Image = NDArray[np.float32]
Records = dict[int, list[dict[str, Any]]]

FINE, COARSE, BLOCK = 3, 17, 8
GAIN, LIKE, FLAT, LEVEL, KNOWN = 0.5, 0.6, 2.0, 8.0, 0.2
BUCKETS = ((16, 24), (24, 48), (48, 96), (96, math.inf))


@dataclass(frozen=True)
class Look:
    """One object on one frame. share: 0..1, None where it cannot be told. doubt: of the truth itself."""

    frame: int
    track: int
    cls: str
    box: tuple[float, float, float, float]
    share: float | None
    doubt: bool = False

    @property
    def height(self) -> float:
        """Of the truth box, in luma samples."""
        return self.box[3] - self.box[1]


def span(low: float, high: float, size: int) -> tuple[int, int]:
    """First and past-last sample whose centre lies in [low, high), clipped to 0..size."""
    a, b = math.ceil(low - 0.5), math.ceil(high - 0.5)
    return min(max(a, 0), size), min(max(b, 0), size)


def region_mask(regions: Sequence[dict[str, Any]], width: int, height: int, shape: str) -> NDArray[np.bool_]:
    """Union of a record line's regions, bool (height, width), by DESIGN 5's rules. shape: the default."""
    out = np.zeros((height, width), bool)
    for region in regions:
        if region.get("del"):
            continue
        x0, y0, x1, y1 = region["box"]
        x0, y0, x1, y1 = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        w, h = x1 - x0, y1 - y0
        clip = out[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if not clip.size:
            continue
        inside = np.ones((h, w), bool)
        if region.get("mask") is not None:
            runs = np.asarray(region["mask"])
            inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
        elif (region.get("shape") or shape) == "ellipse":
            x = 2 * np.arange(x0, x1)[None, :] + 1 - x0 - x1
            y = 2 * np.arange(y0, y1)[:, None] + 1 - y0 - y1
            inside = (x * h) ** 2 + (y * w) ** 2 <= (w * h) ** 2
        top, left = max(-y0, 0), max(-x0, 0)
        clip |= inside[top : top + clip.shape[0], left : left + clip.shape[1]]
    return out


def mask_share(mask: NDArray[np.bool_], box: Box) -> float | None:
    """Share of the box's samples that are set; None for a box without a sample in the frame."""
    (x0, x1), (y0, y1) = span(box[0], box[2], mask.shape[1]), span(box[1], box[3], mask.shape[0])
    part = mask[y0:y1, x0:x1]
    return float(part.mean()) if part.size else None


def band(luma: NDArray[Any]) -> Image:
    """Detail of 3 to 17 samples, float32 of the shape of `luma`."""
    plane = luma.astype(np.float32)
    return uniform_filter(plane, FINE, mode="nearest") - uniform_filter(plane, COARSE, mode="nearest")


def edges(low: int, high: int) -> list[int]:
    """Edges of blocks of about BLOCK samples from low to high."""
    count = max(1, round((high - low) / BLOCK))
    return [low + (high - low) * i // count for i in range(count + 1)]


def blocks(source: NDArray[Any], output: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """State of each block of two luma planes of one shape (1 covered, 0 clear, -1 unknown), and its area.

    The bands are taken of these planes alone: cut to the truth box, so that nothing around it counts.
    """
    ys, xs = edges(0, source.shape[0]), edges(0, source.shape[1])
    area = np.outer(np.diff(ys), np.diff(xs))

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        rows = np.add.reduceat(values, ys[:-1], axis=0, dtype=np.float64)
        return np.asarray(np.add.reduceat(rows, xs[:-1], axis=1))

    s, o = band(source), band(output)
    power, both = total(s * s), total(s * o)
    covered = (both < GAIN * power) | (both < LIKE * np.sqrt(power * total(o * o)))
    moved = np.abs(total(source) - total(output)) >= LEVEL * area
    told = power >= FLAT * FLAT * area
    return np.where(told, covered, np.where(moved, 1, -1)).astype(np.int8), area


def pixel_share(source: NDArray[Any], output: NDArray[Any], box: Box) -> float | None:
    """Covered share of the box's known area; None where less than KNOWN of it is known."""
    (x0, x1), (y0, y1) = span(box[0], box[2], source.shape[1]), span(box[1], box[3], source.shape[0])
    if x1 <= x0 or y1 <= y0:
        return None
    state, area = blocks(source[y0:y1, x0:x1], output[y0:y1, x0:x1])
    known = int(area[state >= 0].sum())
    return float(area[state == 1].sum() / known) if known >= max(1, KNOWN * area.sum()) else None


def exposed_runs(looks: Sequence[Look], limit: float) -> list[tuple[int, int, int]]:
    """(track, first frame, frames) of each run of consecutive frames with a share below the limit."""
    runs: list[tuple[int, int, int]] = []
    for look in sorted(looks, key=lambda k: (k.track, k.frame)):
        if look.share is None or look.share >= limit:
            continue
        if runs and runs[-1][0] == look.track and runs[-1][1] + runs[-1][2] == look.frame:
            runs[-1] = (look.track, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((look.track, look.frame, 1))
    return runs


def recall(looks: Sequence[Look], limit: float) -> tuple[int, int]:
    """Object-frames whose share is at least the limit, and all whose share can be told."""
    told = [k for k in looks if k.share is not None]
    return sum(1 for k in told if k.share is not None and k.share >= limit), len(told)


def truth_looks(truth: dict[str, Any], min_height: float) -> dict[int, list[Look]]:
    """The truth by frame, shares unset; objects under the height left out."""
    frames: dict[int, list[Look]] = {}
    for item in truth["objects"]:
        for key, box in item["boxes"].items():
            look = Look(int(key), item["id"], item["cls"], tuple(box), None, bool(item.get("doubt")))
            if look.height >= min_height:
                frames.setdefault(look.frame, []).append(look)
    return frames


def read_records(path: Path) -> Records:
    """Regions by decode ordinal. A frame without a line is not there, see `held`."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    if not lines or not lines[-1].get("end"):
        sys.exit(f"{path}: no end line; the file is cut short, write it again")
    return {line["n"]: line["det"] for line in lines if "n" in line}


def held(records: Records, n: int) -> list[dict[str, Any]]:
    """Frame n's regions; without a line, those of the nearest lines on both sides, as `hold` does."""
    if n in records:
        return records[n]
    before, after = [k for k in records if k < n], [k for k in records if k > n]
    return (records[max(before)] if before else []) + (records[min(after)] if after else [])


def luma_frames(path: Path) -> Iterator[NDArray[Any]]:
    """Luma of each frame, (h, w) in 8-bit codes; deeper formats are scaled down, not cut."""
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            component, plane = frame.format.components[0], frame.planes[0]
            if frame.format.is_rgb or component.plane != 0:
                sys.exit(f"{path}: {frame.format.name} has no luma plane to compare; use a YUV file")
            wide = component.bits > 8
            data = np.frombuffer(memoryview(plane), np.uint16 if wide else np.uint8)
            rows = data.reshape(plane.height, -1)[:, : frame.width]
            if not wide:
                yield rows.copy()
                continue
            low = 6 if frame.format.name.startswith("p0") else 0
            yield (rows >> low) / np.float32(1 << (component.bits - 8))


def frame_rate(path: Path) -> float:
    """Frames a second, the stream's average."""
    import av

    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 25)


@dataclass
class Result:
    """One measure over a clip. outside: share of the area outside of all truth boxes that is covered."""

    name: str
    looks: list[Look]
    outside: float


def by_records(truth: dict[str, Any], records: Records, shape: str, low: float) -> Result:
    """The measure *records*."""
    width, height, looks = truth["width"], truth["height"], truth_looks(truth, low)
    out: list[Look] = []
    covered = area = 0
    for n in range(truth["frames"]):
        mask = region_mask(held(records, n), width, height, shape)
        here = looks.get(n, [])
        out += [replace(k, share=mask_share(mask, k.box)) for k in here]
        beyond = ~region_mask([{"box": k.box} for k in here], width, height, "rect")
        covered += int((mask & beyond).sum())
        area += int(beyond.sum())
    return Result("records", out, covered / max(1, area))


def by_pixels(truth: dict[str, Any], source: Path, output: Path, low: float) -> Result:
    """The measure *pixels*."""
    looks = truth_looks(truth, low)
    out: list[Look] = []
    covered = known = count = 0
    ends = object()
    first, second = luma_frames(source), luma_frames(output)
    while True:
        a, b = next(first, ends), next(second, ends)
        if a is ends or b is ends:
            break
        if a.shape != b.shape:  # type: ignore[attr-defined]
            sys.exit(f"{output}: frame {count} is {b.shape}, the source's {a.shape}")  # type: ignore[attr-defined]
        here = looks.get(count, [])
        out += [replace(k, share=pixel_share(a, b, k.box)) for k in here]  # type: ignore[arg-type]
        state, area = blocks(a, b)  # type: ignore[arg-type]
        for k in here:  # what is left of `state` is outside of all truth boxes
            rows, columns = (np.array([k.box[i], k.box[i + 2]]) / BLOCK for i in (1, 0))
            state[int(rows[0]) : math.ceil(rows[1]) + 1, int(columns[0]) : math.ceil(columns[1]) + 1] = -1
        covered += int(area[state == 1].sum())
        known += int(area[state >= 0].sum())
        count += 1
    if a is not ends or b is not ends or count != truth["frames"]:
        sys.exit(f"{output}: the frames of source, output and truth do not match ({count} compared)")
    return Result("pixels", out, covered / max(1, known))


def report(result: Result, limit: float, fps: float) -> str:
    """The figures of one measure as text."""
    sure = [k for k in result.looks if not k.doubt]
    good, told = recall(sure, limit)
    rate = good / max(1, told)
    lines = [f"{result.name}: {good} of {told} object-frames at least {limit:.0%} covered ({rate:.4f})"]
    lost = sum(1 for k in sure if k.share is None)
    if lost:
        lines[0] += f", {lost} more cannot be told"
    for low, high in BUCKETS:
        good, told = recall([k for k in sure if low <= k.height < high], limit)
        name = f"{low}+" if high == math.inf else f"{low}-{high:.0f}"
        lines.append(f"  height {name:6} {good:5} of {told:5}")
    runs = exposed_runs(sure, limit)
    for track in sorted({k.track for k in sure}):
        mine = [k for k in sure if k.track == track and k.share is not None]
        leak = sum(1 for k in mine if k.share is not None and k.share < limit)
        longest = max((r[2] for r in runs if r[0] == track), default=0)
        worst = min((k.share for k in mine if k.share is not None), default=math.nan)
        lines.append(
            f"  track {track:3} leak {leak / max(1, len(mine)):.4f} ({leak} of {len(mine)}),"
            f" longest exposed {longest} frames {1000 * longest / fps:.0f} ms, least share {worst:.3f}"
        )
    doubtful = [k for k in result.looks if k.doubt]
    if doubtful:
        good, told = recall(doubtful, limit)
        lines.append(f"  in doubt, not counted above: {good} of {told}")
    lines.append(f"  covered outside of objects: {result.outside:.4f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where --require is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--records", type=Path)
    parser.add_argument("--shape", choices=("rect", "ellipse"), default="ellipse", help="where none is named")
    parser.add_argument("--min-height", type=float, default=0.0, help="leave out lower truth boxes")
    parser.add_argument("--limit", type=float, default=0.95, help="from here on covered")
    parser.add_argument("--require", help="LIMIT-all or LIMIT-SHARE: fail unless so many reach LIMIT")
    parser.add_argument("--classes", help="comma list; the truth's other classes are left out")
    args = parser.parse_args(argv)
    if not args.records and not (args.source and args.output):
        parser.error("give --records, or --source and --output, or all three")
    truth = json.loads(args.truth.read_text())
    if args.classes:
        truth["objects"] = [k for k in truth["objects"] if k["cls"] in args.classes.split(",")]
    results: list[Result] = []
    if args.records:
        results.append(by_records(truth, read_records(args.records), args.shape, args.min_height))
    if args.source and args.output:
        results.append(by_pixels(truth, args.source, args.output, args.min_height))
    limit, share = args.limit, 0.0
    if args.require:
        head, _, tail = args.require.partition("-")
        limit, share = float(head), 1.0 if tail == "all" else float(tail)
    fps = frame_rate(args.source) if args.source else 25.0
    failed = False
    for result in results:
        print(report(result, limit, fps))
        sure = [k for k in result.looks if not k.doubt]
        good, told = recall(sure, limit)
        if args.require and (not told or good < share * told):
            failed = True
            print(f"  not met: {args.require}; below {limit}:")
            for k in sure:
                if k.share is not None and k.share < limit:
                    print(f"    frame {k.frame} track {k.track} box {list(k.box)} share {k.share:.3f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
