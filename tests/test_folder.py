"""A folder of videos and pictures: mirrored, resumed, and one bad file stops nobody."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anonfilter import cli, folder
from anonfilter.errors import AnonfilterError, UsageError
from anonfilter.infer import kept
from anonfilter.io import still
from anonfilter.job import Job

ZONE = "zone=x=8:y=8:w=40:h=32,fill"


def png(path: Path, seed: int, size: tuple[int, int] = (80, 60)) -> None:
    planes = [np.random.default_rng(seed).integers(0, 256, size[::-1], np.uint8)] * 3
    path.write_bytes(still.encode("png", still.packed(planes, "rgb24"), {}, "made"))


@pytest.fixture
def tree(tmp_path: Path, clip: Any) -> Path:
    """Two videos, two pictures in folders of folders, two files that are neither, and a video that is cut short."""
    source = tmp_path / "in"
    (source / "a" / "b").mkdir(parents=True)
    shutil.copy(clip("one.mp4", frames=8), source / "one.mp4")
    shutil.copy(clip("two.mkv", frames=6), source / "a" / "two.mkv")
    png(source / "a" / "p%d.png", 1)
    png(source / "a" / "b" / "q.png", 2)
    (source / "notes.txt").write_text("The address of a person")
    (source / "a" / "table.csv").write_text("1,2\n")
    (source / ".hidden.mp4").write_bytes(b"x")
    (source / "a" / "bad.mp4").write_bytes(clip("one.mp4", frames=8).read_bytes()[:1500])
    return source


def found(where: Path) -> dict[str, int]:
    return {str(p.relative_to(where)): p.stat().st_mtime_ns for p in where.rglob("*") if p.is_file()}


def job(source: Path, out: Path, graph: str = ZONE, **more: Any) -> Job:
    return Job(str(source), str(out), graph, encoder_options={"crf": "30"}, **more)


def states(report: folder.FolderReport) -> dict[str, str]:
    return {item.name: item.state for item in report.outcomes}


DONE = {"one.mp4", "a/two.mkv", "a/p%d.png", "a/b/q.png"}


def test_a_folder_and_its_re_runs(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = folder.run_folder(job(tree, out))
    want = dict.fromkeys(DONE, "done") | {"a/bad.mp4": "failed", "notes.txt": "other", "a/table.csv": "other"}
    assert states(first) == want
    made = found(out)
    assert set(made) == DONE | {".anonfilter.jsonl"}
    assert {item.name: (item.frames, item.covered) for item in first.outcomes if item.state == "done"} == {
        "one.mp4": (8, 8), "a/two.mkv": (6, 6), "a/p%d.png": (1, 1), "a/b/q.png": (1, 1),
    }  # fmt: skip
    # Again: nothing is touched but the one that failed.
    again = folder.run_folder(job(tree, out))
    assert states(again) == {n: "skipped" if s == "done" else s for n, s in want.items()}
    assert {n: t for n, t in found(out).items() if n in DONE} == {n: made[n] for n in DONE}
    # A source that changed, an output that is gone, one that somebody else changed.
    png(tree / "a" / "b" / "q.png", 3)
    (out / "one.mp4").unlink()
    (out / "a" / "two.mkv").write_bytes(b"mine")
    third = folder.run_folder(job(tree, out))
    assert states(third) == want | {"a/p%d.png": "skipped", "a/two.mkv": "failed"}
    assert (out / "a" / "two.mkv").read_bytes() == b"mine"
    # Other options: everything anew; -y also replaces what is not ours.
    fourth = folder.run_folder(job(tree, out, ZONE + "=color=white", overwrite=True))
    assert states(fourth) == want


def test_a_failed_re_run_says_that_an_older_output_stands_there(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder.run_folder(job(tree, out))
    before = (out / "one.mp4").read_bytes()
    (tree / "one.mp4").write_bytes((tree / "one.mp4").read_bytes()[:1500])
    for _ in range(2):  # it stays this folder run's own
        failed = {item.name: item.why for item in folder.run_folder(job(tree, out, "zone,fill")).outcomes}
        assert "is still that of an earlier run" in failed["one.mp4"]
        assert "earlier run" not in failed["a/bad.mp4"]
        assert (out / "one.mp4").read_bytes() == before


def test_killed_runs(tree: Path, tmp_path: Path) -> None:
    """A run that was killed between an output's name and its line: done again, without being asked for -y."""
    out = tmp_path / "out"
    folder.run_folder(job(tree, out))
    ledger = out / ".anonfilter.jsonl"
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    kept_rows = [row for row in rows if (row["file"], row["state"]) != ("one.mp4", "done")]
    assert len(kept_rows) == len(rows) - 1
    ledger.write_text("".join(json.dumps(row) + "\n" for row in kept_rows) + '{"file": "one.m')
    before = found(out)["one.mp4"]
    report = folder.run_folder(job(tree, out))
    assert states(report)["one.mp4"] == "done"
    assert states(report)["a/two.mkv"] == "skipped"
    assert found(out)["one.mp4"] > before


def test_two_runs_at_once(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def meanwhile(line: str) -> None:
        with pytest.raises(AnonfilterError, match="another run is writing to it"):
            folder.run_folder(job(tree, out))

    assert folder.run_folder(job(tree, out), meanwhile).count("done") == 4


def test_the_command(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    command = [sys.executable, "-m", "anonfilter", "-hide_banner", "-i", str(tree), "-vf", ZONE, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-1] == f"{tree}: 1 of 5 files failed"
    assert lines[-2].startswith("5 files: 4 done, 0 done before, 1 failed; 16 frames, 16 with regions; 2 other files")
    assert any(line.startswith("a/bad.mp4") and "FAILED" in line for line in lines)
    assert "notes.txt: not copied (a .txt file)" in lines
    assert "Traceback" not in done.stderr
    (tree / "a" / "bad.mp4").unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "4 files: 0 done, 4 done before, 0 failed" in done.stderr


def test_another_format(tree: Path, tmp_path: Path) -> None:
    (tree / "a" / "two.mp4").write_bytes((tree / "one.mp4").read_bytes())
    report = folder.run_folder(job(tree, tmp_path / "out", output_format="matroska"))
    # a/two.mkv and a/two.mp4 would have one name.
    assert states(report)["a/two.mp4"] == "failed"
    assert {n for n in found(tmp_path / "out") if n.endswith("mkv")} == {"one.mkv", "a/two.mkv"}


def test_what_cannot_be(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, graph, says in [
        (tree, ZONE, "holds the input folder"), (tree.parent, ZONE, "holds the input folder"),
        (tree / "one.mp4", ZONE, "is a file"), (tmp_path / "o", "read=x.jsonl,fill", "a folder has many inputs"),
    ]:  # fmt: skip
        assert cli.main(["-v", "error", "-i", str(tree), "-vf", graph, str(out)]) == 1
        assert says in capsys.readouterr().err
    with pytest.raises(UsageError, match="the output must be one, too"):
        folder.run_folder(job(tree, Path("-")))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    with pytest.raises(AnonfilterError, match="no video or picture"):
        folder.run_folder(job(tmp_path / "texts", tmp_path / "o"))


def test_an_output_below_the_input(tree: Path) -> None:
    for _ in range(2):
        assert folder.run_folder(job(tree, tree / "out")).count("failed") == 1
    assert not (tree / "out" / "out").exists()


class Net:
    """An engine's session that counts."""

    opened = closed = 0
    input_name, outputs, engine = "x", ("y",), "test"

    def __init__(self) -> None:
        Net.opened += 1

    def run(self, tensor: Any) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        Net.closed += 1


def test_sessions_are_kept() -> None:
    Net.opened = Net.closed = 0
    with kept.keeping():
        for _ in range(3):
            one, other = kept.session(("a",), Net), kept.session(("a",), Net)
            assert one is not other
            one.close()
            one.close()
            other.close()
        assert (Net.opened, Net.closed) == (2, 0)
        for number in range(kept.MOST):
            kept.session((number,), Net).close()
        assert (Net.opened, Net.closed) == (2 + kept.MOST, 2)
    assert Net.closed == Net.opened
    kept.session(("a",), Net).close()
    assert Net.closed == Net.opened
