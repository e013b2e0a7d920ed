"""Live mode and streams that break off. A frame is shown analysed, or covered wholly, or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anonfilter import api
from anonfilter import filter as registry
from anonfilter.errors import AnonfilterError, InputError, PlanError
from anonfilter.filter import Sampler
from anonfilter.options import Option
from anonfilter.records import FrameRecord, Region

RATE = 25
BOX = np.s_[12:40, 12:44]


class Slow(Sampler):
    """A detector that finds one box and takes its time."""

    name = "slow"
    help = "test detector"
    options = (Option("ms", "int", 0, ""), Option("fail", "int", -1, ""))

    def look(self, record: FrameRecord) -> None:
        assert self.env.ring is not None
        before = self.env.ring[record.n].planes()[0].copy()
        time.sleep(self.opts["ms"] / 1000)
        # Nobody writes into a frame while it is looked at.
        assert (self.env.ring[record.n].planes()[0] == before).all()
        if record.n == self.opts["fail"]:
            raise ValueError("the net fell over")
        record.ran = ("slow",)
        record.regions.append(Region((8.0, 8.0, 48.0, 44.0), "face", 0.9))

    def models(self) -> tuple[str, ...]:
        return ("slow",)


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    registry.register(Slow)
    yield
    registry.unregister(Slow)


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended with the block."""
    made = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        yield made
    finally:
        made.kill()
        made.wait()


@contextmanager
def camera(path: Path, seconds: float) -> Iterator[Path]:
    """A FIFO that gives a bright moving picture in real time."""
    os.mkfifo(path)
    source = f"testsrc2=s=160x120:r={RATE}:d={seconds},lutyuv=y=val/2+100"
    with running("ffmpeg", "-v", "error", "-y", "-re", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-c:v",
                 "rawvideo", "-f", "nut", path):  # fmt: skip
        yield path


def live(source: Path, out: Path, graph: str, bound: float, **more: Any) -> api.Report:
    report = api.run(source, out, graph, codec="ffv1", live=bound, input_format="nut", **more)
    assert not [name for name in os.listdir(out.parent) if name.endswith(".part")]
    return report


def sorted_out(clips: Any, path: Path) -> tuple[int, int, int]:
    """How many frames are wholly black, have the box covered alone, and are clear."""
    black = box = clear = 0
    for luma in clips.pictures(path):
        if (luma == 16).all():
            black += 1
        elif (luma[BOX] == 16).all():
            assert luma[60:].min() > 90
            box += 1
        else:
            clear += 1
    return black, box, clear


@pytest.mark.parametrize(("ms", "bound"), [(0, 1.0), (400, 0.15), (90, 0.4)])
def test_no_frame_is_shown_that_was_not_analysed(clips: Any, tmp_path: Path, ms: int, bound: float) -> None:
    with camera(tmp_path / "in", 1.6) as source:
        report = live(source, tmp_path / "out.mkv", f"slow=ms={ms},fill", bound)
    black, box, clear = sorted_out(clips, tmp_path / "out.mkv")
    assert clear == 0
    assert report.covered_whole == black
    assert report.covered_frames == box
    assert report.frames == black + box
    assert report.frames + report.left_out == round(1.6 * RATE)
    if ms == 0:
        assert box > 20
    elif ms == 400:
        # One after the other they would have taken 16 s.
        assert (box, report.latency < 5) == (0, True)
        assert black > 10
    else:
        assert box > 2
        assert black > 2


def test_a_file_is_read_as_a_camera_would_send_it(clips: Any, clip: Any, tmp_path: Path) -> None:
    """Nothing is left out for want of room, and the run takes the file's own time."""
    said: list[str] = []
    source = clip("file.mkv", frames=30, codec="ffv1")  # 1.2 s, decoded in a few ms
    begun = time.monotonic()
    report = api.run(source, tmp_path / "out.mkv", "slow,fill", codec="ffv1", live=1.0,
                     log=lambda level, line: said.append(line))  # fmt: skip
    assert time.monotonic() - begun >= 29 / RATE
    assert (report.frames, report.left_out, report.covered_whole) == (30, 0, 0)
    assert any("is read in real time" in line for line in said)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "ffv1", "mjpeg"])
def test_the_encoder_holds_no_frame_back(
    clip: Any, tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame's packet is there when it was encoded: drawing and encoding have a quarter of the bound."""
    from anonfilter.io import writer

    packets, held = 0, []
    quantizer, write = writer._quantizer, writer.Writer.write

    def counted(packet: Any) -> float:
        nonlocal packets
        packets += 1
        return quantizer(packet)

    def watched(self: writer.Writer, frame: Any, *more: Any) -> bool:
        took = write(self, frame, *more)
        held.append(self.frames - packets)
        return took

    monkeypatch.setattr(writer, "_quantizer", counted)
    monkeypatch.setattr(writer.Writer, "write", watched)
    source = clip("file.mkv", frames=30, codec="ffv1")
    pix_fmt = "yuvj420p" if codec == "mjpeg" else None
    api.run(source, tmp_path / "out.mkv", "slow,fill", codec=codec, live=1.0, t=0.5, threads=4, pix_fmt=pix_fmt)
    assert len(held) > 5
    assert set(held) == {0}


def test_numbered_pictures_are_read_so_too(clip: Any, tmp_path: Path) -> None:
    for n in range(10):
        api.run(clip("file.mkv", frames=30, codec="ffv1"), tmp_path / f"{n}.png", "slow,fill", frames=1)
    begun = time.monotonic()
    report = api.run(tmp_path / "%d.png", tmp_path / "out.mkv", "slow,fill", codec="ffv1", live=1.0,
                     input_options={"framerate": "10"})  # fmt: skip
    assert time.monotonic() - begun >= 0.9
    assert (report.frames, report.left_out) == (10, 0)


def test_a_detector_that_fails_ends_the_run(tmp_path: Path) -> None:
    with camera(tmp_path / "in", 1) as source, pytest.raises(PlanError, match="the net fell over"):
        live(source, tmp_path / "out.mkv", "slow=fail=5,fill", 1.0)
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize(
    ("graph", "more", "says"),
    [
        ("slow,track,interp,fill", {}, r"looks \d+ frames \(\d+ ms\) ahead \(.*interp \d+"),
        ("slow,write=x.jsonl,fill", {}, "'write': a record file speaks of every frame"),
        ("slow,track=global=1,fill", {}, "can be read once"),
        ("slow,fill", {"passes": 2}, "leave -passes out"),
    ],
)
def test_graphs_that_cannot_be_live(tmp_path: Path, graph: str, more: Any, says: str) -> None:
    with camera(tmp_path / "in", 1) as source, pytest.raises(AnonfilterError, match=says):
        live(source, tmp_path / "out.mkv", graph, 0.2, **more)
    assert os.listdir(tmp_path) == ["in"]


def test_the_signal_that_ends_a_camera(clips: Any, tmp_path: Path) -> None:
    with camera(tmp_path / "in", 60) as source:
        command = ["-f", "nut", "-live", "500ms", "-i", source, "-vf", "zone=x=8:y=8:w=40:h=36,fill"]
        words = [sys.executable, "-m", "anonfilter", *command, "-c:v", "ffv1", tmp_path / "out.mkv"]
        run = subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE)
        end = time.monotonic() + 30
        while not (tmp_path / "out.mkv.part").exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1.5)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
    assert run.returncode == 255, said
    assert b"Traceback" not in said
    black, box, clear = sorted_out(clips, tmp_path / "out.mkv")
    assert clear == 0
    assert black + box > 5


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_stream_that_breaks_off_is_opened_again(clips: Any, clip: Any, tmp_path: Path) -> None:
    source, port = clip("stream.ts", frames=20, options={"g": "5", "bf": "0"}), free_port()
    serve = f"ffmpeg -v error -re -i {source} -c copy -f mpegts tcp://127.0.0.1:{port}?listen=1"
    said: list[str] = []
    with running("sh", "-c", f"for i in 1 2 3 4 5 6; do {serve}; done"):
        report = api.run(
            f"tcp://127.0.0.1:{port}", tmp_path / "out.mkv", "zone=x=8:y=8:w=40:h=36,fill", codec="ffv1", t=3,
            log=lambda level, line: said.append(line),
            input_options={"reconnect": "1", "reconnect_delay_max": "0.5", "reconnect_max_retries": "20"},
        )  # fmt: skip
    assert report.reconnects >= 1
    assert report.frames > 20
    stamps = clips.times(tmp_path / "out.mkv")
    assert stamps == sorted(set(stamps))
    assert stamps[-1] - stamps[0] < 4
    assert any("trying again in" in line for line in said)
    for luma in clips.pictures(tmp_path / "out.mkv"):
        assert (luma[BOX] == 16).all()


def test_it_gives_up(tmp_path: Path) -> None:
    options = {"reconnect": "1", "reconnect_delay_max": "0.1", "reconnect_max_retries": "2"}
    with pytest.raises(InputError, match="gave up after 2 attempts"):
        api.run(f"tcp://127.0.0.1:{free_port()}", tmp_path / "out.mkv", "slow,fill", input_options=options)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(shutil.which("rtsp-server-perl") is None, reason="rtsp-server-perl is not installed")
def test_a_local_rtsp_server(clips: Any, tmp_path: Path) -> None:
    """Debian's rtsp-server-perl, which ffmpeg publishes to and anonfilter plays from."""
    publish, play, udp = free_port(), free_port(), 20000 + os.getpid() % 20000 // 2 * 2
    source = f"testsrc2=s=160x120:r={RATE},lutyuv=y=val/2+100"
    with running("rtsp-server-perl", "-c", str(play), "-s", str(publish), "--rtp_start_port", str(udp)):
        wait_for(publish)
        wait_for(play)
        encoder = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10"]
        to = f"rtsp://127.0.0.1:{publish}/camera"
        with running("ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", source, *encoder, "-f", "rtsp", to):
            report = api.run(
                f"rtsp://127.0.0.1:{play}/camera", tmp_path / "out.mkv", "slow,fill", codec="ffv1", live=0.5, t=2,
                input_options={"reconnect": "1", "reconnect_delay_max": "1", "reconnect_max_retries": "10"},
            )  # fmt: skip
    black, box, clear = sorted_out(clips, tmp_path / "out.mkv")
    assert (clear, black + box) == (0, report.frames)
    assert box > 5


def wait_for(port: int) -> None:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens on port {port}")
