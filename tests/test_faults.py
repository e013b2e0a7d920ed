"""What the machine may do to a run: full disks, killed processes, readers that leave, dead encoders, no memory. Nothing
under the final name, the source as it was, and a next run that works. Signals are in test_stop.py."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from forkserver import Done, ForkServer
from fuzz import ZONE, check_output

COMMAND = [sys.executable, "-m", "anonfilter", "-hide_banner"]
FAST = ["-c:v", "libx264", "-preset", "ultrafast"]
TWO_PASSES = "zone=w=48:h=48,track,interp=gap=-1,fill"


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer() as made:
        yield made


@pytest.fixture
def source(clip: Any) -> Iterator[Path]:
    """Ten seconds with sound, about 1 MB; read only, and the same afterwards."""
    path: Path = clip("faults.mp4", size=(320, 240), frames=250, audio=("eng",))
    before = digest(path), path.stat().st_mtime_ns
    yield path
    assert (digest(path), path.stat().st_mtime_ns) == before


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 600 kB: a tmpfs where this user may mount one."""
    folder = tmp_path_factory.mktemp("full")
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}; RLIMIT_FSIZE stands in for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def one_line(done: Done, words: str) -> None:
    assert done.status == 1, done.errors
    assert words in done.errors
    assert len(done.errors.splitlines()) == 1, done.errors


def whole(out: Path, done: Done) -> None:
    assert done.status == 0, done.errors
    assert check_output(out, done.errors) == ""


# -- a full disk --


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_a_full_disk(server: ForkServer, source: Path, full_disk: Path, ending: str) -> None:
    out = full_disk / f"out{ending}"
    one_line(server.run(["-hide_banner", "-i", str(source), "-vf", ZONE, *FAST, str(out)]), "No space left on device")
    assert list(full_disk.iterdir()) == []


def test_a_full_disk_for_numbered_pictures(server: ForkServer, source: Path, full_disk: Path) -> None:
    argv = ["-hide_banner", "-i", str(source), "-vf", ZONE, str(full_disk / "f%03d.png")]
    one_line(server.run(argv), "No space left on device")
    assert list(full_disk.iterdir()) == []
    (full_disk / "f001.png").write_bytes(b"before")
    one_line(server.run(["-y", *argv]), "No space left on device")
    assert (full_disk / "f001.png").read_bytes() == b"before"
    assert [path.name for path in full_disk.iterdir()] == ["f001.png"]
    (full_disk / "f001.png").unlink()


def test_a_full_disk_keeps_the_output_of_before(server: ForkServer, source: Path, full_disk: Path) -> None:
    out = full_disk / "out.mp4"
    out.write_bytes(b"before")
    one_line(server.run(["-hide_banner", "-y", "-i", str(source), "-vf", ZONE, *FAST, str(out)]), "No space left")
    assert out.read_bytes() == b"before"
    assert [path.name for path in full_disk.iterdir()] == ["out.mp4"]
    out.unlink()


@pytest.fixture
def filled(full_disk: Path) -> Iterator[Path]:
    """The full disk with nothing free but a few kB."""
    (full_disk / "filler").write_bytes(bytes(592_000))
    yield full_disk
    for path in full_disk.iterdir():
        path.unlink()


def test_a_full_disk_for_the_record_file(server: ForkServer, source: Path, filled: Path, tmp_path: Path) -> None:
    graph = f"zone=w=48:h=48,write={filled}/r.jsonl,fill"
    done = server.run(["-hide_banner", "-i", str(source), "-vf", graph, *FAST, str(tmp_path / "out.mp4")])
    one_line(done, "r.jsonl: cannot write records: No space left on device")
    assert list(tmp_path.iterdir()) == []
    assert [path.name for path in filled.iterdir()] == ["filler"]


def test_a_full_disk_for_the_records_of_pass_1(
    server: ForkServer, source: Path, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*COMMAND, "-i", str(source), "-vf", TWO_PASSES, *FAST, str(tmp_path / "out.mp4")]
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(filled)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        f"records of pass 1, in {filled} (TMPDIR names another folder): cannot write records: No space left on device\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_for_progress_ends_the_reports_only(
    server: ForkServer, source: Path, filled: Path, tmp_path: Path
) -> None:
    with contextlib.suppress(OSError), (filled / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    out = tmp_path / "out.mp4"
    done = server.run(
        ["-hide_banner", "-progress", f"{filled}/p.txt", "-i", str(source), "-vf", ZONE, *FAST, str(out)]
    )
    whole(out, done)
    assert f"-progress {filled}/p.txt: No space left on device: no more reports" in done.errors


def test_a_quota_of_numbered_pictures(server: ForkServer, source: Path, tmp_path: Path) -> None:
    argv = ["-hide_banner", "-i", str(source), "-vf", ZONE, str(tmp_path / "f%03d.bmp")]
    one_line(server.run(argv, limits={"RLIMIT_FSIZE": 100_000}), "File too large")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("graph", [ZONE, TWO_PASSES])
def test_a_quota(server: ForkServer, source: Path, tmp_path: Path, graph: str) -> None:
    """RLIMIT_FSIZE: no file may grow beyond 200 kB."""
    argv = ["-hide_banner", "-i", str(source), "-vf", graph, *FAST, str(tmp_path / "out.mp4")]
    one_line(server.run(argv, limits={"RLIMIT_FSIZE": 200_000}), "File too large")
    assert list(tmp_path.iterdir()) == []


# -- kill -9 --


def test_killed_at_any_moment_and_run_again(server: ForkServer, clip: Any) -> None:
    """Five moments; `python bench/fuzz.py kill` takes fifty."""
    import fuzzkill

    tally = fuzzkill.kill(5, 3, server=server, source=clip("kill.mp4", size=(320, 240), frames=100))
    assert tally.faults == []
    assert tally.refused > 0  # it was killed before it had finished; how often, the load on the machine decides


def test_numbered_pictures_killed_at_any_moment_and_run_again(server: ForkServer, clip: Any) -> None:
    """Four moments; `python bench/fuzz.py kill-pictures` takes fifty."""
    import fuzzkill

    tally = fuzzkill.kill_pictures(4, 3, server=server, source=clip("kill.mp4", size=(320, 240), frames=100))
    assert tally.faults == []
    assert tally.refused > 0


def test_the_folder_of_killed_pictures_is_taken_over(server: ForkServer, source: Path, tmp_path: Path) -> None:
    """What a killed run left is known by its mark; a folder of somebody's own is not touched without -y."""
    out, part = tmp_path / "f%03d.png", tmp_path / "f%03d.png.part"
    argv = ["-hide_banner", "-t", "0.4", "-i", str(source), "-vf", ZONE, str(out)]
    with stopped([*COMMAND, "-i", str(source), "-vf", ZONE, str(out)], part):
        one_line(server.run(argv), "another run is writing to it")
    assert part.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [part.name]
    done = server.run(argv)
    assert done.status == 0, done.errors
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"f{n:03d}.png" for n in range(1, 11)]
    for path in tmp_path.iterdir():
        path.unlink()
    part.mkdir()
    (part / "mine.txt").write_text("mine")
    one_line(server.run(argv), "no killed run is known to have left it")
    assert [path.name for path in part.iterdir()] == ["mine.txt"]


def test_the_part_of_a_live_run_is_not_stolen(server: ForkServer, source: Path, tmp_path: Path) -> None:
    out, part = tmp_path / "out.mp4", tmp_path / "out.mp4.part"
    command = [*COMMAND, "-i", str(source), "-vf", ZONE, "-preset", "veryslow", str(out)]
    with stopped(command, part):
        inode = part.stat().st_ino
        for yes in ([], ["-y"]):
            done = server.run(["-hide_banner", *yes, "-i", str(source), "-vf", ZONE, *FAST, str(out)])
            one_line(done, "another run is writing to it")
        assert part.stat().st_ino == inode
    assert part.exists()
    whole(out, server.run(["-hide_banner", "-i", str(source), "-vf", ZONE, *FAST, str(out)]))
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_the_record_file_of_a_killed_run(server: ForkServer, source: Path, tmp_path: Path) -> None:
    records, part = tmp_path / "r.jsonl", tmp_path / "r.jsonl.part"
    graph = f"zone=w=48:h=48,write={records},fill"
    argv = ["-hide_banner", "-i", str(source), "-vf", graph, *FAST, str(tmp_path / "b.mp4")]
    with stopped([*COMMAND, "-i", str(source), "-vf", graph, "-preset", "veryslow", str(tmp_path / "a.mp4")], part):
        one_line(server.run(argv), f"{records}: another run is writing to it")
    whole(tmp_path / "b.mp4", server.run(argv))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4.part", "b.mp4", "r.jsonl"]


@contextlib.contextmanager
def stopped(command: list[str], part: Path) -> Iterator[None]:
    """A run that stands still once it has its temporary file, and is killed in the end."""
    live = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(part)
        os.kill(live.pid, signal.SIGSTOP)
        yield
    finally:
        live.kill()
        live.wait()


def until(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- those at the other end --


def test_a_reader_that_leaves(source: Path) -> None:
    """ffmpeg ends with status 1 and the words "Broken pipe" (5.1; 224 from 6.0 on)."""
    command = [*COMMAND, "-i", str(source), "-vf", ZONE, *FAST, "-f", "matroska", "-"]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert len(child.stdout.read(1000)) == 1000
    child.stdout.close()
    assert child.stderr is not None
    errors = child.stderr.read().decode()
    assert child.wait(20) == 1, errors
    assert "Broken pipe" in errors
    assert len(errors.splitlines()) == 1, errors


def test_an_encoder_that_dies(server: ForkServer, source: Path, tmp_path: Path) -> None:
    """A real one: SVT-AV1 and x264 take their two-pass statistics from a file that is not there, or ends too soon."""
    (tmp_path / "short.log").write_text("#options: 320x240 fps=25/1 timebase=1/12800 bitdepth=8\n")
    options = ["-x264-params", f"pass=2:stats={tmp_path}/short.log", "-b:v", "100k"]
    done = server.run(["-hide_banner", "-i", str(source), "-vf", ZONE, *FAST, *options, str(tmp_path / "out.mp4")])
    assert done.status == 1
    assert not done.traceback
    assert [path.name for path in tmp_path.iterdir()] == ["short.log"]


@pytest.mark.parametrize("kind", [ValueError("fell over"), MemoryError(), RuntimeError("can't start new thread")])
def test_an_encoder_that_dies_late(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Exception
) -> None:
    """A stand-in in the encoder's place, since none dies to order after some frames."""
    from anonfilter import cli
    from anonfilter.io.writer import Writer

    send, seen = Writer._send, []

    def dying(self: Writer, picture: Any, t: float | None) -> None:
        seen.append(t)
        if len(seen) == 20:
            raise kind
        send(self, picture, t)

    monkeypatch.setattr(Writer, "_send", dying)
    assert cli.main(["-hide_banner", "-v", "quiet", "-i", str(source), "-vf", ZONE, str(tmp_path / "out.mp4")]) == 1
    assert len(seen) == 20
    assert list(tmp_path.iterdir()) == []


# -- no memory --


def test_no_memory(server: ForkServer, source: Path, tmp_path: Path) -> None:
    """RLIMIT_AS from far too little to enough: one line of ours, or a whole output; nothing else under its name."""
    statuses = []
    for megabytes in [*range(150, 600, 50), 3000]:
        out = tmp_path / "out.mp4"
        graph = "zone=w=48:h=48,track,interp,fill"
        argv = ["-hide_banner", "-t", "1", "-i", str(source), "-vf", graph, *FAST, str(out)]
        done = server.run(argv, limits={"RLIMIT_AS": megabytes << 20})
        assert not done.hung
        assert not done.traceback, done.errors
        statuses.append(done.status)
        if done.status == 0:
            whole(out, done)
            out.unlink()
        elif done.status != -signal.SIGSEGV:  # PyAV 18 does not ask whether it got the memory for an input's context
            assert done.status == 1, f"{megabytes} MB: {done.errors}"
            # x264 and PyAV's log callback, where it has no memory for a line of libav's, write by themselves.
            others = ("x264 [error]: malloc", "av.logging: exception while handling", "MemoryError")
            ours = [line for line in done.errors.splitlines() if not line.startswith(others)]
            assert len(ours) == 1, done.errors
        assert list(tmp_path.iterdir()) == []
    assert 1 in statuses
    assert statuses[0] != 0
    assert statuses[-1] == 0


# -- the terminal closes --


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_closes(source: Path, tmp_path: Path, ignored: bool) -> None:
    """SIGHUP stops a run cleanly, but not one that nohup started."""
    out = tmp_path / "out.mp4"
    preset = "veryfast" if ignored else "veryslow"
    command = [*COMMAND, "-i", str(source), "-vf", ZONE, "-preset", preset, str(out)]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL) and None,
    )  # fmt: skip
    until(tmp_path / "out.mp4.part")
    child.send_signal(signal.SIGHUP)
    _, errors = child.communicate(timeout=20)
    if ignored:
        assert child.returncode == 0, errors
        assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    else:
        assert child.returncode == 255
        assert errors == "Exiting normally, received signal 1.\n"
        assert list(tmp_path.iterdir()) == []


# -- the source --


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_source_is_never_written_to(server: ForkServer, tmp_path: Path, clip: Any, link: Any) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(clip("faults.mp4", size=(320, 240), frames=250, audio=("eng",)).read_bytes())
    before = source.stat()
    other = tmp_path / "other.mp4"
    link(source, other)
    lines = [
        (["-y", "-i", source, "-vf", ZONE, *FAST, other], "same as Input #0"),
        (["-y", "-i", other, "-vf", ZONE, *FAST, source], "same as Input #0"),
        (["-y", "-i", source, "-vf", ZONE, *FAST, f"file:{other}"], "same as Input #0"),
        (["-i", source, "-vf", ZONE, "-progress", other, *FAST, tmp_path / "out.mp4"], "this is the input"),
        (["-i", source, "-vf", f"zone,write={other}:overwrite=1,fill", tmp_path / "out.mp4"], "this is the input"),
    ]
    for line, words in lines:
        one_line(server.run(["-hide_banner", *map(str, line)]), words)
    os.replace(other, tmp_path / "out.mp4.part")  # a link to the source in the place of the temporary file
    done = server.run(["-hide_banner", "-y", "-i", str(source), "-vf", ZONE, *FAST, str(tmp_path / "out.mp4")])
    assert done.status == 1
    after = source.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    report = {**os.environ, "FFREPORT": f"file={source}"}
    child = subprocess.run([*COMMAND, "-i", str(source), "-vf", ZONE, str(tmp_path / "x.mp4")], env=report)
    assert child.returncode == 1
    assert source.stat().st_mtime_ns == before.st_mtime_ns
