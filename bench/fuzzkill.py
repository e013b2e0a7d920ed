"""kill -9 at random moments: what is left, and that the next run works."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import av
from forkserver import ForkServer
from fuzz import ENDINGS, ZONE, Tally, check_output

_GRAPHS = (ZONE, "zone=w=48:h=48,track,interp=gap=-1,fill", "zone=w=48:h=48,write={records}:overwrite=1,fill")


def kill(count: int, seed: int, *, server: ForkServer, source: Path) -> Tally:
    """Kill `count` runs, each at a random moment of the time that it would take, then run each again.

    whole: of the runs that had finished by then; refused: of those that had not.
    """
    tally = Tally()
    for number in range(count):
        rng = random.Random(f"kill/{seed}/{number}")
        with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
            folder = Path(made)
            out = folder / f"out{rng.choice(ENDINGS)}"
            graph = rng.choice(_GRAPHS).format(records=folder / "records.jsonl")
            argv = ["-hide_banner", "-i", str(source), "-vf", graph, "-c:v", "libx264", "-preset", "veryfast", str(out)]
            # Its whole time first, on a name of its own.
            trial = server.run([*argv[:-1], str(folder / f"trial{out.suffix}")])
            (folder / f"trial{out.suffix}").unlink()
            (folder / "records.jsonl").unlink(missing_ok=True)
            when = rng.random() * trial.seconds * 1.1
            killed = server.run(argv, kill_after=when)
            finished = killed.status == 0
            left = sorted(path.name for path in folder.iterdir())
            allowed = {out.name + ".part", "records.jsonl.part", "records.jsonl"} | ({out.name} if finished else set())
            fault = ""
            if trial.status:
                fault = f"does not run: {trial.errors}"
            elif killed.status not in (0, -9):
                fault = f"status {killed.status}"
            elif out.exists() and (wrong := check_output(out, trial.errors)):
                fault = f"an output that is not whole: {wrong}"  # complete, and killed after: no fault
            elif set(left) - allowed - {out.name}:
                fault = f"left {left}"
            else:
                fault = _again(server, argv, out, trial.errors)
            tally.cases += 1
            tally.whole += out.exists() and finished
            tally.refused += not finished
            tally.messages[" ".join(left) or "nothing"] += 1
            tally.slowest = max(tally.slowest, when)
            if fault:
                tally.faults.append(f"kill {number} after {when:.2f} s: {fault}")
    return tally


def _again(server: ForkServer, argv: list[str], out: Path, said: str) -> str:
    """What is wrong with the next run of the same command, "" for nothing."""
    done = server.run(["-y", *argv] if out.exists() else argv)
    if done.status:
        return f"the next run: {done.errors}"
    left = sorted(path.name for path in out.parent.iterdir() if path.suffix == ".part")
    return f"the next run left {left}" if left else check_output(out, done.errors)


def kill_pictures(count: int, seed: int, *, server: ForkServer, source: Path) -> Tally:
    """As kill(), of runs whose output is numbered pictures: of a killed one there are none under their names, or, where
    it was killed as it named them, the first ones, each whole; the folder beside them is taken over by the next run."""
    tally = Tally()
    for number in range(count):
        rng = random.Random(f"kill-pictures/{seed}/{number}")
        with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
            folder = Path(made)
            out = folder / ("f%04d" + rng.choice((".png", ".jpg", ".tif", ".webp", ".bmp")))
            argv = ["-hide_banner", "-t", "1", "-i", str(source), "-vf", ZONE, str(out)]
            trial = server.run(argv)
            frames = len(_named(out))
            for path in _named(out):
                path.unlink()
            # Half of them near the end, when the pictures get their names.
            when = trial.seconds * (rng.random() * 1.05 if rng.random() < 0.5 else rng.uniform(0.9, 1.02))
            killed = server.run(argv, kill_after=when)
            named, finished = _named(out), killed.status == 0
            others = sorted({path.name for path in folder.iterdir()} - {path.name for path in named})
            fault = ""
            if trial.status or not frames:
                fault = f"does not run: {trial.errors}"
            elif killed.status not in (0, -9):
                fault = f"status {killed.status}: {killed.errors}"
            elif finished and (len(named) != frames or others):
                fault = f"finished with {len(named)} of {frames} pictures, and {others}"
            elif others not in ([], [out.name + ".part"]):
                fault = f"left {others}"
            elif [path.name for path in named] != [out.name % n for n in range(1, len(named) + 1)]:
                fault = f"not the first pictures: {named}"
            else:
                fault = _pictures_wrong(named)
            if not fault:
                again = server.run(["-y", *argv] if named else argv)
                named = _named(out)
                if again.status or len(named) != frames or sorted(folder.iterdir()) != named:
                    fault = f"the next run: {again.errors} {sorted(path.name for path in folder.iterdir())[:5]}"
                else:
                    fault = _pictures_wrong(named)
            tally.cases += 1
            tally.whole += finished
            tally.refused += not finished
            tally.messages["nothing" if not others else "a folder"] += 1
            tally.slowest = max(tally.slowest, when)
            if fault:
                tally.faults.append(f"kill-pictures {number} ({out.suffix}) after {when:.2f} s: {fault}")
    return tally


def _named(out: Path) -> list[Path]:
    """The pictures that have their names, in order."""
    return sorted(out.parent.glob(f"f????{out.suffix}"))


def _pictures_wrong(paths: list[Path]) -> str:
    """What is wrong with pictures, "" where all are whole and covered."""
    for path in paths:
        try:
            with av.open(str(path)) as container:
                [frame] = list(container.decode(video=0))
        except (av.error.FFmpegError, ValueError) as error:
            return f"{path.name} is not whole: {error}"
        if frame.to_ndarray(format="gray")[6:42, 6:42].std() > 6:
            return f"{path.name} is not covered"
    return ""
