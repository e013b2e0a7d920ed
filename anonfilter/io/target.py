"""Where an output goes: NAME.part until it is whole, then NAME."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from anonfilter.errors import OutputError
from anonfilter.io.demuxing import is_url, path_of
from anonfilter.job import Job

_begun: set[str] = set()
_unfinished: set[str] = set()


def remove_unfinished() -> None:
    """Remove every .part file that this process has begun and not finished, since it ends now. Never raises."""
    for part in list(_begun | _unfinished):
        _remove(part)


def _remove(part: str) -> None:
    """Remove a temporary file that this process began, also where a signal came before it was noted as made: then it is
    ours unless another run has its lock."""
    with contextlib.suppress(OSError):
        if part not in _unfinished:
            lock = os.open(part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(lock)
        os.unlink(part)
    _unfinished.discard(part)
    _begun.discard(part)


class Target:
    """The output's name and the temporary file beside it.

    url: what libavformat opens. regular: whether there is a file that is renamed at the end; a URL, a pipe
    and a device are written to as they are. Raises OutputError for a name that must not or cannot be written.
    """

    def __init__(self, job: Job) -> None:
        self.name = job.output
        self._lock: int | None = None
        self.regular = False
        self.path = ""
        if self.name == "-":
            self.url = "pipe:1"
            return
        if is_url(self.name):
            self.url = self.name
            return
        given = path_of(self.name)
        if not given:
            raise OutputError("the output has no name")
        self._check(job, given)
        if os.path.exists(given) and not stat.S_ISREG(os.stat(given).st_mode):
            self.url = self.name
            return
        # Through a symbolic link: the link stays, and what it points to is replaced.
        self.regular, self.path = True, os.path.realpath(given)
        self.part = self.url = self.path + ".part"
        if ":" in self.part.split("/")[0]:
            self.url = "file:" + self.part

    def _check(self, job: Job, path: str) -> None:
        name = self.name
        if os.path.isdir(path) or path.endswith(os.sep):
            raise OutputError(f"{name}: is a directory: give the output a file name")
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise OutputError(f"{name}: the folder {folder} does not exist")
        source = "" if is_url(job.input) else path_of(job.input)
        for victim in (path, os.path.realpath(path) + ".part"):
            if source and os.path.exists(source) and os.path.exists(victim) and os.path.samefile(source, victim):
                raise OutputError(f"{name}: output and input are the same file ({job.input}): choose another name")
        if os.path.isfile(path):
            if not job.overwrite:
                raise OutputError(f"File '{name}' already exists. Exiting. (-y overwrites it)")
            if not os.access(path, os.W_OK):
                raise OutputError(f"{name}: Permission denied")

    def begin(self) -> None:
        """Create the temporary file and lock it. What a killed run left under that name is overwritten."""
        if not self.regular:
            return
        _begun.add(self.part)
        while True:
            try:
                # Not through a link: what it points to is nobody's temporary file.
                lock = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            except OSError as error:
                _begun.discard(self.part)
                raise OutputError(f"{self.name}: cannot be written: {error.strerror}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The run that had it until now may just have renamed it: then this is no longer the file of
                # that name.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(lock), os.stat(self.part)):
                        self._lock = lock
                        _unfinished.add(self.part)
                        return
                os.close(lock)
            except BlockingIOError as error:
                os.close(lock)
                _begun.discard(self.part)
                raise OutputError(f"{self.name}: another run is writing to it ({self.part})") from error
            except BaseException:  # a signal
                os.close(lock)
                _remove(self.part)
                raise

    @property
    def size(self) -> int:
        """Bytes written so far, 0 where nobody knows."""
        return 0 if self._lock is None else os.fstat(self._lock).st_size

    def commit(self) -> int:
        """The output is whole: give it its name. Returns its size in bytes."""
        size = self.size
        if self._lock is not None:
            if not size:
                raise OutputError(f"{self.name}: nothing was written")
            try:
                os.replace(self.part, self.path)
            except OSError as error:
                raise OutputError(f"{self.name}: cannot be renamed from {self.part}: {error.strerror}") from error
            self._release()
        return size

    def discard(self) -> None:
        """Remove the temporary file, if this run made it. Never raises."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.part)
            self._release()

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            _unfinished.discard(self.part)
            _begun.discard(self.part)
            with contextlib.suppress(OSError):
                os.close(lock)
