"""What a file gives away: one kind of line for everything that a scan finds."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

KINDS = {
    "location": "where it was recorded",
    "device": "with what it was recorded",
    "time": "when it was recorded",
    "software": "what wrote it, with its version or settings",
    "text": "titles, names and comments",
    "picture": "cover art and thumbnails, which may show what the video no longer shows",
    "exif": "EXIF metadata of a picture",
    "xmp": "XMP metadata",
    "telemetry": "data streams: GPS tracks, sensors, time codes",
    "attachment": "attached files",
    "sei": "user data in the video's bitstream",
    "timecode": "time codes, which tell the clock of the recording",
    "hidden": "bytes that no player reads",
}
"""Kinds of findings, and what each means."""

_WORDS = (
    ("location", r"location|gps|xyz|iso6709|geo|latitude|longitude|place|city|country|^loci$"),
    ("timecode", r"timecode|reel_name"),
    ("time", r"creation|date|time|year|day|_utc"),
    ("device", r"make|model|camera|device|lens|serial|android|firmware|manufacturer|aperture|exposure|com\.apple|sony|"
               r"product|^came$|^firm$|^manu$|^modl$|vendor"),
    ("software", r"encoder|software|tool|writing|muxing|handler|encoded_by|^fmt$|version"),
)  # fmt: skip
_SIGNATURE = re.compile(
    rb"(?:Lavf|Lavc)\d+(?:\.\d+)*|x264 - core \d+|x265 \(build \d+\)|HandBrake \d[\d.]*|LAME\d\.\d+|"
    rb"libebml v[\d.]+|libmatroska v[\d.]+|mkvmerge v[\d.]+|GPAC[- ][\w.-]+|Xvid\d{4}|GoPro \w+"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """kind: one of KINDS. where: the part of the file. name: of the field. value: what it says, one short line."""

    kind: str
    where: str
    name: str
    value: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.kind:<10} {self.where}: {self.name}{f' = {self.value}' if self.value else ''}"


def kind_of(name: str) -> str:
    """Kind of a field by its name; "text" for what nothing else fits."""
    low = name.lower().removeprefix("com.apple.quicktime.")  # an iPhone's make is no time
    return next((kind for kind, words in _WORDS if re.search(words, low)), "text")


def signatures(data: bytes) -> list[str]:
    """Names of programs, with their versions, that stand in some bytes."""
    found = (m.group().decode("ascii", "replace").strip() for m in _SIGNATURE.finditer(data))
    return list(dict.fromkeys(found))


def short(data: bytes | str) -> str:
    """A value as one line: text where it is text, else its size and first bytes."""
    if isinstance(data, bytes):
        text = data.strip(b"\0").decode("utf-8", "replace")
        if not text.isprintable() or "\ufffd" in text:
            parts = re.findall(rb"[\x20-\x7e]{6,}", data)
            if not parts:
                return f"{len(data)} bytes {data[:16].hex()}"
            text = " ".join(p.decode() for p in parts)
    else:
        text = data
    text = re.sub(r"\s+", " ", "".join(c for c in text if c.isprintable() or c.isspace())).strip()
    return text if len(text) <= 120 else text[:117] + "..."
