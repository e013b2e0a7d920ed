"""Speed and memory of whole runs, paired with the ffmpeg command that encodes with the same settings.

    python bench/transcode.py speed  [--input FILE] [--pairs 5] [--frames 300] [--preset veryfast]
    python bench/transcode.py memory [--input FILE] [--frames 300]
    python bench/transcode.py length [--input FILE]            # ten minutes against one, at 640x360

speed interleaves the runs (A-B-A-B ...) and prints the median of the ratios of the pairs, and the output sizes.
The clip is made from --input (default: examples/street.mp4), scaled to 1920x1080 and looped to --frames frames.
Both programs read the same H.264 file and write H.264 with the same preset and CRF; audio is left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
GRAPHS = {
    "plain": "zone=x=0:y=0:w=16:h=16,fill",
    "faces5": "detect=faces:every=5,track,interp=pchip,blur=adaptive",
    "default": "detect=faces:plates:every=auto,track,interp=pchip,blur=adaptive",
    "auto1s": "detect=faces:plates:every=auto:max=1s,track,interp=pchip,blur=adaptive",
}
TARGETS = {"plain": 0.95, "faces5": 0.75}


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MB of a command. Raises on failure."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors = child.stderr.read() if child.stderr else b""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}\n{errors.decode(errors='replace')}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def clip(source: Path, folder: Path, frames: int, size: str) -> Path:
    """The benchmark's input: `source` scaled to `size` and looped."""
    out = folder / f"clip-{size}-{frames}.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", str(source), "-vf",
         f"scale={size.replace('x', ':')},setsar=1", "-frames:v", str(frames), "-an", "-c:v", "libx264", "-preset",
         "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", str(out)],
        check=True,
    )  # fmt: skip
    return out


def ours(source: Path, out: Path, graph: str, args: argparse.Namespace) -> list[str]:
    """The anonfilter command."""
    return [sys.executable, "-m", "anonfilter", "-y", "-nostats", "-loglevel", "error", "-i", str(source), "-vf", graph,
            "-an", "-c:v", "libx264", "-preset", args.preset, "-crf", "23", str(out)]  # fmt: skip


def theirs(source: Path, out: Path, args: argparse.Namespace) -> list[str]:
    """The ffmpeg command with the same encoder settings."""
    return ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(source), "-an", "-c:v", "libx264", "-preset",
            args.preset, "-crf", "23", str(out)]  # fmt: skip


def versions() -> str:
    """Machine and versions, for the row."""
    import av
    import onnxruntime

    line = subprocess.run(
        ["ffmpeg", "-version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores; {line.split(' Copyright')[0]}; "
        f"PyAV {av.__version__}, onnxruntime {onnxruntime.__version__}, Python {platform.python_version()}"
    )


def speed(args: argparse.Namespace, folder: Path) -> int:
    """The A-B-A-B table."""
    source = clip(args.input, folder, args.frames, "1920x1080")
    print(f"{versions()}\n1920x1080, {args.frames} frames, x264 {args.preset} crf 23, {args.pairs} pairs")
    missed = 0
    for name in args.graphs:
        a_out, b_out = folder / "a.mp4", folder / "b.mp4"
        ratios, rows = [], []
        measured(ours(source, a_out, GRAPHS[name], args))  # first run: models, caches
        for _ in range(args.pairs):
            a, _ = measured(ours(source, a_out, GRAPHS[name], args))
            b, _ = measured(theirs(source, b_out, args))
            ratios.append(b / a)
            rows.append((args.frames / a, args.frames / b))
        size = a_out.stat().st_size / b_out.stat().st_size - 1
        target = TARGETS.get(name)
        missed += target is not None and statistics.median(ratios) < target
        print(
            f"{name:8} {GRAPHS[name]}\n         anonfilter {statistics.median(r[0] for r in rows):.1f} fps, ffmpeg "
            f"{statistics.median(r[1] for r in rows):.1f} fps, median ratio {statistics.median(ratios):.3f} "
            f"(min {min(ratios):.3f}, max {max(ratios):.3f}{f', target {target}' if target else ''}), size {size:+.1%}"
        )
    return int(missed > 0)


def memory(args: argparse.Namespace, folder: Path) -> int:
    """Peak memory of each graph against ffmpeg plus the planned ring."""
    source = clip(args.input, folder, args.frames, "1920x1080")
    _, base = measured(theirs(source, folder / "b.mp4", args))
    print(f"{versions()}\nffmpeg {base:.0f} MB")
    missed = 0
    for name in args.graphs:
        plan = subprocess.run(
            [sys.executable, "-m", "anonfilter", "-i", str(source), "-vf", GRAPHS[name], "-dump_plan"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"= (\d+) MB \(budget", plan.stdout + plan.stderr)
        ring = float(found[1]) if found else 0.0
        _, peak = measured(ours(source, folder / "a.mp4", GRAPHS[name], args))
        limit = base + ring + 250
        missed += peak > limit
        print(f"{name:8} {peak:.0f} MB, ring {ring:.0f} MB, limit {limit:.0f} MB")
    return int(missed > 0)


def length(args: argparse.Namespace, folder: Path) -> int:
    """Ten minutes against one minute."""
    peaks = []
    for minutes in (1, 10):
        source = clip(args.input, folder, minutes * 60 * 25, "640x360")
        _, peak = measured(ours(source, folder / "a.mp4", GRAPHS["faces5"], args))
        peaks.append(peak)
        print(f"{minutes:2} min: {peak:.0f} MB")
    print(f"ratio {peaks[1] / peaks[0]:.3f} (target 1.05 at most)")
    return int(peaks[1] > 1.05 * peaks[0])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "memory", "length"))
    parser.add_argument("--input", type=Path, default=HERE.parent / "examples" / "street.mp4")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--graphs", nargs="+", choices=sorted(GRAPHS), default=["plain", "faces5"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return {"speed": speed, "memory": memory, "length": length}[args.what](args, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
