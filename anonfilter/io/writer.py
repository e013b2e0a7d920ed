"""Writes a video: encodes frames, copies packets, and leaves a whole file or none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error
from av.container import OutputContainer
from av.packet import Packet

from anonfilter.errors import OutputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import encoding, logs, pacing, sei, tracks
from anonfilter.io.clock import Clock, rescale
from anonfilter.io.demuxing import TAGS
from anonfilter.io.describe import chapters, describe, titles_of
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.io.reader import Reader
from anonfilter.io.target import Target
from anonfilter.job import Job

# Containers that keep a display matrix.
_TURNS = frozenset({"mp4", "mov", "ipod", "3gp", "3g2", "psp", "ismv", "f4v", "matroska", "webm", "null"})

# Bitstreams that hold the sample aspect ratio, and containers that take it from the encoder. Others take it
# from a field that PyAV cannot reach.
_KNOW_SHAPE = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "wrapped_avframe"})
_KEEP_SHAPE = frozenset({"mp4", "mov", "ipod", "3gp", "3g2", "psp", "ismv", "f4v"})

# How far libavformat may hold one stream back for another (its own 10 s are less than a long look-ahead).
_INTERLEAVE = 60_000_000

# Sound that is coded with a run-up begins before 0. These can say so, and would else move every picture by it.
_NEGATIVE = frozenset({"matroska", "webm", "avi"})

# Encoders that write closed captions, by default.
_CAPTIONS = frozenset({"libx264", "libx265", "mpeg2video", "h264_nvenc", "hevc_nvenc", "h264_qsv", "h264_amf"})

# Encoders of pictures that write what hangs on a frame, such as the source's EXIF, into theirs.
_EXIF = frozenset({"png", "apng", "webp", "mjpeg", "tiff", "jpegxl", "jpeg2000", "avif"})
_LAMBDA = 118  # FF_QP2LAMBDA

_left: list[Any] = []
"""What must not be freed before the process ends."""


class Writer:
    """The output of a run.

    The constructor checks the name, the container and the encoder's name, and creates nothing. open(), or the
    first write(), opens the encoder and NAME.part. finish() gives the file its name; abort() removes it, and
    does nothing after finish(). size: bytes so far. dropped: one line for each thing that was left out. notes: what
    else there is to say. frames: how many were written. nudged: frames whose repeated or backward pts had to be moved.
    moved: those that the encoder's clock cannot show at their times. quantizer: the encoder's of the last packet, -1
    where it does not say.

    reader: source of the packets for mux(), of metadata and of the shift of -ss; None for an output without a
    source. Raises OutputError everywhere.
    """

    def __init__(self, job: Job, reader: Reader | None = None, stream: StreamInfo | None = None) -> None:
        self.job, self._reader = job, reader
        self.dropped: list[str] = []
        self.notes: list[str] = []
        self._stayed: list[str] = []
        self.frames = self.nudged = self.moved = self._late = 0
        self._pace: pacing.Constant | None = None
        self.quantizer = -1.0
        self._container: OutputContainer | None = None
        self._video: Any = None
        self._sei: tuple[str, int] | None = None
        self._tracks: dict[int, tracks.Track] = {}
        self._clock = Clock()
        self._early: list[Packet[Any]] = []
        self._last_pts: int | None = None
        self._finished = False
        self._target = Target(job)
        self.muxer = encoding.muxer(job, self._target.path or self._target.url)
        self.codec = encoding.encoder(job, self.muxer)
        self._size = 0
        self._window()
        if stream is not None:
            self.open(stream)

    @property
    def size(self) -> int:
        """Bytes written so far; 0 where the output is no file."""
        return self._size or self._target.size

    @property
    def repeated(self) -> int:
        """Frames that a constant rate has shown again, as ffmpeg counts them."""
        return 0 if self._pace is None else self._pace.repeated

    @property
    def left_out(self) -> int:
        """Frames that -r or -fps_mode has left out."""
        return self._late if self._pace is None else self._pace.dropped

    @property
    def kept(self) -> list[str]:
        """What the output still tells beside its pictures and sound, one line each."""
        lines = [f"{', '.join(self._stayed)} (-map_metadata -1 drops them)"] if self._stayed else []
        return lines if self.job.keep_metadata else lines + [line for t in self._tracks.values() for line in t.told]

    @property
    def end(self) -> Fraction | None:
        """Where copied packets end, in seconds of the source's timestamps; None without -t and -to."""
        return self._clock.end

    @property
    def is_file(self) -> bool:
        """Whether the output is a file that appears when it is whole, and no pipe, device or URL."""
        return self._target.regular

    @property
    def formats(self) -> list[str] | None:
        """Pixel formats that frames may have, to pin the last filter to; None if any will do."""
        return [self.job.pix_fmt] if self.job.pix_fmt else encoding.formats(self.codec)

    def _window(self) -> None:
        """-ss, -to and -t of the output, in seconds of its own timestamps."""
        job = self.job
        self._from = None if job.out_ss is None else Fraction(job.out_ss).limit_denominator(1_000_000)
        start = self._from or Fraction(0)
        self._until: Fraction | None = None
        if job.out_t is not None:
            self._until = start + Fraction(job.out_t).limit_denominator(1_000_000)
        elif job.out_to is not None:
            self._until = Fraction(job.out_to).limit_denominator(1_000_000)
        if self._until is not None and self._until <= start:
            raise OutputError(f"{job.output}: -to or -t leaves nothing of the output")
        self._length = None if self._until is None else self._until - start
        self._trimmed: Fraction | None = None
        self.done = False

    # -- opening --

    def open(self, stream: StreamInfo) -> None:
        """Open encoder and file. stream: what the frames are; their pts are in its time base."""
        job = self.job
        if stream.display_matrix is not None and self.muxer not in _TURNS:
            raise OutputError(
                f"{job.output}: the format '{self.muxer}' cannot hold the display rotation of this video: "
                "write .mp4, .mov or .mkv, or turn the pictures with transpose"
            )
        shape = stream.sar not in (0, 1)
        if shape and self.codec.canonical_name not in _KNOW_SHAPE and self.muxer not in _KEEP_SHAPE:
            raise OutputError(
                f"{job.output}: sample aspect ratio {stream.sar} would be lost with {self.codec.name} in "
                f"'{self.muxer}': write .mp4, or put scale=iw*sar:ih,setsar=1 last"
            )
        self._in = stream
        try:
            self._target.begin()
            # libavformat would make a file of its own beside the lock, with another name, for an odd URL.
            container = self._container = av.open(
                self._target.url,
                "w",
                format=job.output_format or self.muxer,
                options={**self._muxer_options(), **job.muxer_options},
                **TAGS,
            )
            if not job.keep_metadata:
                container.flags |= av.container.Flags.bitexact.value  # else the muxer signs with its version
            pix_fmt = encoding.choose_format(job, self.codec, stream, set(container.supported_codecs))
            self._convert = None
            clean = self.codec.canonical_name in _EXIF and not job.keep_metadata
            if clean or pix_fmt != stream.pix_fmt:
                self._convert = LavfiGraph("sidedata=mode=delete" if clean else [], stream, [pix_fmt], job.threads)
                if encoding.is_rgb(stream.pix_fmt) and not encoding.is_rgb(pix_fmt) and not job.pix_fmt:
                    alpha = " without its alpha" if stream.fmt.alpha else ""
                    self.notes.append(
                        f"{stream.pix_fmt} becomes {pix_fmt}{alpha}, since {self.codec.name} takes no RGB "
                        "(-pix_fmt names another format, -c:v another encoder)"
                    )
                stream = encoding.converted(stream, self._convert.out)
            self._shifts(stream)
            self._stream, self._time_base = stream, encoding.clock(self.codec, self.muxer, stream)
            self._pace = self._paced(stream)
            if self._pace is not None:
                stream = replace(stream, average_rate=self._pace.rate)
                tick = replace(stream, time_base=self._pace.time_base)
                self._time_base = encoding.clock(self.codec, self.muxer, tick)
            unknown = self._add_streams(container, stream)
            self._write_header(container, unknown)
            early, self._early = self._early, []
            for packet in early:
                self.mux(packet)
        except BaseException:
            self.abort()
            raise

    def _muxer_options(self) -> dict[str, str]:
        options = {"max_interleave_delta": str(_INTERLEAVE)}
        if self.muxer in _NEGATIVE:
            options["avoid_negative_ts"] = "disabled"
        return options

    def _shifts(self, stream: StreamInfo) -> None:
        """What is subtracted from timestamps: the source's start for -ss of the input, more for -ss of the
        output."""
        reader, clock = self._reader, self._clock
        clock.shift = reader.shift if reader is not None else Fraction(0)
        clock.zero = start = Fraction(stream.start).limit_denominator(1_000_000)
        if reader is not None:
            clock.read_begin, clock.read_end = reader.range
        # Times of the output's -ss and -t count from where its t is 0.
        clock.begin = None if self._from is None else start + self._from
        clock.end = None if self._until is None else start + self._until
        if reader is not None and reader.shortest is not None:
            clock.end = reader.shortest if clock.end is None else min(clock.end, reader.shortest)
        if clock.begin is not None:
            clock.shift = clock.begin

    def _paced(self, stream: StreamInfo) -> pacing.Constant | None:
        """The constant rate that -r, -fps_mode or the container asks for; None where frames keep their times."""
        clock, reader = self._clock, self._reader
        alone = reader is None or reader.container is None or len(reader.container.streams) == 1
        origin = clock.zero if clock.begin is None else clock.begin
        return pacing.constant(self.job, self.muxer, stream, origin, alone)

    def _add_streams(self, container: OutputContainer, stream: StreamInfo) -> dict[str, str]:
        """Make all streams, in their order, and give them their tags. Returns options that the encoder did not know."""
        reader, unknown = self._reader, dict[str, str]()
        made: dict[int, tuple[Any, Any]] = {}
        order: list[Any] = [None] if reader is None else reader.order
        for source in order:
            if reader is None or source is reader.video:
                self._video, unknown = encoding.open_encoder(container, self.codec, self.job, stream, self._time_base)
                if stream.display_matrix is not None:
                    self._video.set_display_matrix(stream.display_matrix)
                new = self._video
            else:
                track, left = tracks.add(container, source, reader, self.job, self.muxer, self._clock)
                self.dropped += [left] if left else []
                if track is None:
                    continue
                self._tracks[source.index] = track
                new = track.stream
            if reader is not None:
                made[source.index] = source, new
        self._strip()
        if reader is not None and reader.captions and self.codec.name not in _CAPTIONS:
            self.dropped.append(f"closed captions of the video ({self.codec.name} has no way to write them)")
        input_file = reader.container if reader is not None else None
        without, stayed = describe(container, input_file, made, self.job)
        self.dropped += without
        # MP4's chapters are a track of titles: without any, its readers complain that the track is not there.
        numbered = self.muxer in _KEEP_SHAPE
        if input_file is not None and (
            found := chapters(input_file, self.job, self._clock.shift, self._clock.end, numbered)
        ):
            container.set_chapters(found)
            stayed += titles_of(found) if self.job.titles and not self.job.keep_metadata else []
        self._stayed = stayed
        return unknown

    def _strip(self) -> None:
        """x264 writes its name, version and settings into the first picture, and nothing tells it not to."""
        name = self.codec.canonical_name
        if name in ("h264", "hevc") and not self.job.keep_metadata:
            self._sei = name, sei.length_size(name, self._video.codec_context.extradata)

    def _write_header(self, container: OutputContainer, unknown: dict[str, str]) -> None:
        """Write the header. Options that the encoder did not know may be the muxer's."""
        container.options.update(unknown)
        with logs.captured() as said, logs.unused_options() as unused:
            try:
                container.start_encoding()
            except (av.error.FFmpegError, ValueError) as error:
                raise self._failed("the header cannot be written", error, said) from error
        left = [name for name in unused if name in unknown or name in self.job.muxer_options]
        if left:
            name = left[0]
            whose = f"encoder {self.codec.name} or format {self.muxer}" if name in unknown else f"format {self.muxer}"
            raise OutputError(f"Unrecognized option '{name}' for {whose}")

    def _failed(self, what: str, error: BaseException, said: Any = ()) -> OutputError:
        return OutputError(f"{self.job.output}: {what}: {logs.reason(error, said)}")

    # -- writing --

    def write(self, frame: Frame, stream: StreamInfo | None = None) -> bool:
        """Encode one frame. False where it lies outside of what -ss, -to and -t of the output leave.

        stream: needed with the first one if open() was not called. The frame's pts are kept.
        """
        if self._container is None:
            if stream is None or self._finished:
                raise OutputError(f"{self.job.output}: is not open")
            self.open(stream)
        if self.done:
            return False
        time = None if frame.pts is None else frame.pts * self._in.time_base
        if time is not None and self._clock.begin is not None and time < self._clock.begin:
            return False
        if time is not None and self._over(time):
            self.done = True
            return False
        if self.job.frames is not None and self.frames >= self.job.frames:
            # Sound ends there, too.
            self.done = True
            if time is not None:
                self._clock.end = time if self._clock.end is None else min(time, self._clock.end)
            return False
        have, want = (*frame.size, frame.av.format.name), (self._in.width, self._in.height, self._in.pix_fmt)
        if have != want:
            raise OutputError(
                f"{self.job.output}: the picture changes from {want[0]}x{want[1]} {want[2]} to "
                f"{have[0]}x{have[1]} {have[2]} at {frame.t:.3f} s: an encoder takes one size and format "
                "(put scale or format last)"
            )
        for item in [frame] if self._convert is None else self._convert.push(frame):
            self._show(item)
        return True

    def _over(self, time: Fraction) -> bool:
        """Whether -t, -to or -shortest end before a frame of that time."""
        if self._pace is None:
            return self._clock.end is not None and time >= self._clock.end
        # As ffmpeg, where trim comes first, counting from the first picture that is kept, and then the rate, which may
        # still repeat pictures up to the end.
        if self._trimmed is None and self._length is not None:
            self._trimmed = time + self._length
        return self._trimmed is not None and time >= self._trimmed

    def _show(self, frame: Frame) -> None:
        """Encode a frame at its time, or as often as a constant rate needs it."""
        if self._pace is None:
            self._encode(frame)
            return
        # A frame without a time comes when the last one is over.
        time = None if frame.pts is None else frame.pts * self._stream.time_base
        for item, due in self._pace.push(frame, self._pace.due if time is None else time):
            self._encode(item, due)

    def _encode(self, frame: Frame, due: Fraction | None = None) -> None:
        """due: when to show it, where that is not its own time."""
        picture = frame.av
        base = self._stream.time_base
        if due is not None and self._clock.end is not None and due >= self._clock.end:
            self.done = True
            return
        if due is not None:
            pts = rescale(due - self._clock.shift, self._time_base)
        elif frame.pts is None:
            pts = (
                0
                if self._last_pts is None
                else self._last_pts + max(1, rescale(1 / self._stream.average_rate, self._time_base))
            )
        elif base == self._time_base:
            pts = frame.pts - rescale(self._clock.shift, base)
        else:
            exact = (frame.pts * base - self._clock.shift) / self._time_base
            pts = rescale(frame.pts * base - self._clock.shift, self._time_base)
            self.moved += pts != exact
        if self._last_pts is not None and pts <= self._last_pts:
            if self.job.fps_mode == "vfr":
                self._late += 1
                return
            if base != self._time_base and frame.pts is not None:
                raise OutputError(
                    f"{self.job.output}: two frames at {frame.t:.3f} s fall on one tick of {self.muxer} with "
                    f"encoder {self.codec.name}: put fps={float(self._stream.average_rate):g} last, "
                    "or write .mp4 or .mkv"
                )
            # No encoder takes a time twice or backwards. A frame is never dropped: it comes one tick later.
            pts = self._last_pts + 1
            self.nudged += 1
        self._last_pts = pts
        picture.pts, picture.time_base = pts, self._time_base
        if self._pace is not None:
            picture.duration = rescale(1 / self._pace.rate, self._time_base)
        elif picture.duration and base != self._time_base:
            picture.duration = rescale(picture.duration * base, self._time_base)
        self._send(picture, frame.t)
        self.frames += 1

    def _send(self, picture: Any, t: float | None) -> None:
        container = self._container
        assert container is not None
        with logs.captured() as said:
            try:
                for packet in self._video.encode(picture):
                    self.quantizer = _quantizer(packet)
                    container.mux_one(packet if self._sei is None else self._stripped(packet))
            except EOFError as error:
                # The end of a flush; anywhere else a frame would be lost without a word.
                if picture is not None:
                    raise self._failed(f"the encoder ended at {t or 0:.3f} s", error, said) from error
            except (av.error.FFmpegError, ValueError) as error:
                where = "at the end" if t is None else f"at {t:.3f} s"
                raise self._failed(f"writing failed {where}", error, said) from error

    def _stripped(self, packet: Any) -> Any:
        """The encoder's first packet without what it says of itself."""
        assert self._sei is not None
        (name, size), self._sei = self._sei, None
        data = bytes(packet)
        clean = sei.without_user_data(name, data, size)
        if clean is data:
            return packet
        new: Any = Packet(clean)
        new.pts, new.dts, new.duration, new.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
        new.is_keyframe, new.stream = packet.is_keyframe, self._video
        return new

    def mux(self, packet: Packet[Any]) -> None:
        """Take a packet of one of the reader's streams. Those that come before the first frame wait for it."""
        if self._container is None:
            if not self._finished:
                self._early.append(packet)
            return
        track = self._tracks.get(packet.stream.index)
        if track is not None:
            self._put(track.feed(packet), track)

    def _put(self, packets: Iterator[Packet[Any]], track: tracks.Track) -> None:
        container = self._container
        assert container is not None
        for packet in packets:
            with logs.captured() as said:
                try:
                    container.mux_one(packet)
                except (av.error.FFmpegError, ValueError) as error:
                    kind = track.stream.type
                    how = {"audio": " (-an leaves it out)", "subtitle": " (-sn leaves it out)"}.get(kind, "")
                    what = f"{kind} stream #{track.stream.index} cannot be written{how}"
                    raise self._failed(what, error, said) from error

    # -- the end --

    def finish(self) -> int:
        """Flush the encoder, close the file and give it its name.

        Returns its size in bytes (0 for a pipe).
        """
        container = self._container
        if container is None or not self.frames:
            self.abort()
            raise OutputError(f"{self.job.output}: no frame came out of the graph: nothing is written")
        try:
            for frame in [] if self._convert is None else self._convert.flush():
                self._show(frame)
            for frame, due in [] if self._pace is None else self._pace.flush():
                self._encode(frame, due)
            self._send(None, None)
            for track in self._tracks.values():
                self._put(track.flush(), track)
            with logs.captured() as said:
                try:
                    container.close()
                except (av.error.FFmpegError, ValueError) as error:
                    raise self._failed("the file cannot be completed", error, said) from error
            self._container = None
            if self.muxer == "null":
                self._target.discard()  # as ffmpeg: a name is not even made
            else:
                self._size = self._target.commit()
        except BaseException:
            self.abort()
            raise
        self._finished = True
        return self._size

    def abort(self) -> None:
        """Leave nothing behind. Does nothing after finish(); never raises."""
        if self._finished:
            return
        self._finished = True
        # First the name: whatever closing the container writes, or however it fails, nobody sees it.
        self._target.discard()
        container, self._container = self._container, None
        if container is None:
            return
        # PyAV frees an encoder with the interpreter's lock held, and x264 then waits for its threads, one of which may
        # be waiting for that lock to log a line: for ever.
        if self.job.last:
            _left.append((container, self._video))
            return
        with contextlib.suppress(Exception):
            # So it must have nothing to do by then; this waits without the lock. Making libav silent instead would
            # hide from another run in this process that its input is damaged.
            self._video.encode(None)
        with contextlib.suppress(Exception):
            container.close()
        self._video = None
        self._tracks = {}


def _quantizer(packet: Packet[Any]) -> float:
    """The quantizer that the encoder tells of a packet, as ffmpeg reads it; -1 where it tells none."""
    if not packet.has_sidedata("quality_stats"):
        return -1.0
    return int.from_bytes(bytes(packet.get_sidedata("quality_stats"))[:4], "little", signed=True) / _LAMBDA
