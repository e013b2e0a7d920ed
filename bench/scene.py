"""scene's methods against known shot transitions: which they find, which they invent, and what a frame costs.

    python bench/scene.py --truth bench/truth --clips ../shared/data/clips
    python bench/compose.py --out COMPOSED && python bench/scene.py --truth COMPOSED

Every *.json of the truth folder names a clip, its `cuts` (first frames of shots) and `fades` (first and last frame of
gradual transitions). Gradual transitions that touch, as a fade to black and one from it, count as one, with the cut
between them. A cut is right if it is the hard cut's very frame, or lies in a gradual transition or one frame beside it;
a transition is found if a right cut was given for it. Frames marked as part of a gradual transition are counted one by
one. Both methods see each frame in turn, so that the times are paired: processor time of one thread, decoding left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from anonfilter.filter import Env, Options
from anonfilter.filters.scene import Scene
from anonfilter.frame import Frame
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord

Span = tuple[int, int]


@dataclass
class Truth:
    """A clip's transitions as inclusive spans of frames; hard: those of one frame, its cut."""

    hard: list[int]
    gradual: list[Span]
    fading: set[int]

    @classmethod
    def of(cls, values: dict[str, Any]) -> Truth:
        """From a truth file."""
        spans: list[Span] = []
        for first, last in sorted(values.get("fades", ())):
            if spans and first <= spans[-1][1] + 1:
                spans[-1] = spans[-1][0], last
            else:
                spans.append((first, last))
        hard = [cut for cut in values["cuts"] if not any(a <= cut <= b + 1 for a, b in spans)]
        return cls(hard, spans, {n for a, b in spans for n in range(a, b + 1)})


@dataclass
class Method:
    """One way to find transitions, and what it did."""

    args: str
    seconds: float = 0.0
    frames: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    def start(self, info: Any, ring: dict[int, Frame]) -> None:
        """Begin a clip."""
        parsed = parse_options(Scene, self.args)
        self.item = Scene(Options(parsed.values, parsed.given))
        self.item.open(Env(info, ring, "clip", threads=1))  # type: ignore[arg-type]
        self.ahead = self.item.lookahead(info) or 0
        self.found: list[FrameRecord] = []

    def push(self, frame: Frame) -> None:
        """See one frame."""
        start = time.process_time()
        self.found += self.item.push(FrameRecord(frame.n, frame.pts, frame.t))
        self.seconds += time.process_time() - start
        self.frames += 1

    def finish(self, truth: Truth) -> list[str]:
        """End of the clip: count, and say what is wrong."""
        start = time.process_time()
        self.found += self.item.flush()
        self.seconds += time.process_time() - start
        self.item.close()
        cuts = [record.n for record in self.found if record.cut]
        fades = {record.n for record in self.found if record.fade}
        gradual = [span for span in truth.gradual if any(span[0] - 1 <= cut <= span[1] + 1 for cut in cuts)]
        hard = [cut for cut in truth.hard if cut in cuts]
        wrong = [
            cut for cut in cuts if cut not in truth.hard and not any(a - 1 <= cut <= b + 1 for a, b in truth.gradual)
        ]
        for name, value in (
            ("hard", len(truth.hard)), ("hard found", len(hard)), ("gradual", len(truth.gradual)),
            ("gradual found", len(gradual)), ("cuts", len(cuts)), ("wrong", len(wrong)),
            ("fading", len(truth.fading)), ("marked", len(fades)), ("marked right", len(fades & truth.fading)),
        ):  # fmt: skip
            self.counts[name] += value
        notes = []
        missed = [*sorted(set(truth.hard) - set(hard)), *(span for span in truth.gradual if span not in gradual)]
        if missed:
            notes.append(f"missed {', '.join(map(str, missed))}")
        if wrong:
            notes.append(f"wrong {', '.join(map(str, wrong))}")
        return notes


COUNTS = ("hard", "hard found", "gradual", "gradual found", "cuts", "wrong", "fading", "marked", "marked right")


def measure(clip: Path, truth: Truth, methods: list[Method]) -> None:
    """All methods on one clip."""
    reader = Reader(Job(input=str(clip), output="-", output_format="null", graph="null"))
    ring: dict[int, Frame] = {}
    for method in methods:
        method.start(reader.info, ring)
    for frame in reader.frames():
        if isinstance(frame, Frame):
            ring[frame.n] = frame
            ring.pop(frame.n - max(method.ahead for method in methods) - 1, None)
            for method in methods:
                method.push(frame)
    reader.close()
    for method in methods:
        for note in method.finish(truth):
            print(f"{clip.name}: {method.args}: {note}", flush=True)


def share(part: int, whole: int) -> str:
    """A part as text."""
    return f"{part} of {whole}" if whole else "none there"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True, help="folder of truth files")
    parser.add_argument("--clips", type=Path, help="where the clips are (default: beside the truth files)")
    parser.add_argument("--also", type=Path, default=Path("examples"), help="and where else")
    parser.add_argument("--method", action="append", help="a scene filter's arguments (default: both methods)")
    args = parser.parse_args()
    methods = [Method(text) for text in args.method or ("content", "transnetv2")]
    clips = 0
    for file in sorted(args.truth.glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        folders = (args.clips or args.truth, args.also)
        clip = next((folder / values["clip"] for folder in folders if (folder / values["clip"]).is_file()), None)
        if clip is None:
            print(f"{file.name}: no clip {values['clip']}")
            continue
        measure(clip, Truth.of(values), methods)
        clips += 1
    versions = " ".join(f"{name} {metadata.version(name)}" for name in ("onnxruntime", "numpy"))
    print(f"{clips} clips, {methods[0].frames} frames; {platform.machine()}, {versions}")
    print("| method | hard cuts found | gradual found | wrong cuts | recall | precision | fading frames marked "
          "| marked that fade | ms a frame |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for method in methods:
        c = method.counts
        there, found, right = c["hard"] + c["gradual"], c["hard found"] + c["gradual found"], c["cuts"] - c["wrong"]
        cells = (
            f"`{method.args}`", share(c["hard found"], c["hard"]), share(c["gradual found"], c["gradual"]),
            str(c["wrong"]), f"{found / there:.2f}" if there else "-", f"{right / c['cuts']:.2f}" if c["cuts"] else "-",
            share(c["marked right"], c["fading"]), share(c["marked right"], c["marked"]),
            f"{1000 * method.seconds / max(1, method.frames):.2f}",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
