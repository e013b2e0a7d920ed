"""Damaged input: an error that names file and time, or with ignore_err all that decodes and a count of the rest. An
index that lies stops nothing."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from anonfilter.errors import InputError
from anonfilter.io import index
from anonfilter.io.reader import Reader
from anonfilter.job import Job, Report
from anonfilter.run import run

FFMPEG = shutil.which("ffmpeg")
CUES = bytes.fromhex("1c53bb6b")
ZONE = "zone=w=48:h=48,fill"
B_FRAMES = {"preset": "veryfast", "bf": "2", "b-adapt": "0", "g": "10"}


def noise(raw: bytearray, start: int, end: int) -> None:
    rng = random.Random(3)
    raw[start:end] = rng.randbytes(end - start)


def cue_positions(raw: bytearray) -> None:
    """Seeking by these cues ends behind the file."""
    at, rng = raw.rfind(CUES), random.Random(3)
    while (at := raw.find(b"\xf1", at + 1)) > 0:
        size = raw[at + 1] & 0x7F
        if size <= 4:
            raw[at + 2 : at + 2 + size] = rng.randbytes(size)


def zero_cues(raw: bytearray) -> None:
    at = raw.rfind(CUES)
    raw[at : at + 50] = bytes(50)


def box(raw: bytearray, name: bytes, skip: int) -> tuple[int, int]:
    """Place and end of an MP4 box's payload, without its first `skip` bytes."""
    at = raw.find(name)
    assert at > 0
    return at + 4 + skip, at - 4 + struct.unpack(">I", raw[at - 4 : at])[0]


def sync_samples(raw: bytearray) -> None:
    start, end = box(raw, b"stss", 8)
    rng = random.Random(3)
    raw[start:end] = b"".join(struct.pack(">I", rng.randrange(1, 120)) for _ in range((end - start) // 4))


def composition_times(raw: bytearray) -> None:
    noise(raw, *box(raw, b"ctts", 12))


def large_composition_times(raw: bytearray) -> None:
    start, end = box(raw, b"ctts", 8)
    rng = random.Random(3)
    for at in range(start, end, 8):
        raw[at + 4 : at + 8] = struct.pack(">I", rng.randrange(1 << 24))


def blank(raw: bytearray, name: bytes, skip: int) -> None:
    start, end = box(raw, name, skip)
    raw[start:end] = bytes(end - start)


def unnamed(raw: bytearray, name: bytes) -> None:
    start, _ = box(raw, name, -4)
    raw[start : start + 4] = b"XXXX"


def idx1(raw: bytearray) -> int:
    return raw.rfind(b"idx1")


INDEXES: dict[str, tuple[str, dict[str, Any], Callable[[bytearray], None]]] = {
    "cues are zeros": ("a.mkv", {"options": {"g": "10"}}, zero_cues),
    "cues lead nowhere": ("a.mkv", {"options": {"g": "10"}}, cue_positions),
    "cues are noise": ("a.mkv", {"options": {"g": "10"}}, lambda r: noise(r, r.rfind(CUES) + 5, r.rfind(CUES) + 60)),
    "idx1 is noise": ("a.avi", {"codec": "mpeg4"}, lambda r: noise(r, idx1(r) + 8, idx1(r) + 808)),
    "idx1 has no size": ("a.avi", {"codec": "mpeg4"}, lambda r: noise(r, idx1(r) + 4, idx1(r) + 8)),
    "idx1 is zeros": ("a.avi", {"codec": "mpeg4"}, lambda r: r.__setitem__(slice(idx1(r), idx1(r) + 600), bytes(600))),
    "idx1 is gone": ("a.avi", {"codec": "mpeg4"}, lambda r: r.__delitem__(slice(idx1(r), len(r)))),
    "stss": ("a.mp4", {"options": B_FRAMES}, sync_samples),
    "ctts": ("a.mp4", {"options": B_FRAMES}, composition_times),
    "ctts of hours": ("a.mp4", {"options": B_FRAMES}, large_composition_times),
    "elst": ("a.mp4", {"options": B_FRAMES}, lambda r: noise(r, *box(r, b"elst", 4))),
    "elst of nothing": ("a.mp4", {"options": B_FRAMES}, lambda r: blank(r, b"elst", 8)),
    "stts": ("a.mp4", {"options": B_FRAMES}, lambda r: noise(r, *box(r, b"stts", 8))),
    "mdhd": ("a.mp4", {"options": B_FRAMES}, lambda r: blank(r, b"mdhd", 4)),
    "no mdhd": ("a.mp4", {"options": B_FRAMES}, lambda r: unnamed(r, b"mdhd")),
}
_WRONG_TIMES = ("ctts", "stts", "mdhd", "no mdhd")


def make(clips: Any, tmp_path: Path, name: str) -> Path:
    file, how, damage = INDEXES[name]
    path: Path = clips.make(tmp_path / file, frames=100, **how)
    raw = bytearray(path.read_bytes())
    damage(raw)
    path.write_bytes(raw)
    return path


def convert(path: Path, **more: Any) -> Report:
    return run(Job(str(path), f"{path}.out.mkv", ZONE, encoder_options={"preset": "ultrafast"}, **more))


@pytest.mark.parametrize("name", INDEXES)
def test_a_damaged_index_stops_nothing(clips: Any, tmp_path: Path, name: str) -> None:
    path = make(clips, tmp_path, name)
    assert convert(path).frames == 100
    assert len(clips.pictures(f"{path}.out.mkv")) == 100


@pytest.mark.parametrize("name", [name for name in INDEXES if not name.startswith(_WRONG_TIMES)])
def test_seeking_by_a_damaged_index_loses_no_frame(clips: Any, tmp_path: Path, name: str) -> None:
    path = make(clips, tmp_path, name)
    assert convert(path, ss=2.0).frames == 50


def test_a_sound_index_is_used(clips: Any, tmp_path: Path) -> None:
    for name, how in (("a.avi", {"codec": "mpeg4"}), ("a.mp4", {"options": B_FRAMES}), ("a.mkv", {})):
        path = clips.make(tmp_path / name, frames=30, audio=("eng",), **how)
        assert index.avi(str(path)) is index.SOUND
        reader = Reader(Job(str(path), "x.mkv", ss=0.5))
        assert reader.notes == []
        assert not reader._front
        reader.close()


TABLES: dict[str, Callable[[bytearray], None]] = {
    "no stts": lambda raw: unnamed(raw, b"stts"),
    "stsz": lambda raw: noise(raw, *box(raw, b"stsz", 12)),
    "no stsz": lambda raw: unnamed(raw, b"stsz"),
    "stsc": lambda raw: noise(raw, *box(raw, b"stsc", 8)),
    "no stsc": lambda raw: unnamed(raw, b"stsc"),
    "no stco": lambda raw: unnamed(raw, b"stco"),
    "stsd": lambda raw: noise(raw, *box(raw, b"stsd", 8)),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_an_mp4_cannot_be_read_without(clips: Any, tmp_path: Path, name: str) -> None:
    """They alone tell where a picture begins, so there is no reading from front to back."""
    path = clips.make(tmp_path / "a.mp4", frames=50, options=B_FRAMES)
    raw = bytearray(path.read_bytes())
    TABLES[name](raw)
    path.write_bytes(raw)
    for ignore in (False, True):
        with pytest.raises(InputError, match=r"a\.mp4: .*cannot be read without its index \(moov\), which is damaged"):
            convert(path, ignore_errors=ignore)
    assert not list(tmp_path.glob("*.out*"))


def test_an_mp4_without_moov_says_so(clips: Any, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mp4", frames=50)
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.find(b"moov") - 4])
    with pytest.raises(InputError, match=r"cut short before its index \(moov atom not found\)"):
        convert(path, ignore_errors=True)


def test_nothing_that_decodes_is_lost_at_the_end_of_a_cut_mp4(clips: Any, tmp_path: Path) -> None:
    """The packet that is cut is the last one, and pictures of packets before it come out behind it."""
    how = {"options": {"preset": "veryfast", "bf": "2", "b-adapt": "0"}, "muxer_options": {"movflags": "faststart"}}
    path = clips.make(tmp_path / "a.mp4", frames=60, **how)
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(video=0) if p.size]
        last = packets[40]
    path.write_bytes(path.read_bytes()[: last.pos + last.size // 2])
    with pytest.raises(InputError, match=r"cut short.*ignore_err"):
        convert(path)
    report = convert(path, ignore_errors=True)
    assert report.frames + report.undecodable == 41
    assert report.undecodable == 1
    assert report.absent == 60 - 41


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "prores_ks"])
def test_a_picture_with_flipped_bytes_is_an_error_by_default(clips: Any, tmp_path: Path, codec: str) -> None:
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = clips.make(tmp_path / "a.mkv", frames=30, size=(320, 240), codec=codec, pix_fmt=pix_fmt)
    with av.open(str(path)) as file:
        packet = [p for p in file.demux(video=0) if p.size][20]
        raw, data = bytearray(path.read_bytes()), bytes(packet)
    at = raw.find(data)
    for i in range(at + len(data) // 3, at + len(data) - 8, 7):
        raw[i] ^= 0x5A
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.mkv: the picture at 0\.\d+ s is damaged, .*-err_detect ignore_err"):
        convert(path)
    assert not list(tmp_path.glob("*.out*"))
    report = convert(path, ignore_errors=True)
    assert report.frames == 30
    assert report.corrupt >= 1


def overwritten(clips: Any, path: Path, number: int, **how: Any) -> None:
    """A clip of 40 pictures of whose packet of that number nothing can be decoded."""
    clips.make(path, frames=40, **how)
    with av.open(str(path)) as file:
        data = [bytes(p) for p in file.demux(video=0) if p.size][number]
    raw = bytearray(path.read_bytes())
    at = raw.rfind(data)
    raw[at + 6 : at + len(data)] = bytes(255 * (i % 2) for i in range(len(data) - 6))
    path.write_bytes(raw)


X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=2:keyint=10"}
SILENT: dict[str, tuple[int, dict[str, Any]]] = {
    "h264 at the end": (39, {"options": {"preset": "veryfast", "bf": "2", "b-adapt": "0"}}),
    "ffv1 at the end": (39, {"codec": "ffv1"}),
    "hevc": (24, {"codec": "libx265", "options": X265}),
    "hevc at the end": (39, {"codec": "libx265", "options": X265}),
}


@pytest.mark.parametrize("name", SILENT)
def test_no_picture_is_lost_without_a_word(clips: Any, tmp_path: Path, name: str) -> None:
    """HEVC's decoder leaves pictures out, and PyAV what stands behind an error at the end: no exception says so."""
    number, how = SILENT[name]
    path = tmp_path / "a.mkv"
    overwritten(clips, path, number, **how)
    with pytest.raises(InputError, match=r"a\.mkv: \d+ pictures? cannot be decoded, the first at .*ignore_err"):
        convert(path)
    assert not list(tmp_path.glob("*.out*"))
    report = convert(path, ignore_errors=True)
    assert report.frames < 40
    assert report.frames + report.undecodable == 40
    Path(f"{path}.out.mkv").unlink()
    assert convert(path, t=0.4).frames == 10  # what is asked for is whole


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg to make the clip with")
def test_packets_that_are_no_pictures_are_not_lost(tmp_path: Path) -> None:
    """VP8's alternative references are packets that nobody sees."""
    path = tmp_path / "a.webm"
    for number, out in ((1, ["-f", "null", "-"]), (2, [str(path)])):
        coder = ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "300k", "-pass", str(number)]
        source = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=4"]
        subprocess.run([str(FFMPEG), "-v", "error", *source, *coder, *out], check=True, cwd=tmp_path)
    with av.open(str(path)) as file:
        assert sum(bool(p.size) for p in file.demux(video=0)) > 100
    report = convert(path)
    assert (report.frames, report.notes) == (100, [])


def test_the_report_says_that_the_index_was_damaged(clips: Any, tmp_path: Path) -> None:
    assert convert(make(clips, tmp_path, "idx1 is noise")).notes == [
        "the index is damaged: the file was read from front to back"
    ]


def test_what_is_not_there_is_counted(clips: Any, tmp_path: Path) -> None:
    """Four seconds of which the last are cut off."""
    path = clips.make(tmp_path / "a.mkv", frames=100, options={"g": "10"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match=r"a\.mkv: .*(cut short|damaged).*ignore_err"):
        convert(path)
    assert not list(tmp_path.glob("*.out*"))
    report = convert(path, ignore_errors=True)
    assert report.missing == pytest.approx(4 - report.frames / 25, abs=0.1)
    assert report.missing > 1


def test_what_does_not_decode_is_counted(clips: Any, tmp_path: Path) -> None:
    """Pictures overwritten: packets that cannot be decoded, or frames that the decoder calls corrupt."""
    path = clips.make(tmp_path / "a.avi", frames=100, size=(320, 240), codec="mpeg4", options={"g": "1000"})
    raw = bytearray(path.read_bytes())
    at = raw.find(b"00dc", len(raw) // 2)
    raw[at + 8 : at + 40] = bytes(32)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.avi: cannot decode the video at 1\.\d+ s"):
        convert(path)
    report = convert(path, ignore_errors=True)
    assert report.undecodable == 1
    assert report.frames == 99
    assert (report.missing, report.damaged) == (0, 0)


def test_places_of_damage_are_counted(clips: Any, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=100, options={"g": "5"})
    raw = bytearray(path.read_bytes())
    noise(raw, len(raw) // 2, len(raw) // 2 + 3000)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.mkv: .* at [12]\.\d+ s: .*ignore_err"):
        convert(path)
    report = convert(path, ignore_errors=True)
    assert report.damaged + report.undecodable > 0
    assert 60 < report.frames < 100


def test_a_damaged_index_beside_damaged_pictures_is_an_error(clips: Any, tmp_path: Path) -> None:
    """What stands behind the last packet may be damaged only where every frame has come."""
    path = clips.make(tmp_path / "a.mkv", frames=100, options={"g": "10"})
    raw = bytearray(path.read_bytes())
    del raw[len(raw) * 9 // 10 :]
    raw += bytes(64)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="ignore_err"):
        convert(path)
