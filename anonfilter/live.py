"""Live mode: every frame leaves within a bound of its arrival; one that was not analysed by then is covered wholly.

The record lane sees those frames alone that can still be analysed in time, numbered one after the other, so that a slow
detector sees a lower frame rate and not an older picture. Nothing here waits for the detector beyond the bound.
A file is read in real time, as ffmpeg's -re does.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import av
import numpy as np

from anonfilter.channel import Channel, Stop
from anonfilter.colour import yuv
from anonfilter.errors import PlanError
from anonfilter.frame import Frame
from anonfilter.io import demuxing, pictures
from anonfilter.job import Job, Report
from anonfilter.lane import Lane
from anonfilter.plan import Plan
from anonfilter.records import FrameRecord
from anonfilter.tail import Tail

END = None
_MARGIN = 0.25
"""Share of the bound that is left for drawing and encoding."""
_SPARE = 4
"""Frames that may wait beyond those of the bound, before new ones are left out (the output is too slow)."""


def check(job: Job, plan: Plan) -> None:
    """Raise PlanError for a graph that cannot keep the bound."""
    bound = job.live
    if bound is None:
        return
    if plan.passes == 2 or plan.lookahead is None:
        raise PlanError("-live needs one pass: leave out what needs the whole clip, and -passes 2")
    for item in plan.lane:
        if item.name in ("read", "write"):
            raise PlanError(f"'{item.label}': a record file speaks of every frame, and -live looks at those it can")
    ahead = plan.lookahead / float(plan.stream.rate)
    if plan.lookahead and ahead >= bound * (1 - _MARGIN):
        who = [f"{item.label} {item.lookahead(plan.stream)}" for item in plan.lane if item.lookahead(plan.stream)]
        raise PlanError(
            f"-live {bound * 1000:g}ms: the graph looks {plan.lookahead} frames ({ahead * 1000:.0f} ms) ahead "
            f"({', '.join(who)}): leave those out, or give more time"
        )


def from_files(job: Job) -> bool:
    """Whether a live run's input is files, which are read as slowly as a camera would send them: read faster, most
    frames would have no room, and be left out."""
    return pictures.reads(job) or (not demuxing.is_url(job.input) and os.path.isfile(demuxing.path_of(job.input)))


@dataclass(slots=True)
class _Slot:
    """A frame on its way. arrival: seconds of time.monotonic(). state: "new", "looking", "ready" or "skipped"."""

    frame: Frame
    arrival: float
    state: str = "new"
    record: FrameRecord | None = None


@dataclass(slots=True)
class Ring:
    """The frames that the lane may look at, by its own ordinals."""

    frames: dict[int, Frame] = field(default_factory=dict)

    def __getitem__(self, n: int) -> Frame:
        return self.frames[n]


class LivePass:
    """The middle of a live run: put() takes what the decoder gives, look() and draw() are bodies of threads.

    drawn: where finished frames and packets go. ring: what the lane's readers look at. Counts go into the report.
    """

    def __init__(
        self, job: Job, plan: Plan, lane: Lane, tail: Tail, drawn: Channel[Any], report: Report, stop: Stop
    ) -> None:
        assert job.live is not None
        self._bound = job.live
        self._time = job.live * (1 - _MARGIN)  # until when an analysis must be there
        self._lane, self._tail, self._drawn, self._report, self._stop = lane, tail, drawn, report, stop
        self.ring = Ring()
        self._stream = plan.stream
        self._room = math.ceil(job.live * float(plan.stream.rate)) + _SPARE + (plan.lookahead or 0)
        self._items: deque[Any] = deque()
        self._frames = 0
        self._ended = False
        self._condition = threading.Condition()
        stop.add(self._condition)
        self._clock: Callable[[], float] = time.monotonic

    # -- the decoder's side --

    def put(self, item: Any) -> None:
        """A frame, a packet or END. Never waits: a frame for which there is no room is left out and counted."""
        with self._condition:
            self._stop.check()
            if isinstance(item, Frame):
                if self._frames >= self._room:
                    self._report.left_out += 1
                    return
                self._frames += 1
                item = _Slot(item, self._clock())
            elif item is END:
                self._ended = True
            self._items.append(item)
            self._condition.notify_all()

    # -- the detector's side --

    def look(self) -> None:
        """Analyse what can be analysed in time."""
        need, n = 0.0, 0
        under_way: dict[int, _Slot] = {}
        while (slot := self._next(need)) is not None:
            frame = replace(slot.frame, n=n)
            self.ring.frames[n], under_way[n] = frame, slot
            n += 1
            begun = self._clock()
            for record in self._lane.push(frame):
                self._settle(under_way, record)
            took = self._clock() - begun
            need = took if not need else 0.7 * need + 0.3 * took
        for record in self._lane.flush():
            self._settle(under_way, record)
        with self._condition:
            for slot in under_way.values():
                slot.state = "skipped"
            self._condition.notify_all()

    def _next(self, need: float) -> _Slot | None:
        """The oldest new frame whose analysis, if it takes `need` seconds, is there in time; else the newest. Those
        before it are skipped. None at the end."""
        with self._condition:
            while True:
                self._stop.check()
                new = [item for item in self._items if isinstance(item, _Slot) and item.state == "new"]
                if new:
                    break
                if self._ended:
                    return None
                self._condition.wait()
            now = self._clock()
            chosen = next((item for item in new if now + need <= item.arrival + self._time), new[-1])
            for item in new[: new.index(chosen)]:
                item.state = "skipped"
            chosen.state = "looking"
            self._condition.notify_all()
            return chosen

    def _settle(self, under_way: dict[int, _Slot], record: FrameRecord) -> None:
        slot = under_way.pop(record.n)
        self.ring.frames.pop(record.n)
        with self._condition:
            if slot.state == "looking":
                slot.state, slot.record = "ready", replace(record, n=slot.frame.n)
                self._condition.notify_all()

    # -- the output's side --

    def draw(self) -> None:
        """Give out everything in order, each frame by its deadline."""
        while (item := self._due()) is not END:
            if not isinstance(item, _Slot):
                self._drawn.put(item)
                continue
            frame = item.frame
            if self._clock() - item.arrival > self._bound:
                self._report.left_out += 1  # the output takes longer than the pictures do: late ones do not help
                continue
            if item.record is not None:
                record = item.record
            else:
                self._report.covered_whole += 1
                frame, record = self.covered(frame), FrameRecord(frame.n, frame.pts, frame.t)
            for out in self._tail.push(frame, record):
                self._drawn.put(out)
            self._report.latency = max(self._report.latency, self._clock() - item.arrival)
        for out in self._tail.flush():
            self._drawn.put(out)
        self._drawn.put(END)

    def _due(self) -> Any:
        """The next item, once it is ready or its time has come."""
        with self._condition:
            while not self._items:
                self._stop.check()
                self._condition.wait()
            head = self._items[0]
            if isinstance(head, _Slot):
                while head.state in ("new", "looking"):
                    self._stop.check()
                    left = head.arrival + self._time - self._clock()
                    if left <= 0:
                        head.state = "late"  # whatever the lane says of it now comes too late
                        break
                    self._condition.wait(left)
                self._frames -= 1
            self._stop.check()
            self._items.popleft()
            return head

    def covered(self, frame: Frame) -> Frame:
        """A black picture in the frame's place: the frame itself may still be read by the lane."""
        old = frame.av
        made = av.VideoFrame(old.width, old.height, old.format.name)
        new = replace(frame, av=made, writable=True, regions=1)
        fmt = new.fmt
        y, *chroma = (code << fmt.depth - 8 << fmt.shift for code in yuv((0, 0, 0), self._stream))
        for index, plane in enumerate(new.planes()):
            if not index:
                plane[:] = y
            elif fmt.interleaved:
                plane[:] = np.array(chroma, plane.dtype)
            else:
                plane[:] = chroma[index - 1]
        if (alpha := new.alpha()) is not None:
            alpha[:] = (1 << fmt.depth) - 1
        made.pts, made.time_base = old.pts, old.time_base
        for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(made, name, getattr(old, name))
        return new
