"""Writes a video: encodes frames, copies packets, and leaves a whole file or none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av.error
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType

from anonfilter.errors import OutputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import encoding, layout, logs, sei, tracks
from anonfilter.io.lavfi import LavfiGraph
from anonfilter.io.reader import Reader
from anonfilter.io.target import Target
from anonfilter.io.timing import Timing
from anonfilter.job import Job

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
        self.frames = 0
        self._coded = 0  # packets of pictures that the muxer was given
        self._known: int | None = None  # pictures of -pass 1, for -pass 2
        self._payload = 0  # bytes that the muxer was given: for -fs, where the output is no file
        self._shown: Any = None
        self.quantizer = -1.0
        self._container: OutputContainer | None = None
        self._layout = layout.Layout()
        self._sei: tuple[str, int] | None = None
        self._early: list[Packet[Any]] = []
        self._finished = False
        self._target = Target(job)
        self.muxer = encoding.muxer(job, self._target.path or self._target.url)
        self.codec = encoding.encoder(job, self.muxer)
        self._size = 0
        self._timing = Timing(job, self.muxer, self.codec)
        if stream is not None:
            self.open(stream)

    @property
    def size(self) -> int:
        """Bytes written so far; 0 where the output is no file."""
        return self._size or self._target.size

    @property
    def repeated(self) -> int:
        """Frames that a constant rate has shown again, as ffmpeg counts them."""
        return 0 if self._timing.pace is None else self._timing.pace.repeated

    @property
    def left_out(self) -> int:
        """Frames that -r or -fps_mode has left out."""
        return self._timing.late if self._timing.pace is None else self._timing.pace.dropped

    @property
    def nudged(self) -> int:
        """Frames whose repeated or backward pts had to be moved."""
        return self._timing.nudged

    @property
    def moved(self) -> int:
        """Frames that the encoder's clock cannot show at their times."""
        return self._timing.moved

    @property
    def done(self) -> bool:
        """Whether -t, -to or -frames:v have ended the output."""
        return self._timing.done

    @property
    def kept(self) -> list[str]:
        """What the output still tells beside its pictures and sound, one line each."""
        stayed, others = self._layout.stayed, self._layout.tracks.values()
        lines = [f"{', '.join(stayed)} (-map_metadata -1 drops them)"] if stayed else []
        return lines if self.job.keep_metadata else lines + [line for t in others for line in t.told]

    @property
    def end(self) -> Fraction | None:
        """Where copied packets end, in seconds of the source's timestamps; None without -t and -to."""
        return self._timing.clock.end

    @property
    def is_file(self) -> bool:
        """Whether the output is a file that appears when it is whole, and no pipe, device or URL."""
        return self._target.regular

    @property
    def formats(self) -> list[str] | None:
        """Pixel formats that frames may have, to pin the last filter to; None if any will do."""
        return [self.job.pix_fmt] if self.job.pix_fmt else encoding.formats(self.codec)

    # -- opening --

    def open(self, stream: StreamInfo) -> None:
        """Open encoder and file. stream: what the frames are; their pts are in its time base."""
        job = self.job
        layout.check(job, self.muxer, self.codec, stream)
        self._in = stream
        try:
            self._target.begin()
            # libavformat would make a file of its own beside the lock, with another name, for an odd URL.
            container = self._container = layout.open_container(job, self.muxer, self._target.url)
            pix_fmt = encoding.choose_format(job, self.codec, stream, set(container.supported_codecs))
            self._convert = None
            clean = self.codec.canonical_name in _EXIF and not job.keep_metadata
            if clean or pix_fmt != stream.pix_fmt:
                self._convert = LavfiGraph("sidedata=mode=delete" if clean else [], stream, [pix_fmt], job.threads)
                if encoding.is_rgb(stream.pix_fmt) and not encoding.is_rgb(pix_fmt) and not job.pix_fmt:
                    alpha = " without its alpha" if encoding.has_alpha(stream.pix_fmt) else ""
                    self.notes.append(
                        f"{stream.pix_fmt} becomes {pix_fmt}{alpha}, since {self.codec.name} takes no RGB "
                        "(-pix_fmt names another format, -c:v another encoder)"
                    )
                stream = encoding.converted(stream, self._convert.out)
            stream = self._timing.start(stream, self._reader)
            layout.build(self._layout, container, job, self.muxer, self.codec, stream, self._timing, self._reader)
            self.dropped += self._layout.dropped
            self._strip()
            self._known = encoding.first_pass(job)
            early, self._early = self._early, []
            for packet in early:
                self.mux(packet)
        except BaseException:
            self.abort()
            raise

    def _strip(self) -> None:
        """x264 writes its name, version and settings into the first picture, and nothing tells it not to."""
        name = self.codec.canonical_name
        if name in ("h264", "hevc") and not self.job.keep_metadata:
            self._sei = name, sei.length_size(name, self._layout.video.codec_context.extradata)

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
        time = None if frame.pts is None else frame.pts * self._in.time_base
        if not self._timing.wants(time, self.frames, self.size or self._payload):
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

    def _show(self, frame: Frame) -> None:
        """Encode a frame at its time, or as often as a constant rate needs it."""
        for item, due in self._timing.shown(frame):
            self._encode(item, due)

    def _encode(self, frame: Frame, due: Fraction | None) -> None:
        if self._timing.stamp(frame, due):
            picture, keys = frame.av, self._layout.keys
            if keys is not None:
                # One that a constant rate shows again is no key frame of the source any more.
                forced = keys.wants(picture.pts * picture.time_base, picture.key_frame and picture is not self._shown)
                picture.pict_type = PictureType.I if forced else PictureType.NONE
                self._shown = picture
            if self._known is not None and self.frames >= self._known:
                log = f"{self.job.pass_file}-0.log"
                raise OutputError(
                    f"{self.job.output}: {log} has {self._known} pictures and there are more: run -pass 1 with the "
                    "same input and graph"
                )
            self._send(frame.av, frame.t)
            self.frames += 1

    def _send(self, picture: Any, t: float | None) -> None:
        with logs.captured() as said:
            try:
                for packet in self._layout.video.encode(picture):
                    self.quantizer = _quantizer(packet)
                    self._mux_video(packet if self._sei is None else self._stripped(packet))
                if picture is None:
                    self._mux_video(None)
            except EOFError as error:
                # The end of a flush; anywhere else a frame would be lost without a word.
                if picture is not None:
                    raise self._failed(f"the encoder ended at {t or 0:.3f} s", error, said) from error
            except (av.error.FFmpegError, ValueError) as error:
                where = "at the end" if t is None else f"at {t:.3f} s"
                raise self._failed(f"writing failed {where}", error, said) from error

    def _mux_video(self, packet: Any) -> None:
        """Hand a coded picture to the muxer, through -bsf:v; None at the end."""
        container, chain = self._container, self._layout.bitstream
        assert container is not None
        for item in ([] if packet is None else [packet]) if chain is None else chain.feed(packet):
            self._payload += item.size
            self._coded += 1
            container.mux_one(item)

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
        new.is_keyframe, new.stream = packet.is_keyframe, self._layout.video
        return new

    def mux(self, packet: Packet[Any]) -> None:
        """Take a packet of one of the reader's streams. Those that come before the first frame wait for it."""
        if self._container is None:
            if not self._finished:
                self._early.append(packet)
            return
        track = self._layout.tracks.get(packet.stream.index)
        if track is not None:
            self._put(track.feed(packet), track)

    def _put(self, packets: Iterator[Packet[Any]], track: tracks.Track) -> None:
        container = self._container
        assert container is not None
        for packet in packets:
            with logs.captured() as said:
                try:
                    self._payload += packet.size
                    container.mux_one(packet)
                except (av.error.FFmpegError, ValueError) as error:
                    kind = track.stream.type
                    audio = " (-c:a aac encodes what still decodes, -an leaves it out)"
                    how = {"audio": audio, "subtitle": " (-sn leaves it out)"}.get(kind, "")
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
            cut = self.job.out_ss is not None or self.job.out_t is not None or self.job.out_to is not None
            where = "between -ss and -t or -to of the output" if cut else "came out of the graph"
            raise OutputError(f"{self.job.output}: no frame {where}: nothing is written")
        try:
            for frame in [] if self._convert is None else self._convert.flush():
                self._show(frame)
            for frame, due in self._timing.rest():
                self._encode(frame, due)
            self._send(None, None)
            if not self._coded:
                raise OutputError(f"{self.job.output}: -bsf:v left no picture: nothing is written")
            for track in self._layout.tracks.values():
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
            _left.append((container, self._layout.video))
            return
        with contextlib.suppress(Exception):
            # So it must have nothing to do by then; this waits without the lock. Making libav silent instead would
            # hide from another run in this process that its input is damaged.
            self._layout.video.encode(None)
        with contextlib.suppress(Exception):
            container.close()
        self._layout = layout.Layout()


def _quantizer(packet: Packet[Any]) -> float:
    """The quantizer that the encoder tells of a packet, as ffmpeg reads it; -1 where it tells none."""
    if not packet.has_sidedata("quality_stats"):
        return -1.0
    return int.from_bytes(bytes(packet.get_sidedata("quality_stats"))[:4], "little", signed=True) / _LAMBDA
