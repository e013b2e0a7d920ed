"""Figures from measured object-frames: recall, leaks, exposure, over-blur."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from anonfilter.leak.byrecords import Measured
from anonfilter.leak.truth import Look

LIMIT = 0.95
"""Share of its area from which an object-frame counts as covered: the edge of a truth box is known to about so much."""

BUCKETS: tuple[tuple[float, float], ...] = ((0, 16), (16, 24), (24, 48), (48, 96), (96, math.inf))
"""Heights of truth boxes in luma samples, low end included."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive frames on which one object is exposed: track, first frame, number of frames."""

    track: int
    start: int
    frames: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What some object-frames say together. Those in doubt are left out.

    frames: object-frames whose share can be told; covered: those that reach the limit; untold: the others. tracks,
    leaking: objects, and those with any exposed frame. never, never_frames: objects that are exposed on every frame,
    and their object-frames: no look found them, and nothing that works on looks can cover them. longest_frames,
    longest_ms: the longest exposed run. exposed_per_hour: seconds exposed in an hour that a person is visible. least:
    the least share.
    """

    frames: int
    covered: int
    untold: int
    tracks: int
    leaking: int
    never: int
    never_frames: int
    longest_frames: int
    longest_ms: float
    exposed_per_hour: float | None
    least: float | None

    @property
    def leaked(self) -> int:
        """Exposed object-frames."""
        return self.frames - self.covered

    @property
    def recall(self) -> float | None:
        """Share of object-frames that reach the limit, None without any."""
        return self.covered / self.frames if self.frames else None


@dataclass(frozen=True, slots=True)
class Figures:
    """One measure over one clip or several.

    heights, tags: by bucket ("24-48") and by the truth's tags; tracks by "ID CLASS" of the truth. doubt: object-frames
    that are reported apart. over_blur: share of the area that belongs to no object which is covered all the same.
    over_area: the same area in units of the objects' own. calls: a frame's share on which each model ran, empty where
    the records do not tell. exposed: see below.
    """

    measure: str
    limit: float
    rate: float
    all: Summary
    heights: Mapping[str, Summary]
    tags: Mapping[str, Summary]
    tracks: Mapping[str, Summary]
    doubt: Summary
    over_blur: float
    over_area: float | None
    calls: Mapping[str, float]
    exposed: tuple[Look, ...]
    """The object-frames below the limit, by object and frame."""

    @property
    def calls_per_frame(self) -> float | None:
        """Model runs over frames times models; None where nothing is known of them."""
        return sum(self.calls.values()) / len(self.calls) if self.calls else None

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON value."""
        value = asdict(self)
        for name in ("all", "doubt"):
            value[name] = _plain(getattr(self, name))
        for name in ("heights", "tags", "tracks"):
            value[name] = {key: _plain(part) for key, part in getattr(self, name).items()}
        value["calls_per_frame"] = self.calls_per_frame
        value["exposed"] = [
            {"frame": k.frame, "track": k.track, "cls": k.cls, "box": list(k.box), "share": k.share}
            for k in self.exposed
        ]
        return value


def exposed_runs(looks: Iterable[Look], limit: float = LIMIT) -> list[Run]:
    """Runs of consecutive frames with a share below the limit. A frame that cannot be told, between two exposed ones,
    counts as exposed."""
    runs: list[Run] = []
    for track, row in groupby(sorted(looks, key=lambda k: (k.track, k.frame)), key=lambda k: k.track):
        start, last, end = None, -2, -2  # end: the last exposed frame of the run, last: the last frame met
        for look in row:
            if start is not None and (look.frame != last + 1 or (look.share is not None and look.share >= limit)):
                runs.append(Run(track, start, end - start + 1))
                start = None
            if look.share is not None and look.share < limit:
                start, end = look.frame if start is None else start, look.frame
            last = look.frame
        if start is not None:
            runs.append(Run(track, start, end - start + 1))
    return runs


def summarise(looks: Iterable[Look], rate: float, limit: float = LIMIT) -> Summary:
    """Sum up object-frames of one rate (frames a second)."""
    rows = list(looks)
    told = [k.share for k in rows if k.share is not None]
    covered = sum(share >= limit for share in told)
    runs = exposed_runs(rows, limit)
    longest = max((run.frames for run in runs), default=0)
    seen = {k.track for k in rows if k.share is not None and k.share >= limit}
    never = [k.track for k in rows if k.share is not None and k.track not in seen]
    return Summary(
        frames=len(told),
        covered=covered,
        untold=len(rows) - len(told),
        tracks=len({k.track for k in rows}),
        leaking=len({run.track for run in runs}),
        never=len(set(never)),
        never_frames=len(never),
        longest_frames=longest,
        longest_ms=1000 * longest / rate,
        exposed_per_hour=3600 * (len(told) - covered) / len(told) if told else None,
        least=min(told, default=None),
    )


def figures(measured: Measured, rate: Fraction | float, limit: float = LIMIT) -> Figures:
    """All figures of one measure. rate: frames a second."""
    fps = float(rate)

    def part(looks: Iterable[Look]) -> Summary:
        return summarise(looks, fps, limit)

    sure = [k for k in measured.looks if not k.doubt]
    tags = sorted({tag for k in sure for tag in k.tags})
    tracks = sorted({(k.track, k.cls) for k in sure})
    below = [k for k in sure if k.share is not None and k.share < limit]
    return Figures(
        measure=measured.name,
        limit=limit,
        rate=fps,
        all=part(sure),
        heights={
            f"{low}+" if high == math.inf else f"{low}-{high}": part(rows)
            for low, high in BUCKETS
            if (rows := [k for k in sure if low <= k.height < high])
        },
        tags={tag: part(k for k in sure if tag in k.tags) for tag in tags},
        tracks={f"{number} {cls}": part(k for k in sure if k.track == number) for number, cls in tracks},
        doubt=part(k for k in measured.looks if k.doubt),
        over_blur=measured.beyond / max(1, measured.rest),
        over_area=measured.beyond / measured.objects if measured.objects else None,
        calls={model: count / measured.frames for model, count in sorted(measured.calls.items())},
        exposed=tuple(sorted(below, key=lambda k: (k.track, k.frame))),
    )


def text(result: Figures) -> list[str]:
    """The figures as lines for people."""
    total = result.all
    head = (
        f"{result.measure}: {total.covered} of {total.frames} object-frames at least {result.limit:.0%} covered"
        f" ({_share(total.recall)})"
    )
    lines = [head + (f", {total.untold} more cannot be told" if total.untold else "")]
    never = f" ({total.never} never covered: {total.never_frames} object-frames)" if total.never else ""
    lines.append(
        f"  leaks: {total.leaked} object-frames, {total.leaking} of {total.tracks} objects{never}; longest exposed run "
        f"{total.longest_ms:.0f} ms ({total.longest_frames} frames); {_number(total.exposed_per_hour)} s exposed per "
        "person-hour"
    )
    lines += _table("height", result.heights, lambda s: f"longest exposed {s.longest_ms:.0f} ms")
    lines += _table("tag", result.tags, lambda s: f"longest exposed {s.longest_ms:.0f} ms")
    lines += _table("object", result.tracks, _track_text)
    if result.doubt.frames or result.doubt.untold:
        unknown = f", {result.doubt.untold} more cannot be told" if result.doubt.untold else ""
        lines.append(f"  in doubt, not counted above: {result.doubt.covered} of {result.doubt.frames}{unknown}")
    times = f", {result.over_area:.2f} times the objects' area" if result.over_area is not None else ""
    lines.append(f"  over-blur: {result.over_blur:.4f} of what belongs to no object is covered{times}")
    if result.calls_per_frame is not None:
        each = ", ".join(f"{model} {share:.3f}" for model, share in result.calls.items())
        lines.append(f"  detector calls per frame: {result.calls_per_frame:.3f} ({each})")
    return lines


def _table(kind: str, rows: Mapping[str, Summary], more: Callable[[Summary], str]) -> list[str]:
    width = max((len(name) for name in rows), default=0)
    return [
        f"  {kind} {name:{width}}  {part.covered:6} of {part.frames:6} ({_share(part.recall)}), {more(part)}"
        for name, part in rows.items()
    ]


def _track_text(part: Summary) -> str:
    leak = f"leak {part.leaked / part.frames:.4f}" if part.frames else "leak unknown"
    return f"{leak}, longest exposed {part.longest_ms:.0f} ms, least share {_share(part.least)}"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _number(value: float | None) -> str:
    return "no" if value is None else f"{value:.1f}"


def _plain(part: Summary) -> dict[str, Any]:
    return {**asdict(part), "leaked": part.leaked, "recall": part.recall}


def unmet(result: Figures, share: float) -> Sequence[Look] | None:
    """The exposed object-frames where fewer than `share` of all (0..1) reach the limit, or none was told; None where
    enough do."""
    total = result.all
    return None if total.frames and total.covered >= share * total.frames else result.exposed
