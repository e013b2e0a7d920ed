"""Stopping a run: by signals, by the program, and what a run that breaks off leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import runs
from runs import ZONE, job

from anonfilter.errors import AnonfilterError, Cancelled, InputError
from anonfilter.io.reader import Reader
from anonfilter.io.writer import Writer
from anonfilter.job import Job
from anonfilter.run import run


@pytest.fixture(scope="module", autouse=True)
def _test_filters() -> Iterator[None]:
    with runs.known():
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.make_clip(tmp_path_factory.mktemp("run") / "clip.mp4")


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes long to encode."""
    long = tmp_path_factory.mktemp("noise") / "long.mkv"
    with av.open(str(long), "w") as made:
        stream = made.add_stream("libx264", 25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for n in range(300):
            frame = av.VideoFrame(640, 480, "yuv420p")
            for plane in frame.planes:
                plane.update(os.urandom(plane.buffer_size))
            frame.pts = n
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return long


def start(source: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "anonfilter", "-hide_banner", "-i", str(source), "-vf", ZONE, *more, str(out)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def until_it_writes(out: Path) -> None:
    deadline = time.monotonic() + 20
    while not out.with_name(out.name + ".part").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_interrupt_stops_cleanly(noise: Path, tmp_path: Path) -> None:
    child = start(noise, tmp_path / "out.mp4", "-preset", "veryslow")
    until_it_writes(tmp_path / "out.mp4")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 255, errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wait", [0.0, 0.003, 0.02, 0.1])
@pytest.mark.parametrize("order", [(2, 15, 2), (15, 2), (2, 2, 15)])
def test_an_impatient_stop_is_clean_as_well(noise: Path, tmp_path: Path, wait: float, order: tuple[int, ...]) -> None:
    child = start(noise, tmp_path / "out.mp4", "-preset", "slow")
    until_it_writes(tmp_path / "out.mp4")
    for number in order:
        if child.poll() is None:
            child.send_signal(number)
        time.sleep(wait)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 255, errors
    first = f"({'|'.join(map(str, order))})"  # Python takes those that are pending in the order of their numbers
    assert re.fullmatch(f"Exiting normally, received signal {first}\\.", errors.splitlines()[-1]), errors
    assert "Traceback" not in errors
    assert "Exception" not in errors
    assert list(tmp_path.iterdir()) == []


def test_a_program_can_stop_a_run(noise: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    asked = []

    def stopped() -> bool:
        asked.append(out.with_name("out.mp4.part").exists())
        return len(asked) > 5

    with pytest.raises(Cancelled):
        run(job(noise, out, ZONE, stopped=stopped))
    assert asked[-1]
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_is_at_rest_before_it_is_freed(noise: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its threads may want to log, which needs the lock that freeing it holds: a run that ends in an error would
    hang now and then."""
    rest = []
    abort = Writer.abort

    def look(self: Writer) -> None:
        unfinished, video = not self._finished, self._layout.video
        abort(self)
        if unfinished and video is not None:
            with pytest.raises(EOFError):  # it was drained
                video.encode(None)
            rest.append(True)

    monkeypatch.setattr(Writer, "abort", look)
    with pytest.raises(AnonfilterError, match="kernel fell over"):
        run(job(noise, tmp_path / "out.mp4", "zone,breaker=at=30"))
    assert rest == [True]


def test_a_broken_off_run_leaves_the_damage_of_others_to_be_seen(clip: Path, tmp_path: Path) -> None:
    """What libavformat logs is how a cut file is known: one run that ends must not silence it for another."""
    cut = tmp_path / "cut.mkv"
    whole = tmp_path / "whole.mkv"
    run(job(clip, whole, ZONE))
    cut.write_bytes(whole.read_bytes()[:-30000])
    reader = Reader(Job(str(cut), "x.mp4"))
    with pytest.raises(AnonfilterError, match="kernel fell over"):
        run(job(clip, tmp_path / "out.mp4", "zone,breaker=at=30"))
    with pytest.raises(InputError, match="damaged or cut short at"):
        list(reader.frames())
    reader.close()


def test_interrupts_at_any_time_end_and_leave_nothing(clip: Path, tmp_path: Path) -> None:
    """Freeing an encoder whose threads log something must not wait for the interpreter; nor may impatience hurt."""
    long = tmp_path / "long.mkv"
    with av.open(str(long), "w") as made:
        stream = made.add_stream("mpeg4", 25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for n in range(400):
            frame = av.VideoFrame(640, 360, "yuv420p")
            for plane in frame.planes:
                plane.update(os.urandom(1024) * (plane.buffer_size // 1024) + bytes(plane.buffer_size % 1024))
            frame.pts = n
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    graph = "zone=w=50:h=50,track,interp,grow,blur,hflip"
    for trial in range(8):
        out = tmp_path / "out.mp4"
        command = [sys.executable, "-m", "anonfilter", "-i", str(long), "-vf", graph, "-preset", "slower", str(out)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.7 + 0.17 * trial)
        number = signal.SIGTERM if trial % 2 else signal.SIGINT
        for _ in range(1 + trial % 3):
            child.send_signal(number)
            time.sleep(0.02)
        try:
            _, errors = child.communicate(timeout=30)
        finally:
            child.kill()
        assert child.returncode == 255, errors
        assert "Traceback" not in errors
        assert [p.name for p in tmp_path.iterdir()] == ["long.mkv"]
