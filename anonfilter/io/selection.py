"""Which streams of an input go to the output: -map, and what happens without it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from anonfilter.errors import UsageError
from anonfilter.io.streams import choose_video, is_picture
from anonfilter.job import Job
from anonfilter.streamspec import parse_map, resolve_maps


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
        keep = job.keep_metadata and (stream.type != "data" or job.data)
        if stream is video:
            chosen.order.append(stream)
        elif stream.index in chapters:
            continue  # the muxer makes it anew from the chapters
        elif stream.type in ("audio", "subtitle") or (keep and stream not in videos):
            chosen.order.append(stream)
            chosen.copied.append(stream)
        elif stream.type != "data" or job.data:
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
    for stream in resolve_maps(job.maps, streams):
        if stream not in chosen:
            chosen.append(stream)
    single: dict[int, str] = {}
    for item in map(parse_map, job.maps):
        found = [s for s in item.specifier.matches(streams) if s in chosen]
        if not item.negative and len(found) == 1 and found[0].type == "video" and not is_picture(found[0]):
            single.setdefault(found[0].index, item.text)
    if len(single) > 1:
        raise UsageError(
            f"-map: {' and '.join(single.values())} name two videos, and one is filtered at a time: "
            "run once for each, with its sound"
        )
    # One that is named alone is meant, also beside a -map 0.
    return [s for s in chosen if not single or s.type != "video" or is_picture(s) or s.index in single]


def printable(text: str) -> str:
    """Text from a file, safe to show in one line."""
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]", "", text).strip()[:60]
