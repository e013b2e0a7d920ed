"""Whole runs: what comes out, that it is the same each time, and that a failure leaves nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import runs
from runs import ZONE, digest, job, lumas, packets

from anonfilter import api
from anonfilter.errors import AnonfilterError, InputError, OutputError, PlanError
from anonfilter.job import Job
from anonfilter.run import run


@pytest.fixture(scope="module", autouse=True)
def _test_filters() -> Iterator[None]:
    with runs.known():
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.make_clip(tmp_path_factory.mktemp("run") / "clip.mp4")


def test_every_frame_arrives_and_only_the_zone_changes(clip: Path, tmp_path: Path) -> None:
    plain, covered = tmp_path / "plain.mp4", tmp_path / "covered.mp4"
    assert run(job(clip, plain, "null")).frames == 50
    report = run(job(clip, covered, ZONE))
    assert (report.frames, report.covered_frames, report.passes) == (50, 50, 1)
    source, out = lumas(clip), lumas(covered)
    assert len(out) == 50
    for before, after in zip(source, out, strict=True):
        assert after[10:38, 10:46].std() < 3 < before[10:38, 10:46].std()
        assert np.abs(after[60:].astype(int) - before[60:]).mean() < 4
    assert [pts for pts, _ in packets(covered, "video")].sort() == [
        pts for pts, _ in packets(clip, "video")
    ].sort()
    assert packets(covered, "audio") == packets(clip, "audio")


GRAPHS = [
    "mover,track,interp,blur",
    "mover=every=5,track,interp=gap=10,grow=before=3:after=3,blur",
    "mover=every=7,fill",
    "mover=every=4,track,hflip,pixelize,negate",
    "crop=120:100:10:4,mover=every=3,track,interp,fill",
    "zone=x=0:y=0:w=30:h=30:enable='between(t,0.5,1)',mover,fill=classes=zone,blur=classes=face",
]


@pytest.mark.parametrize("graph", GRAPHS)
def test_one_pass_equals_two_passes(clip: Path, tmp_path: Path, graph: str) -> None:
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    assert run(job(clip, one, graph, passes=1)).passes == 1
    assert run(job(clip, two, graph, ring_memory=0, passes=2)).passes == 2
    assert one.read_bytes() == two.read_bytes()


def test_a_small_budget_makes_two_passes(clip: Path, tmp_path: Path) -> None:
    graph = "mover=every=5,track,interp=gap=20,blur"
    assert run(job(clip, tmp_path / "a.mp4", graph, ring_memory=160 * 120 * 3)).passes == 2
    assert run(job(clip, tmp_path / "b.mp4", graph)).passes == 1
    assert digest(tmp_path / "a.mp4") == digest(tmp_path / "b.mp4")


def test_whole_clip_needs_two_passes(clip: Path, tmp_path: Path) -> None:
    assert run(job(clip, tmp_path / "a.mp4", "mover=every=5,track,interp=gap=-1,fill")).passes == 2
    with pytest.raises(PlanError, match="whole clip"):
        run(job(clip, tmp_path / "b.mp4", "mover=every=5,track,interp=gap=-1,fill", passes=1))


def test_a_record_file_renders_the_same_bytes_each_time(clip: Path, tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    direct = tmp_path / "direct.mp4"
    run(job(clip, direct, f"mover=every=2,write={records},track,interp,blur"))
    outs = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.mp4"
        run(job(clip, out, f"read={records},track,interp,blur"))
        outs.append(digest(out))
    assert outs[0] == outs[1] == digest(direct)


def test_a_failing_filter_is_named_with_its_time(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"clip.mp4: 'mover' failed at 0.800 s \(frame 20\): the net fell over"):
        run(job(clip, tmp_path / "out.mp4", "mover=fail=20,fill"))


def test_an_output_that_cannot_be_is_found_before_the_long_pass(clip: Path, tmp_path: Path) -> None:
    """In two passes, too: nobody waits ten hours for an encoder that is not there."""
    seen: list[str] = []
    graph = "mover,track,interp=gap=-1,fill"
    bad = job(clip, tmp_path / "out.mp4", graph, progress=lambda state: seen.append(state.stage))
    bad.encoder_options = {"preset": "ultrafast", "profile": "nosuch"}
    with pytest.raises(OutputError):
        run(bad)
    assert seen == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_s_name_is_no_file(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a directory"):
        run(job(clip, f"{tmp_path}/out.mp4/", ZONE))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("graph", "more", "frames"),
    [(ZONE, {}, 50), (ZONE, {"t": 1.0}, 25), (ZONE, {"ss": 0.5}, 38), (ZONE, {"out_to": 1.5, "out_ss": 0.5}, 25),
     (f"fps=5,{ZONE}", {}, 10)],
)  # fmt: skip
def test_the_eta_knows_how_many_frames_will_come(
    clip: Path, tmp_path: Path, graph: str, more: dict[str, float], frames: int
) -> None:
    totals: list[int] = []
    run(job(clip, tmp_path / "out.mp4", graph, progress=lambda state: totals.append(state.total), **more))
    assert abs(totals[-1] - frames) <= 1


def test_drawing_hides_nothing(clip: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run(job(clip, tmp_path / "out.mp4", "mover,draw", log=lambda level, line: said.append(line)))
    assert any("no filter covers what detect finds" in line for line in said)


@pytest.mark.parametrize("passes", [1, 2])
def test_sound_that_stands_behind_its_pictures_is_whole(clip: Path, tmp_path: Path, passes: int) -> None:
    """-t ends the pictures early in the file; sound of their time comes later in it, the same in every run."""
    late, out = tmp_path / "late.mkv", tmp_path / "out.mkv"
    with av.open(str(clip)) as source, av.open(str(late), "w", options={"max_interleave_delta": "1"}) as made:
        copies = {s.index: made.add_stream_from_template(s) for s in source.streams}
        read = [p for p in source.demux() if p.dts is not None]
        for packet in sorted(read, key=lambda p: p.dts * p.time_base + (1 if p.stream.type == "audio" else 0)):
            packet.stream = copies[packet.stream.index]
            made.mux_one(packet)
    run(job(late, out, ZONE, out_t=0.6, passes=passes))
    assert len(lumas(out)) == 15
    wanted = [data for pts, data in packets(late, "audio") if pts is not None and pts < 600]
    got = [data for _, data in packets(out, "audio")]
    assert got == wanted[: len(got)]
    assert len(wanted) - 1 <= len(got) > 20  # t = 0 is the container's start, a little before the first picture's


def test_a_class_that_a_record_file_does_not_hold_is_an_error(clip: Path, tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    run(job(clip, tmp_path / "a.mp4", f"zone=class=face:w=9:h=9,write={records},fill"))
    with pytest.raises(AnonfilterError, match=r"no class 'faces'.*did you mean 'face'"):
        run(job(clip, tmp_path / "b.mp4", f"read={records},fill=classes=faces"))
    run(job(clip, tmp_path / "b.mp4", f"read={records},fill=classes=face"))


def test_records_keep_the_trail(clip: Path, tmp_path: Path) -> None:
    """The header names the detectors' part of the graph and the nets, also through a second file."""
    from anonfilter.recordfile import scan

    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    run(job(clip, tmp_path / "a.mp4", f"negate,mover=every=3,write={first},track,interp,fill"))
    assert scan(first).header.graph == "negate,mover=every=3"
    text = first.read_text().replace('"models":[]', '"models":[{"name":"mover","sha256":"09ab"}]', 1)
    first.write_text(text)
    run(job(clip, tmp_path / "b.mp4", f"negate,read={first},write={second},track,interp,fill"))
    assert scan(second).header.models == (("mover", "09ab"),)
    assert second.read_text().splitlines()[1:] == text.splitlines()[1:]


def test_records_of_another_video_are_refused(clip: Path, tmp_path: Path) -> None:
    records, other = tmp_path / "r.jsonl", tmp_path / "other.mp4"
    run(job(clip, tmp_path / "a.mp4", f"mover,write={records},fill"))
    run(job(clip, other, "negate"))
    with pytest.raises(AnonfilterError):
        run(job(other, tmp_path / "b.mp4", f"read={records},fill"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "other.mp4", "r.jsonl"]


def test_a_skipped_frame_is_never_clear(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run(job(clip, out, "mover=every=10,fill=white"))
    for n, picture in enumerate(lumas(out)):
        assert picture[14:46, 8 + n : 40 + n].min() > 180, f"frame {n} shows the object"


@pytest.mark.parametrize(
    "graph", ["mover=fail=20,fill", "mover=fail=0,fill", "mover,breaker=at=12", "mover,breaker=at=49"]
)
@pytest.mark.parametrize("passes", [1, 2])
def test_a_failure_leaves_no_file(clip: Path, tmp_path: Path, graph: str, passes: int) -> None:
    with pytest.raises((AnonfilterError, ValueError), match="fell over"):
        run(job(clip, tmp_path / "out.mp4", graph, passes=passes))
    assert list(tmp_path.iterdir()) == []


def test_bad_inputs_and_outputs(clip: Path, tmp_path: Path) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("this is not a video\n" * 50)
    empty.touch()
    cases = [
        (text, tmp_path / "out.mp4", InputError),
        (empty, tmp_path / "out.mp4", InputError),
        (tmp_path / "missing.mp4", tmp_path / "out.mp4", InputError),
        (tmp_path, tmp_path / "out.mp4", InputError),
        (clip, clip, OutputError),
        (clip, tmp_path / "nowhere" / "out.mp4", OutputError),
        (clip, tmp_path / "out.xyz", OutputError),
    ]
    before = clip.read_bytes()
    for source, out, kind in cases:
        with pytest.raises(kind) as caught:
            run(job(source, out, ZONE, overwrite=True))
        assert len(str(caught.value).splitlines()) == 1, str(caught.value)
    assert clip.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.mp4", "text.mp4"]


def test_graph_that_cannot_be(clip: Path, tmp_path: Path) -> None:
    for graph, words in {
        "blur": "has no regions",
        "mover,blur,mover": "before the first pixel writer",
        "mover,fps=10,blur": "cannot stand between",
        "nosuchfilter": "nosuchfilter",
        "mover=evry=2,blur": "did you mean 'every'",
    }.items():
        with pytest.raises(AnonfilterError, match=words):
            run(job(clip, tmp_path / "out.mp4", graph))
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_the_head_changes_is_the_one_planned_with(clip: Path, tmp_path: Path) -> None:
    """A second of look-ahead is 60 frames behind fps=60: a ring for 25 would wait for ever."""
    report = run(job(clip, tmp_path / "out.mp4", f"fps=60,{ZONE.replace(',fill', ',track,interp,grow,fill')}"))
    assert report.frames == len(lumas(tmp_path / "out.mp4")) == 120
    plans: list[str] = []
    run(job(clip, tmp_path / "big.mp4", f"scale=640:480,{ZONE}", on_plan=plans.append))
    assert "640x480" in plans[0]
    assert "frames of 0.5 MB" in plans[0]


def test_a_ring_too_small_is_an_error_and_no_wait(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anonfilter import plan

    monkeypatch.setattr(plan, "SLACK", -10)
    with pytest.raises(PlanError, match="wait for their records"):
        run(job(clip, tmp_path / "out.mp4", "mover,track=redetect=0:smooth=0,interp,fill", passes=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("graph", [ZONE, "mover,track,interp=gap=-1,fill"])
def test_two_passes_with_a_length(clip: Path, tmp_path: Path, graph: str) -> None:
    out = tmp_path / "out.mp4"
    report = run(job(clip, out, graph, passes=2, out_t=0.4))
    assert report.frames == len(lumas(out)) == 10
    # Of the frames behind the end nothing is reported.
    assert (report.covered_frames, report.regions) == (10, 10)


@pytest.mark.parametrize("last", ["fps=5", "trim=end=1", "rotate=0.1", "tmix=3", "select='lt(n,7)'", "setpts=2*PTS"])
def test_any_filter_may_stand_last(clip: Path, tmp_path: Path, last: str) -> None:
    """Nobody follows regions behind the last pixel writer."""
    out = tmp_path / "out.mp4"
    assert run(job(clip, out, f"{ZONE},{last}")).frames == len(lumas(out)) > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "nosuch"}, "-preset nosuch: encoder libx264 does not know this preset"),
        ({"tune": "film,nosuch"}, "-tune film,nosuch: encoder libx264 does not know this tune"),
        ({"profile": "nosuch"}, "-profile nosuch: encoder libx264 does not know this profile"),
    ],
)
def test_one_line_for_a_word_that_the_encoder_does_not_know(
    clip: Path, tmp_path: Path, options: dict[str, str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutputError, match=words):
        run(Job(str(clip), str(tmp_path / "out.mp4"), ZONE, encoder_options=options))
    assert capfd.readouterr().err == ""  # x264 writes to the file descriptor
    fine = {"preset": "0", "tune": "film,fastdecode", "profile": "High"}
    run(Job(str(clip), str(tmp_path / "out.mp4"), ZONE, encoder_options=fine))


@pytest.mark.parametrize("passes", [1, 2])
def test_what_the_encoder_warns_of_is_told_once(clip: Path, tmp_path: Path, passes: int) -> None:
    told: list[tuple[str, str]] = []
    options = {"x264-params": "foo=1:crf=abc"}
    run(
        Job(
            str(clip), str(tmp_path / "out.mp4"), ZONE, encoder_options=options, passes=passes,
            log=lambda level, line: told.append((level, line)),
        )
    )  # fmt: skip
    assert [line for level, line in told if level == "warning"] == [
        "libx264: Error parsing option 'foo = 1'.", "libx264: Error parsing option 'crf = abc'.",
    ]  # fmt: skip


def test_packed_frames_become_planes_in_a_run_and_are_an_error_of_the_api(tmp_path: Path) -> None:
    source = tmp_path / "rgb.mov"
    with av.open(str(source), "w") as made:
        stream = made.add_stream("png", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for _ in range(2):
            made.mux(stream.encode(av.VideoFrame(64, 48, "rgb24")))
        made.mux(stream.encode(None))
    run(job(source, tmp_path / "rgb.mp4", ZONE))
    with pytest.raises(InputError, match=r"pixel format rgb24 cannot be edited in place \(put format=yuv420p first\)"):
        api.Graph(ZONE, width=64, height=48, rate=25, pix_fmt="rgb24")
    run(job(source, tmp_path / "out.mp4", f"format=yuv420p,{ZONE}"))


def test_a_program_can_set_every_field(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    report = api.run(clip, out, "mover,track,interp,fill", t=0.4, passes=2, options={"preset": "ultrafast"})
    assert (report.frames, report.passes) == (10, 2)
    with pytest.raises(TypeError, match="nosuch"):
        api.run(clip, out, ZONE, nosuch=1)


def test_a_class_that_nothing_makes_is_an_error(clip: Path, tmp_path: Path) -> None:
    """detect=faces,blur=classes=faces: the class is face, and its objects would stay clear."""
    with pytest.raises(AnonfilterError, match=r"no class 'faces'.*did you mean 'face'"):
        run(job(clip, tmp_path / "out.mp4", "zone=class=face:w=9:h=9,blur=classes=faces"))
    report = run(job(clip, tmp_path / "two.mp4", "zone=class=face:w=9:h=9,zone=w=8:h=8,blur=classes=zone"))
    assert report.regions == report.frames == 50  # the other zone is not covered, so it is not counted


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(clip: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / "out.mp4.part").symlink_to(victim)
    with pytest.raises(OutputError, match="cannot be written"):
        run(job(clip, tmp_path / "out.mp4", ZONE))
    assert victim.read_text() == "mine"


def test_the_plan_of_a_pipe(clip: Path, tmp_path: Path) -> None:
    """-dump_plan beside an output reads the input once."""
    pipe = tmp_path / "in.mkv"
    with av.open(str(clip)) as source, av.open(str(pipe), "w") as made:
        copy = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                made.mux(packet)
    command = [sys.executable, "-m", "anonfilter", "-dump_plan", "-i", "-", "-vf", ZONE, str(tmp_path / "out.mkv")]
    with pipe.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "passes   1" in done.stderr
    assert len(lumas(tmp_path / "out.mkv")) == 50


def test_length_counts_from_the_start(clip: Path, tmp_path: Path) -> None:
    """As ffmpeg: -t of the output counts from its time 0, also where the pictures begin later."""
    late = tmp_path / "late.mp4"
    with av.open(str(clip)) as source, av.open(str(late), "w") as made:
        copies = {s.index: made.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video":
                shift = int(0.6 / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = copies[packet.stream.index]
            made.mux(packet)
    out, peer = tmp_path / "out.mp4", tmp_path / "peer.mp4"
    run(job(late, out, ZONE, out_t=1.0))
    assert len(lumas(out)) == 10
    if shutil.which("ffmpeg"):
        how = ["-t", "1", "-fps_mode", "vfr", "-c:v", "mpeg4", "-an"]
        command = ["ffmpeg", "-v", "error", "-i", str(late), *how, str(peer)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        assert len(lumas(peer)) == 10
