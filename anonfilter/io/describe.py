"""Tags, dispositions and chapters of an output: what is kept, what is dropped, what -metadata sets."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from anonfilter.errors import UsageError
from anonfilter.io import tags
from anonfilter.io.clock import rescale
from anonfilter.job import Job
from anonfilter.streamspec import changed_disposition, parse_specifier

# MOV knows languages by a list of Apple's, which has these by their other code (ISO 639-2/B).
_APPLE = {
    "deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb", "hye": "arm", "kat": "geo",
    "mkd": "mac", "fas": "per", "bod": "tib", "mya": "bur", "msa": "may",
}  # fmt: skip
_MICRO = Fraction(1, 1_000_000)


def describe(
    container: OutputContainer, source: InputContainer | None, streams: Mapping[int, tuple[Any, Any]], job: Job
) -> tuple[list[str], list[str]]:
    """Give the output its file's and its streams' tags. streams: by the source's index the source and the output's
    stream. Returns a line for each tag that was left behind, and a phrase for what stayed ("title", "title of the
    video"), nothing where -map_metadata 0 asks for all. Raises UsageError for a -metadata that names nothing."""
    dropped: list[str] = []
    copied: list[tuple[dict[str, str], dict[str, str], str]] = []
    keep, titles = job.keep_metadata, job.titles
    if source is not None:
        container.metadata.update(tags.kept(source.metadata, keep, titles))
        copied.append((container.metadata, dict(container.metadata), ""))
        dropped += tags.dropped(source.metadata, "", keep, titles)
    for old, new in streams.values():
        new.metadata.update(tags.kept(old.metadata, keep, titles))
        new.disposition = old.disposition
        where = " of the video" if old.type == "video" else f" of {old.type} stream #{old.index}"
        copied.append((new.metadata, dict(new.metadata), where))
        dropped += tags.dropped(old.metadata, where, keep, titles)
    for spec, text in job.dispositions:
        for new in parse_specifier(spec).matches(list(container.streams)):
            # As ffmpeg, the last one that a stream matches counts, from what the source says.
            old = next(source.disposition for source, made in streams.values() if made is new)
            new.disposition = Disposition(changed_disposition(int(old), text))
    for spec, given in job.metadata.items():
        if spec.startswith("c:") or spec == "c":
            continue  # chapters()
        for target in _targets(container, spec):
            _set(target, given)
    if container.format.name == "mov":
        for _, new in streams.values():
            if (language := new.metadata.get("language")) in _APPLE:
                new.metadata["language"] = _APPLE[language]
    if keep:
        return dropped, []
    # What -metadata wrote over did not stay.
    stayed = ((where, {k: v for k, v in before.items() if now.get(k) == v}) for now, before, where in copied)
    return dropped, [name + where for where, same in stayed for name in tags.names(same)]


def _targets(container: OutputContainer, spec: str) -> list[dict[str, str]]:
    if spec in ("", "g"):
        return [container.metadata]
    head, _, rest = spec.partition(":")
    if head != "s":
        raise UsageError(f"-metadata:{spec}: expected s:STREAM, such as s:a:0, or c:NUMBER for a chapter")
    found = parse_specifier(rest).matches(list(container.streams))
    if not found:
        raise UsageError(f"-metadata:{spec}: the output has no such stream")
    return [stream.metadata for stream in found]


def _set(target: dict[str, str], given: Mapping[str, str]) -> None:
    for key, value in given.items():
        if value:
            target[key] = value
        else:
            target.pop(key, None)


def titles_of(chapters: list[Any]) -> list[str]:
    """What the report says of the titles of an output's chapters: a phrase or nothing."""
    count = sum("title" in tags.names(chapter["metadata"]) for chapter in chapters)
    return [f"{count} chapter title{'s' * (count > 1)}"] if count else []


def chapters(
    source: InputContainer, job: Job, shift: Fraction, end: Fraction | None, numbered: bool = False
) -> list[Any]:
    """The input's chapters on the output's clock, without those that lie outside. shift: seconds subtracted. end:
    seconds of the source's clock where the output ends, or None. numbered: give them numbers where -map_metadata -1
    takes their titles."""
    made: list[Any] = []
    if not job.chapters:
        return made
    for number, chapter in enumerate(source.chapters()):
        base = Fraction(chapter["time_base"] or _MICRO)
        offset = rescale(shift, base)
        start, stop = max(0, chapter["start"] - offset), chapter["end"] - offset
        if end is not None:
            stop = min(stop, rescale(end - shift, base))
        if stop > start:
            title = tags.kept(chapter.get("metadata", {}), job.keep_metadata, job.titles)
            if numbered and not job.titles:
                title["title"] = str(number + 1)
            for spec in ("c", f"c:{number}"):
                _set(title, job.metadata.get(spec, {}))
            made.append({**chapter, "start": start, "end": stop, "metadata": title})
    return made
