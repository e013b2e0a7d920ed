"""The planner: what it adds to a graph by itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from anonfilter.filters.grow import Grow
from anonfilter.frame import StreamInfo
from anonfilter.job import Job
from anonfilter.options import Duration
from anonfilter.plan import Plan, make_plan

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))


def plan(graph: str) -> Plan:
    return make_plan(Job(input="in.mp4", output="out.mp4", graph=graph), STREAM)


@pytest.mark.parametrize(
    ("graph", "lane", "edge"),
    [
        ("zone,fill", ["zone"], None),
        ("zone,track,fill", ["zone", "track", "grow (track)"], Duration(1, "s")),
        ("zone,track=grow=0,fill", ["zone", "track", "grow (edge)"], Duration(1, "s")),
        ("zone,track=edge=0,fill", ["zone", "track", "grow (track)"], Duration(0)),
        ("zone,track=edge=0:grow=0,fill", ["zone", "track"], None),
        ("zone,track,interp,grow,fill", ["zone", "track", "interp", "grow"], Duration(1, "s")),
        ("zone,track=edge=7,grow,interp,fill", ["zone", "track", "grow", "interp"], Duration(7)),
        ("zone,grow,track=edge=7,fill", ["zone", "grow", "track", "grow (track)"], Duration(7)),
    ],
)
def test_tracks_go_on_at_the_edge(graph: str, lane: list[str], edge: Duration | None) -> None:
    made = plan(graph)
    assert [item.label for item in made.lane] == lane
    assert [item.edge for item in made.lane if isinstance(item, Grow)][-1:] == ([] if edge is None else [edge])


@pytest.mark.parametrize(
    ("graph", "lane"),
    [
        ("detect,track,interp,fill", "scene detect track redetect* interp grow* smooth*"),
        ("detect,track,fill", "scene detect track grow*"),
        ("detect,interp,fill", "detect interp"),
        ("detect,track=redetect=0,interp,fill", "scene detect track interp grow* smooth*"),
        ("detect,track=smooth=0,interp,fill", "scene detect track redetect* interp grow*"),
        ("detect,track,redetect,interp,smooth,grow,fill", "scene detect track redetect interp smooth grow"),
        ("detect,track,interp,redetect,fill", "scene detect track interp redetect grow* smooth*"),
        ("detect,zone,track,interp,fill", "scene detect zone track redetect* interp grow* smooth*"),
        ("detect,track=global=1,interp,fill", "scene detect track interp grow* smooth*"),
        ("detect=every=5,track,interp,fill", "scene detect track redetect* interp grow* smooth* hold"),
    ],
)  # fmt: skip
def test_what_belongs_to_a_filled_track_is_added(graph: str, lane: str) -> None:
    """With a star: by track's options, with that filter's defaults."""
    made = plan(graph)
    assert [item.label.replace(" (track)", "*") for item in made.lane] == lane.split()
    assert any("no second looks" in text for text in made.warnings) == ("global=1" in graph)


def test_the_edge_rule_is_in_the_look_ahead() -> None:
    # Half a second before a first sighting, and four frames that tell the velocity.
    # Before that track watches a piece for 12 frames.
    assert plan("zone,track,fill").lookahead == 12 + 13 + 4
    assert plan("zone,track=edge=0,fill").lookahead == 12 + 13 + 4
    assert plan("zone,track=edge=0,grow=before=3,fill").lookahead == 12 + 3 + 4
    assert plan("zone,track=edge=0:grow=0,fill").lookahead == 12
    assert plan("zone,track=edge=0:grow=0:ahead=0,fill").lookahead == 0
    assert plan("zone,track,grow=before=30,fill").lookahead == 12 + 30 + 4
    assert plan("zone,track=global=1,fill").passes == 2


def test_the_plan_in_words() -> None:
    text = plan("scale=320:180,zone,fill,format=yuv444p").describe()
    for line in (
        "head     scale=320:180 (libavfilter), gives 320x180 yuv420p, 25 fps",
        "in place, yuv420p",
        "tail     format=yuv444p (libavfilter), gives 320x180 yuv444p",
        "copies   before the first pixel writer: at most 1 a frame",
        "copies   tail: what libavfilter's filters and conversions copy",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("graph", "memory", "looks"),
    [
        ("detect=every=auto,track,interp,fill", 1 << 30, True),
        ("detect=every=auto,track,interp=luma=1,fill", 1 << 30, True),
        ("detect=every=auto,track,interp=luma=0,fill", 1 << 30, False),
        ("detect=every=auto,track=global=1,interp,fill", 1 << 30, False),  # its frames have left long ago
        ("detect=every=auto,track,interp=gap=-1,fill", 1 << 30, False),
        ("detect=every=auto,track,interp,fill", 0, True),  # whatever the budget: the output must not depend on it
        ("detect=every=auto,track,fill", 1 << 30, False),
    ],
)
def test_interp_looks_at_frames_that_can_wait(graph: str, memory: int, looks: bool) -> None:
    made = make_plan(Job(input="in.mp4", output="out.mp4", graph=graph, ring_memory=memory), STREAM)
    assert [item.reads_pixels for item in made.lane if item.name == "interp"] in ([looks], [])


def test_interp_does_not_look_at_frames_too_large_to_wait() -> None:
    for size, looks in (((1920, 1080), True), ((7680, 4320), False)):
        made = make_plan(
            Job(input="in.mp4", output="out.mp4", graph="detect=every=auto,track,interp,fill", passes=2),
            replace(STREAM, width=size[0], height=size[1]),
        )
        assert [item.reads_pixels for item in made.lane if item.name == "interp"] == [looks]
        assert not looks or made.ring_frames * made.frame_bytes <= 1 << 30
