"""Leaks against detector calls: what each schedule and each filter of the lane is worth.

    python bench/leak.py [--data FOLDER] [--composed FOLDER] [--memo FOLDER]
                         [--markdown docs/leaks.md] [--plot docs/leaks.png]
    python bench/leak.py --graphs GRAPH... [--data ...]         # these graphs instead of the matrix
    python bench/leak.py --time [--pairs 5] [--frames 300]      # speed of whole commands against ffmpeg, A-B-A-B

Clips: examples/street.mp4; those of bench/truth that lie in --data; NAME.mp4 with NAME.json in --composed (made by
bench/compose.py); --clips picks some by name. For each clip every graph runs through the real planner and the real
lane (lanes.py); only what a net says of a whole frame is asked once and remembered (memonet.py; --memo keeps it for
the next run, delete it when nets or letterbox change). The records that leave the lane are measured with
anonfilter.leak, as `anonfilter eval` does. --save FILE keeps a run's counts, --load FILE... puts runs on several clips
together.

Calls per frame are runs of a model on a whole frame over frames x models; looks at parts of a frame (detect's glances,
redetect's second looks) are given beside them in the same unit, by tensor area.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves the folder out

import leakpage
import transcode
from lanes import GraphRun, run_graphs
from memonet import Memo

from anonfilter.errors import InputError
from anonfilter.leak.byrecords import of_records
from anonfilter.leak.figures import LIMIT, summarise
from anonfilter.leak.truth import Look, Truth, load_truth

HERE = Path(__file__).resolve().parent
TALL = 24
"""Objects this high or higher are reported by themselves."""

SCHEDULES = ("1", "2", "5", "10", "auto")
CHAIN = ("track", "interp=pchip")
"""The default chain behind detect. The planner adds scene, redetect, grow and smooth to it."""
PARTS = {
    "scene": ("scene=method=off", "{detect}", "track", "interp=pchip"),
    "redetect": ("{detect}", "track=redetect=0", "interp=pchip"),
    "interp": ("{detect}", "track", "redetect", "grow", "smooth"),
    "grow": ("{detect}", "track=grow=0:edge=0", "interp=pchip"),
    "smooth": ("{detect}", "track=smooth=0", "interp=pchip"),
    "all of these": ("scene=method=off", "{detect}", "track=grow=0:edge=0:redetect=0:smooth=0"),
}
"""The default chain without one of its parts."""


@dataclass(frozen=True)
class Row:
    """One line of the table. name and every say where it stands; classes: of the truth that it is measured with."""

    name: str
    every: str
    graph: str
    shape: str = "rect"
    classes: tuple[str, ...] | None = None


@dataclass
class Counts:
    """What one row counted on one clip or, added up, on several.

    told, leaked, never: object-frames; never: of objects that are exposed on every frame. tracks, leaking: objects.
    exposed_s, visible_s: seconds of all objects. longest_ms, tall_ms: the longest exposed run, of all and of tall
    objects. beyond, rest, objects: samples (see Measured). calls: runs of a net on whole frames, of `possible` (frames
    x models); crops: looks at parts of a frame in the same unit. tags: object-frames by class and by the truth's tags.
    """

    told: int = 0
    leaked: int = 0
    never: int = 0
    tracks: int = 0
    leaking: int = 0
    exposed_s: float = 0.0
    visible_s: float = 0.0
    longest_ms: float = 0.0
    tall_ms: float = 0.0
    beyond: int = 0
    rest: int = 0
    objects: int = 0
    calls: int = 0
    crops: float = 0.0
    possible: int = 0
    tags: dict[str, Counts] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        """Take another clip's in."""
        for name, value in vars(other).items():
            if name == "tags":
                for tag, part in value.items():
                    self.tags.setdefault(tag, Counts()).add(part)
            else:
                own = getattr(self, name)
                setattr(self, name, max(own, value) if name.endswith("_ms") else own + value)

    @classmethod
    def of_json(cls, value: dict[str, object]) -> Counts:
        """From asdict()."""
        tags = value.pop("tags")
        assert isinstance(tags, dict)
        return cls(**value, tags={tag: cls.of_json(part) for tag, part in tags.items()})  # type: ignore[arg-type]


def rows(models: str, width: int, height: int, schedules: Sequence[str] = SCHEDULES) -> Iterator[Row]:
    """The matrix. models: as detect takes them. width, height: of the clip."""
    # deface 1.5: full size, one look, threshold 0.2, boxes grown by 30 % a side, ellipses in the boxes.
    own = f"detect=faces:thresh=0.2:margin=0.3:coarse=0:size={width}x{height}"
    yield Row("deface's settings, faces only", "1", own, "ellipse", ("face",))
    for every in schedules:
        detect = f"detect={models}:every={every}"
        yield Row("detect alone", every, detect)
        yield Row("default chain", every, ",".join([detect, *CHAIN]))
        if every not in ("5", "auto"):
            continue
        for left, parts in PARTS.items():
            yield Row(f"default chain without {left}", every, ",".join(parts).format(detect=detect))
        if every == "auto":
            yield Row("default chain without glances", every, ",".join([f"{detect}:glance=0", *CHAIN]))


def asked(args: argparse.Namespace, truth: Truth) -> Iterator[Row]:
    """The graphs that the command line names, else the matrix."""
    if args.graphs:
        return (Row(graph, "-", graph) for graph in args.graphs)
    return rows(args.models, truth.width, truth.height, args.every)


def counted(looks: Iterable[Look], rate: float) -> Counts:
    """The part of Counts that object-frames tell."""
    kept = list(looks)
    total, tall = summarise(kept, rate), summarise([k for k in kept if k.height >= TALL], rate)
    return Counts(
        told=total.frames, leaked=total.leaked, never=total.never_frames, tracks=total.tracks, leaking=total.leaking,
        exposed_s=total.leaked / rate, visible_s=total.frames / rate,
        longest_ms=total.longest_ms, tall_ms=tall.longest_ms,
    )  # fmt: skip


def measure(truth: Truth, run: GraphRun, row: Row, rate: float) -> Counts:
    """One run on one clip."""
    found = of_records(truth.select(row.classes), run.records, row.shape)
    sure = [k for k in found.looks if not k.doubt]
    counts = counted(sure, rate)
    counts.beyond, counts.rest, counts.objects = found.beyond, found.rest, found.objects
    counts.calls = sum(run.meter.calls.values())
    counts.crops = run.meter.crop_calls()
    counts.possible = truth.frames * len(run.meter.calls)
    for tag in sorted({tag for k in sure for tag in (k.cls, *k.tags)}):
        counts.tags[tag] = counted([k for k in sure if tag in (k.cls, *k.tags)], rate)
    return counts


def clips_of(args: argparse.Namespace) -> list[tuple[str, Path, Truth]]:
    """(name, file, truth) of all clips that are there. Raises InputError for a truth of another file."""
    found = [("street", HERE.parent / "examples" / "street.mp4", HERE / "truth" / "street.json")]
    if args.data:
        others = sorted(path for path in (HERE / "truth").glob("*.json") if path.stem != "street")
        found += [(path.stem, args.data / f"{path.stem}.mp4", path) for path in others]
    for folder in args.composed or ():
        found += [(path.stem, path.with_suffix(".mp4"), path) for path in sorted(folder.glob("*.json"))]
    out = []
    for name, clip, path in found:
        if args.clips and name not in args.clips:
            continue
        if not clip.exists():
            print(f"left out: {name}: no {clip}", file=sys.stderr)
            continue
        truth = load_truth(path)
        if truth.sha256 and hashlib.sha256(clip.read_bytes()).hexdigest() != truth.sha256:
            raise InputError(f"{clip}: not the file that {path} was made for")
        title = f"{name} ({truth.movement})" if truth.movement else name
        out.append((title, clip, truth.select(None, args.min_height)))
    return out


def run_clip(clip: Path, truth: Truth, args: argparse.Namespace) -> dict[str, Counts]:
    """All rows on one clip, by "NAME|every"."""
    classes = {k.cls for row in truth.looks.values() for k in row}
    table = [
        row
        for row in asked(args, truth)
        if row.classes is None or classes.intersection(row.classes)
    ]
    memo = Memo(hashlib.sha256(clip.read_bytes()).hexdigest(), args.memo)
    try:
        runs = run_graphs(clip, [row.graph for row in table], memo)
    finally:
        memo.save()
        memo.close()
    stamps = [record.t for record in runs[0].records]
    steps = [b - a for a, b in pairwise(stamps)]
    rate = float(truth.rate) if truth.rate else 1 / statistics.median(steps)
    return {f"{row.name}|{row.every}": measure(truth, run, row, rate) for row, run in zip(table, runs, strict=True)}


def speed(args: argparse.Namespace) -> list[str]:
    """Lines on whole commands against ffmpeg, pairs interleaved: the fps that records cannot tell."""
    chain = ",".join(CHAIN)
    graphs = [f"detect={args.models}:every=auto,{text},blur=adaptive" for text in ("track,interp=pchip", chain)]
    lines = [f"{transcode.versions()}; 1920x1080, {args.frames} frames, x264 {args.preset} crf 23, {args.pairs} pairs"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = transcode.clip(args.input, folder, args.frames, "1920x1080")
        for graph in graphs:
            ours = transcode.ours(source, folder / "a.mp4", graph, args)
            theirs = transcode.theirs(source, folder / "b.mp4", args)
            transcode.measured(ours)  # models and caches
            pairs = [(transcode.measured(ours)[0], transcode.measured(theirs)[0]) for _ in range(args.pairs)]
            ratios = [b / a for a, b in pairs]
            fps = [args.frames / statistics.median(side) for side in zip(*pairs, strict=True)]
            lines.append(
                f"{graph}: {fps[0]:.1f} fps, ffmpeg {fps[1]:.1f}; ratio {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, help="folder of the real clips")
    add("--composed", type=Path, action="append", help="folder of composited clips; may be given more than once")
    add("--clips", nargs="+", help="only these")
    add("--models", default="faces:plates")
    add("--every", nargs="+", default=list(SCHEDULES))
    add("--graphs", nargs="+", help="instead of the matrix: graphs without a pixel writer")
    add("--min-height", type=float, default=0.0, help="only where an object is so high, luma samples")
    add("--memo", type=Path, help="folder that keeps the nets' answers")
    add("--save", type=Path, help="keep the counts of this run")
    add("--load", type=Path, nargs="+", help="no run: these counts")
    add("--markdown", type=Path, help="write the tables there (default: standard output)")
    add("--plot", type=Path, help="write the plot there")
    add("--time", action="store_true", help="measure speed instead")
    add("--input", type=Path, default=HERE.parent / "examples" / "street.mp4", help="of --time")
    add("--pairs", type=int, default=5)
    add("--frames", type=int, default=300)
    add("--preset", default="veryfast")
    args = parser.parse_args(argv)
    if args.time:
        print("\n".join(speed(args)))
        return 0
    result: dict[str, dict[str, Counts]] = {}
    for path in args.load or ():
        for clip, table in json.loads(path.read_text()).items():
            result[clip] = {key: Counts.of_json(value) for key, value in table.items()}
    if not args.load:
        if args.memo:
            args.memo.mkdir(parents=True, exist_ok=True)
        for name, clip, truth in clips_of(args):
            print(f"{name}: {truth.frames} frames", file=sys.stderr)
            result[name] = run_clip(clip, truth, args)
    if args.save:
        plain = {clip: {key: asdict(value) for key, value in table.items()} for clip, table in result.items()}
        args.save.write_text(json.dumps(plain))
    page = leakpage.page(result, LIMIT, TALL, transcode.versions())
    if args.markdown:
        args.markdown.write_text(page)
    else:
        print(page)
    if args.plot:
        leakpage.plot(result, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
