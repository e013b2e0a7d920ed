"""Decoding the video of an input: pictures with times, and a count of what the decoder complains about."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av.error
import av.video.frame
from av.packet import Packet
from av.video.frame import VideoFrame

from anonfilter.errors import InputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import demuxing, left, logs, lost
from anonfilter.io.clock import rescale
from anonfilter.io.fields import deinterlaces
from anonfilter.io.packets import Packets
from anonfilter.job import Job


class Decoder:
    """The decoder of a video stream.

    packets: where its packets come from. forced: the time base that -r of the input gives, None where the file's times
    count. dropped: a line for each thing inside of the first packet that no output gets. corrupt: frames that the
    decoder flagged. undecodable: packets that it could not decode, which ignore_errors passed over.
    """

    def __init__(self, job: Job, video: Any, time_base: Fraction, packets: Packets, forced: bool) -> None:
        self.job, self.name = job, job.input
        self._video, self._time_base, self._packets, self._forced = video, time_base, packets, forced
        self._forgives = demuxing.forgives(job)
        self._fields_end = deinterlaces(job.graph)
        self.dropped: list[str] = []
        self.corrupt = self.undecodable = 0
        self._decoded = 0
        self._awaited = lost.Awaited()
        self._guess: int | None = None

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """The pictures that a packet completes, None for the end. Raises InputError for one that cannot be decoded,
        unless the job has ignore_errors."""
        if packet is not None:
            if not self._packets.taken and not self.job.keep_metadata:
                self.dropped += left.of_picture(bytes(packet))
            self._packets.taken += 1
            self._awaited.sent(packet)
        try:
            pictures: list[VideoFrame] = self._video.decode(packet)
            for picture in pictures:
                self._awaited.came(picture)
            return pictures
        except EOFError:
            return []
        except av.error.FFmpegError as error:
            if not self.job.ignore_errors:
                raise InputError(
                    f"{self.name}: cannot decode the video at {self._packets.at()}: {logs.reason(error)} "
                    "(-err_detect ignore_err goes on)"
                ) from error
            self.undecodable += 1
            return []

    def check_complete(self, options: dict[str, str], begin: int | None, end: int | None) -> None:
        """At the end: whether pictures from begin on and before end were lost without an error. options: with which
        libavformat reads the file. Raises InputError, or counts them with ignore_errors."""
        if self._forced or self.job.live is not None or demuxing.is_url(self.name) or demuxing.read_once(self.name):
            return
        silent = self._awaited.lost(begin, end)
        gone = lost.undecodable(self.job, options, self._video.index, silent) if silent else silent
        if (rest := len(silent) - len(gone)) and self._video.codec_context.name == "hevc":
            # Nothing complains where damage made of a picture what decoders have to skip. Other codecs have such
            # packets in healthy files.
            self._packets.note(f"{rest} packet{'s' * (rest > 1)} of the video gave no picture")
        if gone and not self.job.ignore_errors:
            at = float(gone[0] * self._time_base - self._packets.zero)
            raise InputError(
                f"{self.name}: {len(gone)} picture{'s' * (len(gone) > 1)} cannot be decoded, the first at {at:.3f} s "
                "(-err_detect ignore_err goes on)"
            )
        self.undecodable = max(self.undecodable, len(gone))

    def time(self, picture: VideoFrame) -> int:
        """The picture's pts, or a guess where the file has none: its dts, else one frame after the last."""
        if self._forced:
            # -r of the input: what the file says of times does not count.
            picture.pts, picture.time_base = self._decoded, self._time_base
            self._decoded += 1
        pts = picture.pts if picture.pts is not None else picture.dts
        if pts is None:
            pts = 0 if self._guess is None else self._guess
            picture.pts = pts
        elif picture.pts is None:
            picture.pts = pts
        rate = self._video.average_rate or Fraction(25)
        self._guess = pts + (picture.duration or max(1, rescale(1 / Fraction(rate), self._time_base)))
        return pts

    def frame(self, n: int, pts: int, zero: int, picture: VideoFrame, info: StreamInfo | None) -> Frame:
        """Frame n of a stream as info says, None for the first one. zero: the pts at which t is 0.

        Raises InputError where size or format change, for interlaced pictures that the graph does not part, and for
        those that the decoder marks damaged unless demuxing.forgives the job.
        """
        # A frame type left over from the source would force the encoder to use it.
        picture.pict_type = av.video.frame.PictureType.NONE
        if picture.time_base is None:
            picture.time_base = self._time_base
        # In ticks, as ffmpeg: a container's start has microseconds, and the first frame's t must be 0, not
        # -2e-7.
        t = float((pts - zero) * self._time_base)
        if info is not None:
            have = (picture.width, picture.height, picture.format.name)
            want = (info.width, info.height, info.pix_fmt)
            if have != want:
                raise InputError(
                    f"{self.name}: the picture changes from {want[0]}x{want[1]} {want[2]} to "
                    f"{have[0]}x{have[1]} {have[2]} at {t:.3f} s: split the file there"
                )
        if picture.interlaced_frame and not self._fields_end:
            raise InputError(
                f"{self.name}: the picture at {t:.3f} s is interlaced, two moments in one: put yadif or bwdif first in "
                "-vf (or setfield=prog if it is marked so by mistake)"
            )
        if picture.is_corrupt:
            if not self._forgives:
                raise InputError(
                    f"{self.name}: the picture at {t:.3f} s is damaged, says its decoder "
                    "(-err_detect ignore_err goes on)"
                )
            self.corrupt += 1
        return Frame(n, pts, t, picture)
