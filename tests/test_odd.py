"""The odd files of ../shared/data/odd, each through a whole run: what comes out is what went in, but for the zone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from anonfilter.errors import OutputError
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.run import run

pytestmark = pytest.mark.shared
ZONE = "zone=x=8:y=8:w=40:h=32,fill"
QUICK = {"preset": "ultrafast"}
SECONDS = 1.0
"""So much of each file is run; test_io.py counts the frames of whole files."""


@dataclass(frozen=True)
class Odd:
    """What is known of a file, from ffprobe, not from the code under test.

    size: coded. frames: in the first second by its own times. first: time of the first one. tags: space, range,
    primaries, trc as libavutil numbers them (2, 0, 2, 2 where the file says nothing).
    """

    size: tuple[int, int]
    pix_fmt: str
    frames: int
    first: Fraction = Fraction(0)
    rotation: int = 0
    tags: tuple[int, int, int, int] = (2, 0, 2, 2)
    sounds: int = 0
    subtitles: int = 0
    options: dict[str, Any] = field(default_factory=dict)


FILES: dict[str, Odd] = {
    "av1_video.mkv": Odd((640, 360), "yuv420p", 25, tags=(1, 1, 2, 2)),
    "bt709_full_range.mp4": Odd((1280, 720), "yuvj420p", 30, tags=(1, 2, 1, 1)),
    "delayed_start.mp4": Odd((480, 320), "yuv420p", 24, first=Fraction("1.075")),
    "discard_first_keyframe.mp4": Odd((64, 64), "yuv420p", 25),
    "h264_10bits.mp4": Odd((200, 200), "yuv420p10le", 30),
    "h265_10bits.mp4": Odd((200, 200), "yuv420p10le", 30, tags=(2, 1, 2, 2)),
    "nasa_13013.mp4": Odd((480, 270), "yuv420p", 30, tags=(1, 1, 1, 1), sounds=2, subtitles=2),
    "nasa_13013_hdr.mp4": Odd((320, 180), "yuv420p10le", 25, tags=(9, 1, 9, 16)),
    "nasa_13013_rotated.mp4": Odd((480, 270), "yuv420p", 17, rotation=270, tags=(1, 1, 1, 1)),
    "rotate-90.mp4": Odd((1280, 544), "yuv420p", 24, rotation=90, sounds=1),
    "test_non_zero_start.mp4": Odd((200, 112), "yuv420p", 12, first=Fraction("8.333008")),
    "testsrc2_hdr.mp4": Odd((320, 180), "yuv420p10le", 30, tags=(9, 1, 9, 16)),
    "testsrc2_mpeg4.avi": Odd((1280, 720), "yuv420p", 30),
    "testsrc2_odd_height_and_width_444.mp4": Odd((321, 241), "yuv444p", 25),
    "testsrc2_vp8.webm": Odd((1280, 720), "yuv420p", 30, tags=(5, 1, 2, 2)),  # VP8 knows no other
    "vfr.mp4": Odd((1280, 544), "yuv420p", 16),
}


@pytest.fixture(scope="module")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """made(name, ending) runs a file once and gives the output."""
    folder = tmp_path_factory.mktemp("odd")
    known: dict[str, Path] = {}

    def get(name: str, ending: str) -> Path:
        key = name + ending
        if key not in known:
            path = known[key] = folder / f"{Path(name).stem}{ending}"
            how = {"encoder_options": QUICK, **FILES[name].options}
            run(Job(str(shared / "odd" / name), str(path), ZONE, t=SECONDS, **how))
        return known[key]

    return get


def described(path: Path) -> Odd:
    reader = Reader(Job(str(path), "none"))
    try:
        info = reader.info
    finally:
        reader.close()
    times = shown(path)
    with av.open(str(path)) as file:
        sounds, subtitles = len(file.streams.audio), len(file.streams.subtitles)
    tags = (info.color_space, info.color_range, info.color_primaries, info.color_trc)
    return Odd((info.width, info.height), info.pix_fmt, len(times), times[0], info.rotation, tags, sounds, subtitles)


def shown(path: Path, limit: float | None = None) -> list[Fraction]:
    """Times of the pictures of the video that is worked on, up to `limit` seconds behind the first."""
    with av.open(str(path)) as file:
        video = max(file.streams.video, key=lambda s: (bool(s.disposition & av.stream.Disposition.default), s.width))
        times = []
        for frame in file.decode(video):
            times.append(frame.pts * Fraction(frame.time_base))
            if limit is not None and times[-1] - times[0] >= Fraction(limit):
                return times[:-1]
        return times


# Large ones in one container only, for the time it takes.
RUNS = [(name, end) for name, odd in FILES.items() for end in (".mp4", ".mkv") if end == ".mp4" or odd.size[0] < 1000]


@pytest.mark.parametrize(("name", "ending"), RUNS)
def test_size_format_rotation_tags_times(made: Any, shared: Path, name: str, ending: str) -> None:
    expected, output = FILES[name], described(made(name, ending))
    assert (output.size, output.pix_fmt, output.rotation) == (expected.size, expected.pix_fmt, expected.rotation)
    # Limited range is what YUV has where nothing is said, and H.264 in MP4 then says nothing.
    assert [tag or 1 for tag in output.tags] == [tag or 1 for tag in expected.tags]
    times = shown(made(name, ending))
    source = shown(shared / "odd" / name, SECONDS)
    tick = Fraction(1, 1000) if ending == ".mkv" else Fraction(0)
    assert len(times) == len(source) == expected.frames
    assert all(abs(a - b) <= tick / 2 for a, b in zip(times, source, strict=True))
    assert abs(times[0] - expected.first) <= max(tick / 2, Fraction(1, 10**6))


def payloads(path: Path, kind: str) -> list[list[tuple[Fraction, str]]]:
    """Of each stream of a kind: time and hash of every packet."""
    found: dict[int, list[tuple[Fraction, str]]] = {}
    with av.open(str(path)) as file:
        for stream in file.streams:
            if stream.type == kind:
                found[stream.index] = []
        for packet in file.demux():
            if packet.stream.index in found and packet.size:
                time = packet.pts * Fraction(packet.time_base)
                found[packet.stream.index].append((time, hashlib.sha256(bytes(packet)).hexdigest()))
    return list(found.values())


@pytest.mark.parametrize("name", [name for name, odd in FILES.items() if odd.sounds or odd.subtitles])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_sound_and_subtitles_bit_for_bit(made: Any, shared: Path, name: str, ending: str) -> None:
    output = made(name, ending)
    assert described(output).sounds == FILES[name].sounds
    assert described(output).subtitles == FILES[name].subtitles
    kinds = ["audio", "subtitle"] if ending == ".mp4" else ["audio"]  # Matroska's subtitles are converted
    for kind in kinds:
        for before, after in zip(payloads(shared / "odd" / name, kind), payloads(output, kind), strict=True):
            assert [sha for _, sha in after] == [sha for _, sha in before[: len(after)]]
            assert all(abs(a - b) <= Fraction(1, 1000) for (a, _), (b, _) in zip(after, before, strict=False))
            if kind == "audio":
                # 0.128 s is the longest packet.
                assert SECONDS - 0.13 < float(after[-1][0] - max(Fraction(0), before[0][0])) <= SECONDS


OTHERS = {
    "testsrc2_444_12bit_hevc.mp4": ("-c:v libx265", {"codec": "libx265", "encoder_options": QUICK}),
    "testsrc2_odd_height_and_width_vp9.mp4": ("-c:v libsvtav1", {"codec": "libsvtav1"}),
    "testsrc2_odd_height_and_width_vp9_10bit.mp4": ("-c:v libsvtav1", {"codec": "libsvtav1"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_x264_cannot_names_an_encoder_that_can(shared: Path, tmp_path: Path, name: str) -> None:
    words, how = OTHERS[name]
    with pytest.raises(OutputError, match=words) as caught:
        run(Job(str(shared / "odd" / name), str(tmp_path / "out.mp4"), ZONE))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    how = {"encoder_options": {"preset": "12"}, **how}
    run(Job(str(shared / "odd" / name), str(tmp_path / "out.mp4"), ZONE, t=0.3, **how))
    before, after = described(shared / "odd" / name), described(tmp_path / "out.mp4")
    assert (after.size, after.pix_fmt, after.tags) == (before.size, before.pix_fmt, before.tags)
    assert shown(tmp_path / "out.mp4") == shown(shared / "odd" / name, 0.3)


def test_every_file_is_here(shared: Path) -> None:
    assert {path.name for path in (shared / "odd").iterdir()} == set(FILES) | set(OTHERS)
