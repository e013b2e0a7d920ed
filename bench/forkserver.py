"""Runs the command `anonfilter` many times without paying for its imports each time.

A server process imports everything once and forks a child for each command line; the child runs anonfilter's own main()
and takes the interpreter apart as a program of its own would, so that what crashes at the end of a process is seen too.

    with ForkServer() as server:
        done = server.run(["-i", "in.mp4", "-vf", "...", "out.mp4"], seconds=20)
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Done:
    """A run that is over. status: exit status, -N where signal N ended it. seconds: of wall time. hung: whether it had
    to be killed. errors: what it wrote to stderr. memory: peak resident bytes."""

    status: int
    seconds: float
    hung: bool
    errors: str
    memory: int

    @property
    def traceback(self) -> bool:
        """Whether Python said more than one line about an exception, or the command met one that it does not know."""
        return "Traceback (most recent call last)" in self.errors or "internal error" in self.errors


class ForkServer:
    """The client's end. setup: Python source that the server executes once (a test filter, say)."""

    def __init__(self, setup: str = "") -> None:
        # OpenBLAS would start threads, which do not survive a fork.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
            pass_fds=(self._log.fileno(),), text=True,
        )  # fmt: skip
        self._ask({"log": self._log.fileno(), "setup": setup})

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run(
        self,
        argv: Sequence[str],
        *,
        seconds: float = 20,
        limits: Mapping[str, int] | None = None,
        kill_after: float | None = None,
        kill: int = signal.SIGKILL,
    ) -> Done:
        """Run one command line. seconds: after which it counts as hung. limits: of resource.setrlimit, by name
        ("RLIMIT_AS": bytes). kill_after: seconds after which it gets the signal `kill`."""
        self._log.seek(0)
        self._log.truncate()
        order = {"argv": list(argv), "seconds": seconds, "limits": dict(limits or {})}
        answer = self._ask({**order, "kill_after": kill_after, "kill": kill})
        self._log.seek(0)
        errors = self._log.read().decode(errors="replace")
        return Done(answer["status"], answer["seconds"], answer["hung"], errors, answer["memory"])

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._log.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError(f"the fork server ended with status {self._server.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve() -> list[str]:
    """The server. Returns in a child: the command line that it is to run."""
    import anonfilter.api
    import anonfilter.cli
    import anonfilter.clihelp
    import anonfilter.filters
    import anonfilter.progress
    import anonfilter.run  # noqa: F401
    from anonfilter import filter as registry

    for name in registry.names():
        registry.find(name)
    answers = os.fdopen(os.dup(1), "w")
    log = 2
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if "log" in order:
            log = order["log"]
            exec(order["setup"], {})
            print("{}", file=answers, flush=True)
            continue
        begun = time.monotonic()
        child = os.fork()
        if not child:
            _become(order, log)
            answers.close()
            return list(order["argv"])
        print(json.dumps(_wait(child, order, begun)), file=answers, flush=True)
    os._exit(0)


def _become(order: dict[str, Any], log: int) -> None:
    """A child's descriptors and limits."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(log, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for name, value in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))


def _wait(child: int, order: dict[str, Any], begun: float) -> dict[str, Any]:
    end = begun + order["seconds"]
    kill_at = None if order["kill_after"] is None else begun + order["kill_after"]
    hung = False
    watch = os.pidfd_open(child)
    while True:
        now = time.monotonic()
        until = end if kill_at is None else min(end, kill_at)
        if select.select([watch], [], [], max(0.0, until - now))[0]:
            break
        if kill_at is not None and kill_at <= time.monotonic():
            os.kill(child, order["kill"])
            kill_at = None
        elif time.monotonic() >= end:
            hung = True
            os.kill(child, signal.SIGKILL)
            break
    _, status, usage = os.wait4(child, 0)
    os.close(watch)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - begun,
        "hung": hung,
        "memory": usage.ru_maxrss * 1024,
    }


if __name__ == "__main__":
    sys.argv = ["anonfilter", *serve()]
    from anonfilter.__main__ import main

    main()
