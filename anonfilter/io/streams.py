"""What a container and its first frame tell about a video stream."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import av
import av.logging
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from anonfilter.frame import StreamInfo
from anonfilter.io import hdr
from anonfilter.io.logs import captured

CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
"""Names of AVChromaLocation, by value."""

IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)

# Above this a rate is a clock (90k, 1000 per second of a millisecond container), not frames.
_MAX_RATE = 400


def is_picture(stream: Any) -> bool:
    """Whether a stream is cover art or thumbnails, and no video."""
    pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return stream.type == "video" and bool(stream.disposition & pictures)


def choose_video(container: InputContainer, among: Sequence[VideoStream] | None = None) -> VideoStream | None:
    """The video to work on: the largest, as ffmpeg chooses; cover art and thumbnails are no video. among: the streams
    to choose from, all by default."""
    found = [s for s in (container.streams.video if among is None else among) if not is_picture(s)]

    def score(stream: VideoStream) -> int:
        context = stream.codec_context
        size = context.width * context.height if context is not None else 0
        return size + 5_000_000 * bool(stream.disposition & av.stream.Disposition.default)

    return max(found, key=score, default=None)


def orientation(matrix: tuple[int, ...] | None) -> tuple[int, bool]:
    """Clockwise quarter turns in degrees, then whether to mirror left to right, that a display matrix asks
    for.

    matrix: nine integers as libavutil stores them (16.16, last column 2.30): x' = a x + c y, y' = b x + d y.
    A matrix with a negative determinant is a rotation followed by a mirroring of x. Angles are rounded to
    quarter turns.
    """
    if matrix is None:
        return 0, False
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    angle = math.degrees(math.atan2(b, -a if mirrored else a))
    return round(angle / 90) % 4 * 90, mirrored


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """The display matrix that the decoder hung on a frame; None if it has none or it changes nothing."""
    try:
        data = cast(Any, frame.side_data).get(SideDataType.DISPLAYMATRIX)
    except ValueError:  # PyAV 17 and 18 give up on all side data when one type is newer than they are
        return turned_matrix(frame.rotation)
    raw = b"" if data is None else bytes(data)
    if len(raw) < 36:
        return None
    matrix = struct.unpack("=9i", raw[:36])
    return None if matrix == IDENTITY else matrix


def turned_matrix(degrees: float) -> tuple[int, ...] | None:
    """The display matrix of a rotation counterclockwise, in whole quarter turns; None for no turn."""
    a, b = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[round(degrees / 90) % 4 * 90]
    return None if a == 1 else (a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)


def displayed(info: StreamInfo, degrees: float | None, flips: tuple[bool, bool]) -> StreamInfo:
    """A stream with another display matrix, as -display_rotation, -display_hflip and -display_vflip make it. degrees:
    counterclockwise; None: none. flips: horizontally, vertically, after the rotation."""
    matrix = turned_matrix(degrees or 0) or IDENTITY
    signs = (-1 if flips[0] else 1, -1 if flips[1] else 1, 1)
    made = tuple(value * signs[i % 3] for i, value in enumerate(matrix))
    rotation, hflip = orientation(made)
    return replace(info, display_matrix=None if made == IDENTITY else made, rotation=rotation, hflip=hflip)


def chroma_location(container: InputContainer, stream: VideoStream, frame: VideoFrame) -> int:
    """AVChromaLocation of a stream.

    PyAV before 19 does not have it; libavformat's own description of the file does.
    """
    value = getattr(frame, "chroma_location", None)
    if value is not None:
        return int(value)
    with captured(av.logging.INFO):
        # libavcodec tells it only to those who want it verbose; INFO is libav's default.
        av.logging.set_libav_level(av.logging.VERBOSE)
        try:
            text = str(cast(Any, container).dumps_format())
        finally:
            av.logging.set_libav_level(av.logging.INFO)
    line = re.search(rf"Stream #0:{stream.index}\b.*?Video:(.*)", text)
    for group in re.findall(r"\(([^()]*)\)", line.group(1)) if line else ():
        for word in re.split(r"[,\s]+", group):
            if word in CHROMA_LOCATIONS[1:]:
                return CHROMA_LOCATIONS.index(word)
    return 0


def _plausible(rate: Fraction | None) -> Fraction | None:
    return rate if rate is not None and 0 < rate <= _MAX_RATE else None


def rates(stream: VideoStream) -> tuple[Fraction, Fraction]:
    """Highest frame rate to plan with, and the one to tell an encoder, which is the one that ffmpeg would
    tell it.

    25 where the file says nothing plausible.
    """
    average, base, guess = (_plausible(r) for r in (stream.average_rate, stream.base_rate, stream.guessed_rate))
    # r_frame_rate is a guess from differences of timestamps: one odd difference makes it a multiple of the
    # truth.
    if average is not None:
        base, guess = (None if rate is not None and rate > 8 * average else rate for rate in (base, guess))
    known = [rate for rate in (guess, average, base) if rate is not None]
    return (max(known), known[0]) if known else (Fraction(25), Fraction(25))


def declared_seconds(stream: Any) -> float:
    """Length that the container states for this very stream, 0 if it does not."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska keeps it in a tag, "00:00:05.000000000".
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match is None:
        return 0.0
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def stream_info(container: InputContainer, stream: VideoStream, frame: VideoFrame, start: Fraction) -> StreamInfo:
    """StreamInfo from the container and its first decoded frame. start: seconds at which t is 0."""
    context = stream.codec_context
    highest, average = rates(stream)
    matrix = display_matrix(frame)
    rotation, hflip = orientation(matrix)
    whole = container.duration or 0
    seconds = declared_seconds(stream) or whole / 1_000_000

    def tag(name: str, unknown: int) -> int:
        # A decoder that knows nothing leaves the frame's tag unspecified where the container's is known.
        value = int(getattr(frame, name))
        return value if value != unknown else int(getattr(context, name))

    return StreamInfo(
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        time_base=Fraction(stream.time_base or Fraction(1, 1000)),
        rate=highest,
        average_rate=average,
        sar=Fraction(stream.sample_aspect_ratio or 0),
        rotation=rotation,
        hflip=hflip,
        display_matrix=matrix,
        color_space=tag("colorspace", 2),
        color_range=tag("color_range", 0),
        color_primaries=tag("color_primaries", 2),
        color_trc=tag("color_trc", 2),
        chroma_location=chroma_location(container, stream, frame),
        start=float(start),
        frames=stream.frames or round(seconds * average),
        duration=seconds,
        hdr=hdr.read(frame)[0],
    )
