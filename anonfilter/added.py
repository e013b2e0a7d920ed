"""What the planner adds to a graph by itself: filters that whoever wrote `detect,track,interp` would want."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from anonfilter.filter import Options, RecordLane
from anonfilter.filters.grow import Grow
from anonfilter.filters.interp import Interp
from anonfilter.filters.redetect import Redetect
from anonfilter.filters.scene import Scene
from anonfilter.filters.smooth import Smooth
from anonfilter.filters.track import Track
from anonfilter.frame import StreamInfo

_F = TypeVar("_F", Redetect, Smooth)


def _usual(kind: type[_F], lane: Sequence[RecordLane]) -> _F | None:
    """A filter with its defaults where track's option of that name asks for it, what was found is tracked and filled,
    and the graph has none; else None."""
    names = [item.name for item in lane]
    tracks = [i for i, item in enumerate(lane) if isinstance(item, Track)]
    if not tracks or kind.name in names or not lane[tracks[-1]].opts[kind.name]:
        return None
    found = any(item.origin and item.name != "zone" for item in lane[: tracks[-1]])
    if not found or "interp" not in names[tracks[-1] :]:
        return None
    return kind(Options.defaults(kind.options), f"{kind.name} (track)")


def look_again(lane: list[RecordLane]) -> str | None:
    """Second looks where a track is missing are worth their small price wherever tracks are filled (track's option
    `redetect`). A record file says what nets were used: what is rendered from it must not cover less. Gives a warning
    where they cannot be had."""
    again = _usual(Redetect, lane)
    if again is None:
        return None
    at = max(i for i, item in enumerate(lane) if isinstance(item, Track))
    if any(item.opts.get("global") for item in lane if isinstance(item, Track)):
        return "track=global=1: no second looks where a track is missing (redetect), the frames are gone by then"
    lane.insert(at + 1, again)
    return None


def smooth(lane: list[RecordLane]) -> None:
    """Jitter is taken out of filled tracks (track's option `smooth`), after all that makes regions of them."""
    item = _usual(Smooth, lane)
    if item is not None:
        lane.append(item)


def find_shots(lane: list[RecordLane]) -> None:
    """Where detections are joined over time and nothing tells where shots begin, a scene filter of ours does."""
    names = [item.name for item in lane]
    if "detect" in names and "track" in names and not {"scene", "read"}.intersection(names):
        lane.insert(names.index("detect"), Scene(Options.defaults(Scene.options)))
    for i, item in enumerate(lane):
        if isinstance(item, Scene):
            item.pictures = "detect" in (after.name for after in lane[i:])


def extend_at_edges(lane: list[RecordLane]) -> None:
    """Tracks go on at the picture's edge (track's option `edge`): by the graph's own grow, else by one of ours, which
    also does what grow does by default (track's option `grow`)."""
    tracked = [i for i, item in enumerate(lane) if isinstance(item, Track)]
    if not tracked:
        return
    track = lane[tracked[-1]].opts
    growers = [item for item in lane[tracked[-1] :] if isinstance(item, Grow)]
    if growers:
        growers[-1].edge = track["edge"]
    elif track["edge"].value > 0 or track["grow"]:
        lane.append(Grow.of_track(track["edge"], track["grow"]))


def follow(lane: Sequence[RecordLane], stream: StreamInfo, most: int) -> None:
    """interp follows objects through the frames, where its option `luma` says nothing, if no more than `most` frames
    have to wait for that, with two passes as well."""
    ahead: int | None = 0
    for item in lane:
        need = item.lookahead(stream)
        if isinstance(item, Interp) and item.opts["luma"] is None and ahead is not None and need is not None:
            item.looks = ahead + need + 1 <= most
            need = item.lookahead(stream)
        ahead = None if need is None or ahead is None else ahead + need
