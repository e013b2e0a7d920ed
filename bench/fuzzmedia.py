"""Damaged media files: small clips made here, and mutations of them that a number decides."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import av
import clips

STREET = Path(__file__).resolve().parents[1] / "examples" / "street.mp4"

_SMALL: dict[str, Any] = {"size": (96, 64), "frames": 30}
SEEDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {**_SMALL, "audio": ("eng",), "chapters": ((0, 1, "one"),), "metadata": {"title": "t"}},
    "h264-fragments.mp4": {**_SMALL, "muxer_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "10"}},
    "h264-faststart.mov": {**_SMALL, "audio": ("eng",), "muxer_options": {"movflags": "faststart"}, "cover": False},
    "hevc.mp4": {**_SMALL, "codec": "libx265", "options": {"x265-params": "log-level=none:pools=none"}},
    "prores.mov": {**_SMALL, "codec": "prores_ks", "pix_fmt": "yuv422p10le", "frames": 10},
    "av1.mp4": {**_SMALL, "codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "lp=1"}},
    "h264.mkv": {**_SMALL, "audio": ("eng", "ger"), "options": {"g": "8"}, "metadata": {"title": "t"}},
    "mpeg4.mkv": {**_SMALL, "codec": "mpeg4", "audio": ("eng",), "options": {"g": "8"}},
    "ten-bit.mkv": {**_SMALL, "pix_fmt": "yuv420p10le", "frames": 20},
    "vp9.webm": {**_SMALL, "codec": "libvpx-vp9", "options": {"cpu-used": "8", "g": "10"}},
    "vp8.webm": {**_SMALL, "codec": "libvpx", "options": {"cpu-used": "8", "g": "10"}},
    "mpeg4.avi": {**_SMALL, "codec": "mpeg4", "options": {"g": "8"}},
    "mjpeg.avi": {**_SMALL, "codec": "mjpeg", "pix_fmt": "yuvj420p", "frames": 15},
    "h264.ts": {**_SMALL, "audio": ("eng",), "options": {"g": "8"}},
    "mpeg2.ts": {**_SMALL, "codec": "mpeg2video", "options": {"g": "8"}},
    "ffv1.nut": {**_SMALL, "codec": "ffv1", "frames": 10, "audio": ("eng",)},
    "mpeg4.nut": {**_SMALL, "codec": "mpeg4", "options": {"g": "8"}},
    "h264.flv": {**_SMALL, "codec": "libx264", "audio": ("eng",), "audio_rate": 44100},
}
"""Arguments of tests/clips.py's make()."""

# What breaks parsers: nothing, everything, the edges of signed numbers.
_WORDS = tuple(word.to_bytes(4, "big") for word in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 1, 0x01000000, 0xFFFF))


def make_seeds(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """The clips that are mutated, and the project's own example. names: only these."""
    os.environ.setdefault("SVT_LOG", "0")  # else SVT-AV1 speaks to stderr
    made = [clips.make(folder / name, **how) for name, how in SEEDS.items() if not names or name in names]
    if names:
        return made
    example = folder / "street.mp4"
    with av.open(str(STREET)) as source, av.open(str(example), "w") as out:  # its first second
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None and packet.dts * packet.time_base < 1:
                packet.stream = copy
                out.mux(packet)
    return [*made, example]


def mutate(data: bytes, other: bytes, rng: random.Random) -> tuple[bytes, str]:
    """One to three mutations of a file; gives also what was done. other: another file, to splice from."""
    raw, done = bytearray(data), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(raw) < 64:
            break
        name = rng.choice(tuple(_MUTATIONS))
        _MUTATIONS[name](raw, other, rng)
        done.append(name)
    return bytes(raw), "+".join(done)


def _place(raw: bytearray, rng: random.Random) -> int:
    """A place in the file, half of the time where its header or its index is likely to be."""
    size, edge = len(raw), min(len(raw), 2048)
    return rng.choice((rng.randrange(size), rng.randrange(size), rng.randrange(edge), size - 1 - rng.randrange(edge)))


def _flip(raw: bytearray, other: bytes, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 5, 20, 100))):
        raw[_place(raw, rng)] ^= 1 << rng.randrange(8)


def _burst(raw: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(raw, rng)
    for i in range(at, min(len(raw), at + rng.choice((4, 40, 400)))):
        raw[i] = rng.randrange(256)


def _word(raw: bytearray, other: bytes, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3))):
        at = min(_place(raw, rng), len(raw) - 4)
        raw[at : at + 4] = rng.choice(_WORDS)


def _cut(raw: bytearray, other: bytes, rng: random.Random) -> None:
    del raw[rng.randrange(16, len(raw)) :]


def _head(raw: bytearray, other: bytes, rng: random.Random) -> None:
    del raw[: rng.randrange(1, len(raw) // 2)]


def _hole(raw: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(raw, rng)
    del raw[at : at + rng.choice((1, 7, 188, 1000, 4096))]


def _zero(raw: bytearray, other: bytes, rng: random.Random) -> None:
    at = _place(raw, rng)
    size = min(rng.choice((16, 512, 4096)), len(raw) - at)
    raw[at : at + size] = bytes(size)


def _splice(raw: bytearray, other: bytes, rng: random.Random) -> None:
    start = rng.randrange(len(other))
    piece = other[start : start + rng.choice((64, 1000, 8000, len(other)))]
    at = _place(raw, rng)
    raw[at : at + rng.choice((0, len(piece)))] = piece


def _again(raw: bytearray, other: bytes, rng: random.Random) -> None:
    start, at = rng.randrange(len(raw)), _place(raw, rng)
    raw[at:at] = raw[start : start + rng.choice((64, 2000))]


def _join(raw: bytearray, other: bytes, rng: random.Random) -> None:
    raw += rng.choice((bytes(raw), other))


_MUTATIONS = {
    "flip": _flip, "burst": _burst, "word": _word, "cut": _cut, "head": _head, "hole": _hole, "zero": _zero,
    "splice": _splice, "again": _again, "join": _join,
}  # fmt: skip
