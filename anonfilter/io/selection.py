"""Which streams of an input go to the output: -map, and what happens without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from anonfilter.errors import UsageError
from anonfilter.io.streams import choose_video, is_picture
from anonfilter.job import Job

_TYPES = {"v": "video", "V": "video", "a": "audio", "s": "subtitle", "d": "data", "t": "attachment"}
_DISPOSITIONS = {flag.name: flag for flag in av.stream.Disposition}


@dataclass(slots=True)
class Selection:
    """The streams of an output, in its order.

    video: the one to work on, None if there is none. copied: all others, audio and subtitles first kept as they are or
    converted; data, attachments and pictures only where the metadata is kept. order: video and copied as they stand in
    the output. dropped: one line for each stream that is left behind although nobody asked for that.
    """

    video: VideoStream | None
    copied: list[Any] = field(default_factory=list)
    order: list[Any] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def select(container: InputContainer, job: Job) -> Selection:
    """The streams that a job takes of its input. Raises UsageError for a -map that is wrong or matches nothing."""
    streams: list[Any] = list(container.streams)
    wanted = _mapped(streams, job) if job.maps else streams
    wanted = [s for s in wanted if not _switched_off(s, job)]
    videos = [s for s in wanted if s.type == "video" and not is_picture(s)]
    video = choose_video(container, videos)
    chosen = Selection(video)
    chapters = chapter_tracks(container)
    for stream in wanted:
        if stream is video:
            chosen.order.append(stream)
        elif stream.index in chapters:
            continue  # the muxer makes it anew from the chapters
        elif stream.type in ("audio", "subtitle") or (job.keep_metadata and stream not in videos):
            chosen.order.append(stream)
            chosen.copied.append(stream)
        else:
            chosen.dropped.append(_line(stream))
    if not job.maps:
        # ffmpeg's order of an output that nobody mapped.
        rank = {"video": 0, "audio": 1, "subtitle": 2}
        chosen.order.sort(key=lambda s: -1 if s is video else rank.get(s.type, 3))
    return chosen


def chapter_tracks(container: InputContainer) -> set[int]:
    """Indexes of the data streams of MP4 and MOV that hold chapters' titles, which libavformat has read already."""
    if "mov" not in container.format.name or not container.chapters():
        return set()
    # Its demuxer leaves them out of what it delivers, and marks nothing else so.
    return {s.index for s in container.streams if s.type == "data" and s.discard == av.stream.Discard.all}


def _switched_off(stream: Any, job: Job) -> bool:
    return (stream.type == "audio" and not job.audio) or (stream.type == "subtitle" and not job.subtitles)


def _line(stream: Any) -> str:
    """What the report calls a stream that was left behind."""
    kind = str(stream.type)
    if kind == "video":
        kind = "cover art" if is_picture(stream) else "second video"
    name = stream.metadata.get("handler_name") or stream.metadata.get("filename") or ""
    return f"{kind} stream #{stream.index}{f' ({printable(name)})' if printable(name) else ''}"


def _mapped(streams: Sequence[Any], job: Job) -> list[Any]:
    """The streams that -map names, in its order, each once."""
    chosen: list[Any] = []
    single: dict[int, str] = {}
    for text in job.maps:
        body, optional = (text[:-1], True) if text.endswith("?") else (text, False)
        negative, body = body.startswith("-"), body.removeprefix("-")
        if body.startswith("["):
            raise UsageError(f"-map {text}: a graph has one input and one output: use -vf, and map streams as 0:a")
        number, _, spec = body.partition(":")
        if not number.isdecimal():
            raise UsageError(f"-map {text}: expected FILE:STREAM, such as 0:a or 0:v:0")
        if int(number):
            raise UsageError(f"-map {text}: Invalid input file index: {number}. There is one input, 0")
        found = match(streams, spec, f"-map {text}")
        if not found and not optional:
            raise UsageError(
                f"-map {text}: Stream map '{text}' matches no streams. To ignore this, add a trailing '?' to the map."
            )
        if negative:
            chosen = [s for s in chosen if s not in found]
            continue
        chosen += [s for s in found if s not in chosen]
        videos = [s for s in found if s.type == "video" and not is_picture(s)]
        if len(found) == 1 and videos:
            single[videos[0].index] = text
            if len(single) > 1:
                raise UsageError(
                    f"-map {text}: one video at a time: {' and '.join(single.values())} name two. "
                    "Run once for each, with -map for the one and its sound"
                )
    if single:
        # One that is named alone is meant, also beside a -map 0.
        chosen = [s for s in chosen if s.type != "video" or is_picture(s) or s.index in single]
    return chosen


def match(streams: Iterable[Any], spec: str, source: str) -> list[Any]:
    """Streams that fit a stream specifier of ffmpeg's ("", "1", "a", "a:1", "s:m:language:eng", "disp:default", "u",
    "#2", "i:2"). source: what errors call it. Raises UsageError for one that cannot be read."""
    found = list(streams)
    parts = spec.split(":") if spec else []
    while parts:
        head = parts.pop(0)
        if head.isdecimal():
            found = found[int(head) : int(head) + 1]
        elif head in _TYPES:
            found = [s for s in found if s.type == _TYPES[head] and not (head == "V" and is_picture(s))]
        elif head == "m" and parts:
            key, value = parts.pop(0), parts.pop(0) if parts else None
            found = [s for s in found if key in s.metadata and value in (None, s.metadata[key])]
        elif head == "disp" and parts:
            names = parts.pop(0).split("+")
            if unknown := [name for name in names if name not in _DISPOSITIONS]:
                raise UsageError(f"{source}: unknown disposition '{unknown[0]}'")
            found = [s for s in found if all(s.disposition & _DISPOSITIONS[name] for name in names)]
        elif head == "u":
            found = [s for s in found if s.type in ("data", "attachment") or s.codec_context is not None]
        elif (number := _ident(head, parts)) is not None:
            found = [s for s in found if s.id == number]
        else:
            raise UsageError(f"{source}: cannot read the stream specifier '{spec}' at '{head}'")
    return found


def _ident(head: str, rest: list[str]) -> int | None:
    """The number of "#0x1011" or of "i:0x1011"."""
    text = head[1:] if head.startswith("#") else rest.pop(0) if head == "i" and rest else ""
    try:
        return int(text, 0)
    except ValueError:
        return None


def printable(text: str) -> str:
    """Text from a file, safe to show in one line."""
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]", "", text).strip()[:60]
