"""Metadata that an output may keep, and what is left behind."""

from __future__ import annotations

from collections.abc import Mapping

# What names a work and says nothing about where, when and with what it was recorded. A list of what may stay,
# since every maker of cameras has fields of his own.
_KEPT = frozenset(
    [
        "title", "artist", "album", "album_artist", "composer", "copyright", "episode_id", "episode_sort",
        "genre", "grouping", "language", "network", "performer", "publisher", "season_number", "show",
        "track", "lyrics",
    ]
)  # fmt: skip

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


def kept(metadata: Mapping[str, str], everything: bool) -> dict[str, str]:
    """The tags that go to the output. everything: -map_metadata 0, all but the container's bookkeeping."""
    if everything:
        skip = _STRUCTURE - {"handler_name", "vendor_id"}
        return {key: value for key, value in metadata.items() if _base(key) not in skip}
    return {key: value for key, value in metadata.items() if _base(key) in _KEPT}


def dropped(metadata: Mapping[str, str], where: str, everything: bool) -> list[str]:
    """One line for each tag that is left behind and could tell something.

    where: "" or " of audio stream #1".
    """
    stay = kept(metadata, everything)
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
