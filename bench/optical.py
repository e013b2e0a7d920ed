"""Would the picture's own motion help between two looks? The measure behind bench/optical.md.

    python bench/optical.py covers CLIP... [--records FOLDER]     ways to fill the frames between looks k apart
    python bench/optical.py missing CLIP...                       how often the codec has no vectors for an object
    python bench/optical.py trigger CLIP... [--records FOLDER]    does a failed luma search tell a wrong box?
    python bench/optical.py alarm CLIP...                         something new between two looks, from thumbnails
    python bench/optical.py looks CLIP... --records FOLDER        looks of every=auto with and without the alarm
    python bench/optical.py time CLIP... [--export CLIP]          microseconds, and what exporting vectors costs

CLIP is a video with a truth file beside it or in bench/truth, its format as bench/truth/README.md says. A look is the
truth's box, or with --records the box that a net found there (FOLDER/NAME.jsonl, written by
`detect=...:margin=0,write=...` on every frame) where it overlaps the truth's by an IoU of 0.3. With --reference net the
net's boxes, numbered by the filter track, are the truth as well: for clips without labels.

Every k-th frame is a look, in three phases; an object counts on the frames between two looks that both have it, in one
shot. `need` of an object-frame is the margin (share of the cover's own sides, added on each) at which 95 % of the
truth's area is covered; all covers grow alike, so it is found from a grid of points without trying margins out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anonfilter import lumasearch
from anonfilter.filter import Env, Options, RecordLane
from anonfilter.filters.hold import Hold
from anonfilter.filters.interp import Interp
from anonfilter.filters.track import Track as TrackFilter
from anonfilter.frame import StreamInfo
from anonfilter.kernels.formats import FORMATS
from anonfilter.motion import overlap
from anonfilter.options import Duration
from anonfilter.records import Box, FrameRecord, Region

sys.path.insert(0, str(Path(__file__).resolve().parent))
motion = importlib.import_module("optical_motion")

INTERVALS = (3, 5, 10, 15, 25)
COVERED = 0.95
_GRID = 40
_DUE = 0.5  # sightings' rule
TRUTH = Path(__file__).resolve().parent / "truth"
Array = NDArray[np.float64]


@dataclass
class Track:
    """One object: its true boxes, and the boxes that a look would give."""

    id: int
    cls: str
    truth: dict[int, Box]
    looks: dict[int, Box]


@dataclass
class Gap:
    """The frames between two looks of one object. regions: what each way covers, by frame and way. guess: the
    interpolated boxes, ends included."""

    clip: str
    track: Track
    a: int
    b: int
    guess: dict[int, Box]
    regions: dict[int, dict[str, list[Box]]] = field(default_factory=dict)


def load(path: Path, records: Path | None, reference: str) -> tuple[list[Track], list[int]]:
    """Objects of a clip that are sure, and its cuts. Exits where a file is missing."""
    places = (path.with_suffix(".json"), TRUTH / f"{path.stem}.json")
    found = next((p for p in places if p.exists()), None)
    data: dict[str, Any] = json.loads(found.read_text()) if found else {"objects": [], "cuts": []}
    tracks = [
        Track(o["id"], o["cls"], {int(n): tuple(b) for n, b in o["boxes"].items()}, {})
        for o in data["objects"]
        if not o.get("doubt")
    ]
    if records is None:
        if not found:
            sys.exit(f"{path}: no truth file beside it or in {TRUTH}")
        for track in tracks:
            track.looks = track.truth
        return tracks, data["cuts"]
    lines = [json.loads(line) for line in (records / f"{path.stem}.jsonl").read_text().splitlines()]
    seen = {k["n"]: [Region(tuple(d["box"]), d["cls"], d["score"]) for d in k["det"]] for k in lines if "n" in k}
    if reference == "net":
        return numbered(seen), data["cuts"]
    for track in tracks:
        for n, box in track.truth.items():
            same = [r.box for r in seen.get(n, []) if r.cls == track.cls]
            best = max(same, key=lambda b: overlap(b, box), default=None)
            if best is not None and overlap(best, box) >= 0.3:
                track.looks[n] = best
    return tracks, data["cuts"]


def numbered(seen: Mapping[int, list[Region]]) -> list[Track]:
    """Tracks that the filter `track` makes of detections on every frame, those of 10 sure sightings and more."""
    item = TrackFilter(defaults(TrackFilter))
    tracks: dict[int, Track] = {}
    for record in through([item], [FrameRecord(n, n, n / 25, ("net",), seen[n]) for n in sorted(seen)]):
        for r in record.regions:
            if r.track is not None and r.score >= 0.4:
                box = r.box
                tracks.setdefault(r.track, Track(r.track, r.cls, {}, {})).truth[record.n] = box
    kept = [t for t in tracks.values() if len(t.truth) >= 10]
    for track in kept:
        track.looks = track.truth
    return kept


def defaults(cls: type[RecordLane], **changes: Any) -> Options:
    """A filter's default options."""
    return Options({**{o.name: o.default for o in cls.options}, **changes})


def through(lane: Sequence[RecordLane], records: Sequence[FrameRecord]) -> list[FrameRecord]:
    """Records after a chain of the real filters."""
    one = Fraction(1, 25)
    stream = StreamInfo(640, 360, "yuv420p", one, Fraction(25), Fraction(25))
    for item in lane:
        item.open(Env(stream, None, "bench"))
        records = [out for record in records for out in item.push(record)] + list(item.flush())
    return list(records)


def gaps(name: str, tracks: Sequence[Track], cuts: Sequence[int], frames: int, k: int) -> Iterator[Gap]:
    """All gaps of looks k apart, in three phases, filled by interp alone and by interp and hold."""
    for phase in sorted({0, k // 3, 2 * k // 3}):
        looks = range(phase, frames, k)

        def records(looks: range = looks) -> list[FrameRecord]:
            out = [FrameRecord(n, n, n / 25) for n in range(frames)]
            for n in looks:
                out[n].ran = ("net",)
                out[n].regions = [Region(t.looks[n], t.cls, track=t.id) for t in tracks if n in t.looks]
            return out

        fill = Interp(defaults(Interp, gap=Duration(k)))
        alone = through([fill], records())
        held = through([fill, Hold(k, ("net",))], records())
        for track in tracks:
            for a in looks:
                b = a + k
                if a not in track.looks or b not in track.looks or any(a < cut <= b for cut in cuts):
                    continue
                boxes = {n: [r.box for r in alone[n].regions if r.track == track.id] for n in range(a + 1, b)}
                gap = Gap(name, track, a, b, _guess(track, a, b, boxes))
                for n in range(a + 1, b):
                    both = [r.box for r in held[n].regions if r.track == track.id]
                    gap.regions[n] = {"interp": boxes[n], "interp, hold": both}
                yield gap


def _guess(track: Track, a: int, b: int, boxes: Mapping[int, list[Box]]) -> dict[int, Box]:
    """The interpolated centres with the interpolated sizes: interp's boxes hold the straight and the curved way."""
    ends = {n: track.looks[n] for n in (a, b)}
    out = dict(ends)
    for n, found in boxes.items():
        share = (n - a) / (b - a)
        w, h = ((1 - share) * (ends[a][i + 2] - ends[a][i]) + share * (ends[b][i + 2] - ends[b][i]) for i in (0, 1))
        out[n] = sized(np.array([(found[0][0] + found[0][2]) / 2, (found[0][1] + found[0][3]) / 2]), w, h)
    return out


def sized(centre: Array, w: float, h: float) -> Box:
    """A box by its centre and size."""
    return float(centre[0] - w / 2), float(centre[1] - h / 2), float(centre[0] + w / 2), float(centre[1] + h / 2)


def measure(gap: Gap, clip: Any, sums: Mapping[int, Array]) -> dict[int, Any]:
    """Add what the codec's vectors and the luma search say to a gap's regions. Returns the search's findings."""
    path, _ = motion.vector_path(clip, gap.a, gap.b, gap.guess)
    direct = motion.luma_path(sums, gap.a, gap.b, gap.guess)
    chain = motion.chain_path(sums, gap.a, gap.b, gap.guess)
    followed = follow(gap, clip.luma)
    for n, ways in gap.regions.items():
        x0, y0, x1, y1 = gap.guess[n]
        w, h, plain, held = x1 - x0, y1 - y0, ways["interp"], ways["interp, hold"]
        by_codec = sized(path[n], w, h)
        ways["vectors"] = [by_codec]
        ways["vectors + interp"] = [by_codec, *plain]
        for name, found in (("luma", direct[n]), ("luma chain", chain[n])):
            ways[name] = plain if found.centre is None else [sized(found.centre, w, h)]
            ways[f"{name} + interp"] = [*ways[name], *plain] if found.centre is not None else plain
        ways["luma chain, blended + interp"] = [sized(chain[n].blend, w, h), *plain]
        ways["interp=luma=1"] = [*plain, *(b for b in (followed[n - gap.a],) if b is not None)]
        ways["luma + interp, else hold"] = held if direct[n].centre is None else ways["luma + interp"]
        ways["nearest look"] = [gap.guess[gap.a if n - gap.a <= gap.b - n else gap.b]]
    return direct  # type: ignore[no-any-return]


def follow(gap: Gap, luma: Sequence[NDArray[np.uint8]]) -> list[Box | None]:
    """What the program's own search says of a gap's frames, ends included."""
    guesses = [gap.guess[n] for n in range(gap.a, gap.b + 1)]
    shape = lumasearch.shape_of(guesses[0])
    if shape is None:
        return [None] * len(guesses)
    grey = FORMATS["gray"]
    return lumasearch.follow(lambda i, box: lumasearch.window(luma[gap.a + i], grey, box, shape), guesses, shape)


def need(boxes: Sequence[Box], truth: Box) -> float:
    """Margin at which the boxes cover COVERED of the truth; may be below 0; 9 where there is no box."""
    if not boxes:
        return 9.0
    steps = (np.arange(_GRID) + 0.5) / _GRID
    x = truth[0] + steps * (truth[2] - truth[0])
    y = truth[1] + steps * (truth[3] - truth[1])
    best = np.full((_GRID, _GRID), np.inf)
    for x0, y0, x1, y1 in boxes:
        w, h = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
        best = np.minimum(
            best, np.maximum(np.maximum((x0 - x) / w, (x - x1) / w), np.maximum((y0 - y) / h, (y - y1) / h)[:, None])
        )
    return float(np.quantile(best, COVERED))


def spare(boxes: Sequence[Box], truth: Box, margin: float) -> float:
    """Area that the boxes, grown by a margin, cover beyond the truth, as a share of the truth's area."""
    rects = np.array(boxes)
    extra = (rects[:, 2:] - rects[:, :2]) * margin
    rects = np.concatenate([rects[:, :2] - extra, rects[:, 2:] + extra], axis=1)
    xs, ys = np.unique(rects[:, [0, 2]]), np.unique(rects[:, [1, 3]])
    inside = np.zeros((len(ys) - 1, len(xs) - 1), bool)
    for x0, y0, x1, y1 in rects:
        inside |= ((ys[:-1] >= y0) & (ys[1:] <= y1))[:, None] & ((xs[:-1] >= x0) & (xs[1:] <= x1))
    covered = float((np.diff(ys)[:, None] * np.diff(xs))[inside].sum())
    area = (truth[2] - truth[0]) * (truth[3] - truth[1])
    return covered / area - 1


def all_gaps(args: argparse.Namespace, k: int, clips: dict[Path, Any]) -> Iterator[tuple[Gap, dict[int, Any]]]:
    """Gaps of all clips with everything measured."""
    for path in args.clips:
        tracks, cuts = load(path, args.records, args.reference)
        clip = clips.setdefault(path, motion.read(path))
        sums = _Sums(clip.luma)
        found = [g for g in gaps(path.stem, tracks, cuts, len(clip.luma), k) if not args.due or is_due(g)]
        for gap in found[:: max(1, -(-len(found) // args.most))]:
            yield gap, measure(gap, clip, sums)


def is_due(gap: Gap) -> bool:
    """Whether the second look has the object where it was due, by the velocity before the first or standing still: what
    detect=every=auto asks of two looks before it leaves the frames between them alone."""
    first, last, before = (gap.track.looks.get(n) for n in (gap.a, gap.b, 2 * gap.a - gap.b))
    assert first is not None
    assert last is not None
    if before is None:
        return overlap(first, last) >= _DUE
    dx, dy = ((first[i] + first[i + 2] - before[i] - before[i + 2]) / 2 for i in (0, 1))
    return overlap((first[0] + dx, first[1] + dy, first[2] + dx, first[3] + dy), last) >= _DUE


class _Sums(dict[int, Array]):
    """Integral images, made when asked for."""

    def __init__(self, luma: Sequence[NDArray[np.uint8]]) -> None:
        super().__init__()
        self._luma = luma

    def __missing__(self, n: int) -> Array:
        if len(self) > 64:
            self.clear()
        self[n] = motion.integral(self._luma[n])
        return self[n]


def covers(args: argparse.Namespace) -> None:
    """Table of the ways, for each interval."""
    clips: dict[Path, Any] = {}
    print("| k | way | frames | need <= 0 | <= .05 | <= .1 | <= .2 | <= .3 | margin for .99 | spare there | at .3 |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for k in args.k:
        needs: dict[str, list[float]] = {}
        kept: list[tuple[dict[str, list[Box]], Box]] = []
        for gap, _ in all_gaps(args, k, clips):
            for n, ways in gap.regions.items():
                truth = gap.track.truth.get(n)
                if truth is None:
                    continue
                kept.append((ways, truth))
                for way, boxes in ways.items():
                    needs.setdefault(way, []).append(need(boxes, truth))
        for way, values in needs.items():
            margin = max(0.0, float(np.quantile(values, 0.99)))
            areas = " | ".join(f"{np.mean([spare(w[way], t, m) for w, t in kept]):.2f}" for m in (margin, 0.3))
            shares = " | ".join(f"{np.mean(np.array(values) <= m):.4f}" for m in (0, 0.05, 0.1, 0.2, 0.3))
            print(f"| {k} | {way} | {len(values)} | {shares} | {margin:.3f} | {areas} |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("covers", "missing", "trigger", "alarm", "looks", "time"))
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--records", type=Path, help="folder of record files: the looks are what a net found")
    parser.add_argument("--reference", choices=("truth", "net"), default="truth")
    parser.add_argument("--k", type=int, nargs="+", default=list(INTERVALS))
    parser.add_argument("--most", type=int, default=120, help="gaps of a clip at each interval, evenly picked")
    parser.add_argument("--due", action="store_true", help="only gaps that detect=every=auto would leave alone")
    parser.add_argument("--thumb", type=int, default=80, help="width of the thumbnails for alarm, 16:9")
    args = parser.parse_args(argv)
    home = {"trigger": "optical_trigger", "alarm": "optical_trigger"}
    run: Callable[[argparse.Namespace], None] = covers
    if args.what != "covers":
        run = getattr(importlib.import_module(home.get(args.what, "optical_cost")), args.what)
    run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
