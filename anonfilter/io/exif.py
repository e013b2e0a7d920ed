"""EXIF blocks (TIFF 6.0 structure, CIPA DC-008): orientation, and what must not leave with the rest."""

from __future__ import annotations

import struct

ORIENTATIONS: dict[int, tuple[int, bool]] = {
    1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True), 5: (90, True), 6: (90, False), 7: (270, True),
    8: (270, False),
}  # fmt: skip
"""EXIF's orientation as clockwise degrees that bring the picture upright, and whether it is mirrored after that."""

_ORIENTATION, _MAKER_NOTE, _EXIF_IFD = 0x0112, 0x927C, 0x8769
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_ENTRIES = 1000


def orientation_of(rotation: int, hflip: bool) -> int:
    """EXIF's number for a turn in degrees and a mirroring after it."""
    return next(number for number, turn in ORIENTATIONS.items() if turn == (rotation, hflip))


def matrix(rotation: int, hflip: bool) -> tuple[int, ...] | None:
    """The display matrix (streams.orientation's input) for the same, None where nothing is to be done."""
    if not rotation and not hflip:
        return None
    one = 1 << 16
    a, b = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[rotation]
    c, d = -b, a
    if hflip:
        a, c = -a, -c
    return (a, b, 0, c, d, 0, 0, 0, 1 << 30)


def minimal(orientation: int) -> bytes:
    """A block that says nothing but the orientation."""
    entry = struct.pack("<HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


class _Block:
    """A mutable block with its byte order. Raises ValueError, IndexError or struct.error where it is none."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
        if self.word("H", 2) != 42:
            raise ValueError("no TIFF structure")

    def word(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(self.order + kind, self.data, at)[0])

    def entries(self, ifd: int) -> list[tuple[int, int, int, int]]:
        """Tag, offset of its entry, offset of its value and size of it, of each entry of a directory."""
        count = self.word("H", ifd)
        if count > _MOST_ENTRIES:
            raise ValueError("too many entries")
        rows = []
        for at in range(ifd + 2, ifd + 2 + 12 * count, 12):
            size = _SIZES.get(self.word("H", at + 2), 1) * self.word("I", at + 4)
            rows.append((self.word("H", at), at, at + 8 if size <= 4 else self.word("I", at + 8), size))
        return rows

    def wipe(self, at: int, size: int) -> None:
        end = min(len(self.data), at + size)
        if at < end:
            self.data[at:end] = bytes(end - at)


def orientation(data: bytes) -> int:
    """The orientation (1 to 8) of a block, 1 where it does not say or cannot be read."""
    try:
        block = _Block(data)
        for tag, _, value, _ in block.entries(block.word("I", 4)):
            if tag == _ORIENTATION:
                found = block.word("H", value)
                return found if found in ORIENTATIONS else 1
    except (ValueError, KeyError, IndexError, struct.error):
        pass
    return 1


def cleaned(data: bytes) -> bytes | None:
    """The block without thumbnails and without the maker's notes, which may hold previews; None where it cannot be
    read. Everything else stays where it is."""
    try:
        block = _Block(data)
        first = block.word("I", 4)
        rows = block.entries(first)
        tail = first + 2 + 12 * len(rows)
        after, seen = block.word("I", tail), {first}
        block.wipe(tail, 4)
        while after and after not in seen:
            seen.add(after)
            thumb = block.entries(after)
            places = {tag: (value, size, at) for tag, at, value, size in thumb}
            if 0x0201 in places and 0x0202 in places:
                block.wipe(block.word("I", places[0x0201][0]), block.word("I", places[0x0202][0]))
            for _, _, value, size in thumb:
                block.wipe(value, size)
            following = after + 2 + 12 * len(thumb)
            nxt = block.word("I", following)
            block.wipe(after, 6 + 12 * len(thumb))
            after = nxt
        for tag, _, value, _ in rows:
            if tag == _EXIF_IFD:
                for inner, at, place, size in block.entries(block.word("I", value)):
                    if inner == _MAKER_NOTE:
                        block.wipe(place, size)
                        block.wipe(at + 4, 8)
        return bytes(block.data)
    except (ValueError, KeyError, IndexError, struct.error):
        return None
