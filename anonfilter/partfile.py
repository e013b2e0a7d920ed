"""A file that appears under its name when it is whole: NAME.part until then, locked by its run and marked as a run's.

A run that was killed leaves a NAME.part that nobody locks any more; the mark tells it from a file that merely has such
a name, which is never overwritten without being asked to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat

from anonfilter.errors import OutputError

MARK = "user.anonfilter"
"""Extended attribute of a temporary file."""

begun: set[str] = set()
"""Temporary files and folders that this process may have made."""
unfinished: set[str] = set()
"""Those that it surely has made and locked."""


def remove_unfinished() -> None:
    """Remove every .part file that this process has begun and not finished, since it ends now. Never raises."""
    for part in list(begun | unfinished):
        _remove(part)


def _remove(part: str) -> None:
    """Remove a temporary file that this process began, also where a signal came before it was noted as made: then it is
    ours unless another run has its lock."""
    with contextlib.suppress(OSError):
        if part not in unfinished:
            folder = os.path.isdir(part)
            lock = os.open(part, (os.O_RDONLY if folder else os.O_RDWR) | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not replaceable(lock):
                    return
            finally:
                os.close(lock)
        if os.path.isdir(part) and not os.path.islink(part):
            shutil.rmtree(part)
        else:
            os.unlink(part)
    unfinished.discard(part)
    begun.discard(part)


def replaceable(file: int) -> bool:
    """Whether an open file that nobody locks is what a killed run left: it has the mark, or nothing in it yet."""
    state = os.fstat(file)
    if not os.listdir(file) if stat.S_ISDIR(state.st_mode) else not state.st_size:
        return True
    with contextlib.suppress(OSError):  # no such mark, or a file system that keeps none
        return bool(os.getxattr(file, MARK))
    return False


def same_file(one: str, other: str) -> bool:
    """Whether two names, perhaps with "file:" before them, are those of one file, through links of both kinds."""
    with contextlib.suppress(OSError, ValueError):  # one is not there, or no path
        return os.path.samefile(one.removeprefix("file:"), other.removeprefix("file:"))
    return False


class PartFile:
    """The temporary file of an output. path: the output, through links. name: what errors call it. part: where to
    write. replace: also a file of that name that no run is known to have left. Raises OutputError."""

    def __init__(self, path: str, name: str = "", replace: bool = False) -> None:
        self.path, self.part = path, path + ".part"
        self._name, self._replace = name or path, replace
        self._lock: int | None = None

    def begin(self) -> None:
        """Create the temporary file, empty and locked. What a killed run left under that name is replaced."""
        begun.add(self.part)
        while True:
            try:
                # Not through a link: what it points to is nobody's temporary file.
                lock = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            except OSError as error:
                begun.discard(self.part)
                why = f"{self.part} is a symbolic link" if error.errno == errno.ELOOP else error.strerror
                raise OutputError(f"{self._name}: cannot be written: {why}") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The run that had it until now may just have renamed it: then this is no longer the file of that name.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(lock), os.stat(self.part)):
                        self._take(lock)
                        return
                os.close(lock)
            except BlockingIOError as error:
                os.close(lock)
                begun.discard(self.part)
                raise OutputError(f"{self._name}: another run is writing to it ({self.part})") from error
            except OutputError:
                os.close(lock)
                begun.discard(self.part)
                raise
            except BaseException:  # a signal
                os.close(lock)
                _remove(self.part)
                raise

    def _take(self, lock: int) -> None:
        if not self._replace and not replaceable(lock):
            raise OutputError(
                f"{self._name}: {self.part} is in the way, and no killed run is known to have left it: "
                "move it, or give -y to replace it"
            )
        os.ftruncate(lock, 0)
        with contextlib.suppress(OSError):  # a file system without such attributes
            os.setxattr(lock, MARK, b"part")
        self._lock = lock
        unfinished.add(self.part)

    @property
    def size(self) -> int:
        """Bytes written so far, 0 where there is no file."""
        return 0 if self._lock is None else os.fstat(self._lock).st_size

    def commit(self) -> None:
        """The file is whole: give it its name."""
        if self._lock is None:
            return
        try:
            os.replace(self.part, self.path)
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be renamed from {self.part}: {error.strerror}") from error
        with contextlib.suppress(OSError):  # there was none
            os.removexattr(self._lock, MARK)
        self._release()

    def discard(self) -> None:
        """Remove the temporary file, if this run made it. Never raises."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.part)
            self._release()

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            unfinished.discard(self.part)
            begun.discard(self.part)
            with contextlib.suppress(OSError):
                os.close(lock)
