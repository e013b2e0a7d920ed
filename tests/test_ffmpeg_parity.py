"""Option by option, the real ffmpeg program and this one do the same: streams, times, pictures, tags, status, progress.

The ffmpeg of the machine may be older than the bundled libraries: where its behaviour is known to have changed since, a
case says so with an option for it alone.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

from peer import EXACT, STEADY, both, made, peer, shown, sounds

from anonfilter import cli
from anonfilter.cliopts import BY_NAME
from anonfilter.clirefused import REFUSED, TAKEN

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg program to compare with")

# clip, options of the input, of the output, of the real output alone
TIMES = [
    ("uneven.mkv", "", "", EXACT),
    ("uneven.mkv", "-ss 0.77", "-an", EXACT),
    ("uneven.mkv", "-ss 1.8 -t 0.3", "-an", EXACT),
    ("uneven.mkv", "-ss 1.33 -to 2", "-an", EXACT),
    ("uneven.mkv", "-ss -1", "", EXACT),
    ("uneven.mkv", "-ss -1 -t 1.5", "", EXACT),
    ("uneven.mkv", "", "-ss -1 -to 1.5", EXACT),
    ("uneven.mkv", "-t 1.2", "", EXACT),
    ("uneven.mkv", "-to 00:00:01.2", "", EXACT),
    ("uneven.mkv", "-sseof -1", "-an", EXACT),
    ("uneven.mkv", "", "-ss 0.33 -t 1", EXACT),
    ("uneven.mkv", "", "-ss 330ms -to 1.4", EXACT),
    ("uneven.mkv", "-ss 0.5", "-ss 0.3 -t 0.5 -an", EXACT),
    ("delayed.mkv", "", "-t 1", EXACT),
    ("delayed.mkv", "-t 1", "", EXACT),
    ("delayed.mkv", "", "-ss 0.1 -t 1", EXACT),
    ("uneven.mkv", "-copyts -ss 0.9 -to 2", "-an", EXACT),
    ("uneven.mkv", "-copyts -ss 0.9 -t 0.7", "-an", EXACT),
    ("late.ts", "-copyts", "-an", EXACT),
    ("late.ts", "-copyts -ss 0.5", "-an", EXACT),
    ("late.ts", "-copyts", "-ss 10 -to 11 -an", EXACT),
    ("late.ts", "-copyts", "-t 10 -an", EXACT),
    ("late.ts", "-copyts -start_at_zero -ss 1", "-an", EXACT),
    ("late.ts", "-copyts -start_at_zero", "-ss 1 -an", EXACT),
    ("late.ts", "-ss 0", "-t 1 -an", EXACT),
    ("late.ts", "-ss 1", "-an", EXACT),
    ("late.ts", "-sseof -1", "-an", EXACT),
    ("even.mkv", "", "-r 10", STEADY),
    ("even.mkv", "", "-r ntsc", STEADY),
    ("even.mkv", "", "-r 30000/1001", STEADY),
    ("uneven.mkv", "", "-r 25", STEADY),
    ("uneven.mkv", "", "-r 10", STEADY),
    ("uneven.mkv", "", "-r 50", STEADY),
    ("uneven.mkv", "", "-r 23.976", STEADY),
    ("silent.mkv", "", "-r 12.5 -fps_mode cfr", ""),
    ("delayed.mkv", "", "-r 25", STEADY),
    ("uneven.mkv", "-ss 0.77", "-r 15 -an", STEADY),
    ("uneven.mkv", "", "-ss 0.77 -r 15", STEADY),
    ("uneven.mkv", "", "-r 15 -t 1.1", STEADY),
    ("delayed.mkv", "", "-r 25 -t 1", STEADY),
    ("uneven.mkv", "", "-r 60 -t 2.1", STEADY),
    ("uneven.mkv", "", "-r 40 -frames:v 17 -an", STEADY),
    ("uneven.mkv", "", "-vframes 17 -an", EXACT),
    ("uneven.mkv", "-r 10", "", ""),
    ("uneven.mkv", "-r 10", "-r 25", STEADY),
    ("uneven.mkv", "", "-fps_mode cfr", ""),
    ("delayed.mkv", "", "-fps_mode cfr", ""),
    ("uneven.mkv", "", "-fps_mode vfr", EXACT),
    ("uneven.mkv", "", "-fps_mode passthrough", EXACT),
    ("uneven.mkv", "", "-vsync 1", ""),
    ("silent.mkv", "", "-vsync 0", EXACT),
]


@pytest.mark.parametrize("case", TIMES, ids=lambda c: " ".join(filter(None, c[:3])).replace("/", ":"))
def test_times(case: tuple[str, str, str, str], clips_of: Callable[[str], str], tmp_path: Path) -> None:
    name, before, after, extra = case
    theirs, ours = both(clips_of(name), before, after, extra, tmp_path)
    expected, found = shown(theirs), shown(ours)
    if name == "late.ts" and "-ss" in before and before != "-ss 0":
        # MPEG-TS has no index: ffmpeg 5.1 may land on the key frame behind the place and lose what lies between. Here
        # the file is then read from the front.
        whole = [content for _, content in shown(Path(clips_of(name)))]
        assert [content for _, content in found] == whole[-len(found) :]
        assert len(found) >= len(expected)
        found = found[-len(expected) :]
    assert [content for _, content in found] == [content for _, content in expected]
    # Matroska counts in milliseconds, and programs round to it at different places.
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected], abs=0.0011)
    want, have = sounds(theirs), sounds(ours)
    assert [[content for _, content in track] for track in have] == [[c for _, c in track] for track in want]
    for track, other in zip(have, want, strict=True):
        assert [at for at, _ in track] == pytest.approx([at for at, _ in other], abs=0.0011)


def test_the_one_declared_difference_of_times(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """Without -ss and -copyts the source's times stay, where ffmpeg moves the start to 0."""
    theirs, ours = both(clips_of("late.ts"), "", "", EXACT, tmp_path)
    expected, found = shown(theirs), shown(ours)
    assert [content for _, content in found] == [content for _, content in expected]
    shift = found[0][0] - expected[0][0]
    assert shift > 9
    assert [at - shift for at, _ in found] == pytest.approx([at for at, _ in expected], abs=0.0011)


def test_shortest(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """At the end of the shortest stream, as ffmpeg since version 6; before, it took whatever it had buffered."""
    theirs, ours = both(clips_of("short.mkv"), "", "-shortest", EXACT, tmp_path)
    assert shown(ours)[-1][0] == pytest.approx(1.7, abs=0.05)
    assert len(sounds(ours)[0]) == len(sounds(theirs)[0])


def streams(path: Path) -> list[tuple[Any, ...]]:
    """Kind, codec, language and shape of each stream."""
    with av.open(str(path)) as source:
        return [
            (s.type, s.codec_context.name, s.metadata.get("language"), *_shape(s)) for s in source.streams
        ]


def _shape(stream: Any) -> tuple[Any, ...]:
    if stream.type == "video":
        return stream.width, stream.height, stream.sample_aspect_ratio or 1
    return (stream.sample_rate, stream.channels) if stream.type == "audio" else ()


X264 = "-c:v libx264 -preset ultrafast"  # which writes the sample aspect ratio into its stream
STREAMS = [
    "-map 0", "-map 0:v", "-map 0:v -map 0:a:1", "-map 0 -map -0:a:0", "-map 0:v -map 0:t?",
    "-map 0:v -map 0:s -map 0:a", "-map 0:v -map 0:m:language:ger", "-map 0:0 -map 0:2",
    "-map 0:V -map 0:a -map -0:m:language:eng", "-map 0 -an", "-map 0 -sn", "-map 0 -dn -sn -an",
    "-map 0:v -map 0:a -c:a pcm_s16le -ac 2 -ar 22050", "-map 0:v -map 0:a:0 -c:a flac -af aresample=8000",
    "-map 0 -c:s ass", "-map 0 -s 32x24", f"-map 0:v -s qcif {X264}", f"-map 0:v -aspect 2:1 {X264}",
    f"-map 0:v -s 96x48 -aspect 4:3 {X264}", "-map 0 -metadata:s:a:0 language=fre",
    "-map 0 -metadata:s:a language=swe -metadata:s:s:0 language=nor",
]  # fmt: skip


@pytest.mark.parametrize("options", STREAMS, ids=lambda text: text.replace("/", ":"))
def test_streams(options: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    theirs, ours = both(clips_of("many.mkv"), "", options + " -t 0.6", "", tmp_path)
    assert streams(ours) == streams(theirs)


@pytest.mark.parametrize("options", ["-metadata title=Hello", "-metadata:g title=a=b", "-map_chapters -1",
                                     "-map_chapters 0", "-metadata title=x -metadata title="])  # fmt: skip
def test_tags(options: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    theirs, ours = both(clips_of("many.mkv"), "", options, "", tmp_path)

    def told(path: Path) -> tuple[Any, ...]:
        with av.open(str(path)) as source:
            marks = [(c["start"], c["end"], c["metadata"].get("title")) for c in source.chapters()]
            return source.metadata.get("title"), marks

    assert told(ours) == told(theirs)


def test_numbered_pictures_become_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """RGB has to become something that the encoder takes: what ffmpeg chooses, with colours that are no further from
    the pictures' than its are, and the report says so."""
    monkeypatch.chdir(tmp_path)
    made("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "img%03d.png")
    made("-i", "img%03d.png", "-c:v", "libx264", "-crf", "5", "theirs.mp4")
    how = ["-hide_banner", "-y", "-i", "img%03d.png", "-vf", "zone=x=0:y=0:w=8:h=8,fill", "-c:v"]
    assert cli.main([*how, "libx264", "-crf", "5", "ours.mp4"]) == 0
    assert "gbrp becomes yuv444p, since libx264 takes no RGB" in capfd.readouterr().err

    def colours(name: str) -> Any:
        command = ["ffmpeg", "-v", "error", "-i", name, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        return np.frombuffer(raw, np.uint8).astype(int).reshape(5, 48, 64, 3)[:, 16:]

    source = colours("img%03d.png")
    ours, theirs = (np.abs(colours(name) - source).mean() for name in ("ours.mp4", "theirs.mp4"))
    assert ours == pytest.approx(theirs, abs=0.2)
    with av.open("ours.mp4") as file:
        stream = file.streams.video[0]
        assert (stream.pix_fmt, stream.codec_context.color_range, stream.codec_context.colorspace) == ("yuv444p", 1, 6)
    assert cli.main([*how, "libx264rgb", "-crf", "0", "rgb.mkv"]) == 0
    assert "becomes" not in capfd.readouterr().err
    assert np.array_equal(colours("rgb.mkv"), source)


def keys(path: Path) -> list[dict[str, str]]:
    blocks = re.findall(r".*?^progress=\w+$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [dict(line.split("=", 1) for line in block.strip().splitlines()) for block in blocks]


@pytest.mark.parametrize("after", ["", "-r 10 -fps_mode cfr", "-r 40 -fps_mode cfr"])
def test_progress(after: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    how = ["-i", clips_of("even.mkv"), "-vf", "null", "-c:v", "mpeg4", "-q:v", "5", "-c:a", "copy", *shlex.split(after)]
    made("-progress", str(tmp_path / "theirs"), *how, str(tmp_path / "t.mkv"))
    args = ["-v", "error", "-y", "-progress", str(tmp_path / "ours"), *how, str(tmp_path / "o.mkv")]
    assert cli.main(args) == 0
    expected, found = keys(tmp_path / "theirs")[-1], keys(tmp_path / "ours")[-1]
    assert list(found) == list(expected)
    for key in ("frame", "dup_frames", "drop_frames", "progress"):
        assert found[key] == expected[key], key
    for block in (found, expected):
        assert block["out_time_ms"] == block["out_time_us"]
        assert re.fullmatch(r" *[\d.]+kbits/s", block["bitrate"])
    assert int(found["out_time_us"]) == pytest.approx(int(expected["out_time_us"]), abs=150_000)
    assert float(found["stream_0_0_q"]) == pytest.approx(float(expected["stream_0_0_q"]), abs=2)


@pytest.mark.parametrize("encoder", ["mpeg4 -bf 2", "mpeg2video", "mjpeg -pix_fmt yuvj420p"])
def test_fixed_quality(encoder: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """-q:v makes files as large as ffmpeg's, but for what it signs them with."""
    sizes = []
    for quality in ("2", "7.5", "31"):
        options = f"-an -c:v {encoder} -q:v {quality} -frames:v 25"
        theirs, ours = (path.stat().st_size for path in both(clips_of("even.mkv"), "", options, STEADY, tmp_path))
        assert ours == pytest.approx(theirs, abs=40 * 25)
        sizes.append(ours)
    assert sizes[0] > 1.5 * sizes[1] > 1.5 * 1.5 * sizes[2]


# Options, and words that both programs say. {clip}: an input, {old}: a file that is there, {new}: one that is not.
FAILURES = [
    ("-i {new} {out}", "No such file or directory"),
    ("-foo 1 -i {clip} {out}", "Unrecognized option 'foo'."),
    ("-i {clip} {out} -foo", "Unrecognized option 'foo'."),
    ("-i {clip} -vf", "Missing argument for option 'vf'."),
    ("-n -i {clip} {old}", "already exists. Exiting."),
    ("-y -i {clip} {clip}", "same as Input #0 - exiting"),
    ("-i {clip}", "At least one output file must be specified"),
    ("-y -n -i {clip} {out}", "Error, both -y and -n supplied. Exiting."),
    ("-vf null -i {clip} {out}", "cannot be applied to input url"),
    ("-i {clip} -vf null -c:v nope {out}", "Unknown encoder 'nope'"),
    ("-i {clip} -vf null -c:a nope {out}", "Unknown encoder 'nope'"),
    ("-i {clip} -vf null -c:a copy -af volume=2 {out}", "Filtering and streamcopy cannot be used together."),
    ("-i {clip} -vf null -c copy {out}", "Filtering and streamcopy cannot be used together."),
    ("-i {clip} -vf null -map 0:7 {out}", "Stream map '0:7' matches no streams."),
    ("-i {clip} -vf null -map 0:v:1 {out}", "To ignore this, add a trailing '?' to the map."),
    ("-i {clip} -vf null -map 1 {out}", "Invalid input file index: 1."),
    ("-i {clip} -vf null -ss soon {out}", "Invalid duration specification for ss: soon"),
    ("-ss soon -i {clip} -vf null {out}", "Invalid duration specification for ss: soon"),
    ("-i {clip} -vf null -ss 2 -to 1 {out}", "-to value smaller than -ss"),
    ("-i {clip} -vf null -r 0 {out}", "Invalid framerate value: 0"),
    ("-i {clip} -vf null -r fast {out}", "Invalid framerate value: fast"),
    ("-i {clip} -vf null -s big {out}", "Invalid frame size: big."),
    ("-i {clip} -vf null -metadata title {out}", "No '=' character in metadata string title."),
    ("-i {clip} -vf null -metadata:x a=b {out}", "Invalid metadata type x."),
    ("-i {clip} -vf null -map_chapters 3 {out}", "Invalid input file index 3 in chapter mapping"),
    ("-i {clip} -vf nope {out}", "No such filter: 'nope'"),
    ("-i {clip} -vf null -fps_mode odd {out}", "odd"),
    ("-i {clip} -vf null -f nope {out}", "nope"),
    ("-i {clip} -vf null {out}.xyz", ""),
    ("-i {clip} -vf null /nowhere/{out}", ""),
    ("-i {text} -vf null {out}", ""),
    ("-i {clip} -vf null -preset odd {out}", ""),
    ("-i {clip} -vf null -crf odd {out}", ""),
    ("-v loud -i {clip} -vf null {out}", "loud"),
    ("", "usage:"),
]


@pytest.mark.parametrize(("line", "words"), FAILURES, ids=lambda text: text.replace("/", ":"))
def test_failures(
    line: str, words: str, clips_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The same exit status, ffmpeg's words, one line, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    names = {"clip": clips_of("even.mkv"), "new": "new.mp4", "old": "old.mp4", "out": "out.mp4", "text": "text.mp4"}
    args = line.format(**names).split()
    theirs = peer(*args)
    for name in ("out.mp4", "out.mp4.xyz"):  # the real one leaves empty files behind
        Path(name).unlink(missing_ok=True)
    capfd.readouterr()
    status = cli.main(args)
    said = capfd.readouterr().err
    assert status == theirs.returncode == 1
    assert words.lower() in theirs.stderr.lower()
    assert words.lower() in said.lower()
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.mp4", "text.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"old"


# What is an error here and a warning, or nothing at all, there.
STRICTER = [
    ("-i {clip} -vf null {out} -an", "Trailing option(s) found in the command"),
    ("-i {clip} -vf null -ss 10 {out}", "no frame between -ss and -t or -to of the output"),
    ("-i {clip} -vf null -t 0 {out}", "-t 0 leaves nothing of the output"),
    ("-t 0 -i {clip} -vf null {out}", "-t 0 leaves nothing of the input"),
    ("-ss 10 -i {clip} -vf null {out}", "is it behind the end?"),
    ("-i {clip} -vf null -frames:v 0 {out}", "is not a whole number from 1"),
]


@pytest.mark.parametrize(("line", "words"), STRICTER, ids=lambda text: text)
def test_where_this_program_is_stricter(
    line: str, words: str, clips_of: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    args = line.format(clip=clips_of("even.mkv"), out=tmp_path / "out.mp4").split()
    assert peer("-y", *args).returncode == 0
    (tmp_path / "out.mp4").unlink(missing_ok=True)
    assert cli.main(args) == 1
    assert words in capfd.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def test_a_signal(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """255 from both. The real one leaves a part of a file, this one nothing."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=600", "-vf", "null", "-c:v", "ffv1")
    for program in (["ffmpeg", "-nostdin"], [sys.executable, "-m", "anonfilter"]):
        progress = tmp_path / "progress"
        command = [*program, "-v", "error", "-y", "-progress", str(progress), *source, str(tmp_path / "out.mkv")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/")
        until = time.monotonic() + 60
        while not (progress.exists() and "frame=" in progress.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 255
        assert (tmp_path / "out.mkv").exists() == (program[0] == "ffmpeg")
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()


def options_of_ffmpeg() -> Iterator[str]:
    """The names in ffmpeg -h long, without those of sections that are libraries'."""
    text = peer("-h", "long").stdout
    for line in text[text.index("Print help") :].splitlines():
        if match := re.match(r"-{1,2}([A-Za-z?][\w?]*)", line):
            yield match[1]


def test_the_table_has_every_option_of_ffmpeg() -> None:
    known = {name.split(":")[0].lstrip("-") for name in BY_NAME} | {*REFUSED, *TAKEN}
    # Options of the encoder, which anybody's name reaches.
    generic = {"b", "g", "profile", "tag", "qscale", "q"}
    names = list(options_of_ffmpeg())
    assert len(names) > 150
    assert [name for name in names if name not in known | generic] == []
