"""Latency of live mode: from a frame's arrival (decoded, before any filter) until its packet can be read from the FIFO.

    python bench/livelatency.py [--seconds 60] [--live 0.2] [--graph detect=faces,blur] [--source examples/street.mp4]
                                [--rtsp] [--busy N]

The camera is ffmpeg, which sends the source over and over in real time: by RTSP through Debian's rtsp-server-perl with
--rtsp, else as MPEG-TS over TCP. The output is a FIFO that this program reads. --busy N: N loops beside the run that do
nothing but take a CPU each. Prints one line: percentiles of the latency in ms, how many frames came late, how many were
covered wholly and how many were left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anonfilter import api, live
from anonfilter.frame import Frame
from anonfilter.io.writer import Writer

STREET = Path(__file__).resolve().parents[1] / "examples" / "street.mp4"
_DELIMITER = bytes([0, 0, 0, 1, 9])  # an access unit delimiter, with which x264 begins every picture (aud=1)


@contextlib.contextmanager
def running(*command: str | Path) -> Iterator[None]:
    """A program that is ended with the block."""
    made = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        yield
    finally:
        made.kill()
        made.wait()


def free_port() -> int:
    """A TCP port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def camera(source: Path, rtsp: bool) -> Iterator[str]:
    """The address of a camera that shows `source` without end."""
    read = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", source, "-an", "-c:v", "libx264", "-preset",
            "ultrafast", "-tune", "zerolatency", "-g", "25"]  # fmt: skip
    if not rtsp:
        port = free_port()
        with running(*read, "-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"):
            yield f"tcp://127.0.0.1:{port}"
        return
    if shutil.which("rtsp-server-perl") is None:
        raise SystemExit("--rtsp needs rtsp-server-perl (a Debian package)")
    publish, play = free_port(), free_port()
    server = ("rtsp-server-perl", "-c", str(play), "-s", str(publish), "--rtp_start_port", "21000")
    with running(*server):
        time.sleep(2)
        with running(*read, "-f", "rtsp", f"rtsp://127.0.0.1:{publish}/camera"):
            yield f"rtsp://127.0.0.1:{play}/camera"


def measure(address: str, graph: str, bound: float, seconds: float) -> tuple[list[float], api.Report]:
    """Latencies in seconds, in the order of the output, and the run's report."""
    arrived: dict[int, float] = {}
    written: list[int] = []
    read: list[float] = []
    put, write = live.LivePass.put, Writer.write

    def timed_put(self: live.LivePass, item: Any) -> None:
        if isinstance(item, Frame):
            arrived[item.n] = time.monotonic()
        put(self, item)

    def noted_write(self: Writer, frame: Frame, *more: Any) -> bool:
        took = write(self, frame, *more)
        if took:
            written.append(frame.n)
        return took

    with tempfile.TemporaryDirectory(prefix="live-") as folder:
        fifo = Path(folder) / "out"
        os.mkfifo(fifo)

        def reader() -> None:
            # Bytes, not libavformat's packets: a demuxer and its parser wait for what comes next.
            behind = b""
            with fifo.open("rb", buffering=0) as file:
                while piece := file.read(1 << 20):
                    read.extend([time.monotonic()] * (behind + piece).count(_DELIMITER))
                    behind = piece[-len(_DELIMITER) + 1 :]

        thread = threading.Thread(target=reader)
        thread.start()
        live.LivePass.put, Writer.write = timed_put, noted_write  # type: ignore[method-assign]
        try:
            report = api.run(
                address, fifo, graph, codec="libx264", options={"preset": "ultrafast", "x264-params": "aud=1"},
                output_format="nut", live=bound, t=seconds,
                input_options={"reconnect": "1", "reconnect_delay_max": "1"},
            )  # fmt: skip
        finally:
            live.LivePass.put, Writer.write = put, write  # type: ignore[method-assign]
        thread.join()
    if len(read) != len(written):
        raise SystemExit(f"{len(written)} frames were written, {len(read)} pictures read")
    # Not the first two seconds: the nets and the encoder meet their first frames in them.
    skipped = round(2 * report.frames / seconds)
    pairs = list(zip(written, read, strict=True))[skipped:]
    return [at - arrived[n] for n, at in pairs], report


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--live", type=float, default=0.2, help="the bound in seconds")
    parser.add_argument("--graph", default="detect=faces,blur")
    parser.add_argument("--source", type=Path, default=STREET)
    parser.add_argument("--rtsp", action="store_true")
    parser.add_argument("--busy", type=int, default=0)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        for _ in range(args.busy):
            stack.enter_context(running(sys.executable, "-c", "while True: pass"))
        address = stack.enter_context(camera(args.source, args.rtsp))
        times, report = measure(address, args.graph, args.live, args.seconds)
    ms = np.array(times) * 1000
    p50, p95, p99 = (float(np.percentile(ms, q)) for q in (50, 95, 99))
    print(
        f"live {args.live * 1000:g} ms, {args.graph}, {args.busy} busy loops: {len(ms)} frames in {args.seconds:g} s; "
        f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f}, max {ms.max():.0f} ms; "
        f"{int((ms > args.live * 1000).sum())} late, {report.covered_whole} covered wholly, {report.left_out} left out"
    )


if __name__ == "__main__":
    main()
