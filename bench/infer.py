"""Time of a net on this machine, by engine: which one the base dependency should be, and what a size costs.

    python bench/infer.py                            # faces, plates and a YOLO at 640x384
    python bench/infer.py faces --size 640x384 --size 960x544 --threads 2 --rounds 5

Each round runs every engine in turn (A B C, A B C, ...), so that a machine that slows down slows all of them;
the figure is the median round, in milliseconds a run. "as shipped" is ONNX Runtime without the rewriting of
the graph (infer/onnxgraph.py): only for nets whose file leaves the shape free or is fixed to this one.
"spinning" is ONNX Runtime with its default thread pool, which keeps the cores busy between two runs: fast
alone, in the way of an encoder; "shared" columns repeat the measurement beside a process that keeps one core
busy.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from anonfilter.infer import available_cores, native_bf16, open_session
from anonfilter.infer.onnxgraph import rewrite
from anonfilter.models import catalog

Run = Callable[[], Any]


def plain_session(model: bytes, threads: int, tensor: np.ndarray, spinning: bool) -> Run:
    """ONNX Runtime with its defaults."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: tensor}
    session.run(None, feed)
    return lambda: session.run(None, feed)


def contenders(path: Path, size: tuple[int, int], threads: int) -> dict[str, Run]:
    """What can run this net here, by name."""
    shape = (1, 3, size[1], size[0])
    tensor = np.random.default_rng(0).random(shape, dtype=np.float32)
    runs: dict[str, Run] = {}
    for engine in ("onnxruntime", "openvino"):
        if engine == "openvino" and util.find_spec("openvino") is None:
            continue
        session = open_session(path, shapes={"": shape}, threads=threads, engine=engine)
        session.run(tensor)
        runs[engine] = lambda session=session: session.run(tensor)
    model = path.read_bytes()
    name = open_session(path, shapes={"": shape}, engine="onnxruntime").input_name
    runs["spinning"] = plain_session(rewrite(model, {name: shape}), threads, tensor, True)
    try:
        runs["as shipped"] = plain_session(model, threads, tensor, False)
    except Exception as error:  # onnxruntime has no common base class of its errors
        print(f"  (as shipped: {str(error).splitlines()[0][:90]})", file=sys.stderr)
    return runs


def rounds(runs: dict[str, Run], count: int, each: int) -> dict[str, float]:
    """Median milliseconds of a run."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(count):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(each):
                run()
            times[name].append((time.perf_counter() - start) * 1000 / each)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["faces", "plates", "yolo-faceghost"])
    parser.add_argument("--size", action="append", help="WxH of the tensor (default 640x384)")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=5, help="runs in a round")
    parser.add_argument(
        "--shared", action="store_true", help="again, beside a process that keeps one core busy"
    )
    args = parser.parse_args()
    threads = args.threads or available_cores()
    cpu = next((s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")), "")
    versions = [
        f"{name} {metadata.version(name)}" for name in ("onnxruntime", "openvino") if util.find_spec(name)
    ]
    print(
        f"{cpu.partition(':')[2].strip()}, {platform.machine()}, {threads} threads, native bf16: "
        f"{native_bf16()}, {', '.join(versions)}"
    )
    for model in args.models:
        for text in args.size or ["640x384"]:
            width, height = map(int, text.split("x"))
            runs = contenders(catalog.resolve(model).path(), (width, height), threads)
            for shared in [False, True] if args.shared else [False]:
                busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if shared else None
                try:
                    found = rounds(runs, args.rounds, args.each)
                finally:
                    if busy:
                        busy.kill()
                        busy.wait()
                row = "  ".join(f"{name} {value:.1f}" for name, value in found.items())
                print(f"{model:15} {text:>9} {'shared' if shared else 'alone ':6} ms: {row}", flush=True)


if __name__ == "__main__":
    main()
