"""Shot transitions: the finder on drawn pictures, the filter on real frames."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from anonfilter.errors import GraphError
from anonfilter.filter import Env, Options
from anonfilter.filters.scene import Scene
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.options import parse_options
from anonfilter.plan import make_plan
from anonfilter.records import FrameRecord
from anonfilter.transitions import Content, Mark

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "clips"
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "street.mp4"
Picture = npt.NDArray[np.float32]


def soft(rng: np.random.Generator, size: tuple[int, int], passes: int) -> npt.NDArray[np.float64]:
    """Noise, smoothed so often, of standard deviation 1."""
    noise = rng.normal(0, 1, size)
    for _ in range(passes):
        for axis in (0, 1):
            noise = (np.roll(noise, 1, axis) + noise + np.roll(noise, -1, axis)) / 3
    out: npt.NDArray[np.float64] = noise / noise.std()
    return out


def shot(seed: int, frames: int, speed: float = 0.5, contrast: float = 40) -> list[Picture]:
    """A camera that pans over random structure of all sizes, as pictures have, with sensor noise."""
    rng = np.random.default_rng(seed)
    wide = sum(soft(rng, (48, 64 + int(frames * abs(speed)) + 40), passes) for passes in (2, 12, 70))
    wide *= contrast / wide.std()
    out = []
    for n in range(frames):
        x = n * speed
        left, part = int(x), x - int(x)
        row = (1 - part) * wide[:36, left : left + 64] + part * wide[:36, left + 1 : left + 65]
        out.append(np.clip(128 + row + rng.normal(0, 1, row.shape), 0, 255).astype(np.float32))
    return out


def marks(pictures: list[Picture], half: int = 10) -> list[Mark]:
    finder, out = Content(half=half), []
    for n, picture in enumerate(pictures):
        out += list(finder.push(picture))
        assert len(out) >= n + 1 - finder.delay
    out += list(finder.flush())
    assert len(out) == len(pictures)
    return out


def cuts(pictures: list[Picture], half: int = 10) -> list[int]:
    return [n for n, mark in enumerate(marks(pictures, half)) if mark.cut]


def dissolve(a: list[Picture], b: list[Picture], frames: int) -> list[Picture]:
    """a, then a mixture of so many frames, then b."""
    mixed = [
        ((frames - i) * x + (i + 1) * y) / (frames + 1)
        for i, (x, y) in enumerate(zip(a[-frames:], b[:frames], strict=True))
    ]
    return [*a[:-frames], *mixed, *b[frames:]]


@pytest.mark.parametrize("frames", range(6))
def test_few_frames(frames: int) -> None:
    assert cuts(shot(0, frames)) == []


@pytest.mark.parametrize("speed", [0, 0.5, 2])
@pytest.mark.parametrize("contrast", [10, 40])
def test_a_moving_camera_is_no_cut_and_a_cut_is_one(speed: float, contrast: float) -> None:
    a, b, c = (shot(seed, 40, speed, contrast) for seed in (1, 2, 3))
    assert cuts(a) == []
    assert cuts([*a, *b, *c]) == [40, 80]
    assert not any(mark.fade for mark in marks([*a, *b]))


def test_short_shots() -> None:
    parts = [shot(seed, 7, 0.3) for seed in range(6)]
    assert cuts([picture for part in parts for picture in part]) == [7, 14, 21, 28, 35]


def test_a_flash_and_a_change_of_exposure_are_no_cuts() -> None:
    a = shot(1, 40)
    flash = [*a[:20], np.full_like(a[0], 250), *a[21:]]
    assert cuts(flash) == []
    darker = [*a[:20], *((picture - 128) * 0.5 + 90 for picture in a[20:])]
    assert cuts(darker) == []


def test_repeated_frames_do_not_make_the_others_cuts() -> None:
    """8 pictures a second in a file of 24: every change stands out from its neighbours."""
    fast = [picture for picture in shot(1, 30, 2) for _ in range(3)]
    assert cuts(fast) == []


@pytest.mark.parametrize("frames", [6, 12, 20])
def test_a_dissolve(frames: int) -> None:
    pictures = dissolve(shot(1, 50, 0.1), shot(2, 50, 0.1), frames)
    found = marks(pictures)
    fades = [n for n, mark in enumerate(found) if mark.fade]
    (cut,) = (n for n, mark in enumerate(found) if mark.cut)
    middle = 50 - frames / 2
    assert fades == list(range(fades[0], fades[-1] + 1))
    assert cut in fades
    assert fades[0] <= middle <= fades[-1]
    assert fades[0] >= middle - frames / 2 - 10
    assert fades[-1] <= middle + frames / 2 + 10
    assert cuts(pictures, half=0) == [], "hard cuts only"


def test_a_fade_to_black_and_back() -> None:
    a, b = shot(1, 60), shot(2, 60)
    out = [picture * max(0, (15 - i)) / 15 for i, picture in enumerate(a[-15:])]
    back = [picture * min(15, i) / 15 for i, picture in enumerate(b[:15])]
    black = [np.zeros_like(a[0])] * 20
    found = cuts([*a[:-15], *out, *black, *back, *b[15:]])
    assert found
    assert all(45 <= n <= 95 for n in found)


@pytest.mark.parametrize(
    ("clip", "known"),
    [("speech-cuts-360p.mp4", [20, 82, 211]), ("street-tokyo-360p.mp4", []), ("people-corridor.mp4", []),
     ("plate-uk-720p.mp4", [])],
)  # fmt: skip
def test_real_clips(clip: str, known: list[int]) -> None:
    if not SHARED.exists():
        pytest.skip("no ../shared/data/clips")
    assert [n for n, record in enumerate(records(SHARED / clip)) if record.cut] == known


def records(path: Path, args: str = "") -> list[FrameRecord]:
    parsed = parse_options(Scene, args)
    item = Scene(Options(parsed.values, parsed.given))
    ring: dict[int, Frame] = {}
    reader = Reader(Job(input=str(path), output="-", output_format="null", graph="null"))
    item.open(Env(reader.info, ring, "in.mp4"))  # type: ignore[arg-type]
    ahead, out = item.lookahead(reader.info) or 0, []
    for frame in reader.frames():
        if isinstance(frame, Frame):
            ring[frame.n] = frame
            ring.pop(frame.n - ahead - 1, None)
            out += list(item.push(FrameRecord(frame.n, frame.pts, frame.t)))
    out += list(item.flush())
    reader.close()
    return out


def test_the_filter_marks_a_cut_between_two_clips(tmp_path: Path) -> None:
    both = tmp_path / "both.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(EXAMPLE), "-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=25",
         "-filter_complex", "[0:v]trim=end_frame=20,setpts=PTS-STARTPTS,scale=640:360,setsar=1[a];"
         "[1:v]trim=end_frame=20,setsar=1[b];[a][b]concat,format=yuv420p10le", "-an", "-c:v", "ffv1",
         str(both.with_suffix(".mkv"))],
        check=True,
    )  # fmt: skip
    found = records(both.with_suffix(".mkv"))
    assert [record.n for record in found] == list(range(40))
    assert [record.n for record in found if record.cut] == [20]
    assert not any(record.cut for record in records(both.with_suffix(".mkv"), "off"))


def plan_of(graph: str) -> list[str]:
    info = StreamInfo(
        640, 360, pix_fmt="yuv420p", time_base=Fraction(1, 25), rate=Fraction(25), average_rate=Fraction(25)
    )
    job = Job(input="in.mp4", output="out.mp4", graph=graph)
    return [item.name for item in make_plan(job, info).lane]


@pytest.mark.parametrize(
    ("graph", "lane"),
    [
        ("detect=faces,track,blur", ["scene", "detect", "track", "grow"]),
        ("detect=faces,blur", ["detect"]),
        ("scene=off,detect=faces,track=edge=0:grow=0,blur", ["scene", "detect", "track"]),
        ("zone=w=9:h=9,detect=faces,track=edge=0:grow=0,blur", ["zone", "scene", "detect", "track"]),
    ],
)
def test_the_planner_adds_one_where_detections_are_joined(graph: str, lane: list[str]) -> None:
    assert plan_of(graph) == lane


@pytest.mark.parametrize("every", ["5", "auto"])
@pytest.mark.parametrize("method", ["content", "transnetv2"])
def test_a_sampler_that_would_not_hear_of_cuts_is_an_error(every: str, method: str) -> None:
    with pytest.raises(GraphError, match="'scene' must come before 'detect', which then looks at both sides"):
        plan_of(f"detect=faces:every={every},scene={method},track,blur")
    assert plan_of(f"detect=faces,scene={method},track=edge=0:grow=0,blur")[:2] == ["detect", "scene"]
    assert plan_of(f"detect=faces:every={every},scene=off,track,blur")[:2] == ["detect", "scene"]
    assert plan_of(f"scene={method},detect=faces:every={every},track,blur")[:2] == ["scene", "detect"]
