"""The command `anonfilter`, also as python -m anonfilter."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, NoReturn

from anonfilter import signals


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    signals.catch()  # before the imports, which take a moment
    sys.unraisablehook = _unraisable
    status = signals.STOPPED
    try:
        from anonfilter.cli import run_command

        status = run_command(sys.argv[1:], last=True)
    except KeyboardInterrupt:  # while an error was being told
        with contextlib.suppress(OSError):
            print(signals.line(), file=sys.stderr)
    if not status:
        signals.ignore()
        sys.exit(0)
    # A run that was broken off leaves encoders behind whose threads may wait for the interpreter: nothing is taken
    # apart any more.
    signals.remove_unfinished()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody reads, or it is closed, or None
            stream.flush()
    os._exit(status)


def _unraisable(what: Any) -> None:
    """A signal that came while an object was being freed is not lost: the run asks signals.stopped()."""
    if not isinstance(what.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(what)


if __name__ == "__main__":
    main()
