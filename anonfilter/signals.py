"""Ctrl-C and SIGTERM as ffmpeg takes them: the first stops the run cleanly, the next two are only counted, the fourth
ends the process at once. A terminal that closes (SIGHUP) does the same, unless the run is to outlive it (nohup).

Imports nothing heavy: the command catches signals before anything else is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

STOPPED, HARD_EXIT = 255, 123
_MOST = 3

received: list[int] = []
"""Numbers of the signals since catch()."""


def catch() -> dict[int, Any]:
    """Handle the signals from now on. Returns the handlers there were, none outside of the main thread."""
    received.clear()
    try:
        return {number: signal.signal(number, _handle) for number in _numbers()}
    except ValueError:
        return {}


def release(before: dict[int, Any]) -> None:
    """Put the handlers of catch() back."""
    for number, handler in before.items():
        signal.signal(number, handler)


def ignore() -> None:
    """The work is done: no signal shall make a failure of it while the interpreter is taken apart."""
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


def _numbers() -> list[int]:
    hangup = [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def stopped() -> bool:
    """Whether a signal has come."""
    return bool(received)


def line() -> str:
    """What the command says when it was stopped."""
    return f"Exiting normally, received signal {received[0] if received else int(signal.SIGINT)}."


def _handle(number: int, frame: FrameType | None) -> None:
    received.append(number)
    if len(received) == 1:
        # Only once: an exception in the middle of the cleaning up that it started would leave a .part behind.
        raise KeyboardInterrupt
    if len(received) > _MOST:
        os.write(2, b"Received > 3 system signals, hard exiting\n")
        remove_unfinished()
        os._exit(HARD_EXIT)


def remove_unfinished() -> None:
    """Remove the .part files of the runs of this process, which ends now."""
    partfile = sys.modules.get("anonfilter.partfile")
    if partfile is not None:
        partfile.remove_unfinished()
