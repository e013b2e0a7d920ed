"""Reads a video: decoded frames in order, and the packets of the streams to copy between them."""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import av.codec
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from anonfilter.errors import InputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import demuxing, hdr, index, left, logs, selection, sound, streams
from anonfilter.io.clock import rescale
from anonfilter.io.fields import deinterlaces
from anonfilter.job import Job
from anonfilter.values import parse_rate

_MICRO = Fraction(1, 1_000_000)
_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT
_RETRIES = 100
"""Read errors in a row after which a damaged input is given up even with ignore_errors."""


class Reader:
    """An open input.

    info: the video stream. order: the streams of the output as they stand in it; copied: those of them that are not
    the video. shift: seconds that an output subtracts from every timestamp (0 without -ss, since the output keeps the
    source's pts). container, video: PyAV's objects for the writer. pictures: cover art, by stream. captions: whether
    the video has closed captions. dropped: one line for each thing that no output gets. corrupt: frames that the
    decoder flagged. errors: damage that ignore_errors passed over, undecodable: packets of the video among it, missing:
    seconds at the end that the container states and that are not there. notes: what else was wrong, one line each.
    Raises InputError, one line, for anything that is not a video that can be decoded.

    One thread at a time may use a reader. Reading the same file again with the same job gives the same frames
    with the same ordinals.
    """

    info: StreamInfo

    def __init__(self, job: Job) -> None:
        self.job = job
        self.name = job.input
        self.container: InputContainer | None = None
        once = demuxing.read_once(self.name)
        remedy = index.SOUND if once else index.avi(demuxing.path_of(self.name))
        try:
            self._begin_at(remedy)
        except BaseException:
            self.close()
            raise

    def _begin_at(self, remedy: index.Remedy, front: bool = False) -> None:
        """Open the input and decode its first frame. front: without seeking."""
        self.close()
        job = self.job
        self.corrupt = self.errors = self.undecodable = 0
        self.missing = 0.0
        self.dropped: list[str] = []
        self.notes = [remedy.note] if remedy.note else []
        self._remedy, self._front = remedy, front
        self._sought = self._early = False
        self._hash = hashlib.sha256()
        self._ended = False
        self.container = demuxing.open_input(job, remedy.options)
        try:
            if remedy is index.SOUND and "mov" in self.container.format.name and not demuxing.read_once(self.name):
                edits = index.edits(selection.select(self.container, job).video)
                if edits is not index.SOUND:
                    self._begin_at(edits)
                    return
            self._open()
        except InputError:
            # A damaged index leads a seek anywhere: also behind what was asked for, or into the middle of nothing.
            if not self._sought or demuxing.read_once(self.name):
                raise
            self._begin_at(remedy, front=True)

    def _open(self) -> None:
        container = self._container
        chosen = self._chosen = selection.select(container, self.job)
        video = chosen.video
        if video is None:
            if self.job.maps and any(not streams.is_picture(s) for s in container.streams.video):
                raise InputError(f"{self.name}: -map names no video, and there is nothing to do without (add -map 0:v)")
            what = "only cover art" if container.streams.video else "no video stream"
            raise InputError(f"{self.name}: {what} in this file")
        if video.codec_context is None:
            raise InputError(f"{self.name}: no decoder for its video stream #{video.index} in this build of libavcodec")
        self.video = video
        self.time_base = Fraction(video.time_base or Fraction(1, 1000))
        self.copied, self.order = chosen.copied, chosen.order
        self.dropped += chosen.dropped + left.of_file(self.job)
        if video.metadata.get("alpha_mode") == "1":
            self.dropped.append(f"alpha channel of the video (decoder {video.codec_context.name} does not give it)")
        self._whole_sound = {s.index for s in self.copied if s.type == "audio" and sound.encoded(self.job)}
        self._fields_end = deinterlaces(self.job.graph)
        context = video.codec_context
        # Threads over frames hold back as many frames as there are threads.
        context.thread_type = "AUTO" if self.job.live is None else "SLICE"
        context.thread_count = self.job.threads
        demuxing.set_decoder_options(self.job, container, context)
        self._forced_rate = self._rate()
        self._range()
        self.shortest = demuxing.shortest(self.job, self.order) if self.job.shortest else None
        self._last: Fraction = self._begin or Fraction(0)
        self._seen: dict[int, Fraction] = {}
        self._packets = self._discarded = 0
        self._guess: int | None = None
        self._decoded = 0
        self._items = self._read()
        self._pending: deque[Frame | Packet[Any]] = deque()
        self.pictures: dict[int, bytes] = {}
        for item in self._items:
            self._pending.append(item)
            if not isinstance(item, Frame) and streams.is_picture(item.stream):
                self.pictures[item.stream.index] = bytes(item)
            if isinstance(item, Frame):
                wanted = None if self._begin is None or not self._sought else rescale(self._begin, self.time_base)
                if wanted is not None and not self._early and item.pts is not None and item.pts > wanted:
                    raise InputError(f"{self.name}: seeking to {self._asked:g} s ended behind it")
                self.info = streams.stream_info(container, video, item.av, self._zero_ticks * self.time_base)
                self.dropped += hdr.read(item.av)[1]
                self.captions = hdr.has_captions(item.av)
                if (rate := self._forced_rate) is not None:
                    self.info = replace(self.info, time_base=1 / rate, rate=rate, average_rate=rate, start=0.0)
                return
        if self._begin is not None and self._seen:
            raise InputError(f"{self.name}: no frame at or after -ss {self._asked:g} (is it behind the end?)")
        raise InputError(f"{self.name}: no frame of its video could be decoded")

    @property
    def range(self) -> tuple[Fraction | None, Fraction | None]:
        """What -ss and -t leave, in seconds of the file's clock."""
        return self._begin, self._end

    @property
    def _container(self) -> InputContainer:
        if self.container is None:
            raise InputError(f"{self.name}: already closed")
        return self.container

    def _rate(self) -> Fraction | None:
        """-r of the input, where its demuxer does not take it itself. Raises InputError."""
        job = self.job
        if not job.input_rate or "framerate" in job.input_options:
            return None
        if job.ss is not None or job.sseof is not None:
            raise InputError(f"{self.name}: -r and -ss of the input do not go together: put -ss before the output")
        rate = parse_rate(job.input_rate)
        self.time_base = 1 / rate
        return rate

    def _range(self) -> None:
        """Work out which part of the file is asked for, in seconds of its own timestamps."""
        job = self.job
        first = Fraction(self._container.start_time or 0) * _MICRO
        if self._forced_rate is not None:
            first = Fraction(0)
        ss = job.ss
        if job.sseof is not None and (length := self._container.duration):
            # As ffmpeg: counted from the length that the container states; before the start is the start.
            ss = max(0.0, length / 1_000_000 + job.sseof)
        self._asked = ss or 0.0
        skip = _seconds(ss)
        asked = first + skip
        if int(self._container.format.flags) & _TS_DISCONT and self._forced_rate is None:
            # As ffmpeg: where clocks may jump, as in MPEG-TS, a file starts where the streams that are read start.
            starts = [Fraction(s.start_time) * s.time_base for s in self.order if s.start_time is not None]
            first = max(first, min(starts, default=first))
        begin = self._zero = max(asked, first)
        self.shift = begin if ss is not None else Fraction(0)
        if job.copyts:
            self._zero = self.shift = first if job.start_at_zero else Fraction(0)
        self._zero_ticks = rescale(self._zero, self.time_base)
        self._length: Fraction | None = None
        if job.t is not None:
            self._length = _seconds(job.t)
        elif job.to is not None:
            self._length = _seconds(job.to) - skip
        if self._length is not None and self._length <= 0:
            raise InputError(f"{self.name}: -to or -t leaves nothing of the input")
        self._begin = begin if ss is not None else None
        self._end = None if self._length is None else begin + self._length
        if self._begin is not None and skip > 0 and not self._front:
            # Some demuxers seek by decoding time: the margin is ffmpeg's for streams with reordered frames.
            target = self._begin - Fraction(3, 23)
            with contextlib.suppress(av.error.FFmpegError):  # a pipe, say: read from the front and drop
                self._sought = True  # a seek that fails may have moved, too
                self._container.seek(rescale(target, _MICRO), backward=True)

    # -- reading --

    def frames(self) -> Iterator[Frame | Packet[Any]]:
        """Frames, and packets of the copied streams, as they stand in the file. Can be used once.

        Raises InputError where the input is damaged or cut short, unless the job has ignore_errors.
        """
        while self._pending:
            yield self._pending.popleft()
        yield from self._items
        self._ended = True

    def _read(self) -> Iterator[Frame | Packet[Any]]:
        """Demux and decode."""
        keep_from = None if self._begin is None else rescale(self._begin, self.time_base)
        length = None if self._length is None else rescale(self._length, self.time_base)
        n, stop_at, first = 0, None, None
        done = False
        started = set[int]()
        for packet in self._demux():
            if packet is not None and packet.stream is not self.video:
                if self._copy(packet, started):
                    yield packet
                continue
            if done:
                if self._copies_done(packet):
                    return
                continue
            for frame in self._decode(packet):
                pts = self._pts(frame)
                if keep_from is not None and pts < keep_from:
                    self._early = True
                    continue
                if first is None:
                    # ffmpeg's trim counts -t from the first picture that is kept, not from -ss.
                    first = pts
                    stop_at = None if length is None else first + length
                if stop_at is not None and pts >= stop_at:
                    done = True
                    break
                yield self._frame(n, pts, frame)
                n += 1
        if not done:
            self._check_complete(n)

    def _frame(self, n: int, pts: int, frame: VideoFrame) -> Frame:
        # A frame type left over from the source would force the encoder to use it.
        frame.pict_type = av.video.frame.PictureType.NONE
        if frame.time_base is None:
            frame.time_base = self.time_base
        # In ticks, as ffmpeg: a container's start has microseconds, and the first frame's t must be 0, not
        # -2e-7.
        t = float((pts - self._zero_ticks) * self.time_base)
        if n:
            have = (frame.width, frame.height, frame.format.name)
            want = (self.info.width, self.info.height, self.info.pix_fmt)
            if have != want:
                raise InputError(
                    f"{self.name}: the picture changes from {want[0]}x{want[1]} {want[2]} to "
                    f"{have[0]}x{have[1]} {have[2]} at {t:.3f} s: split the file there"
                )
        if frame.interlaced_frame and not self._fields_end:
            raise InputError(
                f"{self.name}: the picture at {t:.3f} s is interlaced, two moments in one: put yadif or bwdif first in "
                "-vf (or setfield=prog if it is marked so by mistake)"
            )
        self.corrupt += frame.is_corrupt
        return Frame(n, pts, t, frame)

    def _pts(self, frame: VideoFrame) -> int:
        """The frame's pts, or a guess where the file has none: its dts, else one frame after the last."""
        if self._forced_rate is not None:
            # -r of the input: what the file says of times does not count.
            frame.pts, frame.time_base = self._decoded, self.time_base
            self._decoded += 1
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            pts = 0 if self._guess is None else self._guess
            frame.pts = pts
        elif frame.pts is None:
            frame.pts = pts
        rate = self.video.average_rate or Fraction(25)
        self._guess = pts + (frame.duration or max(1, rescale(1 / Fraction(rate), self.time_base)))
        return pts

    def _decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        if packet is not None:
            if not self._packets and not self.job.keep_metadata:
                self.dropped += left.of_picture(bytes(packet))
            self._packets += 1
            self._discarded += packet.is_discard
        try:
            return self.video.decode(packet)
        except EOFError:
            return []
        except av.error.FFmpegError as error:
            if not self.job.ignore_errors:
                raise InputError(
                    f"{self.name}: cannot decode the video at {self._at()}: {logs.reason(error)} "
                    "(-err_detect ignore_err goes on)"
                ) from error
            self.errors += 1
            self.undecodable += 1
            return []

    def _at(self) -> str:
        return f"{float(self._last - self._zero):.3f} s"

    def _demux(self) -> Iterator[Packet[Any] | None]:
        """Packets of every stream, and None at the end. Raises InputError when libavformat finds damage."""
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
                self.notes.append("what stands behind the last packet is damaged: an index, most likely")
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
        yield None

    def _all_there(self) -> bool:
        """Whether every frame that the container states has come, so that no frame can be missing."""
        video, container = self.video, self._container
        reached = self._seen.get(video.index)
        if reached is None:
            return False
        frame = 1.5 / video_rate(video)
        stated = streams.declared_seconds(video)
        whole = (container.duration or 0) / 1_000_000
        far = float(max(self._seen.values())) - (container.start_time or 0) / 1_000_000
        origin = float(Fraction(video.start_time or 0) * Fraction(video.time_base or 1))
        got = float(reached) - (min(origin, 0.0) if "matroska" in container.format.name else origin)
        return bool(stated or whole) and got + frame >= stated and far + max(frame, 0.1) >= whole

    def _damaged(self, error: Exception | None, found: list[str]) -> None:
        if not self.job.ignore_errors:
            why = "; ".join(text.rstrip(".") for text in found) or logs.reason(error or InputError("read error"))
            raise InputError(
                f"{self.name}: damaged or cut short at {self._at()}: {why} (-err_detect ignore_err goes on)"
            ) from error
        self.errors += 1

    def _account(self, packet: Packet[Any]) -> None:
        """Note how far each stream reaches, and hash the video's payload."""
        base = packet.time_base or self.time_base
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.stream is self.video:
            ours = stamp is None or (
                (self._begin is None or stamp >= rescale(self._begin, base))
                and (self._end is None or stamp < rescale(self._end, base))
            )
            if ours:
                self._hash.update(packet)
        if stamp is None:
            return
        self._last = stamp * Fraction(base)
        end = (stamp + (packet.duration or 0)) * Fraction(base)
        index = packet.stream.index
        self._seen[index] = max(end, self._seen.get(index, end))

    # -- streams to copy --

    def _copy(self, packet: Packet[Any], started: set[int]) -> bool:
        """Whether a packet of another stream goes to the output: ffmpeg's rule for copied streams."""
        if packet.stream not in self.copied:
            return False
        base = packet.time_base or _MICRO
        pts = packet.pts if packet.pts is not None else packet.dts
        dts = packet.dts if packet.dts is not None else packet.pts
        index = packet.stream.index
        if self._end is not None and dts is not None and dts >= rescale(self._end, base):
            return False
        # Sound that is decoded is cut to the sample later, and its decoder needs what comes before.
        begin = self._begin
        waits = begin is not None and index not in started and index not in self._whole_sound
        if waits and begin is not None and (pts is None or pts < rescale(begin, base)):
            return False
        if index not in self._whole_sound:
            started.add(index)
        return True

    def _copies_done(self, packet: Packet[Any] | None) -> bool:
        """Whether all copied streams have passed the end, or the video has by far (a copied stream may be
        sparse)."""
        end = self._end
        if packet is None or end is None:
            return True
        if self._seen.get(self.video.index, end) > end + 10:
            return True
        return all(self._seen.get(s.index, end - 1) >= end for s in self.copied)

    # -- the end --

    def _check_complete(self, frames: int) -> None:
        """A cut file ends without an error: compare with what the container states."""
        container, video = self._container, self.video
        reached = self._seen.get(video.index)
        if reached is None or demuxing.live(self.name):
            return
        begin = Fraction(video.start_time or 0) * self.time_base
        stated = streams.declared_seconds(video)
        name = container.format.name
        # Matroska's duration is a time of end, that of others a length.
        origin = min(begin, Fraction(0)) if "matroska" in name else begin
        got = float(reached - origin)
        if name in ("avi", "asf", "flv", "mxf") and video.frames and self._begin is None and self._end is None:
            missing = video.frames - self._packets
            if missing > video_rate(video):
                self._fall_short(f"{self._packets} of {video.frames} frames", missing / video_rate(video))
                return
        if not demuxing.states_duration(name) or ("mov" in name and 0 < video.frames <= self._packets):
            return
        limit = None if self._end is None else float(self._end - origin)
        if stated and got + 1 < min(stated, limit or stated):
            self._fall_short(f"{got:.2f} of {stated:.2f} s", min(stated, limit or stated) - got)
        if not stated and container.duration:
            # All streams count here: sound may be longer than the picture.
            first = Fraction(container.start_time or 0) * _MICRO
            whole = container.duration / 1_000_000
            far = float(max(self._seen.values()) - first)
            limit = None if self._end is None else float(self._end - first)
            if far + 1 < min(whole, limit or whole):
                self._fall_short(f"{far:.2f} of {whole:.2f} s", min(whole, limit or whole) - far)

    def _fall_short(self, what: str, seconds: float) -> None:
        if not self.job.ignore_errors:
            raise InputError(f"{self.name}: cut short: {what} are there (-err_detect ignore_err takes what there is)")
        self.missing = seconds

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, over the video packets of the requested range.

        Raises InputError before the end.
        """
        if not self._ended:
            raise InputError(f"{self.name}: the fingerprint is known only at the end of the input")
        return self._hash.hexdigest()

    def close(self) -> None:
        """Release the input. Frames that were read stay valid."""
        container, self.container = self.container, None
        if container is None:
            return
        items: Any = getattr(self, "_items", None)
        if items is not None and items.gi_running:
            return  # another thread is inside the decoder, which must not be touched now
        video = getattr(self, "video", None)
        if video is not None and video.codec_context is not None:
            # Waits for the decoder's threads without the interpreter's lock. Freeing the context waits with
            # it, and a worker that wants to log an error then needs that lock: they would wait for each
            # other.
            video.codec_context.flush_buffers()
        if items is not None:
            items.close()
        getattr(self, "_pending", deque[Any]()).clear()
        container.close()

    def __del__(self) -> None:
        self.close()


def video_rate(stream: Any) -> float:
    """Frames in a second, for tolerances."""
    return float(stream.average_rate or 25)


def _seconds(value: float | None) -> Fraction:
    # Six digits, as ffmpeg keeps times: a float's own error must not move a frame over the edge.
    return Fraction(0) if value is None else Fraction(round(value * 1_000_000), 1_000_000)

