"""Small generated clips with known properties, made with PyAV alone (not with the code under test)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np

ROTATE_90 = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
"""Display matrix of a clip that must be turned 90 degrees clockwise to be upright."""


def source_frames(size: tuple[int, int], rate: Fraction, count: int, pix_fmt: str) -> Iterator[av.VideoFrame]:
    """Frames of libavfilter's testsrc2, in the given format."""
    graph = av.filter.Graph()
    source = graph.add("testsrc2", f"size={size[0]}x{size[1]}:rate={rate}:duration={float(count / rate) + 1:f}")
    form = graph.add("format", f"pix_fmts={pix_fmt}")
    sink = graph.add("buffersink")
    source.link_to(form)
    form.link_to(sink)
    graph.configure()
    for _ in range(count):
        yield sink.pull()


def make(
    path: Path | str,
    *,
    size: tuple[int, int] = (160, 120),
    rate: Fraction | int = 25,
    frames: int = 30,
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    time_base: Fraction | None = None,
    pts: Callable[[int], int] | None = None,
    sar: Fraction | None = None,
    matrix: Sequence[int] | None = None,
    color: tuple[int, int, int, int] | None = None,
    audio: Sequence[str] = (),
    audio_rate: int = 48000,
    metadata: dict[str, str] | None = None,
    chapters: Sequence[tuple[float, float, str]] = (),
    cover: bool = False,
    picture: Callable[[int, av.VideoFrame], None] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> Path:
    """Write a clip.

    pts: tick of frame n in time_base (default: n in 1/rate). color: space, range, primaries, trc. audio: a
    language for each AAC track. cover: add an attached picture. picture: called with each frame before it is
    encoded, to draw in it.
    """
    rate = Fraction(rate)
    base = time_base or 1 / rate
    path = Path(path)
    with av.open(str(path), "w", options=muxer_options or {}) as out:
        out.metadata.update(metadata or {})
        video: Any = out.add_stream(codec, rate=rate, time_base=base, width=size[0], height=size[1])
        context = video.codec_context
        context.pix_fmt = pix_fmt
        context.options = {"preset": "ultrafast", **(options or {})} if codec.startswith("libx26") else options or {}
        if sar is not None:
            context.sample_aspect_ratio = sar
        if color is not None:
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = color
        if matrix is not None:
            video.set_display_matrix(matrix)
        sounds = []
        for language in audio:
            sound: Any = out.add_stream("aac", rate=audio_rate)
            sound.metadata["language"] = language
            sounds.append(sound)
        thumbnail: Any = None
        if cover:
            thumbnail = out.add_stream("mjpeg", rate=25, width=64, height=48)
            thumbnail.codec_context.pix_fmt = "yuvj420p"
            thumbnail.disposition = av.stream.Disposition.attached_pic
        if chapters:
            marks = [(round(a * 1000), round(b * 1000), title) for a, b, title in chapters]
            milli = Fraction(1, 1000)
            out.set_chapters(
                [
                    {"id": i, "start": a, "end": b, "time_base": milli, "metadata": {"title": title}}
                    for i, (a, b, title) in enumerate(marks)
                ]
            )
        if thumbnail is not None:
            still = av.VideoFrame(64, 48, "yuvj420p")
            still.pts, still.time_base = 0, Fraction(1, 25)
            for packet in [*thumbnail.encode(still), *thumbnail.encode(None)]:
                out.mux(packet)
        for n, frame in enumerate(source_frames(size, rate, frames, pix_fmt)):
            frame.pict_type = 0
            frame.pts = round(n / rate / base) if pts is None else pts(n)
            frame.time_base = base
            if color is not None:
                frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = color
            if picture is not None:
                frame.make_writable()
                picture(n, frame)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for i, sound in enumerate(sounds):
            for frame in tone(440 * (i + 1), float(frames / rate), audio_rate):
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


def tone(hertz: float, seconds: float, rate: int) -> Iterator[av.AudioFrame]:
    """A sine."""
    for start in range(0, int(seconds * rate), 1024):
        wave = np.sin(2 * np.pi * hertz * (start + np.arange(1024)) / rate).astype("f4") * 0.3
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame


def times(path: Path | str, *, stream: int = 0) -> list[Fraction]:
    """Presentation times of the decoded frames, in seconds, in the order they come out."""
    with av.open(str(path)) as source:
        return [frame.pts * frame.time_base for frame in source.decode(source.streams[stream])]


def pictures(path: Path | str) -> list[np.ndarray]:
    """Luma planes (height, width) of all frames, as stored."""
    with av.open(str(path)) as source:
        return [luma(frame) for frame in source.decode(video=0)]


def luma(frame: av.VideoFrame) -> np.ndarray:
    """A frame's first plane (height, width), uint8 or uint16."""
    return plane(frame, 0)


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """One plane of a planar frame (height, width), uint8 or uint16."""
    data, component = frame.planes[index], frame.format.components[index]
    rows = np.frombuffer(data, "u1").reshape(-1, data.line_size)[: component.height]
    return (rows.view("<u2") if component.bits > 8 else rows)[:, : component.width].copy()


def payload(path: Path | str, kind: str = "audio") -> list[list[tuple[str, int, int | None]]]:
    """Of each stream of a kind its packets: sha256 of the payload, size, duration in microseconds."""
    with av.open(str(path)) as source:
        found: dict[int, list[tuple[str, int, int | None]]] = {s.index: [] for s in source.streams if s.type == kind}
        for packet in source.demux():
            if packet.stream.type == kind and packet.size:
                length = packet.duration and round(packet.duration * packet.time_base * 1_000_000)
                found[packet.stream.index].append((hashlib.sha256(bytes(packet)).hexdigest(), packet.size, length))
        return list(found.values())
