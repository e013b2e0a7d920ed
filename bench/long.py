"""Whether a two-hour file's records fit: a synthetic stream of records through the record lane, without pixels.

    python bench/long.py [--hours 2] [--rate 30] [--objects 3] [--graph track=global=1,interp,grow,smooth]

Objects come, walk, and go after some seconds; every 12th frame is a look. Prints peak resident memory, records a second
and the number of tracks.
"""

from __future__ import annotations

import argparse
import math
import random
import resource
import sys
import time
from fractions import Fraction

from anonfilter import filter as registry
from anonfilter.filter import Env, Options, RecordLane
from anonfilter.filters.hold import Hold
from anonfilter.frame import StreamInfo
from anonfilter.lane import Lane
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region
from anonfilter.syntax import parse_graph

EVERY = 12


def build(graph: str) -> list[RecordLane]:
    """The filters of a graph, as the planner makes them."""
    out: list[RecordLane] = []
    for spec in parse_graph(graph).linear():
        cls = registry.find(spec.name)
        assert cls is not None
        parsed = parse_options(cls, spec)
        item = cls(Options(parsed.values, parsed.given), spec.label)
        assert isinstance(item, RecordLane)
        out.append(item)
    return [*out, Hold(EVERY, ["faces"])]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--rate", type=int, default=30)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--graph", default="track=global=1,interp,grow,smooth")
    args = parser.parse_args()
    rate = Fraction(args.rate)
    stream = StreamInfo(1920, 1080, "yuv420p", 1 / rate, rate, rate)
    filters = build(args.graph)
    for item in filters:
        item.open(Env(stream, None, "synthetic"))
    lane = Lane(filters)
    rng = random.Random(1)
    people: list[tuple[int, float, float, float]] = []  # last frame, place, speed, height
    frames = round(args.hours * 3600 * args.rate)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, seen, regions = time.perf_counter(), 0, 0
    tracks: set[int] = set()

    def out(record: FrameRecord) -> None:
        nonlocal seen, regions
        seen, regions = seen + 1, regions + len(record.regions)
        tracks.update(r.track for r in record.regions if r.track is not None)

    for n in range(frames):
        people = [p for p in people if p[0] >= n]
        while len(people) < args.objects:
            people.append((n + rng.randrange(60, 900), rng.uniform(0, 1800), rng.uniform(-2, 2), rng.uniform(100, 900)))
        record = FrameRecord(n, n, n / args.rate)
        if n % EVERY == 0:
            record.ran = ("faces",)
            record.regions = [
                Region((x + (v * n) % 100, y, x + (v * n) % 100 + 80, y + 100 + 3 * math.sin(n)), "face", 0.8)
                for _, x, v, y in people
            ]
        for item in lane.filters[0].push(record):
            for done in lane._through(1, item):
                out(done)
    for i, item in enumerate(lane.filters):
        for waiting in item.flush():
            for done in lane._through(i + 1, waiting):
                out(done)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert seen == frames
    print(
        f"{args.graph}: {frames} frames, {regions} regions, {len(tracks)} tracks: peak {peak:.0f} MB "
        f"(of which {before:.0f} MB before the first record), {frames / (time.perf_counter() - started):.0f} records/s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
