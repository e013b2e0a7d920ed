"""`anonfilter scan FILE`: what a file still gives away. Exit status 0 where nothing was found, 1 for an error, FOUND
where something was.

It looks at the container (tags, streams, attached pictures and files, boxes that players skip), at the bitstreams (user
data, names and settings of encoders) and at single pictures (EXIF, XMP). What the picture and the sound show or say is
not its business. It does not decode, and does not prove that nothing is left: a maker may hide what nobody knows of.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import av
import av.error
from av.container import InputContainer

from anonfilter.errors import InputError, UsageError
from anonfilter.io import boxes, demuxing, logs, picturetags, sei, tags
from anonfilter.io.findings import KINDS, Finding, kind_of, short, signatures
from anonfilter.io.selection import chapter_tracks
from anonfilter.io.streams import is_picture
from anonfilter.job import Job

FOUND = 2
"""Exit status where a file gives something away: a script tells it from a command that failed."""

_ENDS = 1 << 18  # bytes at both ends of a file where programs write their names
_PACKETS = 3  # first packets of a stream where encoders write theirs
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
# ITU-T T.35 messages that belong to the picture: captions and HDR, by country and provider code.
_T35_KNOWN = (b"\xb5\x00\x31", b"\xb5\x00\x3c", b"\xb5\x00\x3b", b"\x26\x00\x04")


def scan(path: str) -> list[Finding]:
    """Everything that is found in a file, each thing once. Raises InputError for what cannot be read."""
    found: list[Finding] = []
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(_ENDS)
            picture = head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
            if picture:
                return _once(picturetags.scan(head + file.read(), "picture"))
            if boxes.is_boxes(head):
                found += boxes.scan(file, size)
            file.seek(max(len(head), size - _ENDS))
            ends = signatures(head) + signatures(file.read())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    container = demuxing.open_input(Job(path, ""))
    try:
        # Of MP4 and MOV the boxes have told the times already.
        heard = {"creation_time"} if boxes.is_boxes(head) else set[str]()
        found += [f for f in (*_container(container), *_streams(container)) if f.name not in heard]
        found += _packets(path, container)
    finally:
        container.close()
    said = " ".join(f.value for f in found)
    found += [Finding("software", "file", "names its program", text) for text in ends if text not in said]
    return _once(found)


def _once(found: list[Finding]) -> list[Finding]:
    order = list(KINDS)
    return sorted(dict.fromkeys(found), key=lambda f: order.index(f.kind))


def _container(container: InputContainer) -> Iterator[Finding]:
    yield from _tags(container.metadata, "file")
    for number, chapter in enumerate(container.chapters()):
        yield from _tags(chapter.get("metadata", {}), f"chapter {number}")


def _tags(metadata: dict[str, str], where: str) -> Iterator[Finding]:
    for key, value in metadata.items():
        if tags.tells(key, value):
            yield Finding(kind_of(key), where, key, short(value))


def _streams(container: InputContainer) -> Iterator[Finding]:
    chapters = chapter_tracks(container)
    streams: list[Any] = list(container.streams)
    for stream in streams:
        where = f"stream #{stream.index} ({stream.type})"
        if stream.index in chapters:
            continue
        yield from _tags(stream.metadata, where)
        if is_picture(stream):
            yield Finding("picture", where, "cover art or thumbnails", stream.codec_context.name)
        elif stream.type == "attachment":
            yield Finding("attachment", where, stream.metadata.get("filename", "file"), f"{len(stream.data)} bytes")
        elif stream.type == "data":
            yield Finding("telemetry", where, stream.name or "unknown data")


def _packets(path: str, container: InputContainer) -> Iterator[Finding]:
    """What stands in the packets, all of which are read."""
    seen: Counter[int] = Counter()
    units: Counter[Finding] = Counter()
    for stream in container.streams:
        context: Any = stream.codec_context
        for text in signatures(getattr(context, "extradata", None) or b""):
            yield Finding("software", f"stream #{stream.index} ({stream.type})", "encoder", text)
    forms = {s.index: _form(s) for s in container.streams.video}
    with logs.captured():
        packets = container.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                raise InputError(f"{path}: damaged: {logs.reason(error)}") from error
            except IndexError:
                # PyAV, when it marks the end of a stream that appeared in mid-file: everything has been read.
                packet = None
                yield Finding("hidden", "file", "a stream that begins in mid-file")
            if packet is None:
                break
            stream, form = packet.stream, forms.get(packet.stream.index)
            where = f"stream #{stream.index} ({stream.type})"
            data = bytes(packet) if form is not None or seen[stream.index] < _PACKETS else b""
            if form is not None:
                units.update(_user_data(data, where, *form))
            elif seen[stream.index] < _PACKETS:
                yield from picturetags.scan(data, where)
                for text in signatures(data[:_ENDS]):
                    yield Finding("software", where, "encoder", text)
            seen[stream.index] += 1
    yield from units


def _form(stream: Any) -> tuple[str, int] | None:
    context = stream.codec_context
    name = context.codec.canonical_name if context is not None else ""
    return (name, sei.length_size(name, context.extradata)) if name in ("h264", "hevc") else None


def _user_data(data: bytes, where: str, codec: str, size: int) -> Iterator[Finding]:
    for _, begin, end in sei.units(data, size):
        if end - begin > 1 << 16:
            continue
        for number, body in sei.messages(codec, data[begin:end]):
            if number == sei.USER_DATA_UNREGISTERED:
                text = signatures(body)
                kind = "software" if text else "sei"
                yield Finding(kind, where, f"user data {body[:16].hex()}", text[0] if text else short(body[16:]))
            elif number == 4 and not body.startswith(_T35_KNOWN):
                yield Finding("sei", where, f"T.35 user data {body[:3].hex()}", short(body[3:]))
            elif number == 136 and codec == "hevc":
                yield Finding("timecode", where, "time code")


def main(argv: Sequence[str]) -> int:
    """Run the command; argv is what follows `anonfilter scan`. Raises AnonfilterError with one clear line."""
    args = _parser().parse_args(list(argv))
    ignored = {kind for kind in args.ignore.split(",") if kind}
    if unknown := ignored - set(KINDS):
        raise UsageError(f"scan: -ignore: unknown kind '{min(unknown)}' (there are {', '.join(KINDS)})")
    files = {path: [f for f in scan(path) if f.kind not in ignored] for path in args.file}
    if args.json:
        value = [{"file": path, "findings": [f.to_json() for f in found]} for path, found in files.items()]
        print(json.dumps(value))
    else:
        for path, found in files.items():
            print(f"{path}: {f'{len(found)} findings' if found else 'nothing found'}")
            for finding in found:
                print(f"  {finding}")
    sys.stdout.flush()
    return FOUND if any(files.values()) else 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"scan: {message} (anonfilter scan -h shows the options)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="anonfilter scan",
        description="What a video or picture file gives away beside what it shows: place, device, time, software, "
        "names, cover art, data streams, attachments, user data in the bitstream, EXIF and XMP.",
        epilog=f"Kinds: {'; '.join(f'{k}: {v}' for k, v in KINDS.items())}. "
        f"Exit status: 0 where nothing was found, 1 for an error, {FOUND} where something was.",
        allow_abbrev=False,
    )
    parser.add_argument("file", nargs="+", help="files to look at; they are read whole")
    parser.add_argument("-json", action="store_true", help="the findings as JSON, one object for each file")
    parser.add_argument("-ignore", default="", metavar="A,B", help="kinds that do not count, such as text,software")
    return parser
