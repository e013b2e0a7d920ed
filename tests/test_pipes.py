"""Pipes: the command between two ffmpeg programs, named FIFOs, and what cannot be done on a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ZONE = "zone=x=8:y=8:w=40:h=32,fill"
SIZE = (160, 120)
FFMPEG = ["ffmpeg", "-v", "error", "-y"]


def anonfilter(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "anonfilter", "-v", "error", *map(str, args)]


def piped(*commands: list[str], cwd: Path) -> tuple[list[int], str, bytes]:
    """Run commands one into the next. Exit statuses, all stderr, the last one's stdout."""
    running: list[subprocess.Popen[bytes]] = []
    with (cwd / "stderr").open("wb") as errors:
        for number, command in enumerate(commands):
            source = running[-1].stdout if running else subprocess.DEVNULL
            out = subprocess.PIPE
            running.append(subprocess.Popen(command, stdin=source, stdout=out, stderr=errors, cwd=cwd))
            if number and running[-2].stdout is not None:
                running[-2].stdout.close()  # so that it notices when its reader ends
        assert running[-1].stdout is not None
        got = running[-1].stdout.read()
        statuses = [item.wait(60) for item in running]
    return statuses, (cwd / "stderr").read_text(), got


@pytest.fixture(scope="module")
def source(clip: Any) -> Path:
    """25 frames with sound."""
    path: Path = clip("piped.mkv", size=SIZE, frames=25, audio=("eng",))
    return path


RAW = ["-f", "rawvideo", "-s", "160x120", "-pix_fmt", "yuv420p", "-r", "25"]


@pytest.mark.parametrize(
    ("before", "reading", "writing", "after"),
    [
        (["-c:v", "ffv1", "-c:a", "copy", "-f", "nut"], [], ["-c:v", "ffv1", "-f", "nut"], ["-f", "nut"]),
        (["-f", "yuv4mpegpipe"], [], ["-f", "yuv4mpegpipe"], ["-f", "yuv4mpegpipe"]),
        (["-f", "rawvideo"], RAW, ["-f", "rawvideo"], RAW),
        (["-c:v", "ffv1", "-c:a", "copy", "-f", "matroska"], [], ["-c:v", "ffv1", "-f", "matroska"], []),
        (["-c:v", "copy", "-c:a", "copy", "-f", "mpegts"], [], ["-c:v", "libx264", "-qp", "0", "-f", "mpegts"], []),
    ],
    ids=["nut", "yuv4mpegpipe", "rawvideo", "matroska", "mpegts"],
)
def test_between_two_ffmpegs(
    clips: Any,
    source: Path,
    tmp_path: Path,
    before: list[str],
    reading: list[str],
    writing: list[str],
    after: list[str],
) -> None:
    first = [*FFMPEG, "-i", str(source), "-fps_mode", "passthrough", *before, "-"]
    middle = anonfilter(*reading, "-i", "-", "-vf", ZONE, *writing, "-")
    last = [*FFMPEG, *after, "-i", "-", "-map", "0", "-c:v", "ffv1", "-c:a", "copy", "out.mkv"]
    statuses, said, _ = piped(first, middle, last, cwd=tmp_path)
    assert (statuses, said) == ([0, 0, 0], "")
    assert sorted(os.listdir(tmp_path)) == ["out.mkv", "stderr"]
    want, got = clips.pictures(source), clips.pictures(tmp_path / "out.mkv")
    assert len(got) == 25
    for a, b in zip(want, got, strict=True):
        assert (b[8:40, 8:48] == 16).all()
        outside = np.ones(a.shape, bool)
        outside[8:40, 8:48] = False
        assert (a == b)[outside].all()
    if "-c:a" in before:
        sound = [[packet[0] for packet in stream] for stream in clips.payload(source)]
        assert [[packet[0] for packet in stream] for stream in clips.payload(tmp_path / "out.mkv")] == sound


def uneven_pts(n: int) -> int:
    return n * n * 7


def test_times_survive_a_nut_pipe(clips: Any, clip: Any, tmp_path: Path) -> None:
    uneven = clip("uneven.mkv", frames=12, time_base=Fraction(1, 1000), pts=uneven_pts)
    first = [*FFMPEG, "-i", str(uneven), "-c:v", "ffv1", "-fps_mode", "passthrough"]
    first += ["-enc_time_base", "-1", "-f", "nut", "-"]
    middle = anonfilter("-i", "-", "-vf", ZONE, "-c:v", "ffv1", "out.mkv")
    statuses, said, _ = piped(first, middle, cwd=tmp_path)
    assert (statuses, said) == ([0, 0], "")
    assert clips.times(tmp_path / "out.mkv") == clips.times(uneven)


def test_named_pipes(clips: Any, source: Path, tmp_path: Path) -> None:
    for name in ("in", "out"):
        os.mkfifo(tmp_path / name)
    feeder = subprocess.Popen([*FFMPEG, "-i", str(source), "-c", "copy", "-f", "matroska", str(tmp_path / "in")])
    reader = subprocess.Popen([*FFMPEG, "-i", str(tmp_path / "out"), "-c", "copy", str(tmp_path / "out.mkv")])
    try:
        command = anonfilter("-i", tmp_path / "in", "-vf", ZONE, "-c:v", "ffv1", "-f", "nut", tmp_path / "out")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert (feeder.wait(30), reader.wait(30)) == (0, 0)
    finally:
        feeder.kill()
        reader.kill()
    assert len(clips.pictures(tmp_path / "out.mkv")) == 25
    assert sorted(os.listdir(tmp_path)) == ["in", "out", "out.mkv"]


def test_no_output_at_all(source: Path, tmp_path: Path) -> None:
    statuses, said, got = piped(anonfilter("-i", source, "-vf", ZONE, "-f", "null", "-"), cwd=tmp_path)
    assert (statuses, said, got, os.listdir(tmp_path)) == ([0], "", b"", ["stderr"])


def test_a_reader_that_goes_away(source: Path, tmp_path: Path) -> None:
    command = anonfilter("-i", source, "-vf", ZONE, "-c:v", "rawvideo", "-f", "nut", "-")
    statuses, said, got = piped(command, ["head", "-c", "100"], cwd=tmp_path)
    assert len(got) == 100
    assert statuses == [1, 0]
    assert said.count("\n") == 1
    assert "Broken pipe" in said


@pytest.mark.parametrize(
    ("graph", "options", "says"),
    [
        ("zone=x=0:y=0:w=9:h=9,track=global=1,fill", [], "'track' needs the whole clip"),
        (ZONE, ["-passes", "2"], "leave -passes out"),
        ("zone=x=0:y=0:w=9:h=9,track,fill", ["-ring_memory", "50000"], "-ring_memory"),
    ],
)
def test_two_passes_are_refused(source: Path, tmp_path: Path, graph: str, options: list[str], says: str) -> None:
    with source.open("rb") as stream:
        command = anonfilter(*options, "-i", "-", "-vf", graph, "out.mkv")
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert "can be read once: save it to a file" in done.stderr
    assert os.listdir(tmp_path) == []


def test_raw_video_of_no_size(tmp_path: Path) -> None:
    command = anonfilter("-f", "rawvideo", "-i", "-", "-vf", ZONE, "out.mkv")
    statuses, said, _ = piped(["head", "-c", "99999", "/dev/zero"], command, cwd=tmp_path)
    assert statuses[-1] == 1
    assert "raw video has no header: put -s WIDTHxHEIGHT" in said
    assert os.listdir(tmp_path) == ["stderr"]


def test_a_pipe_that_is_cut_short(clips: Any, clip: Any, tmp_path: Path) -> None:
    whole = clip("faststart.mp4", frames=60, muxer_options={"movflags": "faststart"}).read_bytes()
    command = anonfilter("-i", "-", "-vf", ZONE, "out.mkv")
    done = subprocess.run(command, input=whole[: len(whole) * 2 // 3], capture_output=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert b"-err_detect ignore_err" in done.stderr
    assert os.listdir(tmp_path) == []
