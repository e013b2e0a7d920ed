"""The command `anonfilter`: ffmpeg's way of saying it, exit status 0, 1, or 255 when stopped (eval: 2 where the figures
are not what was asked for; scan: 2 where something was found).

Thin: the table and the parser are in cliopts, help in clihelp, the work in run. What is heavy is imported
when it is needed, so that -h answers at once.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from anonfilter import __version__, signals
from anonfilter.clijob import Command
from anonfilter.cliparse import parse_command
from anonfilter.clivalues import LOG_LEVELS, log_level
from anonfilter.errors import AnonfilterError, Cancelled, InputError, OutputError, UsageError
from anonfilter.job import Job, Progress
from anonfilter.partfile import same_file
from anonfilter.report import ReportFile
from anonfilter.report import start as start_report

if TYPE_CHECKING:
    from anonfilter.folder import FolderReport
    from anonfilter.job import Report

FAILED = 1
_STDOUT = ("-", "pipe:", "pipe:1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: sys.argv) from Python. Returns the exit status; never raises what a user can
    cause."""
    before = signals.catch()
    try:
        return run_command(sys.argv[1:] if argv is None else argv)
    finally:
        signals.release(before)


def run_command(argv: Sequence[str], *, last: bool = False) -> int:
    """main() without its care of signals. last: the process ends after it."""
    args = list(argv)
    level, prefix = _asked_level(args)
    debug = level >= LOG_LEVELS["debug"]
    report: ReportFile | None = None

    def say(text: str) -> None:
        """Tell an error. -loglevel quiet leaves it to the exit status."""
        if report is not None:
            report.write("error", text)
        if level >= LOG_LEVELS["error"]:
            _say(prefix("error") + text)

    try:
        report = start_report(args)
        return _main(args, last, report)
    except (KeyboardInterrupt, Cancelled):
        return _stopped(say)
    except AnonfilterError as error:
        if signals.stopped():
            return _stopped(say)
        say(str(error))
        if debug:
            _traceback()
        return FAILED
    except BrokenPipeError:
        _drop_stdout()
        return FAILED
    except Exception as error:
        if signals.stopped():  # it hit an import, say, and came out as something else
            return _stopped(say)
        if debug:
            _traceback()
        if isinstance(error, MemoryError) or "can't start new thread" in str(error):
            say("out of memory: fewer -threads or a smaller -ring_memory may fit")
            return FAILED
        text = " ".join(str(error).split())
        say(f"internal error: {type(error).__name__}: {text}; run with -v debug for the traceback")
        return FAILED
    finally:
        if report is not None:
            report.close()


def _stopped(say: Callable[[str], None]) -> int:
    say(signals.line())
    return signals.STOPPED


def _main(args: list[str], last: bool, report: ReportFile | None) -> int:
    if args[:1] == ["models"]:
        from anonfilter.models.cli import main as models_main

        return int(models_main(args[1:]))
    if args[:1] == ["eval"]:
        from anonfilter.leak.cli import main as eval_main

        return eval_main(args[1:])
    if args[:1] == ["scan"]:
        from anonfilter.scan import main as scan_main

        return scan_main(args[1:])
    from anonfilter import clihelp

    if not args:
        _say(f"{clihelp.USAGE}\nUse -h to get full help.")
        return FAILED
    command = parse_command(args)
    if command.action == "help":
        clihelp.show(clihelp.topic_help(command.topic))
    elif command.action == "version":
        clihelp.show(clihelp.version_lines())
    elif command.action == "filters":
        clihelp.show(clihelp.filter_list())
    else:
        _run(command, last, report)
    if signals.stopped():  # one that came while something was being freed, where no exception passes
        raise KeyboardInterrupt
    return 0


def _run(command: Command, last: bool, report_file: ReportFile | None) -> None:
    """Plan, ask, run and tell."""
    job, log = command.job, Log(command, report_file)
    job.stopped, job.last = signals.stopped, last
    if not command.hide_banner:
        log("info", f"anonfilter {__version__}")
    for warning in command.warnings:
        log("warning", warning)
    job.log = log
    if command.dump_plan:
        if not job.output:
            print(_plan(job), flush=True)
            return
        job.on_plan = lambda text: print(text, file=sys.stderr, flush=True)
    elif report_file is not None:
        job.on_plan = lambda text: report_file.write("verbose", text)
    if command.progress in _STDOUT and job.output in _STDOUT:
        raise UsageError(f"-progress {command.progress}: stdout is the output's, use pipe:2 or a file")
    from anonfilter import folder

    if not folder.is_folder(job):
        _check_output(command)
    elif command.dump_plan:
        raise UsageError(f"-dump_plan: {job.input} is a folder: name one of its files")
    from anonfilter.progress import ProgressFile
    from anonfilter.run import run

    if same_file(job.input, command.progress):
        raise UsageError(f"-progress {command.progress}: this is the input")
    report_to = ProgressFile(command.progress, lambda line: log("warning", line)) if command.progress else None

    def progress(state: Progress) -> None:
        log.status(state)
        if report_to is not None:
            report_to.update(state)

    job.progress = progress
    try:
        if folder.is_folder(job):
            _tell_folder(folder.run_folder(job, lambda line: log("info", line)), job, log)
            return
        report = run(job)
    finally:
        log.clear()
        if report_to is not None:
            report_to.close()
    _tell(report, log)
    if command.benchmark:
        _benchmark(report.seconds, log)


def _tell_folder(report: FolderReport, job: Job, log: Log) -> None:
    """The table and the summary. Raises InputError if any file failed."""
    for line in report.lines():
        log("info", line)
    failed = [item for item in report.outcomes if item.state == "failed"]
    if failed:
        if log.level < LOG_LEVELS["info"]:
            for item in failed:
                log("error", f"{item.name}: {item.why}")
        raise InputError(f"{job.input}: {len(failed)} of {len(report.outcomes) - report.count('other')} files failed")


def _benchmark(seconds: float, log: Log) -> None:
    """ffmpeg's two lines: user, system and wall time, and the most memory that was held."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    log("info", f"bench: utime={used.ru_utime:.3f}s stime={used.ru_stime:.3f}s rtime={seconds:.3f}s")
    log("info", f"bench: maxrss={used.ru_maxrss}kB")


def _plan(job: Job) -> str:
    from anonfilter.io.endpoints import open_reader
    from anonfilter.plan import make_plan

    reader = open_reader(job)
    try:
        return make_plan(job, reader.info).describe()
    finally:
        reader.close()


def _tell(report: Report, log: Log) -> None:
    """What happened, in a line or a few."""
    for line in report.dropped:
        log("info", f"dropped: {line}")
    for line in report.kept:
        log("info", f"kept: {line}")
    if report.latency:
        log(
            "info",
            f"live: {report.covered_whole} frames covered wholly (not analysed in time), {report.left_out} left out "
            f"(the output was too slow), at most {report.latency * 1000:.0f} ms from arrival to the encoder",
        )
    if report.reconnects:
        log("warning", f"the input was opened again {report.reconnects} times")
    damage = (
        (report.corrupt, f"{report.corrupt} frames were marked corrupt by the decoder"),
        (report.undecodable, f"{report.undecodable} packets of the video could not be decoded"),
        (report.damaged, f"the container is damaged in {report.damaged} places"),
        (report.absent, f"{report.absent} frames that the container's index has did not come"),
        (report.missing, f"the last {report.missing:.2f} s that the container states are not there"),
    )
    for line in [*report.notes, *(line for count, line in damage if count)]:
        log("warning", line)
    log(
        "info",
        f"{report.frames} frames, {report.covered_frames} with regions ({report.regions} in all), "
        f"{report.passes} pass{'es' * (report.passes > 1)}, {report.seconds:.1f} s",
    )


def _check_output(command: Command) -> None:
    """Never the input itself; an existing file only with leave. Raises OutputError."""
    job = command.job
    path = job.output.removeprefix("file:")
    if same_file(job.input, job.output):
        raise OutputError(
            f"Output {job.output} same as Input #0 - exiting: a file cannot be edited in place, choose another name"
        )
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # there is none, or it is no path
    if not stat.S_ISREG(mode) or command.overwrite:
        return
    if command.overwrite is None and command.stdin and sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write(f"File '{job.output}' already exists. Overwrite? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            job.overwrite = True
            return
        raise OutputError("Not overwriting - exiting")
    leave = "" if command.overwrite is False else " (-y overwrites it)"
    raise OutputError(f"File '{job.output}' already exists. Exiting.{leave}")


class Log:
    """Log lines and the status line on stderr, as far as -loglevel and -nostats let them."""

    def __init__(self, command: Command, report: ReportFile | None = None) -> None:
        from anonfilter.progress import StatusLine

        self.level, self._report = command.log_level, report
        self._prefix = _prefixer(command.log_flags)
        shown = self.level >= LOG_LEVELS["info"] if command.stats is None else command.stats
        self._line = StatusLine() if shown else None

    def __call__(self, level: str, line: str) -> None:
        """Print one line of that level."""
        if self._report is not None:
            self._report.write(level, line)
        if LOG_LEVELS.get(level, LOG_LEVELS["info"]) <= self.level:
            self.clear()
            print(self._prefix(level) + line, file=sys.stderr, flush=True)

    def status(self, state: Progress) -> None:
        """Show progress."""
        if self._report is not None and state.done:
            from anonfilter.progress import status_line

            self._report.write("info", status_line(state))
        if self._line is not None:
            self._line.update(state)

    def clear(self) -> None:
        """Leave the status line."""
        if self._line is not None:
            self._line.clear()


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # if nobody reads, the exit status tells
        print(text, file=sys.stderr, flush=True)


def _traceback() -> None:
    import traceback

    with contextlib.suppress(OSError):
        traceback.print_exc()


def _asked_level(args: Sequence[str]) -> tuple[int, Callable[[str], str]]:
    """What -loglevel asks for, known even where the command line cannot be parsed: the level, and what to write before
    a line."""
    level, flags = LOG_LEVELS["info"], frozenset[str]()
    for option, value in pairwise(args):
        if option in ("-v", "-loglevel"):
            with contextlib.suppress(ValueError):
                asked, flags = log_level(value)
                level = level if asked is None else asked
    return level, _prefixer(flags)


def _prefixer(flags: frozenset[str]) -> Callable[[str], str]:
    """What -loglevel's flags write before a line of a level: its time, and its level in brackets."""
    if not flags & {"level", "time", "datetime"}:
        return lambda level: ""

    def prefix(level: str) -> str:
        now = datetime.now()
        stamp = now.strftime("%Y-%m-%d %H:%M:%S.%f" if "datetime" in flags else "%H:%M:%S.%f")[:-3] + " "
        return (stamp if flags & {"time", "datetime"} else "") + (f"[{level}] " if "level" in flags else "")

    return prefix


def _drop_stdout() -> None:
    """Keep the interpreter from failing again when it flushes a stdout that nobody reads."""
    with contextlib.suppress(OSError, ValueError):  # stdout may be closed already, or no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
