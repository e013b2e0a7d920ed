"""A folder of videos and pictures: each file by itself into a folder that mirrors it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import av
import av.error

from anonfilter import __version__, run
from anonfilter.errors import AnonfilterError, Cancelled, InputError, OutputError, UsageError
from anonfilter.infer import kept
from anonfilter.io import demuxing, logs, pictures, still
from anonfilter.job import Job
from anonfilter.ledger import NAME, Ledger, file_state
from anonfilter.syntax import parse_graph

_VIDEO = frozenset(
    """
    mp4 m4v mov mkv webm avi ts mts m2ts mpg mpeg m2v vob wmv asf flv f4v 3gp 3g2 mxf ogv ogm mjpeg mjpg y4m nut dv divx
    h264 264 hevc 265 ivf rm rmvb wtv
    """.split()  # noqa: SIM905
)
# Raw formats of cameras and others that libavformat would open for a small preview, or as text.
_OTHER = frozenset("dng cr2 cr3 nef nrw arw srf sr2 orf rw2 raf pef raw heic heif avif gif svg pdf psd".split())  # noqa: SIM905
# Fields of a job that do not change what is in the output.
_APART = frozenset(
    ["input", "output", "overwrite", "threads", "ring_memory", "progress", "log", "on_plan", "stopped", "last",
     "stats_period", "graph_source"]
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What became of one file. state: "done", "skipped" (was done before), "failed", "other" (no video or picture).
    why: an error's line, or what it is. seconds: of wall time."""

    name: str
    state: str
    why: str = ""
    frames: int = 0
    covered: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class FolderReport:
    """All files, in the order of the run."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, state: str) -> int:
        """How many ended so."""
        return sum(item.state == state for item in self.outcomes)

    def lines(self) -> list[str]:
        """The table and the summary line."""
        shown = [item for item in self.outcomes if item.state != "other"]
        width = max((len(item.name) for item in shown), default=0)
        table = [f"{item.name:<{width}}  {_told(item)}" for item in shown]
        table += [f"{item.name}: not copied ({item.why})" for item in self.outcomes if item.state == "other"]
        frames, covered = (sum(getattr(item, name) for item in shown) for name in ("frames", "covered"))
        summary = (
            f"{len(shown)} files: {self.count('done')} done, {self.count('skipped')} done before, "
            f"{self.count('failed')} failed; {frames} frames, {covered} with regions; "
            f"{self.count('other')} other files not copied"
        )
        return [*table, summary]


def _told(item: Outcome) -> str:
    if item.state == "done":
        return f"done     {item.frames} frames, {item.covered} with regions, {item.seconds:.1f} s"
    return f"{'skipped' if item.state == 'skipped' else 'FAILED':<8} {item.why or 'done before'}"


def is_folder(job: Job) -> bool:
    """Whether the job's input is a folder."""
    return not demuxing.is_url(job.input) and os.path.isdir(demuxing.path_of(job.input))


def fingerprint(job: Job) -> str:
    """sha256, in hexadecimal, of all that shapes an output: options, graph and version."""
    told = {item.name: getattr(job, item.name) for item in fields(job) if item.name not in _APART}
    return hashlib.sha256(json.dumps([__version__, told], sort_keys=True, default=str).encode()).hexdigest()


def run_folder(job: Job, tell: Callable[[str], None] | None = None) -> FolderReport:
    """Run the job on every file of its input folder. tell: is given a line for each file as it ends.

    One file's failure never ends the others. Raises UsageError, InputError or OutputError for what concerns all of
    them, Cancelled and KeyboardInterrupt when stopped.
    """
    source, out = Path(demuxing.path_of(job.input)), Path(demuxing.path_of(job.output))
    _check(job, source, out)
    names = list(_files(source, out))
    if not names:
        raise InputError(f"{job.input}: the folder has no files")
    out.mkdir(parents=True, exist_ok=True)
    ledger, report = Ledger(out, fingerprint(job)), FolderReport()
    taken: dict[Path, str] = {}
    try:
        with kept.keeping():
            for number, name in enumerate(names, 1):
                outcome = _one(job, source / name, out, name, ledger, taken)
                report.outcomes.append(outcome)
                if tell is not None and outcome.state != "other":
                    tell(f"[{number}/{len(names)}] {name}: {_told(outcome)}")
    finally:
        ledger.close()
    if report.count("other") == len(report.outcomes):
        raise InputError(f"{job.input}: no video or picture in this folder")
    return report


def _check(job: Job, source: Path, out: Path) -> None:
    if demuxing.is_url(job.output) or job.output_format == "null":
        raise UsageError(f"{job.input} is a folder: the output must be one, too, not {job.output}")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{job.output}: is a file, and the input {job.input} is a folder")
    real, target = source.resolve(), out.resolve()
    if real == target or target in real.parents:
        raise OutputError(f"{job.output}: holds the input folder: choose another")
    for spec in parse_graph(job.graph, source=job.graph_source).linear():
        if spec.name in ("read", "write"):
            raise spec.error(f"'{spec.name}' names one record file, and a folder has many inputs: run them one by one")


def _files(source: Path, out: Path) -> Iterator[str]:
    """Names below source, sorted, without hidden ones, temporary ones, and what lies in out."""
    target = out.resolve()
    for folder, inner, names in os.walk(source):
        here = Path(folder)
        inner[:] = sorted(n for n in inner if not n.startswith(".") and (here / n).resolve() != target)
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(".part") and (here / name).is_file():
                yield str((here / name).relative_to(source))


def _one(job: Job, path: Path, out: Path, name: str, ledger: Ledger, taken: dict[Path, str]) -> Outcome:
    """Work on one file, or say why not."""
    begun = time.monotonic()
    outcome = Outcome(name, "failed")
    began = False
    try:
        kind = _kind(path)
        if kind not in ("video", "picture"):
            return Outcome(name, "other", kind)
        target = out / _output_name(job, name, kind)
        if target in taken:
            raise OutputError(f"{target}: is the output of {taken[target]}, too")
        taken[target] = name
        if ledger.done(name, path, target):
            return Outcome(name, "skipped")
        if target.exists() and not job.overwrite and not ledger.ours(name, target):
            raise OutputError(f"File '{target}' already exists, and is not this folder run's. (-y overwrites it)")
        target.parent.mkdir(parents=True, exist_ok=True)
        state = file_state(path)
        ledger.begin(name)
        began = True
        result = run.run(_job(job, path, target, kind))
        ledger.finish(name, state, target)
        outcome = Outcome(name, "done", "", result.frames, result.covered_frames)
    except Cancelled:
        raise
    except AnonfilterError as error:
        outcome.why = " ".join(str(error).split())
    except Exception as error:
        outcome.why = f"internal error: {type(error).__name__}: {' '.join(str(error).split())}"
    if outcome.state == "failed" and began:
        ledger.fail(name, target)
        if target.exists():
            outcome.why += f" ({target} is still that of an earlier run)"
    outcome.seconds = time.monotonic() - begun
    return outcome


def _job(job: Job, path: Path, target: Path, kind: str) -> Job:
    """The job of one file."""
    log = job.log

    def say(level: str, line: str) -> None:
        if log is not None and level != "info":
            log(level, f"{path}: {line}")

    given, wanted = (f"file:{p}" if demuxing.is_url(str(p)) else str(p) for p in (path, target))
    muxer = {**job.muxer_options, "update": "1"} if kind == "picture" else dict(job.muxer_options)
    form = None if kind == "picture" else job.output_format
    return replace(
        job, input=given, output=wanted, overwrite=True, last=False, log=say, muxer_options=muxer, output_format=form,
        input_options=dict(job.input_options), encoder_options={} if kind == "picture" else dict(job.encoder_options),
        codec=None if kind == "picture" else job.codec, pix_fmt=None if kind == "picture" else job.pix_fmt,
    )  # fmt: skip


def _output_name(job: Job, name: str, kind: str) -> str:
    """The same name; with -f, a video's ending is that of the format."""
    if kind == "picture" or job.output_format is None:
        return name
    try:
        endings = sorted(av.format.ContainerFormat(job.output_format, "w").extensions)
    except ValueError:
        raise OutputError(f"-f: unknown output format '{job.output_format}'") from None
    usual = {"matroska": "mkv", "mov": "mov", "mpegts": "ts", "avi": "avi", "mp4": "mp4", "webm": "webm"}
    ending = usual.get(job.output_format) or (endings[0] if endings else job.output_format)
    return os.path.splitext(name)[0] + "." + ending


def _kind(path: Path) -> str:
    """"video" or "picture", else what a file is instead. What is named as one of them must be one: it is worked on, and
    fails if it is not."""
    ending = pictures.extension(str(path))
    if ending in _OTHER or path.name == NAME:
        return f"a .{ending} file"
    with path.open("rb") as file:
        magic = still.kind_of(file.read(16))
    if ending in still.KINDS or (magic and magic != "tiff"):
        return "picture"
    if ending in _VIDEO:
        return "video"
    try:
        with logs.captured(), av.open(str(path)) as container:
            known = container.format.name not in demuxing.TEXT_ART and "_pipe" not in container.format.name
            pictures_only = av.stream.Disposition.attached_pic
            if known and any(not s.disposition & pictures_only for s in container.streams.video):
                return "video"
    except (av.error.FFmpegError, ValueError, OSError):
        pass
    return f"a .{ending} file" if ending else "no video or picture"
