"""ffmpeg's stream specifiers ("v:0", "a:m:language:eng", "#0x101") and -map, read and matched against streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anonfilter.errors import UsageError
from anonfilter.values import hint

_TYPES = {"v": "video", "V": "video", "a": "audio", "s": "subtitle", "d": "data", "t": "attachment"}
_ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC
_DISPOSITIONS = {
    "default": 1, "dub": 2, "original": 4, "comment": 8, "lyrics": 0x10, "karaoke": 0x20, "forced": 0x40,
    "hearing_impaired": 0x80, "visual_impaired": 0x100, "clean_effects": 0x200, "attached_pic": _ATTACHED_PICTURE,
    "timed_thumbnails": 0x800, "non_diegetic": 0x1000, "captions": 0x10000, "descriptions": 0x20000,
    "metadata": 0x40000, "dependent": 0x80000, "still_image": 0x100000, "multilayer": 0x200000,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StreamSpecifier:
    """What a specifier asks of a stream; "" asks nothing. Parts are tested one after the other, and index counts among
    those streams that the rest matches.

    type: "video", "audio", "subtitle", "data", "attachment" or "". pictures: False for "V", which leaves cover art and
    thumbnails out. index: -1 for any. id: the container's stream id, None for any. key, value: a tag that must be
    there, and what it must say (None: anything). disposition: bits that must be set. usable: the codec must be known.
    """

    type: str = ""
    pictures: bool = True
    index: int = -1
    id: int | None = None
    key: str = ""
    value: str | None = None
    disposition: int = 0
    usable: bool = False

    def matches(self, streams: Sequence[Any]) -> list[Any]:
        """Those of a file's streams (av.stream.Stream, or what looks like one) that are meant, in order."""
        found = [stream for stream in streams if self._fits(stream)]
        if self.index < 0:
            return found
        return found[self.index : self.index + 1]

    def _fits(self, stream: Any) -> bool:
        bits = int(stream.disposition)
        if self.type and stream.type != self.type:
            return False
        if not self.pictures and bits & (_ATTACHED_PICTURE | _DISPOSITIONS["timed_thumbnails"]):
            return False
        if self.id is not None and stream.id != self.id:
            return False
        if self.disposition & ~bits:
            return False
        if self.usable and stream.codec_context is None:
            return False
        if not self.key:
            return True
        # av_dict_get() without AV_DICT_MATCH_CASE: a key in any case, a value to the letter.
        tags = {key.lower(): value for key, value in stream.metadata.items()}
        have = tags.get(self.key.lower())
        return have is not None and self.value in (None, have)


@dataclass(frozen=True, slots=True)
class StreamMap:
    """One -map: text as written, whether it takes away (-map -0:a), what it means, whether matching nothing is no error
    (a trailing "?")."""

    text: str
    negative: bool
    specifier: StreamSpecifier
    optional: bool


def parse_specifier(text: str) -> StreamSpecifier:
    """Read a specifier. Raises UsageError, one line."""
    parts: dict[str, Any] = {}
    rest = text
    while rest:
        head, _, tail = rest.partition(":")
        if head.isdecimal() and head.isascii():
            parts["index"] = int(head)
            if tail:
                raise UsageError(f"stream specifier '{text}': nothing can follow a number")
            break
        if head in _TYPES and "type" not in parts:
            parts["type"], parts["pictures"] = _TYPES[head], head != "V"
            rest = tail
        elif head.startswith("#") or head == "i":
            number, _, rest = (head[1:] if head != "i" else tail).partition(":")
            if head != "i":
                rest = tail
            try:
                parts["id"] = int(number, 0)
            except ValueError:
                raise UsageError(f"stream specifier '{text}': '{number}' is not a stream id") from None
        elif head == "m" and tail:
            # As ffmpeg: everything behind the first colon is the value.
            key, colon, value = tail.partition(":")
            parts["key"], parts["value"] = key, value if colon else None
            break
        elif head == "disp" and tail:
            words, _, rest = tail.partition(":")
            parts["disposition"] = _bits(text, words)
        elif head == "u" and not tail:
            parts["usable"] = True
            break
        elif head in ("p", "g"):
            raise UsageError(f"stream specifier '{text}': programs and groups are not supported, use a number")
        else:
            raise UsageError(f"Invalid stream specifier: {text} (use v, a, s, d or t, a number, m:key:value or #id)")
    return StreamSpecifier(**parts)


def _bits(text: str, words: str) -> int:
    bits = 0
    for word in words.split("+"):
        if word not in _DISPOSITIONS:
            raise UsageError(f"stream specifier '{text}': '{word}' is not a disposition")
        bits |= _DISPOSITIONS[word]
    return bits


def changed_disposition(bits: int, text: str) -> int:
    """A disposition after -disposition's value, as av_opt_set reads flags: a name (or number) sets, "+name" adds,
    "-name" takes away, one after the other. Raises UsageError."""
    for sign, word in re.findall(r"([+-]?)([^+-]*)", text)[:-1] or [("", "")]:
        if word.isascii() and word.isdecimal():
            value = int(word)
        elif word in _DISPOSITIONS:
            value = _DISPOSITIONS[word]
        else:
            near = hint(word, _DISPOSITIONS) or f" (use {', '.join(_DISPOSITIONS)}, or 0 for none)"
            raise UsageError(f"'{word}' is not a disposition{near}")
        bits = bits | value if sign == "+" else bits & ~value if sign == "-" else value
    return bits


def parse_map(text: str) -> StreamMap:
    """Read what follows -map: [-]0[:specifier][?]. Raises UsageError in ffmpeg's words."""
    if text.startswith("["):
        raise UsageError(f"-map {text}: labels need -filter_complex: the filtered video is mapped with -map 0:v")
    body = text.removeprefix("-")
    optional = body.endswith("?")
    body = body.removesuffix("?").partition(",")[0]  # what follows the comma, a stream to sync to, is history
    file, _, specifier = body.partition(":")
    if not file.isdecimal() or not file.isascii():
        raise UsageError(f"-map {text}: '{file}' is not a file's number (use 0:v, 0:a:0, 0:s?, -0:d)")
    if int(file):
        raise UsageError(f"Invalid input file index: {int(file)}. (there is one input, number 0)")
    return StreamMap(text, text.startswith("-"), parse_specifier(specifier), optional)


def resolve_maps(maps: Iterable[str], streams: Sequence[Any]) -> list[Any]:
    """The streams that some -map options choose, in the order of the output; a stream can be there twice.

    Raises UsageError where one matches nothing and does not end in "?".
    """
    chosen: list[Any] = []
    before = False
    for item in map(parse_map, maps):
        found = item.specifier.matches(streams)
        if item.negative:
            chosen = [stream for stream in chosen if all(stream is not gone for gone in found)]
        else:
            chosen += found
        # As ffmpeg: what is taken away need not have been there, but something must be mapped before.
        matched = before if item.negative else bool(found)
        before = before or bool(found)
        if not matched and not item.optional:
            raise UsageError(
                f"Stream map '{item.text}' matches no streams. To ignore this, add a trailing '?' to the map."
            )
    return chosen
