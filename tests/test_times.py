"""Times through the command, picture by picture: variable rate, repeated and backward pts, into every container."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from anonfilter import cli

Maker = Callable[[Path, tuple[int, ...], Any], Path]
MILLI = Fraction(1, 1000)
ZONE = "zone=w=48:h=48,fill"
UNEVEN = (0, 47, 94, 120, 167, 214, 300, 301, 340, 700, 733, 1766)
TICKS = {
    "variable": UNEVEN,
    "late": tuple(8300 + t for t in UNEVEN),
    "repeated": (0, 40, 40, 40, 160, 200, 240, 240, 320, 360, 400, 440),
    "backward": (0, 40, 80, 60, 160, 200, 120, 280, 320, 360, 350, 440),
}
"""Milliseconds of each picture, in the order of the file."""


def uneven(path: Path, ticks: tuple[int, ...], clips: Any) -> Path:
    """A Matroska file whose pictures have these times, which rise."""
    return clips.make(path, frames=len(ticks), time_base=MILLI, pts=lambda n: ticks[n], options={"bf": "0"})


def matroska(path: Path, ticks: tuple[int, ...], clips: Any) -> Path:
    """The same for any times: they are written over those in its blocks, which no muxer would write."""
    clips.make(path, frames=len(ticks), codec="mjpeg", pix_fmt="yuvj420p", time_base=MILLI, pts=lambda n: 40 * n)
    raw = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        pictures = [bytes(p) for p in file.demux(video=0) if p.size]
    for n, (picture, tick) in enumerate(zip(pictures, ticks, strict=True)):
        at = raw.find(picture)  # behind the track's number, the time since the cluster's and a byte of flags
        (since,) = struct.unpack(">h", raw[at - 3 : at - 1])
        raw[at - 3 : at - 1] = struct.pack(">h", since + tick - 40 * n)
    path.write_bytes(raw)
    return path


def transport(path: Path, ticks: tuple[int, ...], clips: Any) -> Path:
    """A transport stream with any times, in ticks of 1/90000 s from 1 s on, written over those of its PES packets."""
    clips.make(path, frames=len(ticks), options={"bf": "0"})
    raw, n = bytearray(path.read_bytes()), 0
    for at in range(0, len(raw), 188):
        if raw[at + 1] & 0x40 and (raw[at + 1] & 0x1F) << 8 | raw[at + 2] == 0x100:
            head = raw.index(b"\0\0\1\xe0", at)
            assert raw[head + 7] >> 6 == 2  # a pts and no dts
            pts = 90000 + 90 * ticks[n]
            raw[head + 9 : head + 14] = bytes(
                [0x21 | pts >> 29 & 0xE, pts >> 22 & 0xFF, 1 | pts >> 14 & 0xFE, pts >> 7 & 0xFF, 1 | pts << 1 & 0xFE]
            )
            n += 1
    assert n == len(ticks)
    path.write_bytes(raw)
    return path


def command(capfd: pytest.CaptureFixture[str], *args: Any) -> str:
    capfd.readouterr()
    assert cli.main(["-hide_banner", "-nostats", *map(str, args)]) == 0, capfd.readouterr().err
    return capfd.readouterr().err


def forward(times: list[Fraction], tick: Fraction) -> list[Fraction]:
    """No encoder takes a time twice or backwards: such a picture comes one tick after the one before."""
    out: list[Fraction] = []
    for time in times:
        out.append(time if not out or time > out[-1] else out[-1] + tick)
    return out


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".mov", ".ts", ".m2ts"])
@pytest.mark.parametrize("name", ["variable", "late"])
def test_variable_rate(clips: Any, tmp_path: Path, capfd: Any, name: str, ending: str) -> None:
    source, out = uneven(tmp_path / "in.mkv", TICKS[name], clips), tmp_path / f"out{ending}"
    want = [t * MILLI for t in TICKS[name]]
    assert clips.times(source) == want
    said = command(capfd, "-i", source, "-vf", ZONE, "-preset", "ultrafast", out)
    assert "moved" not in said
    times = clips.times(out)
    if name == "variable" and ending in (".ts", ".m2ts"):  # no time before 0: its muxer moves all streams alike
        times = [t - times[0] for t in times]
    assert times == want


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("make", [matroska, transport])
@pytest.mark.parametrize("name", ["repeated", "backward"])
def test_repeated_and_backward_times(
    clips: Any, tmp_path: Path, capfd: Any, name: str, make: Maker, ending: str
) -> None:
    source = make(tmp_path / ("in.mkv" if make is matroska else "in.ts"), TICKS[name], clips)
    given = clips.times(source)
    start = 0 if make is matroska else 1
    assert given == [start + t * MILLI for t in TICKS[name]]
    out = tmp_path / f"out{ending}"
    said = command(capfd, "-i", source, "-vf", ZONE, "-pix_fmt", "yuv420p", "-preset", "ultrafast", out)
    want = forward(given, MILLI if make is matroska else Fraction(1, 90000))
    moved = sum(a != b for a, b in zip(given, want, strict=True))
    assert moved >= 3
    assert f"{moved} frames whose time repeats or runs back" in said
    times = clips.times(out)
    if ending == ".ts" and not start:
        times = [t - times[0] for t in times]
    assert len(times) == len(want)
    assert all(abs(a - b) <= (MILLI / 2 if ending == ".mkv" else 0) for a, b in zip(times, want, strict=True))
