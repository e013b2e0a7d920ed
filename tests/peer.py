"""What the tests against the real ffmpeg share: running both programs, and what their outputs show."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from fractions import Fraction
from pathlib import Path

import av

from anonfilter import cli

LOSSLESS = ("-c:v", "ffv1")
EXACT = "-enc_time_base -1"  # the real ffmpeg rounds times to the frame rate without it
STEADY = "-fps_mode cfr"  # what -r means since ffmpeg 6


def peer(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the real ffmpeg."""
    command = ["ffmpeg", "-nostdin", "-hide_banner", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def made(*args: str) -> None:
    done = peer("-v", "error", "-y", *args)
    assert done.returncode == 0, done.stderr


def both(source: str, before: str, after: str, extra: str, folder: Path, ending: str = "mkv") -> tuple[Path, Path]:
    """Run both programs. extra: output options for the real one alone."""
    theirs, ours = folder / f"theirs.{ending}", folder / f"ours.{ending}"
    copied = ("-c:a", "copy", "-c:s", "copy")
    how = [*shlex.split(before), "-i", source, "-vf", "null", *LOSSLESS, *copied, *shlex.split(after)]
    made(*how, *shlex.split(extra), str(theirs))
    assert cli.main(["-v", "error", "-y", *how, str(ours)]) == 0
    return theirs, ours


def shown(path: Path) -> list[tuple[float, str]]:
    """Time and content of each picture."""
    with av.open(str(path)) as source:
        frames = source.decode(video=0)
        return [(float(f.pts * f.time_base), hashlib.md5(f.to_ndarray().tobytes()).hexdigest()) for f in frames]


def sounds(path: Path) -> list[list[tuple[float, str]]]:
    """Time and content of each packet of each sound."""
    with av.open(str(path)) as source:
        found: dict[int, list[tuple[float, str]]] = {s.index: [] for s in source.streams.audio}
        for packet in source.demux(audio=list(range(len(found)))) if found else ():
            if packet.size:
                at = float((packet.pts or 0) * Fraction(packet.time_base))
                found[packet.stream.index].append((at, hashlib.md5(bytes(packet)).hexdigest()))
        return list(found.values())
