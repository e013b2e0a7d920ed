"""What a run tells while it runs: the status line, and ffmpeg's -progress file."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from anonfilter.errors import UsageError
from anonfilter.job import Progress


def clock(seconds: float) -> str:
    """HH:MM:SS.cc, as ffmpeg writes times."""
    cents = round(max(0.0, seconds) * 100)
    return f"{cents // 360000:02d}:{cents // 6000 % 60:02d}:{cents // 100 % 60:02d}.{cents % 100:02d}"


def bitrate(state: Progress) -> str:
    """Bits per second of output time, "N/A" before there is any."""
    if state.out_time <= 0:
        return "N/A"
    return f"{state.size * 8 / state.out_time / 1000:6.1f}kbits/s"


def status_line(state: Progress) -> str:
    """ffmpeg's status line, with the time that is left where the number of frames is known."""
    stage = "" if state.stage == "render" else f"{state.stage}: "
    line = (
        f"{stage}frame={state.frame:5d} fps={state.fps:4.{0 if state.fps >= 10 else 1}f} "
        f"size={state.size // 1024:8d}kB time={clock(state.out_time)} bitrate={bitrate(state)} "
        f"speed={state.speed:.3g}x"
    )
    if not state.done and state.fps > 0 and state.total > state.frame:
        line += f" eta={clock((state.total - state.frame) / state.fps).partition('.')[0]}"
    return line


class StatusLine:
    """The status line on a terminal, rewritten in place; elsewhere one line at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.tty = self.stream.isatty()
        self._shown = 0

    def update(self, state: Progress) -> None:
        """Show a state. A shorter line wipes what was longer."""
        if not (self.tty or state.done):
            return
        line = status_line(state)
        end = "\n" if state.done else "\r"
        self.stream.write(line.ljust(self._shown) + end)
        self.stream.flush()
        self._shown = 0 if state.done else len(line)

    def clear(self) -> None:
        """Move off the status line, so that a log line does not start in the middle of it."""
        if self._shown:
            self.stream.write("\n")
            self.stream.flush()
            self._shown = 0


class ProgressFile:
    """ffmpeg's -progress: blocks of key=value lines, each ended by progress=continue, the last by
    progress=end.

    url: a path, file:PATH, "-" or pipe:N. Raises UsageError if it cannot be opened. A reader that goes away
    ends the reports, not the run.
    """

    def __init__(self, url: str) -> None:
        self._file: TextIO | None
        try:
            if url == "-" or url.startswith("pipe:"):
                number = url.removeprefix("pipe:").strip("-")
                self._file = os.fdopen(os.dup(int(number or 1)), "w")
            else:
                self._file = open(url.removeprefix("file:"), "w")  # noqa: SIM115 (closed by close)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such pipe"
            raise UsageError(f"-progress {url}: {reason}") from None

    def update(self, state: Progress) -> None:
        """Write one block."""
        if self._file is None:
            return
        micros = round(state.out_time * 1e6)
        out_time = f"{clock(state.out_time).partition('.')[0]}.{micros % 1_000_000:06d}"
        rows = {
            "frame": state.frame,
            "fps": f"{state.fps:.2f}",
            "stream_0_0_q": "-0.0",
            "bitrate": bitrate(state).rjust(6),
            "total_size": state.size,
            "out_time_us": micros,
            "out_time_ms": micros,  # ffmpeg writes microseconds under this name too
            "out_time": out_time,
            "dup_frames": 0,
            "drop_frames": 0,
            "speed": f"{state.speed:4.3g}x",
            "progress": "end" if state.done else "continue",
        }
        try:
            self._file.write("".join(f"{key}={value}\n" for key, value in rows.items()))
            self._file.flush()
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # what is left in the buffer has no reader
                file.close()
