"""Runs a plan: threads, bounded queues, one stop, and an output that is whole or not there."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from anonfilter import live
from anonfilter.channel import Channel, FrameRing, Stop
from anonfilter.errors import Cancelled, UsageError
from anonfilter.filter import Env, Filter
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import endpoints
from anonfilter.io.endpoints import AnyReader
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.io.reconnect import Reconnecting
from anonfilter.job import Job, Progress, Report
from anonfilter.lane import Lane
from anonfilter.plan import Plan, make_plan
from anonfilter.recordfile import RecordReader, RecordWriter
from anonfilter.recordjson import Header
from anonfilter.records import FrameRecord
from anonfilter.replay import Replay
from anonfilter.tail import Tail

_QUEUE = 4
_SOUND_LATE = 10  # seconds that sound may stand behind its pictures in the file
END = None


def run(job: Job) -> Report:
    """Run one job. Raises AnonfilterError (nothing is then left under the output's name); KeyboardInterrupt passes."""
    started = time.monotonic()
    reader = endpoints.open_reader(job)
    try:
        plan = make_plan(job, reader.info)
        live.check(job, plan)
        if job.live is not None and not job.readrate and live.from_files(job):
            _log(job, "info", f"-live: {job.input} is read in real time, as a camera would send it")
        if plan.passes > 1 and job.stream_loop < 0 and job.t is None and job.to is None:
            raise UsageError("-stream_loop -1: this graph needs two passes, the first without an end: put -t before -i")
        if job.on_plan is not None:
            job.on_plan(plan.describe())
        for text in plan.warnings:
            _log(job, "warning", text)
        report = Report(passes=plan.passes)
        if plan.passes == 1:
            _render(job, plan, reader, Lane(plan.lane), report, started, 0)
        else:
            with tempfile.TemporaryFile(prefix="anonfilter-") as scratch:  # it has no name: nothing to leave behind
                records = Path(f"/proc/self/fd/{scratch.fileno()}")
                _try_output(job, plan, reader)
                _analyse(job, plan, reader, records, started)
                reader = endpoints.open_reader(job)
                replay = Replay(RecordReader(records))
                _render(job, plan, reader, Lane([replay]), report, time.monotonic(), 2)
    except BaseException as error:
        # What broke off holds the encoder and its frames in the locals of its calls: they go now, not whenever somebody
        # lets go of the exception.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        reader.close()
    report.seconds = time.monotonic() - started
    return report


def _try_output(job: Job, plan: Plan, reader: AnyReader) -> None:
    """Open the output and leave nothing: what cannot be is found before the long pass, not after it."""
    if job.encoding_pass:
        return  # the encoder would write, or read, its statistics twice
    writer = endpoints.make_writer(replace(job, log=None), reader)  # what the encoder warns of is told when it works
    if not writer.is_file:
        return  # a pipe would get the header twice
    env = Env(stream=plan.stream, ring=None, input_name=job.input, autorotate=job.autorotate)
    try:
        writer.open(Tail(plan, plan.stream, env, writer.formats).out)
    finally:
        writer.abort()


def expected_frames(job: Job, plan: Plan) -> int:
    """About how many frames the output will have, 0 where the container does not say."""
    source = plan.source
    given = [length for length in (job.t, job.out_t) if length is not None]
    given += [to - (ss or 0) for to, ss in ((job.to, job.ss), (job.out_to, job.out_ss)) if to is not None]
    if not given and not job.ss and not job.out_ss and not plan.head:
        return source.frames
    left = source.duration - (job.ss or 0) - (job.out_ss or 0) if source.duration else 0.0
    seconds = min([*given, left] if left > 0 else given, default=0.0)
    return max(0, round(seconds * float(plan.stream.average_rate)))


def _log(job: Job, level: str, line: str) -> None:
    if job.log is not None:
        job.log(level, line)


class _Threads:
    """The threads of a pass. A body that raises stops them all. stopped: see Job. period: seconds between ticks."""

    def __init__(self, stop: Stop, stopped: Callable[[], bool] | None, period: float = 0.5) -> None:
        self.stop, self._stopped, self._period = stop, stopped, period
        # Not Thread.join(): until Python 3.13 one that a signal interrupts takes the thread for ended.
        self._threads: list[tuple[threading.Thread, threading.Event]] = []

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Run body in a thread of its own."""
        ended = threading.Event()

        def target() -> None:
            try:
                body()
            except Cancelled:
                self.stop.set()
            except BaseException as error:
                self.stop.set(error)
            finally:
                ended.set()

        thread = threading.Thread(target=target, name=f"anonfilter-{name}", daemon=True)
        self._threads.append((thread, ended))
        thread.start()

    def join(self, tick: Callable[[], None], deaf: bool = False) -> None:
        """Wait for all. Raises the first error of any thread, and Cancelled when told to stop, unless deaf."""
        last = time.monotonic()
        while not all(ended.is_set() for _, ended in self._threads):
            for _, ended in self._threads:
                ended.wait(0.02)
            if not deaf and self._stopped is not None and self._stopped():
                raise Cancelled("stopped")
            now = time.monotonic()
            if now - last >= self._period:
                last = now
                tick()
        if self.stop.error is not None:
            raise self.stop.error
        self.stop.check()

    def end(self) -> None:
        """Stop what still runs and wait for it: what the threads use may be freed only after that."""
        self.stop.set()
        for thread, ended in self._threads:
            while not ended.wait(0.1):
                if thread.ident is None:  # a signal came before it was started
                    break


def _decode(
    reader: AnyReader,
    head: LavfiGraph | None,
    out: Channel[Any] | live.LivePass,
    enough: threading.Event | None = None,
    end: Fraction | None = None,
    pace: Callable[[float], None] | None = None,
) -> None:
    """Decoder thread: frames through the head, packets as they come, until the end or until it is enough.

    Enough is what the video says; sound before `end` (seconds of the source's timestamps) may stand later in the file.
    It is waited for, but not for ever.
    """
    count = 0
    waiting = {stream.index for stream in reader.copied if stream.type == "audio"} if end is not None else set()
    for item in reader.frames():
        if pace is not None and isinstance(item, Frame):
            pace(item.t)
        over = enough is not None and enough.is_set()
        if over and not waiting:
            break
        if not isinstance(item, Frame):
            stamp = item.pts if item.pts is not None else item.dts
            if end is not None and stamp is not None and stamp * item.time_base >= end:
                waiting.discard(item.stream.index)
            out.put(item)
            continue
        if over:
            if end is not None and item.t + reader.info.start > end + _SOUND_LATE:
                break
            continue
        for frame in [item] if head is None else head.push(item):
            out.put(replace(frame, n=count))
            count += 1
    for frame in [] if head is None else head.flush():
        out.put(replace(frame, n=count))
        count += 1
    out.put(END)


def _readrate(job: Job, stop: Stop) -> Callable[[float], None] | None:
    """-re and -readrate, and -live of a file: what waits until a frame of that time is due; None without them."""
    rate = job.readrate or float(job.live is not None and live.from_files(job))
    if not rate:
        return None
    began: list[float] = []

    def wait(t: float) -> None:
        now = time.monotonic()
        if not began:
            began.extend((now, t))
        due = began[0] + (t - began[1] - job.readrate_burst) / rate
        while (left := due - time.monotonic()) > 0 and not stop.is_set():
            time.sleep(min(left, 0.05))

    return wait


def _head(plan: Plan, job: Job) -> tuple[LavfiGraph | None, StreamInfo]:
    if not plan.head:
        return None, plan.source
    return LavfiGraph(plan.head, plan.source, None, job.threads), plan.stream


def _open(filters: list[Filter], env: Env) -> None:
    for item in filters:
        item.open(env)


def _close(filters: Sequence[Filter]) -> None:
    """Close all, also those behind one that fails. Such a failure never hides the error that led here."""
    with contextlib.ExitStack() as stack:
        if sys.exc_info()[0] is not None:
            stack.enter_context(contextlib.suppress(Exception))
        for item in reversed(filters):
            stack.callback(item.close)


def _analyse(job: Job, plan: Plan, reader: AnyReader, records: Path, started: float) -> None:
    """Pass 1: decode, look, and write the records."""
    stop = Stop()
    decoded: Channel[Any] = Channel(_QUEUE, stop)
    ring = FrameRing(plan.ring_frames, stop)
    head, stream = _head(plan, job)
    lane = Lane(plan.lane)
    env = Env(
        stream=stream, ring=ring, input_name=job.input, graph=plan.detection, kernels=job.kernels,
        fingerprint=reader.fingerprint,
        log=lambda level, line: _log(job, level, line), pass_no=1, autorotate=job.autorotate,
    )  # fmt: skip
    state = Progress(total=stream.frames, stage="pass 1")
    scratch = f"records of pass 1, in {tempfile.gettempdir()} (TMPDIR names another folder)"
    writer = RecordWriter(records, Header.of("pass 1", stream, plan.detection), every_frame=True, scratch=scratch)

    def look() -> None:
        while (item := decoded.get()) is not END:
            if not isinstance(item, Frame):
                continue
            ring.add(item)
            for record in lane.push(item):
                writer.write(record)
            if item.n >= plan.reader_ahead:
                ring.take(item.n - plan.reader_ahead)
            state.frame += 1
            state.out_time = item.t
        for record in lane.flush():
            writer.write(record)
        writer.close(state.frame, reader.fingerprint())

    threads = _Threads(stop, job.stopped, job.stats_period)
    try:
        _open(list(plan.lane), env)
        threads.start("decode", lambda: _decode(reader, head, decoded))
        threads.start("look", look)
        threads.join(lambda: _tick(job, state, started))
    finally:
        with contextlib.ExitStack() as last:  # each of them, whatever the others raise
            last.callback(_close, plan.lane)
            last.callback(reader.close)
            last.callback(writer.abort)
            last.callback(threads.end)


def _render(
    job: Job, plan: Plan, reader: AnyReader, lane: Lane, report: Report, started: float, pass_no: int
) -> None:
    """The pass that writes the output."""
    stop = Stop()
    decoded: Channel[Any] = Channel(_QUEUE, stop)
    # One look settles a dozen frames at a time. They stay in the ring until they are drawn, which bounds them.
    ready: Channel[Any] = Channel(plan.ring_frames + _QUEUE, stop)
    drawn: Channel[Any] = Channel(_QUEUE if job.live is None else 1, stop)
    ring = FrameRing(plan.ring_frames, stop)
    head, stream = _head(plan, job)
    env = Env(
        stream=stream, ring=ring, input_name=job.input, graph=plan.detection, kernels=job.kernels,
        fingerprint=reader.fingerprint,
        log=lambda level, line: _log(job, level, line), pass_no=pass_no, autorotate=job.autorotate,
    )  # fmt: skip
    writer = endpoints.make_writer(job, reader)
    tail = Tail(plan, stream, env, writer.formats)
    now = live.LivePass(job, plan, lane, tail, drawn, report, stop) if job.live is not None else None
    if now is not None:
        env.ring = now.ring
        endpoints.hurry(job, writer)
    # A record file speaks of the whole input; without one, or when pass 1 has seen to it, there is no need to read past
    # the end of the output.
    enough = threading.Event()
    if isinstance(reader, Reconnecting):
        reader.stopping, reader.ending = stop.is_set, enough.is_set
    may_stop = pass_no == 2 or not any(item.name in ("read", "write") for item in plan.lane)
    for item in lane.filters:
        if isinstance(item, Replay):
            item.enough = enough.is_set
    state = Progress(total=expected_frames(job, plan), stage="render" if pass_no == 0 else "pass 2")
    filters = [*lane.filters, *tail.filters]

    def look() -> None:
        while (item := decoded.get()) is not END:
            if isinstance(item, Frame):
                lane.check(plan.ring_frames)
                ring.add(item)
                for record in lane.push(item):
                    ready.put(record)
            else:
                lane.hold_packet(item)
            for packet in lane.packets():
                ready.put(packet)
        for record in lane.flush():
            ready.put(record)
        for packet in lane.packets(everything=True):
            ready.put(packet)
        ready.put(END)

    def draw() -> None:
        while (item := ready.get()) is not END:
            if isinstance(item, FrameRecord):
                for frame in tail.push(ring.take(item.n), item):
                    drawn.put(frame)
            else:
                drawn.put(item)
        for frame in tail.flush():
            drawn.put(frame)
        drawn.put(END)

    def encode() -> None:
        while (item := drawn.get()) is not END:
            if isinstance(item, Frame):
                if writer.write(item):
                    report.regions += item.regions
                    report.covered_frames += bool(item.regions)
                    state.out_time = item.t
                state.frame, state.size = writer.frames, writer.size
                state.dup, state.drop, state.q = writer.repeated, writer.left_out, writer.quantizer
                if writer.done and may_stop:
                    enough.set()
            else:
                writer.mux(item)
        state.size = report.size = writer.finish()
        state.frame, state.q = writer.frames, writer.quantizer
        state.dup, state.drop = writer.repeated, writer.left_out

    pace = _readrate(job, stop)
    threads = _Threads(stop, job.stopped, job.stats_period)
    try:
        writer.open(tail.out)
        _open([*lane.filters], env)
        tail.open(env)
        into = decoded if now is None else now
        threads.start("decode", lambda: _decode(reader, head, into, enough, writer.end, pace))
        threads.start("look", look if now is None else now.look)
        threads.start("draw", draw if now is None else now.draw)
        threads.start("encode", encode)
        try:
            threads.join(lambda: _tick(job, state, started))
        except (KeyboardInterrupt, Cancelled):
            if now is None or stop.is_set():
                raise
            # A camera has no other end: what was taken until now is whole, and keeps its name.
            enough.set()
            threads.join(lambda: _tick(job, state, started), deaf=True)
            raise
        if isinstance(reader, Reconnecting):
            report.reconnects = reader.reconnects
        report.frames, report.corrupt = state.frame, reader.corrupt
        report.undecodable, report.damaged = reader.undecodable, reader.errors - reader.undecodable
        report.missing, report.absent = reader.missing, reader.absent
        report.notes += [*reader.notes, *writer.notes]
        if writer.nudged:
            report.notes.append(f"{writer.nudged} frames whose time repeats or runs back come one tick after the last")
        if writer.moved:
            report.notes.append(
                f"{writer.moved} frames were moved to the clock of the encoder or the format, which counts frames: "
                "-c:v libx264 in .mp4, .mov, .mkv or .ts keeps their times"
            )
        report.dropped += [*reader.dropped, *writer.dropped]
        report.kept += writer.kept
        state.done = True
        _tick(job, state, started)
    finally:
        with contextlib.ExitStack() as last:  # each of them, whatever the others raise
            last.callback(_close, filters)
            last.callback(writer.abort)
            last.callback(threads.end)


def _tick(job: Job, state: Progress, started: float) -> None:
    if job.progress is None:
        return
    seconds = max(1e-6, time.monotonic() - started)
    state.fps, state.speed = state.frame / seconds, state.out_time / seconds
    job.progress(state)
