"""Supplemental enhancement information in H.264 and HEVC bitstreams: messages beside the picture, which may name the
encoder and its settings, the camera, or place and time (ITU-T H.264 annex D, H.265 annex D)."""

from __future__ import annotations

from collections.abc import Iterator

USER_DATA_UNREGISTERED = 5
_SEI = {"h264": (6,), "hevc": (39, 40)}
_HEAD = {"h264": 1, "hevc": 2}
"""Bytes of a NAL unit's header."""


def length_size(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length before each NAL unit as the avcC or hvcC record states, 0 for Annex B's start codes."""
    at = {"h264": 4, "hevc": 21}[codec]
    if not extradata or extradata[0] != 1 or len(extradata) <= at:
        return 0
    return (extradata[at] & 3) + 1


def units(data: bytes, size: int) -> Iterator[tuple[int, int, int]]:
    """NAL units of a packet: where the unit with its prefix begins, where it begins itself, and where it ends."""
    if size:
        at = 0
        while at + size <= len(data):
            end = min(len(data), at + size + int.from_bytes(data[at : at + size], "big"))
            yield at, at + size, end
            at = end
        return
    start = data.find(b"\0\0\1")
    while start >= 0:
        following = data.find(b"\0\0\1", start + 3)
        end = len(data) if following < 0 else following
        if following > 0 and data[following - 1] == 0:
            end -= 1  # the longer start code of the next one
        first = start - 1 if start > 0 and data[start - 1] == 0 else start
        yield first, start + 3, end
        start = following


def kind(codec: str, unit: bytes) -> int:
    """Type of a NAL unit."""
    if not unit:
        return -1
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def messages(codec: str, unit: bytes) -> list[tuple[int, bytes]]:
    """Type and payload of each message of a NAL unit; none where it is no SEI or is damaged."""
    if kind(codec, unit) not in _SEI[codec]:
        return []
    body = unit[_HEAD[codec] :].replace(b"\0\0\3", b"\0\0")
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(body) and body[at:] not in (b"\x80", b"\x80\0"):
        numbers = []
        for _ in range(2):
            value = 0
            while at < len(body) and body[at] == 255:
                value, at = value + 255, at + 1
            if at >= len(body):
                return found
            numbers.append(value + body[at])
            at += 1
        found.append((numbers[0], body[at : at + numbers[1]]))
        at += numbers[1]
    return found


def without_user_data(codec: str, data: bytes, size: int) -> bytes:
    """A packet without the NAL units that hold nothing but unregistered user data; the same object where there is
    none."""
    kept, last = [], 0
    for first, begin, end in units(data, size):
        if end - begin > 1 << 16:
            continue  # a slice
        found = messages(codec, data[begin:end])
        if found and all(number == USER_DATA_UNREGISTERED for number, _ in found):
            kept.append(data[last:first])
            last = end
    if not last:
        return data
    return b"".join([*kept, data[last:]])
