"""The packets of an open input: what they are worth when it is damaged, and whether all of them are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.codec
import av.error
from av.container import InputContainer
from av.packet import Packet

from anonfilter.errors import InputError
from anonfilter.io import demuxing, logs, streams, transport
from anonfilter.io.clock import rescale
from anonfilter.io.index import Remedy
from anonfilter.io.span import Span
from anonfilter.job import Job

_MICRO = Fraction(1, 1_000_000)
_RETRIES = 100
"""Read errors in a row after which a damaged input is given up even with ignore_errors."""


class Packets:
    """Packets of every stream of an input, in its order. Iterating gives each, and None at the end.

    video: the stream that is worked on. time_base: the video's ticks. remedy: how to read around a damaged index.
    seen: where each stream's packets end so far, by its index, and last: where the newest packet begins, in seconds of
    the file's timestamps. taken: packets of the video that a decoder was given, which its
    owner counts. places: damage that ignore_errors passed over, missing: seconds at the end that the container states
    and that are not there, absent: frames that its index has and that did not come. notes: gets a line for what else
    was wrong. Raises InputError where libavformat finds damage, unless the job has ignore_errors.
    """

    def __init__(
        self,
        job: Job,
        container: InputContainer,
        video: Any,
        time_base: Fraction,
        span: Span,
        remedy: Remedy,
        notes: list[str],
    ) -> None:
        self.job, self.name = job, job.input
        self._container, self._video, self._time_base = container, video, time_base
        self._span, self._remedy, self._notes = span, remedy, notes
        self._hash = hashlib.sha256()
        self.seen: dict[int, Fraction] = {}
        self.last: Fraction = span.begin or Fraction(0)
        self.taken = self.places = self.absent = 0
        self._doubtful = 0
        self.missing = 0.0

    def at(self) -> str:
        """Where reading stands, for a message."""
        return f"{float(self.last - self._span.zero):.3f} s"

    @property
    def zero(self) -> Fraction:
        """Where times of messages count from, in seconds of the file's timestamps."""
        return self._span.zero

    def note(self, line: str) -> None:
        """Add a line to the notes."""
        self._notes.append(line)

    def digest(self) -> str:
        """sha256, in hexadecimal, over the video packets of the requested range so far."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Packet[Any] | None]:
        failures = 0
        packets = self._container.demux()
        while True:
            error: Exception | None = None
            packet: Packet[Any] | None = None
            with av.logging.Capture() as said:
                try:
                    packet = next(packets, None)
                except av.error.FFmpegError as problem:
                    error = problem
                except IndexError:
                    # PyAV, when it marks the end of a stream that appeared in mid-file: everything has been read.
                    packet = None
            found = logs.errors(m for m in said if m[1] not in av.codec.codecs_available)
            over = packet is None or (not packet.size and packet.dts is None)
            if (error is not None or found) and over and self._all_there():
                self._notes.append("what stands behind the last packet is damaged: an index, most likely")
                break
            if error is not None or found:
                self._damaged(error, found)
                if error is not None:
                    failures += 1
                    packets = self._container.demux()  # the generator is spent, the demuxer is not
                    if failures < _RETRIES:
                        continue
            if packet is None:
                break
            if not packet.size:
                # AVI's dropped frames, and PyAV's mark of the end. A decoder would take both for the end.
                continue
            failures = 0
            if self._remedy.end is not None and packet.pos is not None and packet.pos >= self._remedy.end:
                break  # bytes of the index that look like chunks
            self._account(packet)
            yield packet
        if self._doubtful:
            self._notes.append(f"{self._doubtful} packets were marked damaged by the demuxer")
        yield None

    def _damaged(self, error: Exception | None, found: list[str]) -> None:
        if not self.job.ignore_errors:
            why = "; ".join(text.rstrip(".") for text in found) or logs.reason(error or InputError("read error"))
            raise InputError(
                f"{self.name}: damaged or cut short at {self.at()}: {why} (-err_detect ignore_err goes on)"
            ) from error
        self.places += 1

    def _account(self, packet: Packet[Any]) -> None:
        """Note how far each stream reaches, and hash the video's payload."""
        # No reason to end a run: libavformat marks so what stands before a jump of a transport stream's counters, which
        # two recordings put one behind the other have. What it means for pictures the decoder says.
        self._doubtful += packet.is_corrupt
        base = packet.time_base or self._time_base
        stamp = packet.pts if packet.pts is not None else packet.dts
        begin, end = self._span.begin, self._span.end
        if packet.stream is self._video and (
            stamp is None
            or ((begin is None or stamp >= rescale(begin, base)) and (end is None or stamp < rescale(end, base)))
        ):
            self._hash.update(packet)
        if stamp is None:
            return
        self.last = stamp * Fraction(base)
        over = (stamp + (packet.duration or 0)) * Fraction(base)
        index = packet.stream.index
        self.seen[index] = max(over, self.seen.get(index, over))

    # -- the end --

    def _all_there(self) -> bool:
        """Whether every frame that the container states has come, so that no frame can be missing."""
        video, container = self._video, self._container
        reached = self.seen.get(video.index)
        if reached is None:
            return False
        frame = 1.5 / _rate(video)
        stated = streams.declared_seconds(video)
        whole = (container.duration or 0) / 1_000_000
        far = float(max(self.seen.values())) - (container.start_time or 0) / 1_000_000
        origin = float(Fraction(video.start_time or 0) * Fraction(video.time_base or 1))
        got = float(reached) - (min(origin, 0.0) if "matroska" in container.format.name else origin)
        return bool(stated or whole) and got + frame >= stated and far + max(frame, 0.1) >= whole

    def check_complete(self) -> None:
        """A cut file ends without an error: compare with what the container states. Raises InputError, or sets missing
        with ignore_errors."""
        container, video, begin, end = self._container, self._video, self._span.begin, self._span.end
        reached = self.seen.get(video.index)
        if reached is None or demuxing.live(self.name):
            return
        if container.format.name == "mpegts" and not demuxing.is_url(self.name) and not demuxing.read_once(self.name):
            # Captures end anywhere: a last piece of sound that is not whole says nothing.
            why = transport.cut(demuxing.path_of(self.name), {video.id})
            if why:
                self._cut(f"the transport stream is cut short: {why}")
        if self.places and begin is None and end is None:
            known = len(video.index_entries) if "mov" in container.format.name else video.frames
            self.absent = max(0, known - self.taken)
        start = Fraction(video.start_time or 0) * self._time_base
        stated = streams.declared_seconds(video)
        name = container.format.name
        # Matroska's duration is a time of end, that of others a length.
        origin = min(start, Fraction(0)) if "matroska" in name else start
        got = float(reached - origin)
        if name in ("avi", "asf", "flv", "mxf") and video.frames and begin is None and end is None:
            missing = video.frames - self.taken
            if missing > _rate(video):
                self._fall_short(f"{self.taken} of {video.frames} frames", missing / _rate(video))
                return
        if not demuxing.states_duration(name) or ("mov" in name and 0 < video.frames <= self.taken):
            return
        limit = None if end is None else float(end - origin)
        if stated and got + 1 < min(stated, limit or stated):
            self._fall_short(f"{got:.2f} of {stated:.2f} s", min(stated, limit or stated) - got)
        if not stated and container.duration:
            # All streams count here: sound may be longer than the picture.
            first = Fraction(container.start_time or 0) * _MICRO
            whole = container.duration / 1_000_000
            far = float(max(self.seen.values()) - first)
            limit = None if end is None else float(end - first)
            if far + 1 < min(whole, limit or whole):
                self._fall_short(f"{far:.2f} of {whole:.2f} s", min(whole, limit or whole) - far)

    def _cut(self, what: str) -> None:
        if not self.job.ignore_errors:
            raise InputError(f"{self.name}: {what} (-err_detect ignore_err takes what there is)")
        self._notes.append(what)

    def _fall_short(self, what: str, seconds: float) -> None:
        if not self.job.ignore_errors:
            raise InputError(f"{self.name}: cut short: {what} are there (-err_detect ignore_err takes what there is)")
        self.missing = seconds


def _rate(stream: Any) -> float:
    """Frames in a second, for tolerances."""
    return float(stream.average_rate or 25)
