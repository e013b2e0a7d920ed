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
from anonfilter.sampling import Every


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
    log: takes (level, line). pass_no: 0 when there is one pass, else 1 or 2. autorotate: False where coordinates are
    those of the coded picture (-noautorotate).
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
    autorotate: bool = True


class Options(Mapping[str, Any]):
    """Checked option values of one filter, by name or attribute."""

    def __init__(self, values: Mapping[str, Any], given: frozenset[str] = frozenset()) -> None:
        self._values, self.given = dict(values), given

    @classmethod
    def defaults(cls, options: Iterable[Option]) -> Options:
        """The defaults of a filter's table, for filters that the planner adds."""
        return cls({option.name: option.default for option in options})

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

    @property
    def reads_pixels(self) -> bool:
        """Whether it looks at frames, self.env.ring[n]: those of records that were pushed and have not left yet."""
        return False

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

    @property
    def reads_pixels(self) -> bool:
        """See RecordLane.reads_pixels."""
        return True


class Sampler(PixelReader):
    """A reader that looks at every N-th frame, the last one, and those on both sides of a cut."""

    _schedule: Every | None = None

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
        """See sampling.Every."""
        return Every(lambda n: None, self.every()).lookahead

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Look at the record's frame if its turn has come."""
        if self._schedule is None:
            self._waiting: dict[int, FrameRecord] = {}
            self._schedule = Every(lambda n: self.look(self._waiting[n]), self.every())
        self._waiting[record.n] = record
        settled = self._schedule.push(record.n, record.cut)
        return [self._waiting.pop(n) for n in list(self._waiting) if n < settled]

    def flush(self) -> Iterable[FrameRecord]:
        """Look at the last frame."""
        if self._schedule is None:
            return ()
        self._schedule.flush()
        waiting, self._waiting, self._schedule = self._waiting, {}, None
        return list(waiting.values())


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
        "blur", "detect", "draw", "drop", "embed", "fill", "grow", "interp", "pixelize", "read", "redetect", "scene",
        "smooth", "track", "write", "zone",
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
