"""Pictures that a decoder lost without a word: HEVC's leaves out what it cannot decode, and at the end of a file PyAV
throws away what stands behind an error of a decoder with threads over frames."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame

from anonfilter.io import demuxing
from anonfilter.job import Job

_MOST = 1 << 28  # bytes of packets that are kept to decode them again


class Awaited:
    """The packets of a video that gave no picture yet."""

    def __init__(self) -> None:
        self._waiting: set[int] = set()
        self._sent = self._came = 0
        self._first: int | None = None

    def sent(self, packet: Packet[Any]) -> None:
        """A packet went into the decoder."""
        self._sent += 1
        if packet.pts is not None and not packet.is_discard:
            self._waiting.add(packet.pts)

    def came(self, picture: VideoFrame) -> None:
        """A picture came out, with the file's pts."""
        self._came += 1
        if picture.pts is not None:
            self._waiting.discard(picture.pts)
            self._first = picture.pts if self._first is None else min(self._first, picture.pts)

    def lost(self, begin: int | None, end: int | None) -> list[int]:
        """Their pts, in order, of those from begin on and before end.

        Nothing before the first picture: what leads it may lack a reference in any file that was entered there.
        """
        first = self._first
        if first is None or self._sent <= self._came:
            return []
        low = first if begin is None else max(first, begin)
        return sorted(pts for pts in self._waiting if pts >= low and (end is None or pts < end))


def undecodable(job: Job, options: dict[str, str], index: int, lost: Collection[int]) -> list[int]:
    """Of the pts in lost those that stand in a group of pictures of which a strict decoder says that it is damaged.

    Others are no pictures of their own: second fields, and what a codec does not show.
    options: for libavformat. index: the video stream. The file is read once more.
    """
    wanted, bad = set(lost), list[int]()
    container = demuxing.open_input(job, options)
    try:
        video: Any = container.streams[index]
        context = video.codec_context
        context.thread_type, context.thread_count = "NONE", 1
        context.options = {"err_detect": "explode"}
        before: list[Packet[Any]] = []
        group: list[Packet[Any]] = []
        held = 0
        for packet in _packets(container, video):
            if packet is not None and not packet.is_keyframe and group:
                group.append(packet)
                held += packet.size
                if held > _MOST:
                    return bad
                continue
            here = sorted(wanted & {p.pts for p in group})
            # The group before it has what its leading pictures refer to.
            if here and _complains(context, before, group, packet is None):
                bad += here
            before, group = group, [] if packet is None else [packet]
            held = 0
    finally:
        container.close()
    return bad


def _packets(container: Any, video: Any) -> Any:
    """The video's packets, None at the end, also of a file that is damaged."""
    try:
        for packet in container.demux(video):
            if packet.size:
                yield packet
    except av.error.FFmpegError:
        pass
    yield None


def _complains(context: Any, before: list[Packet[Any]], group: list[Packet[Any]], last: bool) -> bool:
    context.flush_buffers()
    for packet in before:
        try:
            context.decode(packet)
        except av.error.FFmpegError:
            continue
    for packet in group:
        try:
            context.decode(packet)
        except av.error.FFmpegError:
            return True
    if last:
        try:
            context.decode(None)
        except EOFError:
            return False
        except av.error.FFmpegError:
            return True
    return False
