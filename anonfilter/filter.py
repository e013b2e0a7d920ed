"""What a filter is: its role, its need of the future, its option table, and the registry of all filters."""

from __future__ import annotations

import enum
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from anonfilter.expr import Expr
from anonfilter.frame import Frame, StreamInfo
from anonfilter.options import Option
from anonfilter.records import FrameRecord, Region


class Role(enum.Enum):
    """What a filter touches."""

    READS_PIXELS = "reads pixels"
    RECORDS = "records"
    WRITES_PIXELS = "writes pixels"
    PIXELS = "libavfilter"


class Ring(Protocol):
    """The one buffer of frames. A reader may look at any frame that is in it."""

    def __getitem__(self, n: int) -> Frame: ...


@dataclass(slots=True)
class Env:
    """What a run offers its filters.

    stream: the stream as this filter sees it. ring: see Ring (None in a pass that has no pixels).
    input_name: for messages. graph: its text up to the last origin of regions. device: "cpu" or "cuda[:N]".
    kernels: one of ops.CUDA_BACKENDS, None for the device's own.
    threads: for inference, 0 = as many as there are cores. fingerprint: sha256 over the video packets, callable once
    the input was read to its end. models_used: detectors add (name, sha256) of what they loaded.
    log: takes (level, line). pass_no: 0 when there is one pass, else 1 or 2.
    """

    stream: StreamInfo
    ring: Ring | None
    input_name: str
    graph: str = ""
    device: str = "cpu"
    kernels: str | None = None
    threads: int = 0
    fingerprint: Callable[[], str] | None = None
    models_used: list[tuple[str, str]] = field(default_factory=list)
    log: Callable[[str, str], None] = lambda level, line: None
    pass_no: int = 0


class Options(Mapping[str, Any]):
    """Checked option values of one filter, by name or attribute."""

    def __init__(self, values: Mapping[str, Any], given: frozenset[str] = frozenset()) -> None:
        self._values, self.given = dict(values), given

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None


class Filter(ABC):
    """Base of all filters. A subclass declares; the planner and the runner do the rest."""

    name: ClassVar[str]
    help: ClassVar[str]
    role: ClassVar[Role]
    options: ClassVar[tuple[Option, ...]] = ()
    timeline: ClassVar[bool] = False
    """Whether enable= is allowed (pixel writers and zone)."""
    origin: ClassVar[bool] = False
    """Whether regions can come from it (detectors, zone, read)."""

    def __init__(self, opts: Options, label: str = "") -> None:
        self.opts = opts
        self.label = label or self.name
        self.enable: Expr | None = None

    def lookahead(self, stream: StreamInfo) -> int | None:
        """Frames of the future this filter needs before it can answer; None means the whole clip."""
        return 0

    def open(self, env: Env) -> None:
        """Called once, before the first frame, when the stream is known."""
        self.env = env

    def close(self) -> None:
        """Called once at the end of the run, also after an error."""


class RecordLane(Filter):
    """A filter of the record lane (readers and record filters).

    Records arrive in decode order and leave in decode order, each exactly once. After push(record n) every record
    up to n - lookahead must have left. What leaves may depend on the records pushed so far only, so that one pass
    and two passes agree.
    """

    @abstractmethod
    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Take one record, give those that are ready."""

    def flush(self) -> Iterable[FrameRecord]:
        """End of stream: give the rest."""
        return ()

    def gap(self, stream: StreamInfo) -> int:
        """Most frames from one looked-at frame to the next, 1 for every frame; what lies between must be held."""
        return 1

    def classes(self) -> tuple[str, ...] | None:
        """Classes that its own regions may have; None where nobody can tell before the run."""
        return None if self.origin else ()

    def models(self) -> tuple[str, ...]:
        """Names of the models that must have run on a frame before it counts as looked at."""
        return ()


class PixelReader(RecordLane):
    """Looks at frames: self.env.ring[record.n] is the frame of a record that was just pushed."""

    role = Role.READS_PIXELS
    origin = True


class Sampler(PixelReader):
    """A reader that looks at every Nth frame, and at the last one.

    The last frame too, since what is held between two looks (filters/hold.py) would otherwise be held from one side
    only for up to N - 1 frames: an object that moves would come out from under its cover.
    """

    _last: FrameRecord | None = None

    @abstractmethod
    def look(self, record: FrameRecord) -> None:
        """Look at self.env.ring[record.n]: add to record.ran and record.regions."""

    def every(self) -> int:
        """N."""
        return 1

    def gap(self, stream: StreamInfo) -> int:
        """See RecordLane.gap."""
        return self.every()

    def lookahead(self, stream: StreamInfo) -> int | None:
        """One frame where frames are skipped: whether a frame is the last is known when the next one is there."""
        return int(self.every() > 1)

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Look at the record's frame if its turn has come."""
        if self.every() == 1:
            self.look(record)
            return (record,)
        ready, self._last = self._last, record
        if record.n % self.every() == 0:
            self.look(record)
        return () if ready is None else (ready,)

    def flush(self) -> Iterable[FrameRecord]:
        """Look at the last frame."""
        last, self._last = self._last, None
        if last is None:
            return ()
        if last.n % self.every():
            self.look(last)
        return (last,)


class RecordFilter(RecordLane):
    """Works on records alone."""

    role = Role.RECORDS


class PixelWriter(Filter):
    """Edits planes in place."""

    role = Role.WRITES_PIXELS
    timeline = True
    covers: ClassVar[bool] = True
    """Whether what it writes hides the object."""

    @abstractmethod
    def select(self, record: FrameRecord) -> Sequence[Region]:
        """The regions of this record that render() would write; empty leaves the frame untouched and uncopied."""

    @abstractmethod
    def render(self, frame: Frame, regions: Sequence[Region]) -> None:
        """Write the regions into frame.planes(), which are writable by now. Must not keep the frame."""


# One line a filter: name -> module. Importing a filter's module is put off until a graph names it.
_MODULES: dict[str, str] = {
    name: f"anonfilter.filters.{name}"
    for name in (
        "blur", "detect", "draw", "fill", "grow", "interp", "pixelize", "read", "track", "write", "zone",
    )
}  # fmt: skip
_extra: dict[str, type[Filter]] = {}


def names() -> list[str]:
    """Names of all our filters, sorted."""
    return sorted({*_MODULES, *_extra})


def register(cls: type[Filter]) -> type[Filter]:
    """Add a filter class from outside the package (a plug-in, a test)."""
    _extra[cls.name] = cls
    return cls


def unregister(cls: type[Filter]) -> None:
    """Take back register()."""
    _extra.pop(cls.name, None)


def find(name: str) -> type[Filter] | None:
    """The filter class of that name, or None if it is not one of ours. A module NAME.py defines class FILTER."""
    if name in _extra:
        return _extra[name]
    module = _MODULES.get(name)
    if module is None:
        return None
    cls: type[Filter] = importlib.import_module(module).FILTER
    return cls
