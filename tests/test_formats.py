"""Every codec in, every container out, and the clips that most tools break: whole runs, checked to the sample."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from anonfilter.errors import AnonfilterError, GraphError, InputError, OutputError, UsageError
from anonfilter.io import hdr
from anonfilter.io.reader import Reader
from anonfilter.job import Job, Report
from anonfilter.run import run

FFMPEG = shutil.which("ffmpeg")
ZONE = "zone=x=8:y=8:w=40:h=32,fill"
LOSSLESS = {"preset": "ultrafast", "qp": "0"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "lossless": "1"}
SVT = {"preset": "12"}


def anonymise(source: Path, output: Path, graph: str = ZONE, **how: Any) -> Report:
    how.setdefault("encoder_options", LOSSLESS)
    return run(Job(str(source), str(output), graph, threads=1, **how))


def probe(path: Path, *args: str) -> Any:
    """What ffprobe says, as JSON."""
    raw = subprocess.run(["ffprobe", "-v", "error", "-of", "json", *args, path], capture_output=True, check=True).stdout
    return json.loads(raw)


def planes(clips: Any, path: Path) -> list[list[np.ndarray]]:
    with av.open(str(path)) as file:
        return [[clips.plane(f, i) for i in range(len(f.planes))] for f in file.decode(video=0)]


def same_outside(clips: Any, source: Path, output: Path, tolerance: int = 0) -> None:
    """All samples outside of ZONE are the source's (to a tolerance), and those inside are of one value."""
    before, after = planes(clips, source), planes(clips, output)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if len(old) == 1 < len(new):
            # H.264 without colour is decoded with neutral planes.
            assert all(len(np.unique(plane)) == 1 for plane in new[1:])
            new = new[:1]
        assert len(old) == len(new)
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            assert a.shape == b.shape
            assert a.dtype == b.dtype
            fx, fy = old[0].shape[1] // a.shape[1], old[0].shape[0] // a.shape[0]
            box = np.s_[8 // fy : 40 // fy, 8 // fx : 48 // fx]
            alpha = i == 3
            if not alpha:
                inside = b[box].astype(int)[2:-2, 2:-2]
                assert inside.max() - inside.min() <= 2 * tolerance
                # Left-sited chroma is covered one column further.
                b[8 // fy : 40 // fy, max(0, 8 // fx - 1) : 48 // fx + 1] = 0
                a[8 // fy : 40 // fy, max(0, 8 // fx - 1) : 48 // fx + 1] = 0
            assert np.abs(a.astype(int) - b.astype(int)).max() <= tolerance


# -- codecs in --

CODECS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": (".mp4", {}),
    "h264 10 bit": (".mkv", {"pix_fmt": "yuv420p10le"}),
    "h264 in avi": (".avi", {"options": {"bf": "0"}}),
    "hevc": (".mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
    "hevc 10 bit": (".mov", {"codec": "libx265", "pix_fmt": "yuv420p10le",
                             "options": {"x265-params": "log-level=none"}}),
    "vp8": (".webm", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}),
    "vp9": (".webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}),
    "av1": (".mkv", {"codec": "libsvtav1", "options": SVT}),
    "av1 10 bit": (".mp4", {"codec": "libsvtav1", "pix_fmt": "yuv420p10le", "options": SVT}),
    "mpeg2": (".ts", {"codec": "mpeg2video"}),
    "mpeg2 422": (".mkv", {"codec": "mpeg2video", "pix_fmt": "yuv422p"}),
    "mpeg4": (".avi", {"codec": "mpeg4"}),
    "prores": (".mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "mjpeg": (".avi", {"codec": "mjpeg", "pix_fmt": "yuvj422p", "color": (5, 2, 2, 2)}),
    "ffv1 grey": (".mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    "ffv1 grey 10 bit": (".mkv", {"codec": "ffv1", "pix_fmt": "gray10le"}),
    "ffv1 444": (".mkv", {"codec": "ffv1", "pix_fmt": "yuv444p"}),
    "422 10 bit": (".mkv", {"pix_fmt": "yuv422p10le"}),
    "one frame": (".mp4", {"frames": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", CODECS)
def test_codec_in(clips: Any, tmp_path: Path, name: str) -> None:
    ending, how = CODECS[name]
    source = clips.make(tmp_path / f"in{ending}", **{"frames": 6, **how})
    output = tmp_path / "out.mkv"
    anonymise(source, output)
    same_outside(clips, source, output)
    tick = Fraction(1, 1000)  # Matroska's
    assert all(abs(a - b) <= tick / 2 for a, b in zip(clips.times(source), clips.times(output), strict=True))


PLANAR: dict[str, tuple[str, dict[str, Any]]] = {
    "12 bit with x265": ("yuv444p12le", {"codec": "libx265", "encoder_options": {"x265-params": "lossless=1"}}),
    "12 bit 420 with x265": ("yuv420p12le", {"codec": "libx265", "encoder_options": {"x265-params": "lossless=1"}}),
    "grey 12 bit with x265": ("gray12le", {"codec": "libx265", "encoder_options": {"x265-params": "lossless=1"}}),
    "alpha": ("yuva420p", {"codec": "ffv1", "encoder_options": {}}),
    "alpha 444 10 bit": ("yuva444p10le", {"codec": "ffv1", "encoder_options": {}}),
}


@pytest.mark.parametrize("name", PLANAR)
def test_formats_that_x264_lacks(clips: Any, tmp_path: Path, name: str) -> None:
    pix_fmt, how = PLANAR[name]
    source = clips.make(tmp_path / "in.mkv", codec="ffv1", frames=3, pix_fmt=pix_fmt)
    with pytest.raises(OutputError, match=f"does not take pixel format {pix_fmt}: choose .*-c:v {how['codec']}"):
        anonymise(source, tmp_path / "out.mkv")
    assert not list(tmp_path.glob("out*"))
    anonymise(source, tmp_path / "out.mkv", **how)
    same_outside(clips, source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert next(out.decode(video=0)).format.name == pix_fmt


@pytest.mark.parametrize(("size", "pix_fmt"), [((64, 1), "gray"), ((64, 1), "yuv444p"), ((161, 121), "yuv444p")])
def test_sizes(clips: Any, tmp_path: Path, size: tuple[int, int], pix_fmt: str) -> None:
    source = clips.make(tmp_path / "in.mkv", codec="ffv1", frames=3, pix_fmt=pix_fmt, size=size)
    anonymise(source, tmp_path / "out.mkv", "zone=x=0:y=0:w=4:h=1,fill", codec="ffv1", encoder_options={})
    (a, *_), (b, *_) = planes(clips, source), planes(clips, tmp_path / "out.mkv")
    assert b[0].shape == size[::-1]
    assert not np.array_equal(a[0], b[0])
    assert np.array_equal(a[0][4:], b[0][4:])
    assert np.array_equal(a[0][:, 5:], b[0][:, 5:])


@pytest.mark.parametrize(("sample", "pix_fmt"), [("nv12", "nv12"), ("p010le", "p010le")])
def test_semi_planar_by_conversion(clips: Any, tmp_path: Path, sample: str, pix_fmt: str) -> None:
    # As a raw file: no codec keeps P010, hardware decoders give it.
    planar = "yuv420p" if sample == "nv12" else "yuv420p10le"
    path = tmp_path / "in.yuv"
    source = clips.make(tmp_path / "in.mkv", codec="ffv1", frames=3, pix_fmt=planar)
    shift = 6 if sample == "p010le" else 0
    raw = []
    for y, u, v in planes(clips, source):
        raw += [(y << shift).tobytes(), (np.stack([u, v], axis=-1) << shift).tobytes()]
    path.write_bytes(b"".join(raw))
    options = {"video_size": "160x120", "pixel_format": pix_fmt, "framerate": "25"}
    anonymise(path, tmp_path / "out.mkv", input_format="rawvideo", input_options=options)
    same_outside(clips, source, tmp_path / "out.mkv")


# -- containers out --

OUT: dict[str, dict[str, Any]] = {
    ".mp4": {}, ".mov": {}, ".mkv": {}, ".ts": {},
    ".avi": {"codec": "ffv1", "encoder_options": {}},
    ".webm": {"acodec": "libopus", "encoder_options": VP9},
}  # fmt: skip


@pytest.mark.parametrize("ending", OUT)
def test_container_out(clips: Any, clip: Any, tmp_path: Path, ending: str) -> None:
    source = clip("two-sounds.mp4", audio=("eng", "fra"), frames=20)
    output = tmp_path / f"out{ending}"
    anonymise(source, output, **OUT[ending])
    same_outside(clips, source, output)
    times = clips.times(output)
    expected = clips.times(source)
    if ending == ".ts":
        # No time before 0: with B-frames everything moves by the delay of decoding, sound and picture alike.
        expected = [t + times[0] for t in expected]
        assert times[0] < Fraction(1, 5)
    assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(times, expected, strict=True))
    languages = [s.get("tags", {}).get("language") for s in probe(output, "-show_streams")["streams"]]
    if ending == ".webm":
        assert [s["codec_name"] for s in probe(output, "-show_streams")["streams"]] == ["vp9", "opus", "opus"]
    else:
        # ADTS heads that a TS needs are its muxer's.
        cut = 7 if ending == ".ts" else 0
        for one, two in zip(sounds(source), sounds(output), strict=True):
            assert [p[cut:] for p in two] == one
    if ending != ".avi":
        assert languages[1:] == ["eng", "fra"]


def sounds(path: Path) -> list[list[bytes]]:
    with av.open(str(path)) as file:
        return [[bytes(p) for p in _demuxed(str(path), s.index) if p.size] for s in file.streams.audio]


def _demuxed(path: str, index: int) -> list[Any]:
    with av.open(path) as file:
        return list(file.demux(file.streams[index]))


# -- subtitles, maps, tags --


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sounds, two subtitles, chapters, tags and a font, in Matroska."""
    if FFMPEG is None:
        pytest.skip("no ffmpeg program to make the clip with")
    folder = tmp_path_factory.mktemp("rich")
    (folder / "a.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,500\nHello <i>there</i>\n\n2\n00:00:00,600 --> 00:00:00,900\nSecond\nline\n"
    )
    (folder / "m.txt").write_text(
        ";FFMETADATA1\ntitle=Street\nlocation=+52.5+013.4/\nmake=Cam\ncomment=at home\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=one\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=1000\ntitle=two\n"
    )
    (folder / "font.ttf").write_bytes(b"not quite a font")
    path = folder / "rich.mkv"
    subprocess.run(
        [FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", "-f", "lavfi", "-i",
         "sine=440:d=1", "-f", "lavfi", "-i", "sine=880:d=1", "-i", folder / "a.srt", "-i", folder / "m.txt",
         "-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "3", "-map_metadata", "4", "-map_chapters", "4",
         "-attach", folder / "font.ttf", "-metadata:s:t", "mimetype=font/ttf",
         "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-c:s", "srt", "-metadata:s:a:0", "language=eng",
         "-metadata:s:a:1", "language=fra", "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=deu",
         "-disposition:s:1", "forced", path], check=True)  # fmt: skip
    return path


def shown(path: Path, index: int = 0) -> list[tuple[float, float, str]]:
    """Subtitles as a player shows them: start, length, text."""
    found = []
    with av.open(str(path)) as file:
        stream: Any = file.streams.subtitles[index]
        for packet in file.demux(stream):
            if packet.size and (item := stream.decode2(packet)) is not None and len(item):
                text = item[0].ass.split(b",", 8)[-1].decode().replace("\\N", "\n").strip()
                tick = float(packet.time_base)
                found.append((round(packet.pts * tick, 3), round((packet.duration or 0) * tick, 3), text))
    return found


SUBTITLES = {".mkv": "subrip", ".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}


@pytest.mark.parametrize("ending", SUBTITLES)
def test_subtitles_sounds_chapters(clips: Any, rich: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out{ending}"
    anonymise(rich, output, **OUT[ending])
    said = probe(output, "-show_streams", "-show_chapters")
    subtitles = [s for s in said["streams"] if s["codec_type"] == "subtitle"]
    assert [s["codec_name"] for s in subtitles] == [SUBTITLES[ending]] * 2
    assert [s["tags"]["language"] for s in subtitles] == ["eng", "ger" if ending == ".mov" else "deu"]
    if ending in (".mkv", ".mp4"):  # the others cannot say it
        assert [s["disposition"]["forced"] for s in subtitles] == [0, 1]
    assert [c["tags"]["title"] for c in said["chapters"]] == ["one", "two"]
    assert [round(float(c["start_time"]), 3) for c in said["chapters"]] == [0, 0.4]
    if ending != ".webm":
        assert sounds(output) == sounds(rich)
    for index in (0, 1):
        for old, new in zip(shown(rich, index), shown(output, index), strict=True):
            assert new[:2] == pytest.approx(old[:2], abs=0.0011)
            plain = new[2].replace("{\\i1}", "").replace("{\\i0}", "").replace("{\\i}", "")
            assert plain == old[2].replace("{\\i1}", "").replace("{\\i0}", "")
    # And back: what MP4 holds becomes SubRip again.
    if ending == ".mp4":
        anonymise(output, tmp_path / "back.mkv", **OUT[".mkv"])
        assert [t for *_, t in shown(tmp_path / "back.mkv")] == [t for *_, t in shown(rich)]


def test_subtitle_packets_are_copied(clips: Any, rich: Path, tmp_path: Path) -> None:
    anonymise(rich, tmp_path / "out.mkv")
    assert clips.payload(tmp_path / "out.mkv", "subtitle") == clips.payload(rich, "subtitle")


def test_subtitles_that_overlap(clips: Any, tmp_path: Path) -> None:
    # MP4 shows one at a time: the next one ends the one before, and nothing moves.
    if FFMPEG is None:
        pytest.skip("no ffmpeg program to make the clip with")
    cues = [(0.1, 0.7, "one"), (0.3, 0.9, "two"), (1.2, 1.4, "three")]
    text = "".join(f"{i + 1}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{t}\n\n" for i, (a, b, t) in enumerate(cues))
    (tmp_path / "a.srt").write_text(text.replace(".", ","))
    plain = clips.make(tmp_path / "plain.mp4", frames=40, audio=("eng",))
    subprocess.run(
        [FFMPEG, "-v", "error", "-i", plain, "-i", tmp_path / "a.srt", "-map", "0", "-map", "1", "-c", "copy", "-c:s",
         "srt", "-avoid_negative_ts", "disabled", tmp_path / "in.mkv"], check=True)  # fmt: skip
    anonymise(tmp_path / "in.mkv", tmp_path / "out.mp4")
    anonymise(tmp_path / "out.mp4", tmp_path / "copy.mp4")  # copied, to the packet
    for name in ("out", "copy"):
        found = shown(tmp_path / f"{name}.mp4")
        assert found == [(0.1, 0.2, "one"), (0.3, 0.6, "two"), (1.2, 0.2, "three")], name
    assert clips.payload(tmp_path / "out.mp4", "subtitle") == clips.payload(tmp_path / "copy.mp4", "subtitle")


@pytest.mark.parametrize("ending", [".ts", ".avi"])
def test_container_without_subtitles_names_sn(rich: Path, tmp_path: Path, ending: str) -> None:
    with pytest.raises(OutputError, match=r"cannot hold subrip subtitles.*-sn"):
        anonymise(rich, tmp_path / f"out{ending}", **OUT[ending])
    assert not list(tmp_path.iterdir())
    anonymise(rich, tmp_path / f"out{ending}", subtitles=False, **OUT[ending])


def test_bitmap_subtitles_name_sn(rich: Path, tmp_path: Path) -> None:
    assert FFMPEG is not None
    subprocess.run(
        [FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1", "-f", "lavfi", "-i",
         "sine=440:d=1", "-i", rich, "-map", "0", "-map", "2:a:0", "-c:v", "libx264", "-preset", "ultrafast",
         tmp_path / "plain.mkv"], check=True)  # fmt: skip
    # A DVD subtitle track with no packet is enough: the container's refusal comes before the first.
    with av.open(str(tmp_path / "plain.mkv")) as old, av.open(str(tmp_path / "in.mkv"), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        bitmap: Any = new.add_mux_stream("dvd_subtitle")
        bitmap.time_base = Fraction(1, 1000)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    with pytest.raises(OutputError, match=r"mov.*cannot hold dvd_subtitle subtitles.*-sn"):
        anonymise(tmp_path / "in.mkv", tmp_path / "out.mov")
    with pytest.raises(OutputError, match=r"webm.*cannot hold dvd_subtitle subtitles.*-sn"):
        anonymise(tmp_path / "in.mkv", tmp_path / "out.webm", **OUT[".webm"])
    anonymise(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert probe(tmp_path / "out.mkv", "-show_streams")["streams"][1]["codec_name"] == "dvd_subtitle"


MAPS: dict[str, tuple[list[str], list[str]]] = {
    "none": ([], ["video", "audio:eng", "audio:fra", "subtitle:eng", "subtitle:deu"]),
    "all": (["0"], ["video", "audio:eng", "audio:fra", "subtitle:eng", "subtitle:deu"]),
    "order": (["0:a:1", "0:v"], ["audio:fra", "video"]),
    "one each": (["0:v:0", "0:a:0", "0:s:1"], ["video", "audio:eng", "subtitle:deu"]),
    "language": (["0:v", "0:m:language:eng"], ["video", "audio:eng", "subtitle:eng"]),
    "without": (["0", "-0:s", "-0:a:0"], ["video", "audio:fra"]),
    "optional": (["0:v", "0:d?", "0:a:7?"], ["video"]),
}


@pytest.mark.parametrize("name", MAPS)
def test_map(rich: Path, tmp_path: Path, name: str) -> None:
    maps, expected = MAPS[name]
    anonymise(rich, tmp_path / "out.mkv", maps=maps)
    streams = probe(tmp_path / "out.mkv", "-show_streams")["streams"]
    have = [":".join(filter(None, (s["codec_type"], s.get("tags", {}).get("language")))) for s in streams]
    assert have == expected


BAD_MAPS = {"0:a": "-map names no video", "1:v": "Invalid input file index", "0:a:5": "matches no streams",
            "[v]": "filter_complex|-vf", "0:x": "specifier"}  # fmt: skip


@pytest.mark.parametrize("given", BAD_MAPS)
def test_bad_map(rich: Path, tmp_path: Path, given: str) -> None:
    with pytest.raises((UsageError, InputError), match=BAD_MAPS[given]):
        anonymise(rich, tmp_path / "out.mkv", maps=[given])
    assert not list(tmp_path.iterdir())


def test_metadata_and_chapters_options(rich: Path, tmp_path: Path) -> None:
    given = {"": {"title": "New", "comment": "mine"}, "s:a:0": {"language": "nld"}, "s:v": {"title": "picture"}}
    anonymise(rich, tmp_path / "out.mkv", metadata=given, chapters=False)
    said = probe(tmp_path / "out.mkv", "-show_format", "-show_streams", "-show_chapters")
    have = {key.lower(): value for key, value in said["format"]["tags"].items()}
    assert (have["title"], have["comment"]) == ("New", "mine")
    assert said["streams"][0]["tags"]["title"] == "picture"
    assert said["streams"][1]["tags"]["language"] == "nld"
    assert not said["chapters"]
    anonymise(rich, tmp_path / "none.mkv", metadata={"": {"title": ""}})
    assert "title" not in {k.lower() for k in probe(tmp_path / "none.mkv", "-show_format")["format"]["tags"]}
    with pytest.raises(UsageError, match="no such stream"):
        anonymise(rich, tmp_path / "bad.mkv", metadata={"s:a:9": {"title": "x"}})


# -- sound that is encoded --


def heard(path: Path, index: int = 0) -> tuple[float, int, np.ndarray]:
    """Start in seconds, rate, and samples (channels, n) as float of one sound."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[index]
        to_float = av.AudioResampler(format="fltp")
        frames = list(file.decode(stream))
        start = float(frames[0].pts * frames[0].time_base)
        parts = [out.to_ndarray() for frame in frames for out in to_float.resample(frame)]
        return start, stream.rate, np.concatenate(parts, axis=1)


def test_encoded_sound_is_the_same_sound(clip: Any, tmp_path: Path) -> None:
    source = clip("two-sounds.mp4", audio=("eng", "fra"), frames=20)
    anonymise(source, tmp_path / "out.mkv", acodec="flac")
    start, rate, before = heard(source)
    start2, rate2, after = heard(tmp_path / "out.mkv")
    assert (start2, rate2) == (pytest.approx(start, abs=0.001), rate)
    length = min(before.shape[1], after.shape[1])
    assert abs(before.shape[1] - after.shape[1]) <= 1024
    assert np.abs(before[:, :length] - after[:, :length]).max() < 1e-4


def test_filtered_sound(clip: Any, tmp_path: Path) -> None:
    source = clip("two-sounds.mp4", audio=("eng", "fra"), frames=20)
    anonymise(source, tmp_path / "out.mp4", audio_filter="volume=0.25", audio_options={"ac": "2", "ar": "32000"})
    _, _, before = heard(source)
    start, rate, after = heard(tmp_path / "out.mp4")
    assert rate == 32000
    assert after.shape[0] == 2
    assert start == pytest.approx(0, abs=0.002)
    middle = np.s_[:, 8000:16000]
    assert after[middle].std() / before[middle].std() == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(("ss", "t"), [(0.2, None), (0.3, 0.3), (None, 0.25)])
def test_encoded_sound_is_cut_to_the_sample(clip: Any, tmp_path: Path, ss: Any, t: Any) -> None:
    source = clip("two-sounds.mp4", audio=("eng", "fra"), frames=20)
    anonymise(source, tmp_path / "out.mkv", acodec="pcm_s16le", ss=ss, t=t)
    _, rate, before = heard(source)
    start, _, after = heard(tmp_path / "out.mkv")
    first = round((ss or 0) * rate)
    last = before.shape[1] if t is None else first + round(t * rate)
    assert start == pytest.approx(0, abs=0.001)
    assert after.shape[1] == pytest.approx(last - first, abs=1024 if t is None else 1)
    length = min(after.shape[1], last - first)
    assert np.abs(after[:, :length] - before[:, first : first + length]).max() < 1e-3


SOUND_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown encoder": ({"acodec": "foo"}, "Unknown encoder 'foo'"),
    "video encoder": ({"acodec": "libx264"}, "no audio encoder"),
    "copy with a filter": ({"acodec": "copy", "audio_filter": "volume=2"}, "streamcopy cannot be used together"),
    "unknown filter": ({"audio_filter": "volme=2"}, "no such filter: 'volme'"),
    "unknown option": ({"audio_options": {"foo": "1"}}, "Unrecognized option 'foo' for encoder aac"),
    "channels": ({"audio_options": {"ac": "99"}}, "-ac 99"),
    "codec the container cannot hold": ({"acodec": "pcm_s16le"}, "does not hold pcm_s16le|cannot be written"),
}


@pytest.mark.parametrize("name", SOUND_FAULTS)
def test_sound_faults(clip: Any, tmp_path: Path, name: str) -> None:
    how, words = SOUND_FAULTS[name]
    output = tmp_path / ("out.webm" if "container" in name else "out.mp4")
    with pytest.raises((OutputError, UsageError, GraphError), match=words):
        anonymise(clip("two-sounds.mp4", audio=("eng", "fra"), frames=20), output, **{**OUT[output.suffix], **how})
    assert not list(tmp_path.iterdir())


def test_audio_that_webm_cannot_hold_names_an_encoder(clip: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot hold aac audio.*-c:a libopus.*-an"):
        anonymise(clip("two-sounds.mp4", audio=("eng", "fra"), frames=20), tmp_path / "out.webm", encoder_options=VP9)


# -- light, shape, fields, times --

MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
HDR10 = {"codec": "libx265", "pix_fmt": "yuv420p10le", "color": (9, 1, 9, 16), "frames": 3,
         "options": {"x265-params": f"log-level=none:hdr10=1:master-display={MASTERING}:max-cll=1000,400"}}  # fmt: skip
HDR_OUT: dict[str, tuple[str, dict[str, Any]]] = {
    "x264": (".mp4", {}), "x264 in matroska": (".mkv", {}),
    "x265": (".mp4", {"codec": "libx265", "encoder_options": {"preset": "ultrafast"}}),
    "x265 in mov": (".mov", {"codec": "libx265", "encoder_options": {"preset": "ultrafast"}}),
    "svt-av1": (".mp4", {"codec": "libsvtav1", "encoder_options": SVT}),
    "svt-av1 in matroska": (".mkv", {"codec": "libsvtav1", "encoder_options": SVT}),
    "ffv1": (".mkv", {"codec": "ffv1", "encoder_options": {}}),
}  # fmt: skip


@pytest.mark.parametrize("name", HDR_OUT)
def test_hdr10_is_kept(clip: Any, tmp_path: Path, name: str) -> None:
    ending, how = HDR_OUT[name]
    source = clip("hdr10.mkv", **HDR10)
    output = tmp_path / f"out{ending}"
    anonymise(source, output, **how)
    expected = {"red_x": 0.68, "green_y": 0.69, "blue_x": 0.15, "white_point_y": 0.329, "min_luminance": 0.005,
                "max_luminance": 1000, "max_content": 1000, "max_average": 400}  # fmt: skip

    def told(items: list[dict[str, Any]]) -> dict[str, float]:
        values = {k: v for item in items for k, v in item.items() if k in expected}
        return {key: float(Fraction(str(value))) for key, value in values.items()}

    entries = ["-select_streams", "v", "-show_entries", "stream:stream_side_data"]
    stream = probe(output, *entries)["streams"][0]
    assert told(stream["side_data_list"]) == pytest.approx(expected, abs=2e-4), "the container"
    assert (stream["color_space"], stream["color_transfer"], stream["color_primaries"]) == (
        "bt2020nc", "smpte2084", "bt2020")  # fmt: skip
    if "ffv1" not in name:
        # Without the container: from the bitstream alone.
        raw = tmp_path / ("a.obu" if "av1" in name else "a.264" if "264" in name else "a.265")
        subprocess.run([str(FFMPEG), "-v", "error", "-i", output, "-c", "copy", raw], check=True)
        with av.open(str(raw)) as file:
            light, _ = hdr.read(next(file.decode(video=0)))
        assert light is not None
        values = [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 0.005, 1000]
        assert [float(x) for x in (*light.primaries, *light.luminance)] == pytest.approx(values, abs=2e-4)
        assert light.light == (1000, 400)


def test_hdr_of_a_toned_down_picture_is_dropped(clip: Any, tmp_path: Path) -> None:
    anonymise(clip("hdr10.mkv", **HDR10), tmp_path / "out.mp4", f"{ZONE},lut3d=file={_cube(tmp_path)}")
    stream = probe(tmp_path / "out.mp4", "-show_streams")["streams"][0]
    assert not stream.get("side_data_list")


def _cube(folder: Path) -> Path:
    rows = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (folder / "a.cube").write_text(f"LUT_3D_SIZE 2\n{rows}\n")
    return folder / "a.cube"


def test_hlg_is_kept(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mkv", frames=2, pix_fmt="yuv420p10le", color=(9, 1, 9, 18))
    anonymise(source, tmp_path / "out.mp4")
    stream = probe(tmp_path / "out.mp4", "-show_streams")["streams"][0]
    assert stream["color_transfer"] == "arib-std-b67"


def test_shape_4_3_is_kept(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=3, sar=Fraction(4, 3))
    for ending in (".mp4", ".mov", ".mkv", ".ts", ".avi"):
        anonymise(source, tmp_path / f"out{ending}", **({"encoder_options": {}} if ending == ".avi" else OUT[ending]))
        assert probe(tmp_path / f"out{ending}", "-show_streams")["streams"][0]["sample_aspect_ratio"] == "4:3", ending


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_input_is_refused_unless_deinterlaced(tmp_path: Path, codec: str) -> None:
    if FFMPEG is None:
        pytest.skip("no ffmpeg program to make the clip with")
    source = tmp_path / "in.mkv"
    subprocess.run(
        [FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=50:d=0.4", "-vf", "interlace", "-flags",
         "+ilme+ildct", "-c:v", codec, source], check=True)  # fmt: skip
    with pytest.raises(InputError, match=r"0\.000 s is interlaced.*yadif or bwdif first"):
        anonymise(source, tmp_path / "out.mkv")
    with pytest.raises(InputError, match="interlaced"):
        anonymise(source, tmp_path / "out.mkv", f"{ZONE},yadif")
    assert not list(tmp_path.glob("out*"))
    for graph in ("yadif", "bwdif=deint=interlaced", "setfield=prog"):
        anonymise(source, tmp_path / "out.mkv", f"{graph},{ZONE}", overwrite=True)
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert not any(frame.interlaced_frame for frame in out.decode(video=0))


TIMES: dict[str, dict[str, Any]] = {
    "non-zero start": {"time_base": Fraction(1, 90000), "pts": lambda n: 720000 + 3600 * n},
    "variable": {"time_base": Fraction(1, 90000), "pts": lambda n: 3000 * n + 333 * n * n},
    "ntsc": {"rate": Fraction(30000, 1001)},
}


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("name", TIMES)
def test_times(clips: Any, tmp_path: Path, name: str, ending: str) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=9, **TIMES[name])
    output = tmp_path / f"out{ending}"
    anonymise(source, output)
    tick = Fraction(1, 1000) if ending == ".mkv" else Fraction(0)
    assert all(abs(a - b) <= tick / 2 for a, b in zip(clips.times(source), clips.times(output), strict=True))


def test_edit_list(clips: Any, tmp_path: Path) -> None:
    if FFMPEG is None:
        pytest.skip("no ffmpeg program to make the clip with")
    whole = clips.make(tmp_path / "whole.mp4", frames=50, audio=("eng",), options={"g": "25", "bf": "2"})
    source = tmp_path / "in.mp4"
    subprocess.run([FFMPEG, "-v", "error", "-ss", "0.5", "-i", whole, "-c", "copy", source], check=True)
    assert b"elst" in source.read_bytes()
    anonymise(source, tmp_path / "out.mp4")
    same_outside(clips, source, tmp_path / "out.mp4")
    assert clips.times(tmp_path / "out.mp4") == clips.times(source)
    one, two = heard(source), heard(tmp_path / "out.mp4")
    assert one[0] == two[0]
    assert np.array_equal(one[2][:, : two[2].shape[1]], two[2][:, : one[2].shape[1]])


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "frames": ({"frames": 7}, {"frames": 7}),
    "rate": ({"rate": "10"}, {"frames": 10, "rate": "10/1"}),  # as ffmpeg makes it
    "input rate": ({"input_rate": "50", "audio": False}, {"frames": 20, "rate": "50/1"}),
    "size": ({"size": "80x60"}, {"frames": 20, "size": (80, 60)}),
    "aspect": ({"aspect": "2"}, {"frames": 20, "sar": "3:2"}),
    "from the end": ({"sseof": -0.2}, {"frames": 5}),
    "shortest": ({"shortest": True}, {"frames": 20}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(clip: Any, tmp_path: Path, name: str) -> None:
    how, expected = OPTIONS[name]
    anonymise(clip("two-sounds.mp4", audio=("eng", "fra"), frames=20), tmp_path / "out.mp4", **how)
    stream = probe(tmp_path / "out.mp4", "-count_frames", "-show_streams")["streams"][0]
    assert int(stream["nb_read_frames"]) == pytest.approx(expected["frames"], abs=name == "from the end")
    assert stream["r_frame_rate"] == expected.get("rate", "25/1")
    assert (stream["width"], stream["height"]) == expected.get("size", (160, 120))
    assert stream.get("sample_aspect_ratio") == expected.get("sar")


def test_shortest_ends_with_the_first(clips: Any, tmp_path: Path) -> None:
    if FFMPEG is None:
        pytest.skip("no ffmpeg program to make the clip with")
    source = tmp_path / "in.mkv"
    subprocess.run(
        [FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2", "-f", "lavfi", "-i",
         "sine=440:d=1", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac", source], check=True)  # fmt: skip
    anonymise(source, tmp_path / "out.mkv", shortest=True)
    assert len(clips.times(tmp_path / "out.mkv")) == 25
    anonymise(source, tmp_path / "whole.mkv")
    assert len(clips.times(tmp_path / "whole.mkv")) == 50


COPYTS = [({}, 0), ({"copyts": True}, 9), ({"copyts": True, "start_at_zero": True}, 1)]


@pytest.mark.parametrize(("how", "first"), COPYTS)
def test_copyts(clips: Any, tmp_path: Path, how: dict[str, Any], first: int) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=50, time_base=Fraction(1, 90000), pts=lambda n: 720000 + 3600 * n)
    anonymise(source, tmp_path / "out.mp4", ss=1.0, **how)
    assert clips.times(tmp_path / "out.mp4")[0] == first


def test_prores_4444(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mov", codec="prores_ks", pix_fmt="yuva444p10le", frames=3)
    with Opened(source) as reader:
        pix_fmt = reader.info.pix_fmt
    assert pix_fmt.startswith("yuva444p1")
    with pytest.raises(OutputError, match=f"take pixel format {pix_fmt}: choose -c:v prores_ks -pix_fmt yuva444p10le"):
        anonymise(source, tmp_path / "out.mov")
    anonymise(source, tmp_path / "out.mov", codec="prores_ks", pix_fmt="yuva444p10le", encoder_options={})
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mov")) as b:
        for old, new in zip(a.decode(video=0), b.decode(video=0), strict=True):
            assert new.format.name == pix_fmt
            assert np.array_equal(clips.plane(old, 3), clips.plane(new, 3))  # alpha


def test_turned_pictures(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=3, matrix=clips.ROTATE_90)
    for ending in (".mp4", ".mov", ".mkv", ".webm"):
        how = OUT[".webm"] if ending == ".webm" else {}
        anonymise(source, tmp_path / f"out{ending}", "zone=x=0:y=0:w=16:h=16,fill", **how)
        with Opened(tmp_path / f"out{ending}") as reader:
            assert (reader.info.width, reader.info.height, reader.info.rotation) == (160, 120, 90)
        # The zone is said in display coordinates: its top left is the coded picture's bottom left.
        (luma, *_) = clips.pictures(tmp_path / f"out{ending}")
        assert np.ptp(luma[-14:-2, 2:14]) == 0
    # A size makes the run turn the pictures, as ffmpeg does; -noautorotate keeps them as they are.
    anonymise(source, tmp_path / "small.mp4", size="60x80")
    anonymise(source, tmp_path / "flat.mp4", size="80x60", autorotate=False)
    for name, rotation in (("small", 0), ("flat", 90)):
        with Opened(tmp_path / f"{name}.mp4") as reader:
            assert (reader.info.rotation, reader.info.display_size) == (rotation, (60, 80))


class Opened:
    """A reader that is closed at the end of a block."""

    def __init__(self, path: Path) -> None:
        self.reader = Reader(Job(str(path), "none"))

    def __enter__(self) -> Reader:
        return self.reader

    def __exit__(self, *_: object) -> None:
        self.reader.close()


def test_format_change_in_mid_stream(clips: Any, tmp_path: Path) -> None:
    for i, pix_fmt in enumerate(("yuv420p", "yuv444p")):
        clips.make(tmp_path / f"{i}.h264", frames=5, pix_fmt=pix_fmt)
    (tmp_path / "a.h264").write_bytes((tmp_path / "0.h264").read_bytes() + (tmp_path / "1.h264").read_bytes())
    with pytest.raises(AnonfilterError, match=r"changes from 160x120 yuv420p to 160x120 yuv444p at 0\.\d+ s"):
        anonymise(tmp_path / "a.h264", tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(("options", "moved"), [({}, False), ({"codec": "mpeg2video"}, True)])
def test_times_that_an_encoder_cannot_show_are_told(tmp_path: Path, options: dict[str, str], moved: bool) -> None:
    """MPEG-2, ffmpeg's own choice for .ts, counts frames; ours is H.264."""
    source, out = tmp_path / "in.mkv", tmp_path / "out.ts"
    uneven = "settb=1/1000,setpts='N*40+17*mod(N,2)'"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.6", "-vf", uneven, "-fps_mode",
         "passthrough", "-enc_time_base", "1/1000", "-c:v", "libx264", str(source)],
        check=True,
    )  # fmt: skip
    report = run(Job(str(source), str(out), "zone=x=0:y=0:w=16:h=16,fill", **options))  # type: ignore[arg-type]
    assert any("moved to the clock of the encoder" in line for line in report.notes) is moved
