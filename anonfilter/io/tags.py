"""Metadata that an output may keep, and what is left behind."""

from __future__ import annotations

from collections.abc import Mapping

# What names a work and says nothing about who, where, when and with what it was recorded. A list of what may stay,
# since every maker of cameras has fields of his own. Artist, author, copyright and their like are not in it: there a
# camera writes its owner's name. Nor is free text, such as comments, descriptions and lyrics.
_KEPT = frozenset(
    ["title", "album", "show", "genre", "track", "season_number", "episode_id", "episode_sort", "language"]
)

_LANGUAGE = frozenset({"language"})

# The container's own bookkeeping: the muxer writes what is true of the new file, nobody misses the old.
_STRUCTURE = frozenset(
    [
        "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "handler_name",
        "vendor_id", "software", "number_of_frames", "number_of_bytes", "bps", "rotate",
        "alpha_mode", "_statistics_writing_app", "_statistics_writing_date_utc", "_statistics_tags",
    ]
)  # fmt: skip

# Names that muxers themselves give to handlers.
_PLAIN_HANDLERS = frozenset({"VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler", ""})


def kept(metadata: Mapping[str, str], everything: bool, titles: bool = True) -> dict[str, str]:
    """The tags that go to the output. everything: -map_metadata 0, all but the container's bookkeeping. titles: False
    for -map_metadata -1, which leaves nothing but languages."""
    if everything:
        skip = _STRUCTURE - {"handler_name", "vendor_id"}
        return {key: value for key, value in metadata.items() if _base(key) not in skip}
    stay = _KEPT if titles else _LANGUAGE
    return {key: value for key, value in metadata.items() if _base(key) in stay}


def names(metadata: Mapping[str, str]) -> list[str]:
    """The names of what was kept, for the report; a language is what a player goes by, and not worth a word."""
    return list(dict.fromkeys(_base(key) for key, value in metadata.items() if value and _base(key) not in _LANGUAGE))


def dropped(metadata: Mapping[str, str], where: str, everything: bool, titles: bool = True) -> list[str]:
    """One line for each tag that is left behind and could tell something.

    where: "" or " of audio stream #1".
    """
    stay = kept(metadata, everything, titles)
    lines = []
    for key, value in metadata.items():
        base = _base(key)
        if key in stay or (base in _STRUCTURE and base != "handler_name"):
            continue
        if base == "handler_name" and value.strip("\x00\x1f #") in _PLAIN_HANDLERS:
            continue
        lines.append(f"metadata '{key}'{where}")
    return lines


def tells(key: str, value: str) -> bool:
    """Whether a tag of a finished file says more than the container needs: for the scan, which also lists what may be
    kept, such as a title."""
    base, text = _base(key), value.strip("\x00\x1f #")
    if base in ("encoder", "software"):
        return text not in ("", "Lavf")  # its bare name is what Matroska demands where nothing shall be said
    if base == "handler_name":
        return text not in _PLAIN_HANDLERS
    if base == "vendor_id":
        return text not in ("", "[0][0][0][0]", "FFMP")
    if base == "language":
        return False
    if base in ("service_name", "service_provider"):
        return text not in ("Service01", "FFmpeg")  # libavformat's own where nobody gives one
    return base not in _STRUCTURE or base.startswith("_statistics_writing")


def _base(key: str) -> str:
    """A key without case and without the language that some containers append (title-eng,
    com.apple.x-ENG)."""
    low = key.lower()
    head, dash, tail = low.rpartition("-")
    return head if dash and len(tail) in (2, 3) and tail.isalpha() else low
