"""A short slice of bench/fuzz.py, the same cases on every run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import fuzz
from forkserver import ForkServer

# A filter that does what no filter may: the slices below must be able to fail.
_BAD_FILTER = """
import os, time
from anonfilter import filter as registry
from anonfilter.filter import RecordFilter
from anonfilter.options import Option

class Bad(RecordFilter):
    name, help, options = "bad", "test filter", (Option("how", "string", "", ""),)
    def push(self, record):
        os.kill(os.getpid(), 11) if self.opts["how"] == "crash" else time.sleep(60)

registry.register(Bad)
"""


def test_damaged_files_end_in_an_error_or_a_whole_output() -> None:
    tally = fuzz.media(60, seed=2)
    assert tally.faults == []
    assert tally.whole > 15 < tally.refused


@pytest.mark.parametrize(("kind", "count"), [("graphs", 3000), ("records", 2000)])
def test_damaged_texts_end_in_the_project_s_own_errors(kind: str, count: int) -> None:
    tally = fuzz.text(kind, count, seed=2)
    assert tally.faults == []
    assert tally.whole > count // 50
    assert len(tally.messages) >= 2


def test_a_crash_and_a_hang_are_seen(tmp_path: Path) -> None:
    seeds = fuzz.fuzzmedia.make_seeds(tmp_path, ["mpeg4.avi"])
    with ForkServer(_BAD_FILTER) as server:
        for how, fault in (("crash", "ended by signal 11"), ("sleep", "more than 20 s")):
            case = fuzz.make_case(seeds, 1, 1, tmp_path / how)
            raw = seeds[0].read_bytes()
            case.source.write_bytes(raw)
            case.argv[case.argv.index("-vf") + 1] = f"zone,bad=how={how},fill"
            done = server.run(case.argv, seconds=2)
            assert fuzz.judge(case, done, raw) == fault


def test_an_output_that_is_not_covered_is_seen(tmp_path: Path) -> None:
    [source] = fuzz.fuzzmedia.make_seeds(tmp_path, ["mpeg4.avi"])
    assert "frame 0 of the output is not covered" in fuzz.check_output(source, "30 frames, ")
    out = tmp_path / "out.mp4"
    with ForkServer() as server:
        done = server.run(["-i", str(source), "-vf", fuzz.ZONE, str(out)])
    assert fuzz.check_output(out, done.errors) == ""
    assert "the report says" in fuzz.check_output(out, done.errors.replace("30 frames, ", "31 frames, "))
    out.write_bytes(out.read_bytes()[:-3000])
    assert fuzz.check_output(out, done.errors)
