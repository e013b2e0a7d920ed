"""Options of ffmpeg's beside the usual ones do what the real program does: key frames, dispositions, limits, loops,
paces, bitstream filters, two passes, display rotation."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

from peer import EXACT, both, made, peer, shown

from anonfilter import cli

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg program to compare with")

X264 = "-c:v libx264 -preset ultrafast -x264-params scenecut=0"


def run(*args: str) -> int:
    return cli.main(["-v", "error", "-y", *args])


def key_times(path: Path) -> list[float]:
    with av.open(str(path)) as file:
        return [float(p.pts * p.time_base) for p in file.demux(video=0) if p.is_keyframe and p.pts is not None]


# How pictures get key frames; options before -i.
KEYS = [
    ("0,0.4,1.24,2.5", ""), ("00:00:01,500ms", ""), ("expr:gte(t,n_forced*0.5)", ""), ("expr:not(mod(n,7))", ""),
    ("expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+0.6))", ""),
    ("expr:if(isnan(prev_forced_n),1,gte(n,prev_forced_n+9))", ""),
    ("1.5,chapters", ""), ("chapters+0.2,2", ""), ("source", ""), ("expr:gte(t,n_forced*0.5)", "-ss 0.77"),
    ("1", "-ss 0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "before"), KEYS)
def test_key_frames(text: str, before: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    after = f"-an -sn {X264} -g 250 -force_key_frames '{text}'"
    theirs, ours = both(clips_of("many.mkv"), before, after, EXACT, tmp_path)
    found = key_times(ours)
    assert found == pytest.approx(key_times(theirs), abs=0.0011)
    assert len(found) > 1


@pytest.mark.parametrize("rate", ["50", "100"])
def test_key_frames_of_repeated_pictures(rate: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """A key frame of the source that is shown again is one once."""
    options = shlex.split(f"-an {X264} -g 500 -force_key_frames source -r {rate}")
    assert run("-i", clips_of("even.mkv"), "-vf", "null", *options, str(tmp_path / "o.mkv")) == 0
    assert key_times(tmp_path / "o.mkv") == pytest.approx(key_times(Path(clips_of("even.mkv"))), abs=0.03)


def test_key_frames_do_not_outlive_their_option(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """Without the option the source's picture types mean nothing to the encoder."""
    assert run("-i", clips_of("even.mkv"), "-vf", "null", *shlex.split(X264), "-g", "250", str(tmp_path / "o.mkv")) == 0
    assert len(key_times(tmp_path / "o.mkv")) == 1


DISPOSITIONS = [
    "-disposition:a:1 default", "-disposition:a:0 0 -disposition:a:1 default+forced",
    "-disposition:s:0 +hearing_impaired",
    "-disposition:a -default", "-disposition:v 0 -disposition:a 0", "-disposition:s forced -disposition:s:0 +default",
    "-disposition:5 default",
]  # fmt: skip


@pytest.mark.parametrize("options", DISPOSITIONS)
def test_dispositions(options: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    theirs, ours = both(clips_of("many.mkv"), "", f"-map 0 -t 0.4 {options}", EXACT, tmp_path)

    def bits(path: Path) -> list[int]:
        with av.open(str(path)) as file:
            return [int(stream.disposition) for stream in file.streams]

    assert bits(ours) == bits(theirs)


@pytest.mark.parametrize("limit", ["20k", "40000", "1G"])
def test_a_limit_of_size(limit: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """Both end soon after the size is reached, with a whole file of whole pictures."""
    after = f"-an -c:v mpeg4 -q:v 2 -fs {limit} -flush_packets 1"
    theirs, ours = both(clips_of("even.mkv"), "", after, EXACT, tmp_path, "ts")
    expected, found = shown(theirs), shown(ours)
    assert [content for _, content in found[:5]] == [content for _, content in expected[:5]]
    assert len(found) == pytest.approx(len(expected), abs=4)
    assert (len(found) < 75) == (limit != "1G")


def test_a_limit_of_size_on_a_pipe(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    how = ("-i", clips_of("even.mkv"), "-vf", "null", "-an", "-c:v", "mpeg4", "-q:v", "2", "-fs", "20000", "-f", "nut")
    program = ["python", "-m", "anonfilter", "-v", "error", *how, "-"]
    done = subprocess.run(program, capture_output=True, check=True, timeout=60)
    assert 20_000 < len(done.stdout) < 40_000


# Turns, options before -i, options of the output.
LOOPS = [(1, "", ""), (2, "", ""), (2, "-t 4.5", ""), (-1, "-t 7.2", ""), (-1, "", "-t 6.4"), (1, "", "-ss 2.5 -t 2"),
         (1, "-t 0.5", ""), (0, "", "")]  # fmt: skip


@pytest.mark.parametrize(("turns", "before", "after"), LOOPS)
def test_loops(turns: int, before: str, after: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    loop = f"-stream_loop {turns} {before}"
    theirs, ours = both(clips_of("silent.mkv"), loop, after, EXACT, tmp_path)
    expected, found = shown(theirs), shown(ours)
    assert [content for _, content in found] == [content for _, content in expected]
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected], abs=0.0021)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ("-loop 1 -i {0}", 25),
        ("-loop 1 -t 1 -i {0}", 25),
        ("-stream_loop 2 -i {1}", 15),
        ("-stream_loop -1 -i {1}", 25),
    ],
)
def test_pictures_that_are_shown_again(options: str, count: int, tmp_path: Path) -> None:
    made("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "-pix_fmt", "gray", str(tmp_path / "img%03d.png"))
    given = shlex.split(options.format(tmp_path / "img001.png", tmp_path / "img%03d.png"))
    how = [*given, "-vf", "null", "-c:v", "ffv1", "-t", "1"]
    made(*how, str(tmp_path / "theirs.mkv"))
    assert run(*how, str(tmp_path / "ours.mkv")) == 0
    assert shown(tmp_path / "ours.mkv") == shown(tmp_path / "theirs.mkv")
    assert len(shown(tmp_path / "ours.mkv")) == count


def test_pictures_without_an_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.04", str(tmp_path / "a.png"))
    for option, words in ((("-loop", "1"), "need -t"), (("-display_rotation", "90"), "put transpose")):
        assert run(*option, "-i", str(tmp_path / "a.png"), "-vf", "null", str(tmp_path / "o.mkv")) == 1
        assert words in capfd.readouterr().err


@pytest.mark.parametrize("sound", ["copy", "flac"])
def test_loops_with_sound(sound: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """Sound begins again with its pictures; a turn lasts as long as the longer of both."""
    out = tmp_path / "o.mkv"
    how = ["-stream_loop", "2", "-i", clips_of("short.mkv"), "-vf", "null", "-c:v", "ffv1", "-c:a", sound]
    assert run(*how, str(out)) == 0
    with av.open(str(out)) as file:
        stamps = [float(p.pts * p.time_base) for p in file.demux(audio=0) if p.size]
    assert len(shown(out)) == 3 * 75
    assert stamps[-1] == pytest.approx(7.7, abs=0.1)
    for turn in range(3 if sound == "copy" else 0):  # one that is encoded gets silence for the gap
        own = [t for t in stamps if 3 * turn - 0.03 <= t < 3 * turn + 2.9]
        assert own[0] == pytest.approx(3 * turn, abs=0.03)
        assert own[-1] == pytest.approx(3 * turn + 1.7, abs=0.06)


@pytest.mark.parametrize("sound", ["copy", "pcm_s16le"])
def test_loops_keep_all_of_sound_as_long_as_the_picture(
    sound: str, clips_of: Callable[[str], str], tmp_path: Path
) -> None:
    """Packets of a turn that wait for the writer outlive the turn's file."""

    def heard(path: Path) -> float:
        """Packets of sound that is copied, seconds of other."""
        with av.open(str(path)) as file:
            packets = [p for p in file.demux(audio=0) if p.size]
            if sound == "copy":
                return len(packets)
            return float(sum((p.duration or 0) * p.time_base for p in packets))

    lengths = []
    for turns in ("0", "3", "3"):
        out = tmp_path / "o.mkv"
        how = ["-y", "-stream_loop", turns, "-i", clips_of("even.mkv"), "-vf", "null", "-c:v", "ffv1", "-c:a", sound]
        assert run(*how, str(out)) == 0
        lengths.append(heard(out))
    assert lengths[0] > 1
    assert lengths[1:] == [pytest.approx(4 * lengths[0], abs=0.05)] * 2


def test_loops_in_two_passes(
    clips_of: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    graph = "zone=x=0:y=0:w=16:h=16,fill"
    for passes in ("1", "2"):
        how = ["-passes", passes, "-stream_loop", "1", "-i", clips_of("uneven.mkv"), "-vf", graph, "-c:v", "ffv1"]
        assert run(*how, str(tmp_path / f"{passes}.mkv")) == 0
    assert shown(tmp_path / "1.mkv") == shown(tmp_path / "2.mkv")
    endless = ["-passes", "2", "-stream_loop", "-1", "-i", clips_of("uneven.mkv"), "-vf", graph]
    assert run(*endless, str(tmp_path / "3.mkv")) == 1
    assert "put -t before -i" in capfd.readouterr().err
    assert len(shown(tmp_path / "1.mkv")) == 150


@pytest.mark.parametrize(("options", "words"), [
    ("-stream_loop 1 -ss 1 -i {clip}", "put -ss before the output"),
    ("-stream_loop 1 -i {clip} -shortest", "use -t"),
    ("-stream_loop x -i {clip}", "'x' is not a whole number"),
    ("-display_rotation 30 -i {clip}", "whole quarter turns"),
    ("-hwaccel nope -i {clip}", "Unrecognized hwaccel: nope"),
    ("-i {clip} -force_key_frames often", "'often' is not a time"),
    ("-i {clip} -force_key_frames expr:gte(t,q)", "'q' is not a known name"),
    ("-i {clip} -disposition:a loud", "'loud' is not a disposition"),
    ("-i {clip} -bsf:v h264_metdata", "Unknown bitstream filter 'h264_metdata' (did you mean 'h264_metadata'?)"),
    ("-i {clip} -bsf:v aac_adtstoasc", "not supported by the bitstream filter 'aac_adtstoasc'"),
    ("-i {clip} -bsf:a noise=what=1", "what"),
    ("-i {clip} -bsf null", "-bsf:v or -bsf:a"),
    ("-i {clip} -fs 0", "is not a size in bytes"),
    ("-i {clip} -c:v mpeg4 -pass 1", "two passes work with libx264, not mpeg4"),
    ("-i {clip} -f null -pass 1", "-f null encodes nothing by itself: add -c:v libx264"),
    ("-i {clip} -pass 2 -passlogfile nowhere", "nowhere-0.log: No such file"),
    ("-i {clip} -pass 4", "'4' is not 1, 2 or 3"),
])  # fmt: skip
def test_one_line_for_what_cannot_be(
    options: str, words: str, clips_of: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = shlex.split(options.format(clip=clips_of("even.mkv")))
    assert cli.main(["-hide_banner", *given, "-vf", "null", str(tmp_path / "o.mkv")]) == 1
    said = capfd.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_pace(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """-re takes as long as the clip, -readrate 4 a quarter of that; a burst comes at once."""
    how = ("-i", clips_of("even.mkv"), "-vf", "null", "-c:v", "mpeg4", "-f", "null", "-")
    for options, least in ((("-readrate", "4"), 0.7), (("-re", "-readrate_initial_burst", "2.5"), 0.4)):
        begun = time.monotonic()
        assert run(*options, *how) == 0
        assert time.monotonic() - begun >= least


BITSTREAMS = [
    "-c:v libx264 -preset ultrafast -bsf:v h264_metadata=level=5.1:sample_aspect_ratio=4/3",
    "-c:v libx264 -preset ultrafast -bsf:v h264_mp4toannexb,h264_metadata=level=5.1",
    "-c:v libx264 -preset ultrafast -bsf:v filter_units=remove_types=6",
    "-c:v mpeg4 -q:v 5 -bsf:v dump_extra",
]


@pytest.mark.parametrize("ending", ["mp4", "ts"])
@pytest.mark.parametrize("options", BITSTREAMS)
def test_bitstream_filters(options: str, ending: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    extra = f"{EXACT} -fps_mode passthrough"
    theirs, ours = both(clips_of("even.mkv"), "", f"-an {options} -bf 0", extra, tmp_path, ending)

    def told(path: Path) -> Any:
        command = ["ffprobe", "-v", "error", "-show_entries", "stream=level,sample_aspect_ratio,profile,has_b_frames"]
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    assert told(ours) == told(theirs)
    assert len(shown(ours)) == len(shown(theirs))


@pytest.mark.parametrize("codec", ["copy", "flac"])
def test_bitstream_filters_of_sound(codec: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """noise breaks packets on purpose, the same way in both: what comes out differs from what goes in."""
    name = clips_of("even.mkv")
    for place, how in (("plain", ()), ("noisy", ("-bsf:a", "noise=amount='if(eq(mod(n,3),1),1,0)'"))):
        options = ["-i", name, "-vf", "null", "-c:v", "ffv1", "-c:a", codec, *how]
        assert run(*options, str(tmp_path / f"{place}.mkv")) == 0
    made("-i", str(tmp_path / "plain.mkv"), "-c", "copy", *how, str(tmp_path / "theirs.mkv"))

    def packets(place: str) -> list[bytes]:
        with av.open(str(tmp_path / f"{place}.mkv")) as file:
            return [bytes(p) for p in file.demux(audio=0) if p.size]

    plain, noisy, theirs = packets("plain"), packets("noisy"), packets("theirs")
    assert len(plain) == len(noisy) == len(theirs)
    changed = [n for n, (a, b) in enumerate(zip(plain, noisy, strict=True)) if a != b]
    assert changed == [n for n, (a, b) in enumerate(zip(plain, theirs, strict=True)) if a != b]
    assert changed == list(range(1, len(plain), 3))


@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_bitstream_filters_of_sound_from_another_container(
    ending: str, clips_of: Callable[[str], str], tmp_path: Path
) -> None:
    """A codec's tag is the container's own."""
    made("-i", clips_of("even.mkv"), "-c:v", "copy", "-c:a", "aac", str(tmp_path / "a.mp4"))
    out = tmp_path / f"o.{ending}"
    assert run("-i", str(tmp_path / "a.mp4"), "-vf", "null", "-bsf:a", "null", str(out)) == 0
    with av.open(str(tmp_path / "a.mp4")) as before, av.open(str(out)) as after:
        assert [bytes(p) for p in after.demux(audio=0)] == [bytes(p) for p in before.demux(audio=0)]


def test_a_chain_that_leaves_no_picture(
    clips_of: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    how = ["-i", clips_of("even.mkv"), "-vf", "null", "-bsf:v", "noise=drop=1"]
    assert run(*how, str(tmp_path / "o.mkv")) == 1
    assert "left no picture" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_second_pass_with_more_pictures(
    clips_of: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    how = ["-i", clips_of("even.mkv"), "-vf", "null", "-an", "-c:v", "libx264", "-b:v", "100k",
           "-passlogfile", str(tmp_path / "log")]  # fmt: skip
    assert run(*how, "-frames:v", "20", "-pass", "1", "-f", "null", "-") == 0
    capfd.readouterr()
    assert run(*how, "-pass", "2", str(tmp_path / "o.mp4")) == 1
    assert "log-0.log has 20 pictures and there are more" in capfd.readouterr().err
    assert not list(tmp_path.glob("o.mp4*"))


def test_two_passes_of_the_encoder(clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """The first writes the statistics that ffmpeg would write, the second comes as near to the bit rate."""
    source = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", "-vf", "null", "-c:v", "libx264", "-b:v", "300k")
    sizes = []
    for name, program in (("theirs", made), ("ours", lambda *args: run(*args) == 0 or pytest.fail("failed"))):
        log = ("-passlogfile", str(tmp_path / name))
        program(*source, *log, "-pass", "1", "-f", "null", "-")
        assert (tmp_path / f"{name}-0.log").stat().st_size > 1000
        assert (tmp_path / f"{name}-0.log.mbtree").exists()
        program(*source, *log, "-pass", "2", str(tmp_path / f"{name}.mkv"))
        sizes.append((tmp_path / f"{name}.mkv").stat().st_size)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)
    assert sizes[1] * 8 / 4 == pytest.approx(300_000, rel=0.2)


def turned(path: Path, *how: str) -> list[str]:
    """Content of the pictures as a player shows them."""
    command = ["ffmpeg", "-v", "error", *how, "-i", str(path), "-f", "framemd5", "-pix_fmt", "gray", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split(",")[-1].strip() for line in text.splitlines() if not line.startswith("#")]


# The filters that turn as the options do: clockwise ones, since a rotation of the display counts the other way.
ROTATIONS = [("-display_rotation 90", "transpose=2"), ("-display_rotation -90", "transpose=1"),
             ("-display_rotation:v 180", "hflip,vflip"), ("-display_hflip", "hflip"), ("-display_vflip", "vflip"),
             ("-display_rotation 90 -display_hflip", "transpose=2,hflip"), ("-display_rotation 0", "null")]  # fmt: skip


@pytest.mark.parametrize(("options", "filters"), ROTATIONS)
def test_display_rotation(options: str, filters: str, clips_of: Callable[[str], str], tmp_path: Path) -> None:
    """The pictures stay as they are coded, and the output says how to show them. ffmpeg 5.1 has no such option:
    compared with what its filters show."""
    out = tmp_path / "o.mp4"
    code = ("-c:v", "libx264", "-crf", "0", "-t", "0.4")
    how = ["-i", clips_of("silent.mkv"), "-vf", "zone=x=0:y=0:w=8:h=8,fill", *code]
    assert run(*shlex.split(options), *how, str(out)) == 0
    made("-noautorotate", "-i", str(out), "-vf", filters, "-c:v", "ffv1", str(tmp_path / "p.mkv"))
    assert turned(out) == turned(tmp_path / "p.mkv")


@pytest.mark.parametrize("name", ["auto", "none", "cuda", "vaapi"])
def test_hwaccel(name: str, clips_of: Callable[[str], str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A script for a machine with a device runs on one without: the pictures are the same."""
    how = ["-hwaccel", name, "-hwaccel_device", "0", "-i", clips_of("even.mkv"), "-vf", "null", "-c:v", "ffv1"]
    assert cli.main(["-v", "warning", *how, str(tmp_path / "o.mkv")]) == 0
    assert ("decoded by the CPU" in capfd.readouterr().err) == (name not in ("auto", "none"))
    assert len(shown(tmp_path / "o.mkv")) == 75
    done = peer("-v", "error", "-y", *how[:2], *how[4:], str(tmp_path / "theirs.mkv"))
    assert name in ("cuda", "vaapi") or done.returncode == 0
