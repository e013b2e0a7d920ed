"""-report, FFREPORT, the flags of -loglevel, -benchmark, and where -progress can go."""

from __future__ import annotations

import http.server
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anonfilter.errors import UsageError
from anonfilter.job import Progress
from anonfilter.progress import ProgressFile
from anonfilter.report import ReportFile

KEYS = (
    "frame", "fps", "stream_0_0_q", "bitrate", "total_size", "out_time_us", "out_time_ms", "out_time", "dup_frames",
    "drop_frames", "speed", "progress",
)  # fmt: skip


def run_cli(*args: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anonfilter", *args]
    env = {**os.environ, **more}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=env)


def test_a_report_has_the_command_and_what_was_logged(clip: Any, tmp_path: Path) -> None:
    source = str(clip("report.mp4", frames=5))
    done = run_cli("-report", "-v", "error", "-i", source, "-vf", "zone,fill", "o b.mp4", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    name = next(tmp_path.glob("*.log"))
    assert re.fullmatch(r"anonfilter-\d{8}-\d{6}\.log", name.name)
    lines = name.read_text().splitlines()
    assert re.fullmatch(r"anonfilter started on \d{4}-\d\d-\d\d at \d\d:\d\d:\d\d", lines[0])
    assert lines[1:3] == [f'Report written to "{name.name}"', "Log level: 48"]
    assert lines[3] == "Command line:"
    assert lines[4].endswith("-vf zone,fill 'o b.mp4'")
    text = name.read_text()
    assert "ring     " in text, "the plan"
    assert "frame=    5" in text
    assert "5 frames, 5 with regions" in text


def test_a_report_of_what_cannot_be_parsed(tmp_path: Path) -> None:
    done = run_cli("-v", "quiet", "-vsync", "x", cwd=tmp_path, FFREPORT=r"file=%p%%\:x.log:level=32")
    assert (done.returncode, done.stderr) == (1, "")
    text = (tmp_path / "anonfilter%:x.log").read_text()
    assert "Invalid value for option 'vsync'" in text
    assert "Log level: 32" in text


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("level=loud", "Invalid report file level 'loud'"),
        ("name=x", "unknown key 'name'"),
        ("file", "'file' is not key=value"),
        ("file=/nowhere/x.log", 'Failed to open report "/nowhere/x.log": No such file or directory'),
    ],
)
def test_a_wrong_ffreport(variable: str, message: str) -> None:
    with pytest.raises(UsageError) as info:
        ReportFile(variable, [])
    assert message in str(info.value)


def test_each_line_says_its_level(clip: Any, tmp_path: Path) -> None:
    source = str(clip("report.mp4", frames=5))
    done = run_cli("-v", "level+info", "-nostats", "-i", source, "-vf", "null", "-f", "null", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert all(line.startswith("[info] ") for line in done.stderr.splitlines()), done.stderr
    done = run_cli("-v", "repeat+level+error", "-i", "/nowhere.mp4", "-vf", "null", "o.mp4", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "[error] /nowhere.mp4: No such file or directory\n")
    done = run_cli("-v", "datetime", "-i", "/nowhere.mp4", "-vf", "null", "o.mp4", cwd=tmp_path)
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} /nowhere.mp4", done.stderr, re.MULTILINE)


def test_benchmark(clip: Any, tmp_path: Path) -> None:
    source = str(clip("report.mp4", frames=5))
    done = run_cli("-benchmark", "-i", source, "-vf", "null", "-f", "null", "-", cwd=tmp_path)
    assert re.search(r"^bench: utime=\d+\.\d{3}s stime=\d+\.\d{3}s rtime=\d+\.\d{3}s$", done.stderr, re.MULTILINE)
    assert re.search(r"^bench: maxrss=\d{4,}kB$", done.stderr, re.MULTILINE)


def blocks(data: bytes) -> list[list[str]]:
    """The keys of each block."""
    found: list[list[str]] = [[]]
    for line in data.decode().splitlines():
        key, _, value = line.partition("=")
        found[-1].append(key)
        if key == "progress":
            found.append([])
            assert value in ("continue", "end")
    return found[:-1]


def send(url: str) -> None:
    report = ProgressFile(url)
    report.update(Progress(frame=3, out_time=0.1, size=10))
    report.update(Progress(frame=6, out_time=0.2, size=20, done=True))
    report.close()


def received(server: socket.socket, stream: bool) -> tuple[Callable[[], bytes], threading.Thread]:
    """What a server on a socket gets, once its thread has ended."""
    parts: list[bytes] = []

    def serve() -> None:
        server.settimeout(10)
        link = server.accept()[0] if stream else server
        while data := link.recv(65536):
            parts.append(data)
            if not stream and b"progress=end" in data:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    return lambda: b"".join(parts), thread


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_progress_on_a_socket(kind: str, tmp_path: Path) -> None:
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "s") if kind == "unix" else ("127.0.0.1", 0))
        if kind != "udp":
            server.listen()
        url = f"unix:{tmp_path}/s" if kind == "unix" else f"{kind}://127.0.0.1:{server.getsockname()[1]}"
        data, thread = received(server, kind != "udp")
        send(url)
        thread.join(10)
    assert blocks(data()) == [list(KEYS)] * 2


def test_progress_over_http() -> None:
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            while size := int(self.rfile.readline(), 16):
                got.append(self.rfile.read(size))
                self.rfile.readline()
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        send(f"http://127.0.0.1:{server.server_port}/job/7")
        thread.join(10)
    assert blocks(b"".join(got)) == [list(KEYS)] * 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("tcp://127.0.0.1", "not tcp://HOST:PORT"),
        ("unix:/nowhere/s", "No such file or directory"),
        ("rtmp://a/b", "no protocol 'rtmp'"),
        ("pipe:999", "Bad file descriptor"),
    ],
)
def test_progress_that_cannot_be_sent(url: str, message: str) -> None:
    with pytest.raises(UsageError) as info:
        ProgressFile(url)
    assert message in str(info.value)
    assert str(info.value).startswith(f"-progress {url}: ")


def test_a_listener_that_hangs_up_ends_the_reports_only(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        report = ProgressFile(f"unix:{tmp_path}/s")
        server.accept()[0].close()
        for _ in range(3):
            report.update(Progress(frame=1))
        report.close()
