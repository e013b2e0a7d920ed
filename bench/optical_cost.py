"""What motion vectors and luma searches cost, and how often the codec has none (see optical.py)."""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from anonfilter.kernels import ops
from anonfilter.kernels.formats import FORMATS
from anonfilter.novelty import Novelty
from anonfilter.records import Region
from anonfilter.sampling import Auto
from anonfilter.sightings import Sightings

motion = importlib.import_module("optical_motion")
optical = importlib.import_module("optical")
trigger = importlib.import_module("optical_trigger")
_PAIRS = 5


def missing(args: argparse.Namespace) -> None:
    """Table: object-frames without a vector in the middle of the box, by kind of frame, and how good vectors are.

    The error is of the way from the reference to the frame, against the truth's way between the same frames.
    """
    print("| clip | codec | frames I / P / B | object-frames | no vector | on I | on P | on B ", end="")
    print("| error px, median / .95 | way px, median / .95 | error .95 in sides |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for path in args.clips:
        clip = motion.read(path)
        tracks, cuts = optical.load(path, args.records, args.reference)
        none, total = dict.fromkeys("IPB?", 0), dict.fromkeys("IPB?", 0)
        errors: list[float] = []
        still: list[float] = []
        sides: list[float] = []
        for track in tracks:
            for n, box in track.truth.items():
                kind = clip.kinds[n]
                total[kind] += 1
                known = False
                for sign, ref in ((-1, clip.past[n]), (1, clip.future[n])):
                    shift = None if ref is None else motion.block_shift(clip.vectors[n], box, sign)
                    known |= shift is not None
                    if shift is None or ref not in track.truth or any(min(ref, n) < c <= max(ref, n) for c in cuts):
                        continue
                    other = track.truth[ref]
                    way = [(box[i] + box[i + 2] - other[i] - other[i + 2]) / 2 for i in (0, 1)]
                    errors.append(float(np.hypot(shift[0] - way[0], shift[1] - way[1])))
                    still.append(float(np.hypot(*way)))
                    sides.append(errors[-1] / ((box[2] - box[0] + box[3] - box[1]) / 2))
                none[kind] += not known
        frames = " / ".join(str(clip.kinds.count(kind)) for kind in "IPB")
        by_kind = " | ".join(f"{none[k] / total[k]:.3f}" if total[k] else "-" for k in "IPB")
        count = sum(total.values())
        quality = "- | - | -"
        if errors:
            quality = (
                f"{np.median(errors):.2f} / {np.quantile(errors, 0.95):.2f} | "
                f"{np.median(still):.2f} / {np.quantile(still, 0.95):.2f} | {np.quantile(sides, 0.95):.3f}"
            )
        share = sum(none.values()) / max(1, count)
        print(f"| {path.stem} | {clip.codec} | {frames} | {count} | {share:.3f} | {by_kind} | {quality} |", flush=True)


def looks(args: argparse.Namespace) -> None:
    """Table: looks of detect=every=auto with and without `new`, from a net's records of every frame."""
    print("| clip | frames | max | looks, new=0 | new=12 | new=24 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for path in args.clips:
        clip = motion.read(path, vectors=False)
        _, cuts = optical.load(path, args.records, "truth")
        lines = [json.loads(line) for line in (args.records / f"{path.stem}.jsonl").read_text().splitlines()]
        seen = {k["n"]: [Region(tuple(d["box"]), d["cls"], d["score"]) for d in k["det"]] for k in lines if "n" in k}
        height, width = clip.luma[0].shape
        pictures = [trigger.thumbnail(plane, (36, 64)).astype(np.float32) for plane in clip.luma]
        for seconds in (0.5, 1.0):
            most = seconds * clip.rate
            counts = [str(_auto(seen, pictures, set(cuts), (width, height), most, limit)) for limit in (0, 12, 24)]
            print(f"| {path.stem} | {len(pictures)} | {seconds} s | {' | '.join(counts)} |", flush=True)


def _auto(
    seen: Mapping[int, Sequence[Region]],
    pictures: Sequence[Any],
    cuts: set[int],
    size: tuple[int, int],
    most: float,
    limit: float,
) -> int:
    """Frames that the real schedule looks at."""
    sightings, new, done = Sightings(0.2), Novelty(limit, size), list[int]()

    def look(n: int) -> None:
        done.append(n)
        sightings.add(n, seen.get(n, []))

    def novel(a: int, b: int) -> int | None:
        return new.between(a, b, sightings.ways(a, b)) if limit and b - a > 4 else None

    auto = Auto(look, sightings.agree, max(1, round(0.3 * most)), round(most), novel)
    for n, picture in enumerate(pictures):
        new.add(n, picture)
        new.forget(auto.push(n, n in cuts))
    auto.flush()
    return len(done)


def time(args: argparse.Namespace) -> None:
    """Microseconds for each object-frame, and paired decodes with and without the vectors."""
    path = args.clips[0]
    clip = motion.read(path)
    tracks, cuts = optical.load(path, args.records, args.reference)
    found = list(optical.gaps(path.stem, tracks, cuts, len(clip.luma), 10))[:30]
    sums = [motion.integral(plane) for plane in clip.luma]
    frames = sum(gap.b - gap.a - 1 for gap in found)
    work: dict[str, Callable[[Any], Any]] = {
        "vectors": lambda g: motion.vector_path(clip, g.a, g.b, g.guess),
        "luma": lambda g: motion.luma_path(sums, g.a, g.b, g.guess),
        "luma chain": lambda g: motion.chain_path(sums, g.a, g.b, g.guess),
        "interp=luma=1": lambda g: optical.follow(g, clip.luma),
    }
    for name, run in work.items():
        rounds = []
        for _ in range(3):
            start = clock.perf_counter()
            for gap in found:
                run(gap)
            rounds.append((clock.perf_counter() - start) / frames * 1e6)
        print(f"{path.stem}: {name}: {min(rounds):.0f} us an object-frame (best of 3, {frames} object-frames, k = 10)")
    start = clock.perf_counter()
    for plane in clip.luma[:50]:
        motion.integral(plane)
    print(f"{path.stem}: sums of {clip.luma[0].shape}: {(clock.perf_counter() - start) / 50 * 1e6:.0f} us a frame")
    box = (0, 0, clip.luma[0].shape[1], clip.luma[0].shape[0])
    start = clock.perf_counter()
    for plane in sums[:50]:
        motion.patch(plane, box, (45, 80))
    print(f"{path.stem}: thumbnail 80 x 45: {(clock.perf_counter() - start) / 50 * 1e6:.0f} us a frame")
    for other in args.clips[1:]:
        _export(other)
    for height, width in ((1080, 1920), (360, 640)):
        for size in ((64, 36), (80, 45)):
            _letterbox(height, width, size)


def _letterbox(height: int, width: int, size: tuple[int, int]) -> None:
    """What scene spends on a frame: its luma fitted into a small picture by the kernel."""
    plane = np.random.default_rng(0).integers(0, 255, (height, width)).astype(np.uint8)
    luma, out = replace(FORMATS["yuv420p"], chroma=False), np.empty((3, size[1], size[0]), np.float32)
    times = []
    for _ in range(60):
        start = clock.process_time()
        ops.letterbox((plane,), luma, size, out=out)
        times.append((clock.process_time() - start) * 1e6)
    print(f"{width} {height} {size} {statistics.median(times):.0f} us median, {min(times):.0f} best", flush=True)


def _export(path: Path) -> None:
    """Paired decodes, one thread: plain, exporting, exporting and fetching."""
    ways: dict[str, list[float]] = {"plain": [], "export": [], "export, fetch": []}
    for _ in range(_PAIRS):
        for name, times in ways.items():
            times.append(_decode(path, name != "plain", name.endswith("fetch")))
    plain = statistics.median(ways["plain"])
    text = f"{path.stem}: decoding, 1 thread: {plain * 1e3:.2f} ms a frame"
    for name in ("export", "export, fetch"):
        pairs = [b - a for a, b in zip(ways["plain"], ways[name], strict=True)]
        middle, low, high = (v * 1e3 for v in (statistics.median(pairs), min(pairs), max(pairs)))
        text += f"; {name}: {middle:+.2f} ms ({low:+.2f} .. {high:+.2f})"
    print(text, flush=True)


def _decode(path: Path, export: bool, fetch: bool) -> float:
    """Seconds a frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if export:
            stream.codec_context.options = {"flags2": "+export_mvs"}
        count, start = 0, clock.process_time()
        for frame in container.decode(stream):
            if fetch:
                side = frame.side_data.get("MOTION_VECTORS")
                if side is not None:
                    side.to_ndarray()
            count += 1
        return (clock.process_time() - start) / count
