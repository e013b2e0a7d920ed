"""Transport streams that are cut short, and those that only look so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from anonfilter.errors import InputError
from anonfilter.io import transport
from anonfilter.job import Job, Report
from anonfilter.run import run

FFMPEG = shutil.which("ffmpeg")
ZONE = "zone=w=48:h=48,fill"
VIDEO, AUDIO = 0x100, 0x101  # PIDs of libavformat's muxer


def convert(path: Path, **more: Any) -> Report:
    return run(Job(str(path), f"{path}.out.mkv", ZONE, encoder_options={"preset": "ultrafast"}, **more))


@pytest.fixture(scope="module")
def whole(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    options = {"g": "15", "x264-params": "scenecut=0"}
    path = clips.make(tmp_path_factory.mktemp("ts") / "a.ts", frames=60, audio=("eng",), options=options)
    return Path(path).read_bytes()


def boundary(data: bytes, pid: int, inside: bool) -> int:
    """Place of a packet in the second half that begins a PES packet of that PID, or that goes on with one."""
    for at in range(len(data) // 376 * 188, len(data), 188):
        if (data[at + 1] & 0x1F) << 8 | data[at + 2] == pid and bool(data[at + 1] & 0x40) is not inside:
            return at
    raise AssertionError("no such packet")


def m2ts(data: bytes) -> bytes:
    return b"".join(bytes(4) + data[at : at + 188] for at in range(0, len(data), 188))


def padded(data: bytes) -> bytes:
    return b"".join(data[at : at + 188] + bytes(16) for at in range(0, len(data), 188))


@pytest.mark.parametrize("how", ["188", "192", "204"])
@pytest.mark.parametrize("left", [1, 7, 100, 187])
def test_a_cut_inside_of_a_packet_is_seen(whole: bytes, tmp_path: Path, how: str, left: int) -> None:
    data, stride, lead = {"188": (whole, 188, 0), "192": (m2ts(whole), 192, 4), "204": (padded(whole), 204, 0)}[how]
    path = tmp_path / "a.ts"
    path.write_bytes(data)
    assert transport.cut(str(path), (VIDEO, AUDIO)) == ""
    path.write_bytes(data[: len(data) // stride // 2 * stride + lead + left])
    assert transport.cut(str(path), ()) == f"its last packet has {lead + left} of {stride} bytes"


def test_a_pes_packet_that_states_its_length_tells(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    at = boundary(whole, AUDIO, inside=True)
    path.write_bytes(whole[:at])
    assert f"of stream 0x{AUDIO:x} is " in transport.cut(str(path), (VIDEO, AUDIO))
    assert transport.cut(str(path), (VIDEO,)) == ""


@pytest.mark.parametrize("behind", [b"", bytes(1000), b"\xff" * 100, b"TAG" + bytes(125)])
def test_what_may_stand_behind_the_last_packet(whole: bytes, tmp_path: Path, behind: bytes) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(whole + behind)
    assert transport.cut(str(path), (VIDEO, AUDIO)) == ""


def test_no_transport_stream_is_not_cut(clip: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for data in (b"", b"\x47" * 100, bytes(5000), Path(clip("plain.mp4")).read_bytes()):
        path.write_bytes(data)
        assert transport.cut(str(path), (VIDEO,)) == ""


def test_a_cut_stream_is_an_error_by_default(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(whole[: len(whole) // 2 // 188 * 188 + 100])
    with pytest.raises(InputError, match=r"a\.ts: the transport stream is cut short: .*-err_detect ignore_err"):
        convert(path)
    assert not list(tmp_path.glob("*.out*"))
    report = convert(path, ignore_errors=True)
    assert any("transport stream is cut short" in line for line in report.notes)
    assert 20 < report.frames < 60
    # Who does not read to the end does not meet it.
    Path(f"{path}.out.mkv").unlink()
    assert convert(path, t=0.4).frames == 10


def test_a_capture_that_ends_amid_a_piece_of_sound_passes(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(whole[: boundary(whole, AUDIO, inside=True)])
    assert 20 < convert(path).frames < 60


def test_healthy_streams_pass(whole: bytes, tmp_path: Path) -> None:
    """A recording that begins anywhere and ends where a picture and a piece of sound end, M2TS, padding at the end."""
    middle = len(whole) // 3 // 188 * 188
    cases = {"begin.ts": whole[middle:], "a.m2ts": m2ts(whole), "padded.ts": whole + bytes(188)}
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        report = convert(path)
        assert report.frames == (60 if name != "begin.ts" else 30), name
        assert report.corrupt == 0


@pytest.mark.parametrize("how", ["begin", "seek"])
@pytest.mark.parametrize("kind", ["open-gop", "intra-refresh", "hevc", "mpeg2"])
def test_pictures_that_lack_a_reference_at_the_start_end_no_run(tmp_path: Path, kind: str, how: str) -> None:
    """Leading pictures of an open GOP, and starts at a recovery point: nothing of the file is damaged."""
    if FFMPEG is None:
        pytest.skip("no ffmpeg program to make the clips with")
    encoder = {
        "open-gop": ["libx264", "-preset", "veryfast", "-g", "10", "-bf", "2", "-x264-params", "open-gop=1:scenecut=0"],
        "intra-refresh": ["libx264", "-preset", "veryfast", "-g", "10", "-x264-params", "intra-refresh=1:bframes=0"],
        "hevc": ["libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=10:open-gop=1:bframes=2"],
        "mpeg2": ["mpeg2video", "-g", "10", "-bf", "2"],
    }[kind]
    path = tmp_path / "a.ts"
    source = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2.4"]
    subprocess.run([FFMPEG, "-v", "error", *source, "-c:v", *encoder, path], check=True)
    data = path.read_bytes()
    if how == "begin":
        path.write_bytes(data[len(data) // 3 // 188 * 188 :])
    report = convert(path, **({"ss": 1.1} if how == "seek" else {}))
    assert 20 < report.frames < 50
    assert report.corrupt == 0


def test_two_recordings_in_one_file_are_not_damaged(clips: Any, tmp_path: Path) -> None:
    """Counters jump where the second begins: libavformat marks the picture before, which is whole."""
    path = clips.make(tmp_path / "a.ts", frames=30)
    path.write_bytes(path.read_bytes() * 2)
    report = convert(path)
    assert report.frames == 60
    assert "1 packets were marked damaged by the demuxer" in report.notes
