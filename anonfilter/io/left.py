"""What an input has beside tags and streams that no output gets, for the report."""

from __future__ import annotations

import os

from anonfilter.io import boxes, demuxing, picturetags
from anonfilter.io.findings import Finding
from anonfilter.job import Job

_WORDS = {
    "xmp": "XMP metadata", "exif": "EXIF metadata", "hidden": "bytes hidden in free space", "location": "location",
    "device": "device data", "telemetry": "telemetry", "software": "software data", "picture": "thumbnails",
    "text": "text", "timecode": "time codes",
}  # fmt: skip


def of_file(job: Job) -> list[str]:
    """Lines for the boxes of an MP4 or MOV file; none for other inputs."""
    path = demuxing.path_of(job.input)
    if demuxing.is_url(job.input) or not os.path.isfile(path):
        return []
    with open(path, "rb") as file:
        if not boxes.is_boxes(file.read(16)):
            return []
        found = boxes.scan(file, os.path.getsize(path))
    # Times are the tags' to tell.
    return _lines([item for item in found if item.kind != "time"])


def of_picture(data: bytes) -> list[str]:
    """Lines for the metadata inside of a coded picture (JPEG, PNG, WebP, TIFF)."""
    return _lines([item for item in picturetags.scan(data, "picture") if "comment" not in item.name])


def _lines(found: list[Finding]) -> list[str]:
    names = ((_WORDS.get(item.kind, item.kind), item.name.removeprefix("EXIF "), item.where) for item in found)
    return list(dict.fromkeys(f"{kind} '{name}' of {where}" for kind, name, where in names))
