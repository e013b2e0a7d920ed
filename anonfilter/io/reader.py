"""Reads a video: decoded frames in order, and the packets of the streams to copy between them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av.error
from av.container import InputContainer
from av.packet import Packet

from anonfilter.errors import InputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import demuxing, hdr, index, left, selection, sound, span, streams
from anonfilter.io.clock import rescale
from anonfilter.io.decoding import Decoder
from anonfilter.io.packets import Packets
from anonfilter.job import Job
from anonfilter.values import parse_rate

_MICRO = Fraction(1, 1_000_000)


class Reader:
    """An open input.

    info: the video stream. order: the streams of the output as they stand in it; copied: those of them that are not
    the video. shift: seconds that an output subtracts from every timestamp (0 without -ss, since the output keeps the
    source's pts). container, video: PyAV's objects for the writer. pictures: cover art, by stream. captions: whether
    the video has closed captions. dropped: one line for each thing that no output gets. corrupt: frames that the
    decoder flagged. errors: damage that ignore_errors passed over, undecodable: packets of the video among it, missing:
    seconds at the end that the container states and that are not there, absent: frames that its index has and that did
    not come. notes: what else was wrong, one line each.
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
        self.dropped: list[str] = []
        self.notes = [remedy.note] if remedy.note else []
        self._remedy, self._front = remedy, front
        self._sought = self._early = False
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
            raise InputError(f"{self.name}: {what} in this file, so there is nothing to anonymise")
        if video.codec_context is None:
            raise InputError(f"{self.name}: no decoder for its video stream #{video.index} in this build of libavcodec")
        self.video = video
        self.time_base = Fraction(video.time_base or Fraction(1, 1000))
        self.copied, self.order = chosen.copied, chosen.order
        self.dropped += chosen.dropped + left.of_file(self.job)
        if video.metadata.get("alpha_mode") == "1":
            self.dropped.append(f"alpha channel of the video (decoder {video.codec_context.name} does not give it)")
        self._whole_sound = {s.index for s in self.copied if s.type == "audio" and sound.encoded(self.job)}
        context = video.codec_context
        demuxing.set_threads(self.job, context)
        demuxing.set_decoder_options(self.job, container, context)
        self._forced_rate = self._rate()
        self._span = span.span(self.job, container, self.order, self.time_base, self._forced_rate is not None)
        self._seek()
        self.shortest = demuxing.shortest(self.job, self.order) if self.job.shortest else None
        self._packets = Packets(
            self.job, container, video, self.time_base, self._span, self._remedy, self.notes
        )
        self._decoder = Decoder(self.job, video, self.time_base, self._packets, self._forced_rate is not None)
        begin, asked = self._span.begin, self._span.asked
        self._items = self._read()
        self._pending: deque[Frame | Packet[Any]] = deque()
        self.pictures: dict[int, bytes] = {}
        for item in self._items:
            self._pending.append(item)
            if not isinstance(item, Frame) and streams.is_picture(item.stream):
                self.pictures[item.stream.index] = bytes(item)
            if isinstance(item, Frame):
                wanted = None if begin is None or not self._sought else rescale(begin, self.time_base)
                if wanted is not None and not self._early and item.pts is not None and item.pts > wanted:
                    raise InputError(f"{self.name}: seeking to {asked:g} s ended behind it")
                self.info = streams.stream_info(container, video, item.av, self._span.zero_ticks * self.time_base)
                if self.job.display_rotation is not None or any(self.job.display_flips):
                    self.info = streams.displayed(self.info, self.job.display_rotation, self.job.display_flips)
                self.dropped += self._decoder.dropped + hdr.read(item.av)[1]
                self.captions = hdr.has_captions(item.av)
                if (rate := self._forced_rate) is not None:
                    self.info = replace(self.info, time_base=1 / rate, rate=rate, average_rate=rate, start=0.0)
                return
        if begin is not None and self._packets.seen:
            raise InputError(f"{self.name}: no frame at or after -ss {asked:g} (is it behind the end?)")
        lost = "mov" in container.format.name and not self._packets.taken
        raise InputError(f"{self.name}: no frame of its video could be decoded{f': {demuxing.INDEX}' if lost else ''}")

    @property
    def range(self) -> tuple[Fraction | None, Fraction | None]:
        """What -ss and -t leave, in seconds of the file's clock."""
        return self._span.begin, self._span.end

    @property
    def shift(self) -> Fraction:
        """Seconds that an output subtracts from every timestamp."""
        return self._span.shift

    @property
    def corrupt(self) -> int:
        """Frames that the decoder flagged."""
        return self._decoder.corrupt

    @property
    def undecodable(self) -> int:
        """Packets of the video that could not be decoded."""
        return self._decoder.undecodable

    @property
    def errors(self) -> int:
        """Damage that ignore_errors passed over, undecodable packets among it."""
        return self._packets.places + self._decoder.undecodable

    @property
    def missing(self) -> float:
        """Seconds at the end that the container states and that are not there."""
        return self._packets.missing

    @property
    def absent(self) -> int:
        """Frames that the container's index has and that did not come."""
        return self._packets.absent

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

    def _seek(self) -> None:
        if self._span.begin is not None and self._span.seek and not self._front:
            # Some demuxers seek by decoding time: the margin is ffmpeg's for streams with reordered frames.
            target = self._span.begin - Fraction(3, 23)
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
        part, decoder = self._span, self._decoder
        keep_from = None if part.begin is None else rescale(part.begin, self.time_base)
        length = None if part.length is None else rescale(part.length, self.time_base)
        n, stop_at, first = 0, None, None
        done = False
        started = set[int]()
        for packet in self._packets:
            if packet is not None and packet.stream is not self.video:
                if self._copy(packet, started):
                    yield packet
                continue
            if done:
                if self._copies_done(packet):
                    break
                continue
            for frame in decoder.decode(packet):
                pts = decoder.time(frame)
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
                yield decoder.frame(n, pts, part.zero_ticks, frame, self.info if n else None)
                n += 1
        if not done:
            self._packets.check_complete()
        decoder.check_complete(self._remedy.options, keep_from, stop_at if done else None)

    # -- streams to copy --

    def _copy(self, packet: Packet[Any], started: set[int]) -> bool:
        """Whether a packet of another stream goes to the output: ffmpeg's rule for copied streams."""
        if packet.stream not in self.copied:
            return False
        base = packet.time_base or _MICRO
        pts = packet.pts if packet.pts is not None else packet.dts
        dts = packet.dts if packet.dts is not None else packet.pts
        index = packet.stream.index
        begin, end = self._span.begin, self._span.end
        if end is not None and dts is not None and dts >= rescale(end, base):
            return False
        # Sound that is decoded is cut to the sample later, and its decoder needs what comes before.
        waits = begin is not None and index not in started and index not in self._whole_sound
        if waits and begin is not None and (pts is None or pts < rescale(begin, base)):
            return False
        if index not in self._whole_sound:
            started.add(index)
        return True

    def _copies_done(self, packet: Packet[Any] | None) -> bool:
        """Whether all copied streams have passed the end, or the video has by far (a copied stream may be
        sparse)."""
        end, seen = self._span.end, self._packets.seen
        if packet is None or end is None:
            return True
        if seen.get(self.video.index, end) > end + 10:
            return True
        return all(seen.get(s.index, end - 1) >= end for s in self.copied)

    def fingerprint(self) -> str:
        """sha256, in hexadecimal, over the video packets of the requested range.

        Raises InputError before the end.
        """
        if not self._ended:
            raise InputError(f"{self.name}: the fingerprint is known only at the end of the input")
        return self._packets.digest()

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
