"""The command line up to the point where a run begins. Whole runs have tests of their own."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from anonfilter import __version__, cli, clihelp
from anonfilter import filter as registry
from anonfilter.avoptions import is_generic_option
from anonfilter.clijob import Command
from anonfilter.cliopts import FLAGS
from anonfilter.cliparse import parse_command
from anonfilter.clivalues import parse_bytes
from anonfilter.errors import UsageError
from anonfilter.job import Job, Progress
from anonfilter.progress import ProgressFile, StatusLine, clock, status_line

ROOT = Path(__file__).resolve().parent.parent


def parse(line: str) -> Command:
    return parse_command(line.split())


def changed(job: Job) -> dict[str, Any]:
    """The fields of a job that differ from a bare one."""
    bare = Job(input="", output="")
    return {name: getattr(job, name) for name in Job.__slots__ if getattr(job, name) != getattr(bare, name)}


def test_the_usual_command() -> None:
    command = parse_command(["-y", "-ss", "1:30", "-i", "in.mp4", "-t", "500ms", "-vf", "detect=faces,blur",
        "-c:v",
                             "libx264", "-crf", "18", "-b:v", "2M", "-pix_fmt", "yuv420p", "-an",
                             "out.mp4"])  # fmt: skip
    assert changed(command.job) == {
        "input": "in.mp4", "output": "out.mp4", "graph": "detect=faces,blur", "ss": 90.0, "out_t": 0.5,
        "codec": "libx264", "encoder_options": {"crf": "18", "b": "2M"}, "typed": {"crf": "crf", "b": "b:v"},
        "pix_fmt": "yuv420p", "audio": False, "overwrite": True,
    }  # fmt: skip
    assert command.action == "run"


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("-f lavfi -i testsrc -f null -", {"input_format": "lavfi", "output_format": "null", "output": "-"}),
        ("-i - -vcodec libx265 -filter:v null o", {"input": "-", "codec": "libx265", "graph": "null"}),
        (
            "-i a -codec:v:0 x -q:v 3 o",
            {"codec": "x", "encoder_options": {"flags": "+qscale", "global_quality": "354"}},
        ),
        (
            "-i a -c:v libx264 -x264-params a=1:b=2 -g 30 o",
            {"encoder_options": {"x264-params": "a=1:b=2", "g": "30"}},
        ),
        (
            "-i a -movflags +faststart -brand isom o.mp4",
            {"muxer_options": {"movflags": "+faststart", "brand": "isom"}},
        ),
        ("-probesize 5M -framerate 5 -i a o", {"input_options": {"probesize": "5M", "framerate": "5"}}),
        (
            "-err_detect ignore_err -threads 2 -i a -map_metadata 0 o",
            {"ignore_errors": True, "threads": 2, "keep_metadata": True},
        ),
        ("-ring_memory 1.5G -passes 2 -i a o", {"ring_memory": 1_500_000_000, "passes": 2}),
        ("-i a -t 3 -to 5 o", {"out_t": 3.0, "out_to": None}),
        ("-to 9 -i a -ss 2 o", {"to": 9.0, "out_ss": 2.0}),
        ("-i a -vf x -vf y o", {"graph": "y"}),
        ("-i a -c:a copy -acodec copy o", {"audio": True}),
        ("-i a -- -o.mp4", {"output": "-o.mp4"}),
        ("-i a -map_metadata -1 o", {"keep_metadata": False}),
    ],
)
def test_options_land_in_the_job(line: str, fields: dict[str, Any]) -> None:
    job = parse(line).job
    assert {name: getattr(job, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-i a -foo 1 o", "Unrecognized option 'foo'."),
        ("-i a -prset fast o", "Unrecognized option 'prset'. (did you mean 'preset'?)"),
        ("-i a -filter_complex x o",
        "Unrecognized option 'filter_complex'. (a graph has one input and one output: use -vf)"),
        ("-i a -r 0 o", "Invalid framerate value: 0 (frame rate '0' is not positive)"),
        ("-i a -r fast o", "Invalid framerate value: fast ('fast' is not a frame rate"),
        ("-i a -s big o", "Invalid frame size: big."),
        ("-s 320x240 -i a o", "-s before -i describes raw video (-f rawvideo)"),
        ("-i a -map 1 o", "Invalid input file index: 1."),
        ("-i a -map [v] o", "-map [v]: labels need -filter_complex"),
        ("-i a -metadata x o", "No '=' character in metadata string x."),
        ("-i a -metadata:x a=b o", "Invalid metadata type x."),
        ("-i a -map_chapters 5 o", "Invalid input file index 5 in chapter mapping"),
        ("-i a -fps_mode fast o", "Invalid value for option 'fps_mode': 'fast' is not a mode"),
        ("-i a -r 5 -fps_mode vfr o", "This is contradictory."),
        ("-i a -c:a copy -af volume=2 o", "Filtering and streamcopy cannot be used together."),
        ("-i a -b:a:1 64k o", "-b:a:1: one video stream is filtered (-b:v), and all audio streams"),
        ("-i a -frames:v 0 o", "'0' is not a whole number from 1"),
        ("-i a -frames 5 o", "Unrecognized option 'frames'. (use -frames:v)"),
        ("-sseof 3 -i a o", "'3' is not negative"),
        ("-v level+loud -i a o", "'loud' is not a level"),
        ("-v lvel+info -i a o", "'lvel' is not a flag"),
        ("-i a -crf:s 3 o", "Unrecognized option 'crf:s'."),
        ("-i a o -crf", "Missing argument for option 'crf'."),
        ("-i", "Missing argument for option 'i'."),
        ("-i a o -foo", "Unrecognized option 'foo'."),
        ("-i a o -crf 20",
        "Trailing option(s) found in the command: -crf: put them before the file they belong to"),
        ("-i a o -an",
        "Trailing option(s) found in the command: -an: put them before the file they belong to"),
        ("-vf null o", "no input file: name one with -i"),
        ("-i a", "At least one output file must be specified"),
        ("-i a -vf blur", "At least one output file must be specified: put its name last"),
        ("-i a -fv blur o", "Unrecognized option 'fv'. (did you mean 'vf'?)"),
        ("-i a -vf blur 1 o", "'o' is a second output (the first is '1'; a value with a space needs quotes)"),
        ("-i a -i b o", "one input at a time: 'b' is a second input"),
        ("-i a o p", "one output at a time: 'p' is a second output"),
        ("-y -n -i a o", "Error, both -y and -n supplied. Exiting."),
        ("-vf null -i a o",
            "Option vf (the filter graph) cannot be applied to input url a -- you are trying to apply an "
         "output option to an input file. Move this option before the file it belongs to."),
        ("-i a -err_detect ignore_err o", "you are trying to apply an input option to an output file"),
        ("-i a -ss x o", "Invalid duration specification for ss: x ('x' is not a time"),
        ("-i a -t -1 o", "Invalid duration specification for t: -1 ('-1' is negative)"),
        ("-i a -ss 9 -to 5 o", "-to value smaller than -ss for the output; aborting."),
        ("-i a -threads two o", "Invalid value for option 'threads': 'two' is not a whole number from 0"),
        ("-i a -threads -1 o", "Invalid value for option 'threads'"),
        ("-passes 3 -i a o", "Invalid value for option 'passes': '3' is not 1 or 2"),
        ("-ring_memory 0 -i a o", "Invalid value for option 'ring_memory': '0' is not a size"),
        ("-v loud -i a o", "Invalid value for option 'v': 'loud' is not a level"),
        ("-err_detect explode -i a o", "Invalid value for option 'err_detect': 'explode' is not offered"),
        ("-i a -map_metadata 1 o", "Invalid value for option 'map_metadata': '1' is not offered"),
        ("-i a -c copy o", "-c:v copy: Filtering and streamcopy cannot be used together."),
        ("-i a -/vf /nowhere/g.txt o", "-/vf /nowhere/g.txt: No such file or directory"),
        ("-i a -q:v x o", "Invalid value for option 'q:v': 'x' is not a number"),
    ],
)  # fmt: skip
def test_errors_of_the_command_line(line: str, message: str) -> None:
    if "foo" in line or "prset" in line:
        needs_option_lists()
    with pytest.raises(UsageError) as info:
        parse(line)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def needs_option_lists() -> None:
    """PyAV 17, the last for Python 3.10, leaves it to the encoder to refuse an option."""
    if is_generic_option("crf") is None:
        pytest.skip("this PyAV cannot list an encoder's options")


def test_an_encoder_option_before_the_input() -> None:
    assert parse("-i a -crf 3 o").job.encoder_options == {"crf": "3"}
    needs_option_lists()
    with pytest.raises(UsageError, match="option 'crf' is for the output"):
        parse("-crf 20 -i a o")


def test_graph_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "graph.txt"
    path.write_text("detect=faces,\n  blur=strenght=2\n")
    command = parse_command(["-i", "a", "-/vf", str(path), "o"])
    assert command.job.graph == "detect=faces,\n  blur=strenght=2\n"
    assert command.job.graph_source == f"-/vf {path}"
    path.write_bytes(b"blur=\xff")
    with pytest.raises(UsageError, match="not UTF-8 text \\(byte 5\\)"):
        parse_command(["-i", "a", "-/vf", str(path), "o"])


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512_000_000), ("1Gi", 1 << 30), ("64MB", 64_000_000), ("2MiB", 2 << 20), ("1000", 1000)],
)
def test_sizes_in_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def test_switches_and_levels() -> None:
    command = parse("-hide_banner -nostdin -nostats -loglevel error -progress - -dump_plan -i a")
    assert (command.hide_banner, command.stdin, command.stats) == (True, False, False)
    assert (command.log_level, command.progress, command.dump_plan) == (16, "-", True)
    assert parse("-v 40 -i a o").log_level == 40
    assert parse("-i a -noan o").job.audio is True


def test_no_two_options_share_a_name() -> None:
    names = [name for flag in FLAGS for name in flag.names]
    assert len(names) == len(set(names))
    fields = {*Job.__slots__, *Command.__slots__, "format", "graph_file", "qscale", "audio_q", "bitexact", ""}
    fields |= {"audio:ar", "audio:ac", "audio:b", "bitstream:v", "bitstream:a", "display:0", "display:1", "hwaccel"}
    assert {flag.dest for flag in FLAGS} <= fields


def run_cli(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anonfilter", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/", **kwargs)


def test_help_needs_no_heavy_import() -> None:
    """What costs the time is imports: name them, since a clock on a busy machine proves nothing."""
    code = "import sys; from anonfilter.cli import main; main(['-h']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/", check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "av", "scipy", "onnxruntime", "openvino", "fractions", "anonfilter.filter"}
    started = time.process_time()
    clihelp.show(clihelp.main_help())
    assert time.process_time() - started < 0.05


def test_help_version_and_filters() -> None:
    text = run_cli("-h")
    assert text.returncode == 0
    assert text.stderr == ""
    assert "-ring_memory bytes" in text.stdout
    version = run_cli("-version").stdout
    assert version.startswith(f"anonfilter {__version__}\n")
    assert "libavcodec" in version
    assert "inference: onnxruntime" in version
    listing = run_cli("-filters").stdout
    for name in registry.names():
        assert f" {name} " in listing


def test_help_of_a_filter(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-h", "filter=blur"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Filter blur\n")
    assert "<float>" in text
    assert "timeline through the 'enable' option" in text
    assert cli.main(["-h", "filter=hflip"]) == 0
    assert "Filter hflip (libavfilter)" in capsys.readouterr().out
    assert cli.main(["-h", "filter=blurr"]) == 1
    assert capsys.readouterr().err == "Unknown filter 'blurr'. (did you mean 'blur'?)\n"
    assert cli.main(["-h", "nonsense"]) == 1
    assert "no help for 'nonsense'" in capsys.readouterr().err


def test_full_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-h", "full"]) == 0
    text = capsys.readouterr().out
    for name in registry.names():
        cls = registry.find(name)
        assert cls is not None
        assert f"Filter {name}\n" in text
        for option in cls.options:
            assert f"   {option.name} " in text


def test_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 1
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith("usage: anonfilter")


def test_a_reader_of_the_help_may_leave() -> None:
    """anonfilter -h full | head -1: no traceback."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "anonfilter", "-h"], stdout=write, stderr=subprocess.PIPE, timeout=60, cwd="/"
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1


def test_errors_are_one_line_and_status_1() -> None:
    needs_option_lists()
    done = run_cli("-i", "a", "-foo", "1", "o")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "Unrecognized option 'foo'.\n")


def test_an_unexpected_exception(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError("odd\nthing")

    monkeypatch.setattr(clihelp, "filter_list", broken)
    assert cli.main(["-filters"]) == 1
    assert (
        capsys.readouterr().err
        == "internal error: ValueError: odd thing; run with -v debug for the traceback\n"
    )
    assert cli.main(["-v", "debug", "-filters"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("becomes", [None, ImportError, cli.AnonfilterError])
def test_stopped(
    number: int,
    becomes: type[Exception] | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once, twice or three times: the first stops the run, the others must not stop the cleaning up."""
    cleaned = []

    def stopped() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt as error:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            cleaned.append(True)
            if becomes is not None:
                raise becomes("an import was hit") from error
            raise

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(clihelp, "filter_list", stopped)
    assert cli.main(["-filters"]) == 255
    assert capsys.readouterr().err == f"Exiting normally, received signal {int(number)}.\n"
    assert cleaned
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_only_the_first_signal_raises(tmp_path: Path) -> None:
    """The second and third are counted, so that cleaning up is not broken off; the fourth ends the process."""
    out = tmp_path / "out.mp4"
    code = (
        "import os, signal\nfrom anonfilter import signals\nfrom anonfilter.io import target\n"
        "from anonfilter.job import Job\n"
        f"part = target.Target(Job('in', {str(out)!r}))\npart.begin()\nsignals.catch()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept KeyboardInterrupt:\n    print('once', flush=True)\n"
        "for i in range(3):\n    print(os.path.exists(part.url), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\nprint('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stdout) == (123, "once\nTrue\nTrue\nTrue\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_signal_before_the_imports() -> None:
    code = (
        "import os, signal, sys\nfrom anonfilter import __main__ as entry, signals\n"
        "class Bomb:\n    def find_spec(self, name, *more):\n"
        "        if name == 'anonfilter.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Bomb())\nentry.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stderr) == (255, "Exiting normally, received signal 2.\n")


@pytest.mark.parametrize(("level", "told"), [("quiet", False), ("panic", False), ("8", False), ("error", True)])
def test_a_quiet_failure(level: str, told: bool) -> None:
    """As ffmpeg: only the exit status tells."""
    for args in (("-foo", "1", "o"), ("-i", "/nowhere.mp4", "-vf", "null", "/nowhere/o.mp4")):
        done = run_cli("-v", level, *args)
        assert (done.returncode, done.stdout, bool(done.stderr)) == (1, "", told)


def test_a_tag_for_the_video(clip: Any, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    how = ("-i", str(clip("tagged.mp4", frames=5)), "-vf", "zone,fill", "-c:v", "libx265", "-preset", "ultrafast")
    done = run_cli(*how, "-tag:v", "hvc1", str(out))
    assert done.returncode == 0, done.stderr
    assert b"hvc1" in out.read_bytes()
    assert b"hev1" not in out.read_bytes()
    done = run_cli("-y", "-hide_banner", *how, "-tag:v", "hvc", str(out))
    assert (done.returncode, done.stderr) == (1, "-tag:v hvc: a tag is four characters (such as hvc1)\n")


@pytest.mark.parametrize("name", ["vn", "recast_media", "lavfi", "bsf:s", "vtag"])
def test_what_ffmpeg_has_and_nobody_needs_here_is_explained(name: str) -> None:
    with pytest.raises(UsageError, match=rf"Unrecognized option '{name}'\. \(.*"):
        parse(f"-i a -{name} b")


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_a_file_that_nobody_may_read(tmp_path: Path, clip: Any, name: str) -> None:
    """One line, also for root, who is run without the right to read everything."""
    source = tmp_path / name
    source.write_bytes(clip("plain.mp4").read_bytes())
    source.chmod(0)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    program = [*drop, sys.executable, "-m", "anonfilter", "-hide_banner"]
    command = [*program, "-i", str(source), "-vf", "null", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stderr) == (1, f"{source}: Permission denied\n")
    (tmp_path / "closed").mkdir(mode=0o555)
    source.chmod(0o644)
    command = [*program, "-f", "mp4", "-i", str(source), "-vf", "null", str(tmp_path / "closed" / "o.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stderr.endswith("o.mp4: cannot be written: Permission denied\n")) == (1, True)


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "o.mp4"
    source.write_bytes(b"a")
    out.write_bytes(b"keep")
    for flags in ((), ("-n",), ("-nostdin",)):
        done = run_cli(
            "-hide_banner", *flags, "-i", str(source), "-vf", "null", str(out), stdin=subprocess.DEVNULL
        )
        leave = "" if "-n" in flags else " (-y overwrites it)"
        assert (done.returncode, done.stderr) == (1, f"File '{out}' already exists. Exiting.{leave}\n")
    same = run_cli("-hide_banner", "-y", "-i", str(source), "-vf", "null", f"{tmp_path}/./a.mp4")
    assert same.returncode == 1
    assert "same as Input #0" in same.stderr
    assert (out.read_bytes(), source.read_bytes()) == (b"keep", b"a")


@pytest.mark.parametrize("answer", ["n", "", "yes please"])
def test_the_question_on_a_terminal(tmp_path: Path, answer: str) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "o.mp4"
    source.write_bytes(b"a")
    out.write_bytes(b"keep")
    master, slave = pty.openpty()
    try:
        os.write(master, answer.encode() + b"\n")
        done = run_cli("-hide_banner", "-i", str(source), "-vf", "null", str(out), stdin=slave)
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == 1
    assert done.stderr == f"File '{out}' already exists. Overwrite? [y/N] Not overwriting - exiting\n"
    assert out.read_bytes() == b"keep"


def test_progress_and_output_cannot_share_stdout() -> None:
    done = run_cli("-hide_banner", "-progress", "-", "-i", "a", "-f", "null", "-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "-progress -: stdout is the output's" in done.stderr


STATE = Progress(frame=30, total=90, fps=60.0, out_time=3725.5, size=1_000_000, speed=2.0)


def test_status_line() -> None:
    line = status_line(STATE)
    assert line.startswith("frame=   30 fps=  60 size=     976kB time=01:02:05.50 bitrate=")
    assert line.endswith("speed=2x eta=00:00:01")
    done = Progress(frame=90, total=90, fps=5.0, stage="pass 1", done=True)
    assert status_line(done).startswith("pass 1: frame=   90 fps= 5.0 ")
    assert "eta" not in status_line(done)
    assert "bitrate=N/A" in status_line(done)
    assert clock(59.999) == "00:00:59.99", "cut off, as ffmpeg does"
    assert clock(0.1 + 0.2) == "00:00:00.30"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_status_line_on_a_terminal_and_off_it() -> None:
    tty, file = Terminal(), io.StringIO()
    shown, plain = StatusLine(tty), StatusLine(file)
    last = Progress(frame=90, done=True)
    for state in (STATE, last):
        shown.update(state)
        plain.update(state)
    first, second = tty.getvalue().split("\r")
    assert second.endswith("\n")
    assert len(second.rstrip("\n")) >= len(first), "a shorter line must wipe the longer one"
    assert file.getvalue() == status_line(last) + "\n"
    shown.update(STATE)
    shown.clear()
    assert tty.getvalue().endswith("\n")
    assert cli.Log(parse("-v warning -i a o"))._line is None
    assert cli.Log(parse("-v warning -stats -i a o"))._line is not None


def test_log_levels(capsys: pytest.CaptureFixture[str]) -> None:
    log = cli.Log(parse("-v warning -i a o"))
    for level in ("error", "warning", "info", "debug"):
        log(level, level)
    assert capsys.readouterr().err == "error\nwarning\n"


def test_progress_file(tmp_path: Path) -> None:
    path = tmp_path / "progress.txt"
    report = ProgressFile(f"file:{path}")
    report.update(STATE)
    report.update(Progress(frame=90, out_time=1.5, done=True))
    report.close()
    blocks = path.read_text().split("progress=")
    rows = dict(line.split("=", 1) for line in blocks[0].splitlines())
    assert list(rows) == ["frame", "fps", "stream_0_0_q", "bitrate", "total_size", "out_time_us",
        "out_time_ms", "out_time",
                          "dup_frames", "drop_frames", "speed"]  # fmt: skip
    assert rows["frame"] == "30"
    assert rows["out_time_us"] == rows["out_time_ms"] == "3725500000"
    assert rows["out_time"] == "01:02:05.500000"
    assert blocks[1].startswith("continue\nframe=90\n")
    assert blocks[2] == "end\n"


def test_progress_to_a_pipe_whose_reader_left() -> None:
    read, write = os.pipe()
    report = ProgressFile(f"pipe:{write}")
    os.close(read)
    os.close(write)
    report.update(STATE)
    report.update(STATE)
    report.close()
    with pytest.raises(UsageError, match="-progress pipe:x"):
        ProgressFile("pipe:x")
    with pytest.raises(UsageError, match="No such file"):
        ProgressFile("/nowhere/at/all")


def test_the_reference_pages_are_fresh() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True, text=True,
                          timeout=60, cwd="/")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_plan_needs_no_output(tmp_path: Path) -> None:
    command = parse("-i a -vf zone,fill -crf 20 -dump_plan")
    assert (command.job.graph, command.job.output, command.dump_plan) == ("zone,fill", "", True)
    with pytest.raises(UsageError, match="Trailing option"):
        parse("-i a b.mp4 -vf zone,fill -dump_plan")
