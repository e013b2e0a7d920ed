"""Where an output goes: NAME.part until it is whole, then NAME."""

from __future__ import annotations

import os
import stat

from anonfilter.errors import OutputError
from anonfilter.io.demuxing import is_url, path_of
from anonfilter.job import Job
from anonfilter.partfile import PartFile


class Target:
    """The output's name and the temporary file beside it.

    url: what libavformat opens. regular: whether there is a file that is renamed at the end; a URL, a pipe
    and a device are written to as they are. Raises OutputError for a name that must not or cannot be written.
    """

    def __init__(self, job: Job) -> None:
        self.name = job.output
        self._file: PartFile | None = None
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
        self._file = PartFile(self.path, self.name, job.overwrite)
        self.url = self._file.part
        if ":" in self.url.split("/")[0]:
            self.url = "file:" + self.url

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
        if self._file is not None:
            self._file.begin()

    @property
    def size(self) -> int:
        """Bytes written so far, 0 where nobody knows."""
        return 0 if self._file is None else self._file.size

    def commit(self) -> int:
        """The output is whole: give it its name. Returns its size in bytes."""
        size = self.size
        if self._file is not None:
            if not size:
                raise OutputError(f"{self.name}: nothing was written")
            self._file.commit()
        return size

    def discard(self) -> None:
        """Remove the temporary file, if this run made it. Never raises."""
        if self._file is not None:
            self._file.discard()
