"""Reading and writing: what comes out is what went in, or nothing comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from anonfilter import partfile
from anonfilter.errors import AnonfilterError, InputError, OutputError
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io import demuxing, streams, tags
from anonfilter.io.reader import Reader
from anonfilter.io.writer import Writer
from anonfilter.job import Job

FFMPEG = shutil.which("ffmpeg")


def convert(source: Path | str, output: Path | str, **how: Any) -> tuple[Reader, Writer]:
    """Decode and encode again, nothing else."""
    how.setdefault("encoder_options", {"preset": "ultrafast", "qp": "0"})
    job = Job(str(source), str(output), **how)
    reader = Reader(job)
    writer = Writer(job, reader)
    try:
        writer.open(reader.info)
        for item in reader.frames():
            if isinstance(item, Frame):
                writer.write(item)
            else:
                writer.mux(item)
        writer.finish()
    finally:
        writer.abort()
        reader.close()
    return reader, writer


def read(path: Path | str, **how: Any) -> tuple[Reader, list[Frame], list[Any]]:
    """Everything a reader gives."""
    reader = Reader(Job(str(path), "none", **how))
    items = list(reader.frames())
    return reader, [i for i in items if isinstance(i, Frame)], [i for i in items if not isinstance(i, Frame)]


def info_of(path: Path) -> StreamInfo:
    reader = Reader(Job(str(path), "none"))
    reader.close()
    return reader.info


# -- what is kept --

SAME = ("width", "height", "pix_fmt", "sar", "rotation", "hflip", "display_matrix", "color_space", "color_range",
        "color_primaries", "color_trc")  # fmt: skip

KEPT: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (".mp4", {}),
    "ten bit": (".mp4", {"pix_fmt": "yuv420p10le"}),
    "422": (".mp4", {"pix_fmt": "yuv422p"}),
    "444 ten bit": (".mkv", {"pix_fmt": "yuv444p10le"}),
    "444 odd size": (".mp4", {"pix_fmt": "yuv444p", "size": (161, 121)}),
    "grey": (".mkv", {"pix_fmt": "gray"}),
    "b frames": (".mp4", {"options": {"preset": "veryfast", "bf": "3"}}),
    "variable rate": (".mp4", {"time_base": Fraction(1, 90000), "pts": lambda n: n * 3600 + n * n * 37}),
    "variable rate mkv": (".mkv", {"time_base": Fraction(1, 1000), "pts": lambda n: n * 33 + n * n}),
    "ntsc": (".mp4", {"rate": Fraction(30000, 1001)}),
    "delayed start": (".mp4", {"time_base": Fraction(1, 12800), "pts": lambda n: 13760 + 512 * n}),
    "starts at 8 s": (".mkv", {"time_base": Fraction(1, 1000), "pts": lambda n: 8333 + 40 * n}),
    "rotated": (".mp4", {"matrix": (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)}),
    "rotated mkv": (".mkv", {"matrix": (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)}),
    "turned over": (".mp4", {"matrix": (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)}),
    "mirrored": (".mp4", {"matrix": (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)}),
    "sar 4:3": (".mp4", {"sar": Fraction(4, 3)}),
    "sar mkv": (".mkv", {"sar": Fraction(64, 45)}),
    "full range": (".mp4", {"pix_fmt": "yuvj420p", "color": (1, 2, 1, 1)}),
    "limited bt709": (".mp4", {"color": (1, 1, 1, 1)}),
    "bt2020 pq": (".mp4", {"pix_fmt": "yuv420p10le", "color": (9, 1, 9, 16)}),
    "one frame": (".mp4", {"frames": 1}),
    "tiny": (".mp4", {"size": (16, 2)}),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_stream_and_times_survive(clips: Any, tmp_path: Path, name: str) -> None:
    ending, how = KEPT[name]
    source = clips.make(tmp_path / f"in{ending}", **{"frames": 12, **how})
    output = tmp_path / f"out{ending}"
    reader, writer = convert(source, output)
    before, after = reader.info, info_of(output)
    for field in SAME:
        assert getattr(after, field) == getattr(before, field), field
    assert clips.times(output) == clips.times(source)
    assert writer.frames == how.get("frames", 12)
    assert not writer.nudged
    assert sorted(os.listdir(tmp_path)) == [f"in{ending}", f"out{ending}"]


@pytest.mark.parametrize("location", ["left", "topleft", "center"])
def test_chroma_location_survives(clips: Any, tmp_path: Path, location: str) -> None:
    source = clips.make(tmp_path / "in.mkv", frames=2, options={"chroma_sample_location": location})
    convert(source, tmp_path / "out.mp4")
    expected = streams.CHROMA_LOCATIONS.index(location)
    assert [info_of(p).chroma_location for p in (source, tmp_path / "out.mp4")] == [expected, expected]


def test_sample_aspect_ratio_is_not_lost_silently(clips: Any, tmp_path: Path) -> None:
    # VP9 itself has no field for it, and WebM's cannot be reached from PyAV.
    source = clips.make(tmp_path / "in.mp4", frames=2, sar=Fraction(4, 3))
    how = {"codec": "libvpx-vp9", "encoder_options": {"deadline": "realtime", "cpu-used": "8"}}
    with pytest.raises(OutputError, match=r"4/3 would be lost.*scale="):
        convert(source, tmp_path / "out.webm", **how)
    convert(source, tmp_path / "out.mp4", **how)
    assert info_of(tmp_path / "out.mp4").sar == Fraction(4, 3)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p", "yuvj420p"])
def test_samples_survive_a_lossless_encoder(clips: Any, tmp_path: Path, pix_fmt: str) -> None:
    # A conversion through RGB or another range anywhere would show here.
    how = {"color": (1, 2, 1, 1)} if pix_fmt == "yuvj420p" else {}
    source = clips.make(tmp_path / "in.mkv", pix_fmt=pix_fmt, frames=5, **how)
    convert(source, tmp_path / "out.mkv")
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mkv")) as b:
        for one, two in zip(a.decode(video=0), b.decode(video=0), strict=True):
            assert one.format.name == two.format.name
            for i in range(len(one.planes)):
                assert np.array_equal(clips.plane(one, i), clips.plane(two, i))


def test_ten_bit_semi_planar_is_rearranged_not_refused(clips: Any, tmp_path: Path) -> None:
    info = info_of(clips.make(tmp_path / "in.mkv", pix_fmt="yuv420p10le", frames=1))
    stream = StreamInfo(64, 48, "p010le", info.time_base, info.rate, info.average_rate)
    frame = av.VideoFrame(64, 48, "p010le")
    luma = np.frombuffer(frame.planes[0], "<u2")
    luma.flags.writeable or luma.setflags()
    np.frombuffer(memoryview(frame.planes[0]), "<u2")[:] = np.arange(luma.size, dtype="<u2") % 1024 << 6
    np.frombuffer(memoryview(frame.planes[1]), "<u2")[:] = 512 << 6
    job = Job("none", str(tmp_path / "out.mkv"), encoder_options={"qp": "0"})
    writer = Writer(job)
    writer.write(Frame(0, 0, 0.0, frame), stream)
    writer.finish()
    (out,) = clips.pictures(tmp_path / "out.mkv")
    width = frame.planes[0].line_size // 2
    assert np.array_equal(out, (np.arange(luma.size) % 1024).reshape(-1, width)[:48, :64])


def test_frame_types_of_the_source_are_not_forced(clips: Any, tmp_path: Path) -> None:
    # All frames of this clip are intra coded. With pict_type carried over, all of the output would be.
    source = clips.make(tmp_path / "in.mp4", frames=20, options={"g": "1"})
    convert(source, tmp_path / "out.mp4", encoder_options={"preset": "ultrafast", "sc_threshold": "0"})
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert sum(p.is_keyframe for p in out.demux(video=0) if p.size) == 1


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg to compare with")
@pytest.mark.parametrize("options", [{"preset": "veryfast"}, {"preset": "veryfast", "b": "200k"}])
def test_x264_gets_ffmpegs_settings(clips: Any, tmp_path: Path, options: dict[str, str]) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=50, size=(320, 240))
    # Without -map_metadata 0 nothing in the file names the encoder.
    convert(source, tmp_path / "ours.mp4", encoder_options=options, keep_metadata=True)
    given = [part for k, v in options.items() for part in (f"-{k}:v", v)]
    subprocess.run(
        [FFMPEG, "-v", "error", "-nostdin", "-i", source, "-c:v", "libx264", *given, tmp_path / "theirs.mp4"],
        check=True,
    )

    def settings(name: str) -> str:
        raw = (tmp_path / name).read_bytes()
        at = raw.index(b" options: cabac")
        return raw[at : raw.index(b"\0", at)].decode().split("\x80")[0]

    assert settings("ours.mp4") == settings("theirs.mp4")
    ours, theirs = ((tmp_path / name).stat().st_size for name in ("ours.mp4", "theirs.mp4"))
    assert abs(ours - theirs) < 0.02 * theirs


# -- streams that are copied --


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_audio_is_copied_bit_for_bit(clips: Any, clip: Any, tmp_path: Path, ending: str) -> None:
    source = clip("two-tracks.mp4", audio=("eng", "fra"), frames=30)
    output = tmp_path / f"out{ending}"
    convert(source, output)
    for before, after in zip(clips.payload(source), clips.payload(output), strict=True):
        assert [p[:2] for p in after] == [p[:2] for p in before]
    with av.open(str(output)) as out:
        assert [s.metadata.get("language") for s in out.streams.audio] == ["eng", "fra"]


def test_audio_and_video_stay_together(clips: Any, clip: Any, tmp_path: Path) -> None:
    source = clip("two-tracks.mp4", audio=("eng", "fra"), frames=30)
    convert(source, tmp_path / "out.mp4")
    for index in (0, 1):
        assert clips.times(tmp_path / "out.mp4", stream=index) == clips.times(source, stream=index)


def test_packets_before_the_first_frame_wait(clips: Any, clip: Any, tmp_path: Path) -> None:
    source = clip("two-tracks.mp4", audio=("eng", "fra"), frames=30)
    job = Job(str(source), str(tmp_path / "out.mp4"))
    reader = Reader(job)
    writer = Writer(job, reader)
    items = list(reader.frames())
    # Sound first, as a run with a long look-ahead has it.
    for item in sorted(items, key=lambda item: isinstance(item, Frame)):
        if isinstance(item, Frame):
            writer.write(item, reader.info)
        else:
            writer.mux(item)
    writer.finish()
    for before, after in zip(clips.payload(source), clips.payload(tmp_path / "out.mp4"), strict=True):
        assert [p[:2] for p in after] == [p[:2] for p in before]


def test_an_drops_audio(clip: Any, tmp_path: Path) -> None:
    convert(clip("two-tracks.mp4", audio=("eng", "fra"), frames=30), tmp_path / "out.mp4", audio=False)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert [s.type for s in out.streams] == ["video"]


def test_container_that_cannot_hold_the_audio(clip: Any, tmp_path: Path) -> None:
    source = clip("two-tracks.mp4", audio=("eng", "fra"), frames=30)
    with pytest.raises(OutputError, match=r"webm.*aac.*-an"):
        convert(source, tmp_path / "out.webm", encoder_options={"cpu-used": "8", "deadline": "realtime"})
    assert not list(tmp_path.iterdir())


def test_packets_come_in_file_order(clip: Any) -> None:
    reader = Reader(Job(str(clip("two-tracks.mp4", audio=("eng", "fra"), frames=30)), "none"))
    kinds = [isinstance(item, Frame) for item in reader.frames()]
    assert 30 == sum(kinds) < len(kinds)
    first = kinds.index(False)
    assert first < 29  # not all sound after all pictures


# -- what is left behind --


def test_private_metadata_is_left_behind(clips: Any, tmp_path: Path) -> None:
    source = clips.make(
        tmp_path / "in.mov", frames=3, audio=("eng",),
        metadata={"title": "Street", "location": "+52.5+013.4/", "make": "Cam", "creation_time": "2020-01-02T03:04:05Z",
                  "com.apple.quicktime.location.ISO6709": "+52.5+013.4/", "comment": "at home"},
        muxer_options={"movflags": "use_metadata_tags"}, chapters=[(0, 0.04, "one"), (0.04, 0.12, "two")],
    )  # fmt: skip
    _, writer = convert(source, tmp_path / "out.mov")
    with av.open(str(tmp_path / "out.mov")) as out:
        assert out.metadata["title"] == "Street"
        assert {"location", "make", "creation_time", "comment"}.isdisjoint(out.metadata)
        assert [c["metadata"]["title"] for c in out.chapters()] == ["one", "two"]
    raw = (tmp_path / "out.mov").read_bytes()
    assert b"+52.5" not in raw
    assert b"at home" not in raw
    assert any("location" in line for line in writer.dropped)
    convert(source, tmp_path / "all.mov", keep_metadata=True, muxer_options={"movflags": "use_metadata_tags"})
    assert b"+52.5" in (tmp_path / "all.mov").read_bytes()


def test_cover_art_is_no_video(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=3, cover=True)
    reader, _ = convert(source, tmp_path / "out.mp4")
    assert reader.info.width == 160
    assert any("cover art" in line for line in reader.dropped)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert len(out.streams) == 1


def test_tags_are_an_allow_list() -> None:
    given = {"title": "a", "TITLE-eng": "b", "com.maker.secret": "c", "encoder": "d", "handler_name": "GoPro AAC"}
    assert tags.kept(given, False) == {"title": "a", "TITLE-eng": "b"}
    assert tags.dropped(given, "", False) == ["metadata 'com.maker.secret'", "metadata 'handler_name'"]
    assert "com.maker.secret" in tags.kept(given, True)


# -- display matrix and rates --


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_orientation_is_what_ffmpeg_does(turn: int, hflip: bool) -> None:
    # Move the unit vectors as transpose and hflip move pixels: clockwise turns, then the mirror.
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turn]
    if hflip:
        a, c = -a, -c
    matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    assert streams.orientation(matrix) == (turn, hflip)


@pytest.mark.parametrize(
    ("average", "base", "expected"),
    [(25, 25, 25), (None, 90000, 25), (30, 90000, 30), (16, 24, 24), (None, None, 25), (30, 240, 240), (24, 1000, 24)],
)
def test_rate_to_plan_with(average: Any, base: Any, expected: int) -> None:
    class Stream:
        average_rate = average and Fraction(average)
        base_rate = guessed_rate = base and Fraction(base)

    assert streams.rates(Stream())[0] == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_matrix_from_an_angle(turn: int) -> None:
    # PyAV's angle is counterclockwise.
    matrix = streams.turned_matrix(turn - 360 if turn > 180 else turn)
    assert streams.orientation(matrix) == ((360 - turn) % 360, False)


# -- parts of a file --


def test_ss_and_t_are_frame_exact(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=60, audio=("eng",), options={"g": "20", "bf": "2"})
    reader, frames, packets = read(source, ss=1.01, t=0.5)
    assert [f.n for f in frames] == list(range(len(frames)))
    assert [round(f.t + 1.01, 3) for f in frames] == [round(1.04 + 0.04 * i, 3) for i in range(len(frames))]
    assert frames[0].pts * reader.info.time_base == Fraction(26, 25)
    assert len(frames) == 13  # as ffmpeg: 0.5 s from the first kept frame
    assert all(1.01 <= p.pts * p.time_base < 1.51 for p in packets)
    everything = clips.pictures(source)
    for frame, expected in zip(frames, everything[26:39], strict=True):
        assert np.array_equal(clips.luma(frame.av), expected)


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg to compare with")
@pytest.mark.parametrize(
    ("ss", "to", "t"), [(0.5, None, None), (1.01, None, 0.99), (0.31, 1.7, None), (None, 0.5, None), (None, None, 1.23)]
)
@pytest.mark.parametrize("start", [0, 8333])
def test_range_is_ffmpegs(clips: Any, clip: Any, tmp_path: Path, ss: Any, to: Any, t: Any, start: int) -> None:
    name = f"range-{start}.mkv"
    source = clip(name, frames=60, time_base=Fraction(1, 1000), options={"g": "20", "bf": "2", "preset": "veryfast"},
                  pts=(_SHIFTED if start else None))  # fmt: skip
    given = [x for k, v in (("-ss", ss), ("-to", to), ("-t", t)) if v is not None for x in (k, str(v))]
    theirs, ours = tmp_path / "theirs.mkv", tmp_path / "ours.mkv"
    subprocess.run(
        [FFMPEG, "-v", "error", "-nostdin", *given, "-i", source, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast",
         "-an", "-vsync", "passthrough", "-enc_time_base", "-1", theirs], check=True)  # fmt: skip
    convert(source, ours, ss=ss, to=to, t=t)
    a, b = clips.times(ours), clips.times(theirs)
    assert len(a) == len(b)
    if ss is not None:  # without -ss this program keeps the source's time, ffmpeg starts at 0
        assert max(abs(x - y) for x, y in zip(a, b, strict=True)) <= Fraction(1, 1000)
    for one, two in zip(clips.pictures(ours), clips.pictures(theirs), strict=True):
        assert np.array_equal(one, two)


def _SHIFTED(n: int) -> int:
    return 8333 + 40 * n


def test_output_of_ss_starts_at_zero(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=50, audio=("eng",))
    convert(source, tmp_path / "out.mp4", ss=1.0)
    assert clips.times(tmp_path / "out.mp4")[0] == 0
    assert len(clips.times(tmp_path / "out.mp4")) == 25
    assert 0 <= clips.times(tmp_path / "out.mp4", stream=1)[0] < Fraction(1, 40)


def test_output_side_range(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=50, audio=("eng",))
    _, writer = convert(source, tmp_path / "out.mp4", out_ss=0.4, out_t=1.0)
    assert clips.times(tmp_path / "out.mp4") == [Fraction(i, 25) for i in range(25)]
    assert writer.done


def test_ss_behind_the_end(clip: Any) -> None:
    with pytest.raises(InputError, match="-ss 100"):
        read(clip("plain.mp4"), ss=100.0)


def test_to_before_ss(clip: Any) -> None:
    with pytest.raises(InputError, match="-to"):
        read(clip("plain.mp4"), ss=1.0, to=0.5)


# -- reading --


def test_two_passes_see_the_same(clip: Any) -> None:
    path = clip("plain.mp4")
    one, first, _ = read(path)
    two, second, _ = read(path, threads=1)
    assert [(f.n, f.pts, f.t) for f in first] == [(f.n, f.pts, f.t) for f in second]
    assert one.fingerprint() == two.fingerprint()
    assert first[0].t == 0.0


def test_fingerprint_is_of_the_payload(clip: Any, tmp_path: Path) -> None:
    # The same packets in another container.
    path = clip("plain.mp4")
    with av.open(str(path)) as source, av.open(str(tmp_path / "a.mov"), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert read(path)[0].fingerprint() == read(tmp_path / "a.mov")[0].fingerprint()
    assert read(path)[0].fingerprint() != read(path, t=0.5)[0].fingerprint()


def test_fingerprint_only_at_the_end(clip: Any) -> None:
    reader = Reader(Job(str(clip("plain.mp4")), "none"))
    with pytest.raises(InputError, match="end"):
        reader.fingerprint()


def test_first_t_is_exactly_zero_for_an_odd_start(clips: Any, tmp_path: Path) -> None:
    # The container's start has microseconds only; a t of -2e-7 would switch between(t,0,1) off for the first
    # frame.
    path = clips.make(tmp_path / "a.mp4", frames=3, time_base=Fraction(1, 15360), pts=lambda n: 127995 + 512 * n)
    assert read(path)[1][0].t == 0.0


def test_planes_are_the_decoders_memory(clip: Any) -> None:
    reader = Reader(Job(str(clip("plain.mp4")), "none"))
    frame = next(item for item in reader.frames() if isinstance(item, Frame))
    (plane, *_) = frame.planes()
    assert not plane.flags.writeable
    assert plane.__array_interface__["data"][0] == frame.av.planes[0].buffer_ptr


def test_frames_survive_the_reader(clip: Any, clips: Any) -> None:
    reader, frames, _ = read(clip("plain.mp4"))
    reader.close()
    reader.close()
    for frame, expected in zip(frames, clips.pictures(clip("plain.mp4")), strict=True):
        assert np.array_equal(clips.luma(frame.av), expected)


def test_size_change_in_mid_stream(clips: Any, tmp_path: Path) -> None:
    for i, size in enumerate([(160, 120), (128, 96)]):
        clips.make(tmp_path / f"{i}.h264", frames=5, size=size)
    (tmp_path / "a.h264").write_bytes((tmp_path / "0.h264").read_bytes() + (tmp_path / "1.h264").read_bytes())
    with pytest.raises(InputError, match=r"160x120 yuv420p to 128x96 yuv420p at 0\.\d+ s"):
        read(tmp_path / "a.h264")


# -- inputs that are none --


def bad_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("this is no video\n" * 500)
    (folder / "notes.mp4").write_text("this is no video\n" * 500)
    (folder / "random.mkv").write_bytes(bytes(range(256)) * 64)
    return {
        "missing": (folder / "gone.mp4", "No such file"),
        "folder": (folder, "directory"),
        "empty": (folder / "empty.mp4", "empty"),
        "text": (folder / "notes.txt", "text"),
        "text named mp4": (folder / "notes.mp4", "notes.mp4"),
        "random": (folder / "random.mkv", "random.mkv"),
    }


@pytest.mark.parametrize("which", ["missing", "folder", "empty", "text", "text named mp4", "random"])
def test_not_a_video(tmp_path: Path, which: str) -> None:
    path, words = bad_inputs(tmp_path)[which]
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_sound_alone_is_no_video(clips: Any, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.m4a"), "w") as out:
        sound = out.add_stream("aac", rate=48000)
        for frame in clips.tone(440, 0.5, 48000):
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        read(tmp_path / "a.m4a")


def test_unknown_input_option(clip: Any) -> None:
    with pytest.raises(InputError, match="Unrecognized option 'bogus'"):
        read(clip("plain.mp4"), input_options={"bogus": "1"})
    read(clip("plain.mp4"), input_options={"probesize": "5000000", "skip_loop_filter": "all"})


def test_what_can_be_read_once(clip: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    once = [demuxing.read_once(name) for name in ("-", "pipe:0", str(tmp_path / "fifo"), "rtsp://camera/")]
    assert once == [True] * 4
    assert not demuxing.read_once(str(clip("plain.mp4")))
    assert not demuxing.read_once(f"file:{clip('plain.mp4')}")


# -- damage --

CUT = {"faststart.mp4": {"muxer_options": {"movflags": "faststart"}}, "cut.mkv": {}, "cut.avi": {"codec": "mpeg4"}}


@pytest.mark.parametrize("name", CUT)
def test_cut_short_is_an_error(clips: Any, tmp_path: Path, name: str) -> None:
    path = clips.make(tmp_path / name, frames=100, **CUT[name])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.raises(InputError, match=r"(cut short|damaged).*ignore_err") as first:
        read(path)
    # A message that was logged before must be heard again.
    with pytest.raises(InputError) as second:
        read(path)
    assert str(second.value) == str(first.value)
    with pytest.raises(InputError):
        convert(path, tmp_path / "out.mkv")
    assert not list(tmp_path.glob("out*"))
    _, frames, _ = read(path, ignore_errors=True)
    assert 20 < len(frames) < 90


def test_part_of_a_cut_file_that_is_there(clips: Any, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    assert len(read(path, t=1.0)[1]) == 25


def test_flipped_bytes_are_counted(clips: Any, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "a.mkv", frames=60, size=(320, 240))
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    for i in range(middle, middle + 400, 7):
        raw[i] ^= 0x5A
    path.write_bytes(raw)
    reader, frames, _ = read(path, ignore_errors=True)
    assert len(frames) > 50
    assert reader.corrupt + reader.errors > 0
    reader.close()  # must not wait for a decoder thread that wants to complain


# -- outputs that cannot be --


def refused(clip: Any, output: Path | str, **how: Any) -> str:
    """The message of an output that is refused before anything is decoded or written."""
    with pytest.raises(OutputError) as caught:
        convert(clip("plain.mp4"), output, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_existing_output(clip: Any, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("precious")
    assert "already exists. Exiting." in refused(clip, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_text() == "precious"
    convert(clip("plain.mp4"), tmp_path / "out.mp4", overwrite=True)
    assert (tmp_path / "out.mp4").stat().st_size > 1000


@pytest.mark.parametrize("how", ["same", "symlink", "hardlink", "dots", "part"])
def test_output_is_the_input(clip: Any, tmp_path: Path, how: str) -> None:
    source = tmp_path / ("out.mp4.part" if how == "part" else "in.mp4")
    shutil.copy(clip("plain.mp4"), source)
    before = source.read_bytes()
    output = tmp_path / "out.mp4"
    if how == "same":
        output = source
    elif how == "symlink":
        output.symlink_to(source)
    elif how == "hardlink":
        os.link(source, output)
    elif how == "dots":
        output = tmp_path / ".." / tmp_path.name / "in.mp4"
    options = {"input_format": "mp4"} if how == "part" else {}
    with pytest.raises(OutputError, match="same file"):
        convert(source, output, overwrite=True, **options)
    assert source.read_bytes() == before


def test_output_name(clip: Any, tmp_path: Path) -> None:
    assert "does not exist" in refused(clip, tmp_path / "no" / "out.mp4")
    assert "directory" in refused(clip, tmp_path)
    assert "container format" in refused(clip, tmp_path / "out.foo")
    assert "container format" in refused(clip, tmp_path / "out")
    assert "-f: unknown" in refused(clip, tmp_path / "out.mp4", output_format="foo")
    assert "PNG, JPEG, WebP, TIFF or BMP, not jp2" in refused(clip, tmp_path / "out.jp2")
    assert "more than one file" in refused(clip, tmp_path / "out.m3u8")
    assert "cannot be written" in refused(clip, "/proc/out.mp4")
    assert not list(tmp_path.iterdir())


def test_f_names_the_container(clip: Any, tmp_path: Path) -> None:
    convert(clip("plain.mp4"), tmp_path / "out.bin", output_format="matroska")
    with av.open(str(tmp_path / "out.bin")) as out:
        assert "matroska" in out.format.name


ENCODER_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown encoder": ({"codec": "libfoo"}, "Unknown encoder 'libfoo'"),
    "audio encoder": ({"codec": "aac"}, "no video encoder"),
    "copy": ({"codec": "copy"}, "must be encoded"),
    "unknown option": ({"encoder_options": {"foo": "1"}}, "Unrecognized option 'foo' for encoder libx264"),
    "unknown muxer option": ({"muxer_options": {"foo": "1"}}, "Unrecognized option 'foo' for format mp4"),
    "bad number": ({"encoder_options": {"crf": "abc"}}, "-crf abc"),
    "bad bit rate": ({"encoder_options": {"b": "2Q"}}, "-b 2Q"),
    "bad preset": ({"encoder_options": {"preset": "foo"}}, "-preset foo"),
    "bad profile": ({"encoder_options": {"profile": "foo"}}, "-profile foo"),
    "bad level": ({"encoder_options": {"level": "99"}}, "level"),
    "bad movflags": ({"muxer_options": {"movflags": "foo"}}, "movflags|foo"),
    "unknown pixel format": ({"pix_fmt": "foo"}, "-pix_fmt: unknown pixel format 'foo'"),
    "pixel format it does not take": ({"pix_fmt": "rgb24"}, "does not take pixel format rgb24"),
    "codec the container cannot hold": ({"codec": "libvpx"}, "mp4.*does not hold|libvpx"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODER_FAULTS)
def test_encoder_faults_come_before_the_first_frame(clip: Any, tmp_path: Path, name: str) -> None:
    how, words = ENCODER_FAULTS[name]
    with pytest.raises(OutputError, match=words) as caught:
        convert(clip("plain.mp4"), tmp_path / "out.mp4", **how)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_movflags_may_stand_among_the_encoders_options(clip: Any, tmp_path: Path) -> None:
    convert(clip("plain.mp4"), tmp_path / "out.mp4", encoder_options={"preset": "ultrafast", "movflags": "+faststart"})
    raw = (tmp_path / "out.mp4").read_bytes()
    assert raw.index(b"moov") < raw.index(b"mdat")


@pytest.mark.parametrize(("codec", "pix_fmt"), [("libvpx-vp9", "yuv420p"), ("ffv1", "yuv420p10le")])
def test_odd_size_names_an_encoder_that_can(clips: Any, tmp_path: Path, codec: str, pix_fmt: str) -> None:
    options = {"cpu-used": "8", "deadline": "realtime"} if codec.startswith("libvpx") else {}
    source = clips.make(tmp_path / "in.mkv", size=(161, 121), frames=4, codec=codec, pix_fmt=pix_fmt, options=options)
    with pytest.raises(OutputError, match=r"libx264 for 161x121.*-c:v libsvtav1.* can"):
        convert(source, tmp_path / "out.mkv", encoder_options={})
    assert not list(tmp_path.glob("out*"))
    convert(source, tmp_path / "out.mkv", codec="libsvtav1", encoder_options={"preset": "12"})
    after = info_of(tmp_path / "out.mkv")
    assert (after.width, after.height, after.pix_fmt) == (161, 121, pix_fmt)


def test_twelve_bit_names_an_encoder_that_can(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mkv", pix_fmt="yuv444p12le", codec="ffv1", frames=2)
    with pytest.raises(OutputError, match="-c:v libx265"):
        convert(source, tmp_path / "out.mkv")
    convert(source, tmp_path / "out.mkv", pix_fmt="yuv444p10le")
    assert info_of(tmp_path / "out.mkv").pix_fmt == "yuv444p10le"


def test_rotation_in_a_container_without(clips: Any, tmp_path: Path) -> None:
    source = clips.make(tmp_path / "in.mp4", frames=2, matrix=clips.ROTATE_90)
    with pytest.raises(OutputError, match="rotation"):
        convert(source, tmp_path / "out.avi")


# -- the file is whole or not there --


def stream_and_frames(clip: Any) -> tuple[StreamInfo, list[Frame]]:
    reader, frames, _ = read(clip("plain.mp4"))
    return reader.info, frames


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".ts"])
def test_abort_leaves_nothing(clip: Any, tmp_path: Path, ending: str) -> None:
    info, frames = stream_and_frames(clip)
    writer = Writer(Job("none", str(tmp_path / f"out{ending}"), muxer_options={}))
    for frame in frames[:5]:
        writer.write(frame, info)
    assert [p.name for p in tmp_path.iterdir()] == [f"out{ending}.part"]
    writer.abort()
    writer.abort()
    assert not list(tmp_path.iterdir())


def test_abort_keeps_the_old_file(clip: Any, tmp_path: Path) -> None:
    info, frames = stream_and_frames(clip)
    (tmp_path / "out.mp4").write_text("old")
    writer = Writer(Job("none", str(tmp_path / "out.mp4"), overwrite=True))
    writer.write(frames[0], info)
    writer.abort()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.mp4", "old")]


@pytest.mark.parametrize(("size", "pix_fmt"), [((80, 60), "yuv420p"), ((160, 120), "yuv444p")])
def test_frame_of_another_kind(clip: Any, tmp_path: Path, size: tuple[int, int], pix_fmt: str) -> None:
    info, frames = stream_and_frames(clip)
    writer = Writer(Job("none", str(tmp_path / "out.mp4")))
    writer.write(frames[0], info)
    other = av.VideoFrame(*size, pix_fmt)
    with pytest.raises(OutputError, match=r"changes from 160x120 yuv420p"):
        writer.write(Frame(1, 512, 0.04, other))
    writer.abort()
    assert not list(tmp_path.iterdir())


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    writer = Writer(Job("none", str(tmp_path / "out.mp4")))
    with pytest.raises(OutputError, match="no frame"):
        writer.finish()
    assert not list(tmp_path.iterdir())


def test_two_writers_of_one_name(clip: Any, tmp_path: Path) -> None:
    info, frames = stream_and_frames(clip)
    one, two = (Writer(Job("none", str(tmp_path / "out.mp4"))) for _ in range(2))
    one.write(frames[0], info)
    with pytest.raises(OutputError, match="another run"):
        two.write(frames[0], info)
    one.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_no_descriptor_is_left_open(clip: Any, tmp_path: Path) -> None:
    convert(clip("plain.mp4"), tmp_path / "out.mp4")
    before = len(os.listdir("/proc/self/fd"))
    convert(clip("plain.mp4"), tmp_path / "out.mp4", overwrite=True)
    refused(clip, tmp_path / "other.mp4", encoder_options={"foo": "1"})
    assert len(os.listdir("/proc/self/fd")) == before


def test_stale_part_is_replaced(clip: Any, tmp_path: Path) -> None:
    part = tmp_path / "out.mp4.part"
    part.write_bytes(b"x" * 5_000_000)
    os.setxattr(part, partfile.MARK, b"part")
    convert(clip("plain.mp4"), tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").stat().st_size < 5_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert os.listxattr(tmp_path / "out.mp4") == []


def test_a_part_that_no_run_left_is_kept(clip: Any, tmp_path: Path) -> None:
    """A download's, say."""
    part = tmp_path / "out.mp4.part"
    part.write_bytes(b"mine")
    assert "is in the way" in refused(clip, tmp_path / "out.mp4")
    assert part.read_bytes() == b"mine"
    convert(clip("plain.mp4"), tmp_path / "out.mp4", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_through_a_symbolic_link(clip: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "out.mp4").symlink_to(tmp_path / "there" / "real.mp4")
    convert(clip("plain.mp4"), tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").is_symlink()
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["real.mp4"]


def test_full_disk(clip: Any, tmp_path: Path) -> None:
    with pytest.raises(AnonfilterError, match="No space left"):
        convert(clip("plain.mp4"), "/dev/full", output_format="matroska")


@pytest.mark.parametrize("name", ["-", "/dev/null"])
def test_null_output(clip: Any, name: str) -> None:
    _, writer = convert(clip("plain.mp4"), name, output_format="null", encoder_options={})
    assert writer.frames == 30


def test_null_output_makes_no_file(clip: Any, tmp_path: Path) -> None:
    _, writer = convert(clip("plain.mp4"), tmp_path / "out.null", output_format="null", encoder_options={})
    assert writer.frames == 30
    assert not list(tmp_path.iterdir())


def test_fifo(clip: Any, clips: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    thread.start()
    convert(clip("plain.mp4"), tmp_path / "pipe", output_format="matroska")
    thread.join(10)
    (tmp_path / "a.mkv").write_bytes(got[0])
    assert len(clips.times(tmp_path / "a.mkv")) == 30


# -- clocks --


def test_repeated_and_backward_times_lose_no_frame(clip: Any, clips: Any, tmp_path: Path) -> None:
    info, frames = stream_and_frames(clip)
    writer = Writer(Job("none", str(tmp_path / "out.mp4")))
    for i, frame in enumerate(frames[:6]):
        frame.pts = [0, 512, 512, 300, 1536, 2048][i]
        writer.write(frame, info)
    writer.finish()
    assert writer.nudged == 2
    assert [t * 12800 for t in clips.times(tmp_path / "out.mp4")] == [0, 512, 513, 514, 1536, 2048]


def test_avi_has_a_constant_rate(clip: Any, clips: Any, tmp_path: Path) -> None:
    convert(clip("plain.mp4"), tmp_path / "out.avi", encoder_options={})
    assert clips.times(tmp_path / "out.avi") == clips.times(clip("plain.mp4"))
    varied = clips.make(
        tmp_path / "vfr.mp4", frames=9, time_base=Fraction(1, 90000), pts=lambda n: 1800 * n + 90 * n * n
    )
    with pytest.raises(OutputError, match="one tick"):
        convert(varied, tmp_path / "vfr.avi", encoder_options={})


@pytest.mark.parametrize(
    ("ending", "encoder"), [(".mp4", "h264"), (".mkv", "h264"), (".mov", "h264"), (".webm", "vp9")]
)
def test_default_encoder(clip: Any, tmp_path: Path, ending: str, encoder: str) -> None:
    options = {"cpu-used": "8", "deadline": "realtime"} if ending == ".webm" else {}
    convert(clip("plain.mp4"), tmp_path / f"out{ending}", encoder_options=options)
    with av.open(str(tmp_path / f"out{ending}")) as out:
        assert out.streams.video[0].codec_context.name.startswith(encoder)


# -- real odd files --

ODD = {
    "av1_video.mkv": 125, "bt709_full_range.mp4": 30, "delayed_start.mp4": 24, "discard_first_keyframe.mp4": 25,
    "h264_10bits.mp4": 30, "h265_10bits.mp4": 30, "nasa_13013.mp4": 390, "nasa_13013_hdr.mp4": 325,
    "nasa_13013_rotated.mp4": 17, "rotate-90.mp4": 240, "test_non_zero_start.mp4": 12, "testsrc2_hdr.mp4": 60,
    "testsrc2_mpeg4.avi": 30, "testsrc2_odd_height_and_width_444.mp4": 25, "testsrc2_vp8.webm": 30, "vfr.mp4": 160,
}  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("name", ODD)
def test_odd_files_have_all_frames(shared: Path, name: str) -> None:
    assert len(read(shared / "odd" / name)[1]) == ODD[name]


@pytest.mark.shared
@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe to compare with")
@pytest.mark.parametrize("name", ["discard_first_keyframe.mp4", "vfr.mp4", "delayed_start.mp4", "testsrc2_mpeg4.avi"])
def test_times_are_ffprobes(shared: Path, name: str) -> None:
    path = shared / "odd" / name
    raw = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", "-select_streams", "v:0", "-show_frames", path], capture_output=True
    ).stdout
    theirs = [int(f["best_effort_timestamp"]) for f in json.loads(raw)["frames"]]
    assert [f.pts for f in read(path)[1]] == theirs
