"""What a run tells while it runs: the status line, and ffmpeg's -progress file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TextIO

from anonfilter.errors import UsageError
from anonfilter.job import Progress
from anonfilter.sink import Sink, open_sink


def clock(seconds: float) -> str:
    """HH:MM:SS.cc, as ffmpeg writes times, which cuts what is below a hundredth off."""
    cents = int(round(max(0.0, seconds) * 1e6) // 10_000)
    return f"{cents // 360000:02d}:{cents // 6000 % 60:02d}:{cents // 100 % 60:02d}.{cents % 100:02d}"


def bitrate(state: Progress) -> str:
    """Bits per second of output time, "N/A" before there is any."""
    if state.out_time <= 0 or not state.size:
        return "N/A"
    return f"{state.size * 8 / state.out_time / 1000:6.1f}kbits/s"


def status_line(state: Progress) -> str:
    """ffmpeg's status line, with the time that is left where the number of frames is known."""
    stage = "" if state.stage == "render" else f"{state.stage}: "
    line = (
        f"{stage}frame={state.frame:5d} fps={state.fps:4.{0 if state.fps >= 10 else 1}f} "
        f"size={state.size // 1024:8d}kB time={clock(state.out_time)} bitrate={bitrate(state)} "
    )
    if state.dup or state.drop:
        line += f"dup={state.dup} drop={state.drop} "
    line += f"speed={state.speed:.3g}x"
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

    url: a path, file:PATH, "-", pipe:N, tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or http://HOST... (one POST for the
    whole run). Raises UsageError if it cannot be opened. A reader that goes away ends the reports, not the run; so does
    a full disk, of which `warn` is told.
    """

    def __init__(self, url: str, warn: Callable[[str], None] | None = None) -> None:
        self._url, self._warn = url, warn
        self._sink: Sink | None
        try:
            self._sink = open_sink(url)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"-progress {url}: {reason}") from None

    def update(self, state: Progress) -> None:
        """Write one block."""
        if self._sink is None:
            return
        try:
            self._sink.write("".join(f"{key}={value}\n" for key, value in rows(state).items()).encode())
        except OSError as error:
            self.close()
            if self._warn is not None and not isinstance(error, ConnectionError):  # BrokenPipeError is one of these
                self._warn(f"-progress {self._url}: {error.strerror or error}: no more reports")

    def close(self) -> None:
        """Close the file."""
        sink, self._sink = self._sink, None
        if sink is not None:
            with contextlib.suppress(OSError):  # what is left in the buffer has no reader
                sink.close()


def rows(state: Progress) -> dict[str, str]:
    """What ffmpeg tells of a state, in its order. stream_0_0_q is -1.0 where the encoder does not say, as there."""
    micros = round(state.out_time * 1e6)
    out_time = f"{clock(state.out_time).partition('.')[0]}.{micros % 1_000_000:06d}"
    return {
        "frame": str(state.frame),
        "fps": f"{state.fps:.2f}",
        "stream_0_0_q": f"{state.q:.1f}",
        "bitrate": bitrate(state).rjust(6),
        "total_size": str(state.size) if state.size else "N/A",
        "out_time_us": str(micros),
        "out_time_ms": str(micros),  # ffmpeg writes microseconds under this name too
        "out_time": out_time,
        "dup_frames": str(state.dup),
        "drop_frames": str(state.drop),
        "speed": f"{state.speed:4.3g}x" if state.speed else "N/A",
        "progress": "end" if state.done else "continue",
    }
