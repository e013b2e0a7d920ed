"""Damaged input by the thousand: what the program may do with it is an error of one line, or a whole output.

    python bench/fuzz.py media [--count 1000] [--seed 1] [--keep FOLDER] [--messages]
    python bench/fuzz.py graphs [--count 100000] [--seed 1]
    python bench/fuzz.py records [--count 100000] [--seed 1]
    python bench/fuzz.py kill [--count 50] [--seed 1]
    python bench/fuzz.py kill-pictures [--count 50] [--seed 1]

`media` runs the program on mutated files of nineteen kinds. Each case is made from the seed and its number alone. A
case fails where the program says a traceback, is ended by a signal, takes more than 20 s, leaves a temporary file,
touches its input, ends with status 0 and an output that ffmpeg does not decode without a complaint or that has a frame
whose zone is not filled, or with another status and an output. `graphs` plans generated graph strings and asks their
timelines, `records` reads generated record files as a run does: only the project's own errors may come, each in 20 s,
in 2 GB of memory. `kill` ends runs with kill -9 at random moments: nothing but temporary files is left, or a whole
output where it was finished, and the same command works again. `kill-pictures` does so with numbered pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import av
import fuzzmedia
import fuzztext
import numpy as np
from forkserver import Done, ForkServer

SECONDS = 20
MEMORY = 2 << 30
ZONE = "zone=w=48:h=48,fill"
GRAPHS = (
    ZONE, ZONE, ZONE, "zone=w=48:h=48,track,interp,fill", "zone=w=48:h=48,track,interp=gap=-1,fill",
    "zone=w=48:h=48,write={records},fill",
)  # fmt: skip
ENDINGS = (".mp4", ".mp4", ".mkv", ".mkv", ".mov", ".ts", ".avi", ".nut")
RANGES: tuple[tuple[str, ...], ...] = ((), (), (), (), (), ("-ss", "0.4"), ("-t", "0.5"), ("-ss", "0.2", "-to", "0.8"))
# The null muxer's own wish; sound, which is copied bit for bit as it is.
_HARMLESS = re.compile(r"^\[(null|aac|mp3|mp3float) @")


@dataclass(slots=True)
class Case:
    """A mutated file and the command line that it is given to."""

    number: int
    source: Path
    out: Path
    argv: list[str]
    what: str


@dataclass(slots=True)
class Tally:
    """What came of all cases."""

    cases: int = 0
    whole: int = 0
    refused: int = 0
    slowest: float = 0.0
    memory: int = 0
    faults: list[str] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """One line for people."""
        return (
            f"{self.cases} cases: {self.whole} done, {self.refused} refused, "
            f"{len(self.faults)} faults; slowest {self.slowest:.1f} s, most memory {self.memory / 1e6:.0f} MB"
        )


def make_case(seeds: Sequence[Path], seed: int, number: int, folder: Path) -> Case:
    """Case `number`, its file written to folder."""
    folder.mkdir(exist_ok=True)
    rng = random.Random(f"{seed}/{number}")
    path, other = rng.choice(list(seeds)), rng.choice(list(seeds))
    raw, what = fuzzmedia.mutate(path.read_bytes(), other.read_bytes(), rng)
    source = folder / f"in{path.suffix}"
    source.write_bytes(raw)
    out = folder / f"out{rng.choice(ENDINGS)}"
    graph = rng.choice(GRAPHS).format(records=folder / "records.jsonl")
    before = ["-err_detect", "ignore_err"] if rng.random() < 0.5 else []
    h264 = rng.random() < 0.8
    after = ["-c:v", "libx264", "-preset", "ultrafast"] if h264 else ["-c:v", "mpeg4", "-pix_fmt", "yuv420p"]
    argv = ["-hide_banner", *before, *rng.choice(RANGES), "-i", str(source), "-vf", graph, *after, str(out)]
    return Case(number, source, out, argv, f"{path.name} {what}")


def judge(case: Case, done: Done, raw: bytes) -> str:
    """What is wrong with a run, "" for nothing."""
    folder = case.out.parent
    left = sorted(path.name for path in folder.iterdir() if path not in (case.source, case.out))
    if done.hung:
        return f"more than {SECONDS} s"
    if done.status < 0:
        return f"ended by signal {-done.status}"
    if done.traceback:
        return "traceback"
    if case.source.read_bytes() != raw:
        return "the source was touched"
    if done.status:
        if case.out.exists():
            return f"status {done.status} and an output"
        if left:
            return f"left {', '.join(left)}"
        if not done.errors.strip():
            return f"status {done.status} and no word"
        return ""
    if any(name.endswith(".part") for name in left):
        return f"left {', '.join(left)}"
    if not case.out.exists():
        return "status 0 and no output"
    return check_output(case.out, done.errors)


def check_output(out: Path, said: str) -> str:
    """Whether ffmpeg decodes all of an output, PyAV too, and every frame has its zone filled."""
    command = [
        "ffmpeg", "-nostdin", "-v", "repeat+error", "-i", str(out),
        "-map", "0:v", "-vsync", "passthrough", "-f", "null", "-",
    ]  # fmt: skip
    peer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    complaints = [line for line in peer.stderr.splitlines() if not _HARMLESS.search(line)]
    if peer.returncode or complaints:
        return f"the output does not decode: {complaints[:1]}"
    frames = 0
    with av.open(str(out)) as container:
        for frame in container.decode(video=0):
            frames += 1
            plane, component = frame.planes[0], frame.format.components[0]
            rows = np.frombuffer(plane, "<u2" if component.bits > 8 else "u1")
            rows = rows.reshape(-1, plane.line_size // rows.itemsize)[:, : frame.width]
            inner = rows[6:42, 6:42]
            if min(inner.shape) > 8 and inner.std() > 6 << (component.bits - 8):
                return f"frame {frames - 1} of the output is not covered"
    stated = re.search(r"^(\d+) frames, ", said, re.MULTILINE)
    if stated is None or int(stated[1]) != frames:
        return f"{frames} frames in the output, the report says {stated and stated[1]}"
    return ""


def shape_of(message: str) -> str:
    """A message without what differs between cases."""
    return re.sub(r"-?\d+(\.\d+)?|0x[0-9a-f]+", "N", re.sub(r"/\S+/", "", message))[:110]


def media(count: int, seed: int, *, first: int = 0, keep: Path | None = None, setup: str = "") -> Tally:
    """Run `count` cases from number `first` on. keep: where the files of failed cases go."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made, ForkServer(setup) as server:
        seeds = fuzzmedia.make_seeds(Path(made))
        for number in range(first, first + count):
            with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
                case = make_case(seeds, seed, number, Path(folder))
                raw = case.source.read_bytes()
                done = server.run(case.argv, seconds=SECONDS)
                try:
                    fault = judge(case, done, raw)
                except (av.error.FFmpegError, subprocess.TimeoutExpired) as error:
                    fault = f"the output does not decode: {error}"
                tally.cases += 1
                tally.slowest, tally.memory = max(tally.slowest, done.seconds), max(tally.memory, done.memory)
                if fault:
                    tally.faults.append(f"case {number} ({case.what}): {fault}")
                    if keep is not None:
                        _keep(case, done, fault, keep)
                elif done.status:
                    tally.refused += 1
                    tally.messages[shape_of(done.errors.strip().splitlines()[-1])] += 1
                else:
                    tally.whole += 1
    return tally


def _keep(case: Case, done: Done, fault: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(case.source, folder / f"{case.number}{case.source.suffix}")
    if case.out.exists():
        shutil.copy(case.out, folder / f"{case.number}-out{case.out.suffix}")
    text = f"{case.what}\n{' '.join(case.argv)}\n{fault}\nstatus {done.status}, {done.seconds:.1f} s\n{done.errors}"
    (folder / f"{case.number}.txt").write_text(text)


def text(kind: str, count: int, seed: int, *, first: int = 0) -> Tally:
    """Run `count` graph strings or record files in this process."""
    tally = Tally()
    faulthandler.dump_traceback_later(10 * SECONDS + count, exit=True)  # native code that never returns
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / "records.jsonl"
        for number in range(first, first + count):
            begun = time.monotonic()
            try:
                result = fuzztext.TRIES[kind](number, seed, path)
                tally.messages[result] += 1
                tally.refused += result.endswith("Error")
            except (AssertionError, MemoryError) as error:
                tally.faults.append(str(error) or f"{kind} {number}: out of memory")
            tally.cases += 1
            tally.slowest = max(tally.slowest, time.monotonic() - begun)
            if time.monotonic() - begun > SECONDS:
                tally.faults.append(f"{kind} {number}: more than {SECONDS} s")
    faulthandler.cancel_dump_traceback_later()
    tally.whole = tally.cases - tally.refused - len(tally.faults)
    tally.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return tally


def main() -> int:
    """Command line. Status 1 if any case failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["media", "graphs", "records", "kill", "kill-pictures"])
    parser.add_argument("--count", type=int, help="cases (1000 files, 100000 texts, 50 kills)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files of cases that failed")
    parser.add_argument("--messages", action="store_true", help="list what refused cases said")
    args = parser.parse_args()
    begun = time.monotonic()
    if args.what == "media":
        tally = media(args.count or 1000, args.seed, first=args.first, keep=args.keep)
    elif args.what.startswith("kill"):
        import fuzzkill

        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, ForkServer() as server:
            source = fuzzmedia.clips.make(Path(folder) / "in.mp4", size=(320, 240), frames=250, audio=("eng",))
            run = fuzzkill.kill if args.what == "kill" else fuzzkill.kill_pictures
            tally = run(args.count or 50, args.seed, server=server, source=source)
    else:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        tally = text(args.what, args.count or 100_000, args.seed, first=args.first)
    for fault in tally.faults:
        print(fault)
    if args.messages:
        for message, times in tally.messages.most_common():
            print(f"{times:5d}  {message}")
    print(f"{args.what}: {tally.line()}; {time.monotonic() - begun:.0f} s")
    return bool(tally.faults)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
