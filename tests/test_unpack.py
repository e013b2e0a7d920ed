"""Packed formats become planes of what the encoder takes; nothing stays clear, and no colour is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from anonfilter import cli

ZONE = "zone=x=16:y=8:w=48:h=32,fill"


def make(path: Path, pix_fmt: str, *codec: str) -> Path:
    source = f"testsrc2=s=160x120:r=10:d=0.5,format={pix_fmt}"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *codec, path], check=True)
    return path


def decoded(path: Path) -> tuple[str, list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = [(f.format.name, f.to_ndarray(format="rgb24").astype(int)) for f in container.decode(video=0)]
    return frames[0][0], [rgb for _, rgb in frames]


@pytest.mark.parametrize(
    ("name", "pix_fmt", "out", "options", "becomes", "tolerance"),
    [
        ("in.gif", "bgra", "out.mp4", ["-crf", "1"], "yuv444p", 4),
        # Made as yuva420p: FFmpeg's own decoder does not show the alpha.
        ("in.gif", "bgra", "out.webm", ["-crf", "1", "-b:v", "0", "-cpu-used", "8"], "yuv420p", 60),
        ("in.gif", "bgra", "out.mkv", ["-c:v", "ffv1"], "gbrap16le", 0),
        ("in.gif", "bgra", "%d.png", [], "rgba", 0),
        ("in.bmp", "bgr24", "out.png", [], "rgb24", 0),
        ("in.nut", "yuyv422", "out.mp4", ["-crf", "1"], "yuv422p", 4),
        ("in.nut", "bgr24", "out.mp4", ["-crf", "1"], "yuv444p", 4),
        ("in.nut", "uyvy422", "out.mkv", ["-c:v", "ffv1"], "yuv422p", 1),
    ],
)
def test_packed_samples(
    tmp_path: Path, name: str, pix_fmt: str, out: str, options: list[str], becomes: str, tolerance: int
) -> None:
    codec = {"nut": ["-c:v", "rawvideo"], "bmp": ["-frames:v", "1"], "gif": []}[name.partition(".")[2]]
    source = make(tmp_path / name, pix_fmt, *codec)
    assert cli.main(["-v", "error", "-i", str(source), "-vf", ZONE, *options, str(tmp_path / out)]) == 0
    _, before = decoded(source)
    if "%" in out:
        read = [decoded(tmp_path / out.replace("%d", str(n + 1))) for n in range(len(before))]
        form, after = read[0][0], [frames[0] for _, frames in read]
    else:
        form, after = decoded(tmp_path / out)
    assert form == becomes
    assert len(after) == len(before)
    for was, now in zip(before, after, strict=True):
        assert now[12:36, 20:60].max() < 24
        assert np.percentile(np.abs(was - now)[48:], 90) <= tolerance


def test_gif_to_gif(tmp_path: Path) -> None:
    """In the 256 colours that libavformat's GIFs have without a palette filter."""
    source, out = make(tmp_path / "in.gif", "bgra"), tmp_path / "out.gif"
    assert cli.main(["-v", "error", "-i", str(source), "-vf", ZONE, str(out)]) == 0
    _, before = decoded(source)
    _, after = decoded(out)
    for was, now in zip(before, after, strict=True):
        assert now[12:36, 20:60].max() < 40
        assert np.abs(was - now)[48:].mean() < 40
        assert (now[48:, :, 0] != now[48:, :, 2]).mean() > 0.2  # in colour


def test_the_user_s_own_choice_and_a_graph_that_touches_nothing(tmp_path: Path) -> None:
    source = make(tmp_path / "in.gif", "bgra")
    line = ["-v", "error", "-i", str(source), "-vf"]
    assert cli.main([*line, f"format=yuv420p,{ZONE}", str(tmp_path / "a.mp4")]) == 0
    assert decoded(tmp_path / "a.mp4")[0] == "yuv420p"
    assert cli.main([*line, "null", str(tmp_path / "same.gif")]) == 0
    assert all(np.array_equal(a, b) for a, b in zip(decoded(source)[1], decoded(tmp_path / "same.gif")[1], strict=True))
