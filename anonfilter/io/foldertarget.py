"""Where numbered pictures go until all of them are whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil

from anonfilter import partfile
from anonfilter.errors import OutputError
from anonfilter.io.demuxing import path_of
from anonfilter.job import Job


class FolderTarget:
    """Where numbered pictures go: the folder PATTERN.part until all are whole, then beside it under their names.

    The folder is locked as a Target's file is. Raises OutputError as Target does.
    """

    def __init__(self, job: Job) -> None:
        self.name, self._overwrite = job.output, job.overwrite
        path = os.path.abspath(path_of(job.output))
        self._folder = os.path.dirname(path)
        self._part = path + ".part"
        self._lock: int | None = None
        self._files: list[str] = []
        if not os.path.isdir(self._folder):
            raise OutputError(f"{self.name}: the folder {self._folder} does not exist")

    def begin(self) -> None:
        """Make the folder, or take over what a killed run left."""
        partfile.begun.add(self._part)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._part)
            lock = os.open(self._part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            partfile.begun.discard(self._part)
            raise OutputError(f"{self.name}: cannot be written: {error.strerror} ({self._part})") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            partfile.begun.discard(self._part)
            raise OutputError(f"{self.name}: another run is writing to it ({self._part})") from error
        if not self._overwrite and not partfile.replaceable(lock):
            os.close(lock)
            partfile.begun.discard(self._part)
            raise OutputError(
                f"{self.name}: {self._part} is in the way, and no killed run is known to have left it: move it, or "
                "give -y to replace it"
            )
        with contextlib.suppress(OSError):  # a file system without such attributes
            os.setxattr(lock, partfile.MARK, b"part")
        self._lock = lock
        partfile.unfinished.add(self._part)
        for left in os.listdir(self._part):
            os.unlink(os.path.join(self._part, left))

    def begin_file(self, name: str) -> str:
        """The path to write the next picture to. name: the one that it will have. Raises OutputError for one that is
        there already, unless the job overwrites."""
        final = os.path.join(self._folder, name)
        if os.path.isdir(final) or (os.path.lexists(final) and not self._overwrite):
            raise OutputError(f"File '{final}' already exists. Exiting. (-y overwrites it)")
        self._files.append(name)
        return os.path.join(self._part, name)

    def commit(self) -> int:
        """All are whole: move them. Returns how many they are. What was moved is removed again if one cannot be."""
        moved: list[str] = []
        try:
            for name in self._files:
                final = os.path.join(self._folder, name)
                os.replace(os.path.join(self._part, name), final)
                moved.append(final)
        except OSError as error:
            for final in moved:
                with contextlib.suppress(OSError):
                    os.unlink(final)
            raise OutputError(f"{self.name}: cannot be moved from {self._part}: {error.strerror}") from error
        self._close()
        return len(moved)

    def discard(self) -> None:
        """Remove what was written, if this run began. Never raises."""
        if self._lock is not None:
            self._close()

    def _close(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)
        lock, self._lock = self._lock, None
        partfile.unfinished.discard(self._part)
        partfile.begun.discard(self._part)
        if lock is not None:
            with contextlib.suppress(OSError):
                os.close(lock)
