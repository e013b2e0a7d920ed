"""detect: finds objects with neural nets and lists them as regions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from anonfilter.errors import InputError, ModelError
from anonfilter.filter import Env, Options, PixelReader
from anonfilter.frame import Frame, StreamInfo
from anonfilter.glance import SIDES, Glance
from anonfilter.infer import ENGINES, available_cores
from anonfilter.models import catalog
from anonfilter.models.catalog import Model
from anonfilter.models.detector import CropDetector, Detector
from anonfilter.novelty import Novelty
from anonfilter.options import Duration, Option
from anonfilter.records import FrameRecord
from anonfilter.sampling import Auto, Every, Schedule
from anonfilter.sightings import Sightings
from anonfilter.watch import Watch

# With every=auto a detection counts from this share of its threshold on where a neighbouring look has a sure one.
_WEAK = 0.5
# From this share on it is worth a magnified look.
_DOUBT = 0.4
# Luma steps from which something is new between two looks: bench/optical.md.
_NEW = 24.0
_T = TypeVar("_T")


class Detect(PixelReader):
    """Runs one or more models on every N-th frame, or on adaptively few (sampling.Auto), each model by its own
    schedule.

    With every=auto the looks at two frames agree if their objects can be paired one to one (assoc.cost, as in track)
    and each is about where its motion before that leads to. An object that is found with less than its threshold counts
    where the look before or after has a sure one in its place (sightings.Sightings).

    A frame that was looked at carries the models' names in `ran`, whether they found something or not; other
    frames pass as they came. Boxes are the nets' own, grown by the margin; they may reach over the frame's
    edge, so that the shape a writer makes of them is the object's and not that of its visible part.
    """

    name = "detect"
    help = "Find faces, number plates and other objects with neural nets."
    options = (
        Option(
            "models", "list", ("faces",), "names from 'anonfilter models list', or ONNX files", variadic=True
        ),
        Option(
            "thresh", "float", None, "score from which a detection counts (default: the model's)",
            min=0.001, max=1, per_item=True,
        ),
        Option(
            "size", "size", None,
            "the picture is fitted into this for the net (default: the model's, or a third of the picture's "
            "long side where that is more)",
            min=32, max=8192, unit="px", per_item=True,
        ),
        Option(
            "margin", "float", None,
            "growth of each side of a box, as a share of it (default: the model's)",
            min=0, max=4, per_item=True,
        ),
        Option(
            "coarse", "int", None,
            "look once more with the picture so many times smaller, for objects that fill it or that its edge cuts; 0: "
            "not (default: the model's)",
            min=0, max=32, per_item=True,
        ),
        Option(
            "every", "int", 1,
            "look at every N-th frame, the last, and both sides of a cut; frames between are covered from both sides. "
            "auto: look as seldom as neighbouring looks agree on what is there",
            min=1, max=1000000, unit="frames", choices=("auto",), per_item=True,
        ),
        Option(
            "min", "duration", Duration(0.15, "s"), "with every=auto, the shortest step that is tried first",
            min=0, per_item=True,
        ),
        Option(
            "max", "duration", Duration(0.5, "s"),
            "with every=auto, the longest step: what comes and goes within it is not seen", min=0, per_item=True,
        ),
        Option(
            "new", "float", _NEW,
            "with every=auto behind scene, look once more between two looks where the picture changed by so many luma "
            "steps against both; 0: do not",
            min=0, max=255, per_item=True,
        ),
        Option(
            "glance", "bool", True,
            "with every=auto, look at parts of a frame alone where only these are in question", per_item=True,
        ),
        Option("classes", "list", None, "keep only these classes (default: all)", per_item=True),
        Option("device", "string", None, "where the nets run: cpu (default: the run's device)"),
        Option("engine", "enum", "auto", "what runs the nets", choices=ENGINES),
        Option(
            "threads", "int", None,
            "threads for a net, 0 for one a core (default: the run's, else one a core, or where frames are skipped "
            "half of that, because decoder and encoder then have most of the work)",
            min=0, max=1024,
        ),
    )  # fmt: skip

    def __init__(self, opts: Options, label: str = "") -> None:
        super().__init__(opts, label)
        self._watches: list[Watch] = []
        self._rows: dict[str, Model] = {}
        self._others: ThreadPoolExecutor | None = None

    def gap(self, stream: StreamInfo) -> int:
        """See RecordLane.gap."""
        return max((self._schedule(given, stream, _nobody, _never).gap for given in self._resolved()), default=1)

    def lookahead(self, stream: StreamInfo) -> int | None:
        """That of the model whose schedule needs most."""
        return max((self._schedule(given, stream, _nobody, _never).lookahead for given in self._resolved()), default=0)

    def models(self) -> tuple[str, ...]:
        """See RecordLane.models. Raises ModelError for an unknown model."""
        return tuple(row.name for row in self._resolved().values())

    def classes(self) -> tuple[str, ...]:
        """See RecordLane.classes. Raises ModelError for an unknown model."""
        found: dict[str, None] = {}
        for given, row in self._resolved().items():
            wanted = self._option(given, "classes") or row.classes
            found.update(dict.fromkeys(name for name in row.classes if name in wanted))
        return tuple(found)

    def open(self, env: Env) -> None:
        """Load the nets, downloading those that are missing. Raises ModelError for a net that cannot be had
        or run, and for a class that it does not find."""
        super().open(env)
        try:
            for given, row in self._resolved().items():
                watch = self._load(given, row, env)
                self._watches.append(watch)
                limit = self._option(given, "new")
                watch.novelty = Novelty(limit, (env.stream.width, env.stream.height)) if limit else None
                watch.schedule = self._schedule(
                    given, env.stream, partial(self._look, watch), watch.sightings.agree, watch.novel,
                    partial(self._glance, watch) if watch.glances else None,
                )  # fmt: skip
                env.models_used.append((row.name, row.sha256))
        except ModelError as error:
            self.close()
            raise ModelError(f"{self.label}: {error}") from None
        self._waiting: deque[FrameRecord] = deque()
        # Each model goes its own way, so that nets which leave cores free can look at the same time.
        nets = [self._threads(given, env) or available_cores() for given in self._resolved()]
        if len(nets) > 1 and not env.threads and sum(nets) <= available_cores():
            self._others = ThreadPoolExecutor(len(nets) - 1, "anonfilter-look")

    def close(self) -> None:
        """Free the nets."""
        if self._others is not None:
            self._others.shutdown()
            self._others = None
        for watch in self._watches:
            watch.close()
        self._watches = []

    def push(self, record: FrameRecord) -> Iterable[FrameRecord]:
        """Look where a model's turn has come. Raises ModelError if a net fails."""
        self._waiting.append(record)
        for watch in self._watches:
            if watch.novelty is not None and record.picture is not None:
                watch.novelty.add(record.n, record.picture)
        record.picture = None
        return list(self._settled(min(self._pushed(record.n, record.cut))))

    def flush(self) -> Iterable[FrameRecord]:
        """Look at the last frame."""
        for watch in self._watches:
            watch.schedule.flush()
        return list(self._settled(None))

    def _pushed(self, n: int, cut: bool) -> list[int]:
        """What the schedules say to a frame."""
        schedules = [watch.schedule for watch in self._watches]
        due = [] if self._others is None else [item for item in schedules if item.due(n, cut)]
        later = due[1:]
        futures = [self._others.submit(item.push, n, cut) for item in later] if self._others is not None else []
        try:
            ends = [item.push(n, cut) for item in schedules if item not in later]
        finally:
            wait(futures)  # what fails closes the nets, and none may be at work then
        return [*ends, *(future.result() for future in futures)]

    def _settled(self, end: int | None) -> Iterator[FrameRecord]:
        """Waiting records of frames before `end` (None: all), with what was seen on them."""
        while self._waiting and (end is None or self._waiting[0].n < end):
            record = self._waiting.popleft()
            for watch in self._watches:
                seen = watch.sightings.take(record.n)
                if watch.novelty is not None:
                    watch.novelty.forget(record.n + 1)
                if seen is not None:
                    found, whole = seen
                    record.regions = [*record.regions, *found]
                    # What ran on parts alone leaves the frame covered from its neighbours, too: it is not looked at.
                    if whole:
                        record.ran = (*record.ran, watch.detector.model.name)
            yield record

    def _look(self, watch: Watch, n: int) -> None:
        """Run one model on a frame. Raises ModelError if the net fails on it."""
        self._run(watch, n, lambda frame: watch.look(frame, self.env.stream))

    def _glance(self, watch: Watch, a: int, n: int, b: int) -> bool:
        """Run one model on those parts of frame n that are in question. Raises ModelError if the net fails."""
        return self._run(watch, n, lambda frame: watch.glance(a, b, frame, self.env.stream))

    def _run(self, watch: Watch, n: int, work: Callable[[Frame], _T]) -> _T:
        env = self.env
        if env.ring is None:
            raise InputError(f"{self.label}: this pass has no frames to look at")
        frame = env.ring[n]
        try:
            return work(frame)
        except ModelError as error:
            place = f"{env.input_name}: frame {n} at {frame.t:.3f} s"
            raise ModelError(f"{self.label}: {watch.detector.model.name}: {place}: {error}") from None

    def _schedule(
        self,
        given: str,
        stream: StreamInfo,
        look: Callable[[int], None],
        agree: Callable[[int, int], bool],
        novel: Callable[[int, int], int | None] | None = None,
        glance: Callable[[int, int, int], bool] | None = None,
    ) -> Schedule:
        """When the model of that name looks."""
        every = self._option(given, "every")
        if every != "auto":
            return Every(look, every)
        least, most = (max(1, self._option(given, name).frames(stream.rate)) for name in ("min", "max"))
        return Auto(look, agree, least, most, novel, glance)

    def _resolved(self) -> dict[str, Model]:
        """The catalogue's rows by the names that the user wrote."""
        if not self._rows:
            given: tuple[str, ...] = self.opts["models"] or ()
            if not given:
                raise ModelError(f"{self.label}: no model is named: detect=faces, detect=faces:plates, ...")
            rows: dict[str, Model] = {}
            for name in given:
                row = catalog.resolve(name)
                if name in rows or row.name in {other.name for other in rows.values()}:
                    raise ModelError(f"{self.label}: the model {row.name} is named twice")
                rows[name] = row
            self._rows = rows
        return self._rows

    def _option(self, given: str, name: str) -> Any:
        """An option's value for one model: its own, else the filter's."""
        return self.opts.get("overrides", {}).get(given, {}).get(name, self.opts[name])

    def _threads(self, given: str, env: Env) -> int:
        """Threads of a net; 0: one a core."""
        own: int | None = self.opts["threads"]
        if own is not None:
            return own
        if env.threads or self._option(given, "every") == 1:
            return env.threads
        return max(1, available_cores() // 2)

    def _load(self, given: str, row: Model, env: Env) -> Watch:
        def option(name: str) -> Any:
            return self._option(given, name)

        classes = option("classes")
        unknown = set(classes or ()) - set(row.classes)
        # A class that only another model of this filter finds is not a mistake, unless it was said of this
        # one.
        if "classes" not in self.opts.get("overrides", {}).get(given, {}):
            unknown -= {name for other in self._resolved().values() for name in other.classes}
        if unknown:
            raise ModelError(
                f"no class {', '.join(sorted(unknown))} in what {given} finds ({', '.join(row.classes)})"
            )
        margin = option("margin")
        thresh = row.thresh if option("thresh") is None else option("thresh")
        nets = {
            "threads": self._threads(given, env),
            "engine": self.opts["engine"],
            "device": self.opts["device"] or env.device,
            "log": lambda line: env.log("info", line),
        }
        auto = option("every") == "auto"
        glances = auto and option("glance")
        detector = Detector(
            row,
            env.stream.display_size,
            size=option("size"),
            thresh=thresh,
            weak=(_DOUBT if glances else _WEAK) * thresh if auto else None,
            coarse=option("coarse"),
            **nets,
        )
        watch = Watch(
            detector, row.margin if margin is None else margin, frozenset(classes or row.classes), Sightings(thresh)
        )
        if auto:
            watch.weak = _WEAK * thresh
        if glances and detector.any_size:
            watch.glances = Glance(SIDES, detector.sizes[0], (env.stream.width, env.stream.height))
            watch.crops = lambda side: CropDetector(row, side, _WEAK * thresh, **nets)
        return watch


def _nobody(n: int) -> None:
    """A look by a schedule that only tells its figures."""


def _never(a: int, b: int) -> bool:
    """Likewise."""
    return False


FILTER = Detect
