"""anonfilter.leak: the two measures and the figures, on small cases whose answer is known by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anonfilter.errors import RecordError
from anonfilter.frame import StreamInfo
from anonfilter.leak.bypixels import pixel_share
from anonfilter.leak.byrecords import from_file, mask_share, of_file, of_records, region_mask
from anonfilter.leak.figures import Run, exposed_runs, figures, summarise, text, unmet
from anonfilter.leak.truth import Look, Truth, to_truth
from anonfilter.recordfile import RecordWriter
from anonfilter.recordjson import Header
from anonfilter.records import Box, FrameRecord, Region

BOX = (40.0, 30.0, 90.0, 94.0)
RATE = Fraction(25)


def texture(seed: int, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    """A picture with detail of a few samples, uint8."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = gaussian_filter(noise, 2.0)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_untouched_box_reads_zero_even_with_coding_noise() -> None:
    source = texture(1)
    noisy = source + np.random.default_rng(2).normal(0, 4, source.shape)
    assert pixel_share(source, source, BOX) == 0.0
    assert pixel_share(source, noisy, BOX) == 0.0


@pytest.mark.parametrize("level", [16, 128, 235])
def test_filled_box_reads_one(level: int) -> None:
    source = texture(3)
    output = source.copy()
    output[30:94, 40:90] = level
    assert pixel_share(source, output, BOX) == 1.0


def test_blurred_box_reads_one_and_a_faint_blur_does_not() -> None:
    source = texture(4)
    strong = gaussian_filter(source.astype(float), 9)
    faint = gaussian_filter(source.astype(float), 0.8)
    share = pixel_share(source, strong, BOX)
    assert share is not None
    assert share >= 0.95
    assert pixel_share(source, faint, BOX) == 0.0


def test_half_covered_box_reads_about_half() -> None:
    source = texture(5)
    output = source.copy()
    output[30:62, 40:90] = 90
    assert pixel_share(source, output, BOX) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("shift", [(8, 0), (0, 8), (-8, 0), (0, -8)])
def test_a_cover_that_is_one_block_off_is_seen(shift: tuple[int, int]) -> None:
    source = texture(6)
    output = source.copy()
    dx, dy = shift
    output[30 + dy : 94 + dy, 40 + dx : 90 + dx] = 90
    share = pixel_share(source, output, BOX)
    assert share is not None
    assert share < 0.95


def test_flat_area_is_unknown_unless_painted_over() -> None:
    source = np.full((120, 160), 60, np.uint8)
    painted = source.copy()
    painted[30:94, 40:90] = 16
    assert pixel_share(source, source, BOX) is None
    assert pixel_share(source, painted, BOX) == 1.0


def region(*box: float, **more: object) -> Region:
    """A region of class face."""
    return Region((box[0], box[1], box[2], box[3]), "face").with_(**more)


def test_box_over_the_edge_counts_its_part_in_the_frame() -> None:
    mask = np.zeros((20, 30), bool)
    mask[:10] = True
    assert mask_share(mask, (-10, -10, 5, 20)) == pytest.approx(0.5)
    assert mask_share(mask, (40, 0, 50, 10)) is None


def test_region_mask_follows_the_design() -> None:
    rect = region_mask([region(1.2, 2.0, 4.1, 3.5)], 8, 6, "rect")
    assert rect.nonzero()[0].tolist() == [2] * 4 + [3] * 4
    assert rect[2].nonzero()[0].tolist() == [1, 2, 3, 4]
    ellipse = region_mask([region(-4, 0, 4, 6)], 8, 6, "ellipse")
    assert not ellipse[0, 3]
    assert ellipse[2, 3]
    assert ellipse[3, 0]
    named = region_mask([region(0, 0, 4, 4, shape="rect")], 8, 6, "ellipse")
    assert named[0, 0]
    assert not region_mask([region(0, 0, 4, 4, deleted=True)], 8, 6, "rect").any()
    bitmap = region_mask([region(2, 1, 4, 3, mask=(1, 2, 1))], 8, 6, "rect")
    assert np.argwhere(bitmap).tolist() == [[1, 3], [2, 2]]


def test_union_counts_once_and_gaps_count_against() -> None:
    mask = region_mask([region(0, 0, 10, 10), region(5, 0, 15, 10)], 40, 20, "rect")
    assert mask_share(mask, (0, 0, 20, 10)) == pytest.approx(0.75)


def looks(rows: dict[int, Sequence[float | None]], box: Box = (0, 0, 9, 20)) -> list[Look]:
    """Object-frames from shares by track, on frames 0, 1, ..."""
    return [Look(n, track, "face", box, share) for track, row in rows.items() for n, share in enumerate(row)]


def test_exposed_runs_break_at_covered_frames_and_tracks() -> None:
    rows = looks({1: [1, 0.2, 0.3, 1, 0.9], 2: [0, 0, 0, 0, 1]})
    assert exposed_runs(rows) == [Run(1, 1, 2), Run(1, 4, 1), Run(2, 0, 4)]


def test_a_frame_that_cannot_be_told_lies_within_a_run_but_never_ends_one() -> None:
    assert exposed_runs(looks({1: [None, 0, None, 0, None]})) == [Run(1, 1, 3)]
    assert exposed_runs(looks({1: [0, None, 1, 0]})) == [Run(1, 0, 1), Run(1, 3, 1)]


def test_an_object_that_is_away_ends_its_run() -> None:
    rows = [Look(n, 1, "face", (0, 0, 9, 20), 0.0) for n in (3, 4, 6)]
    assert exposed_runs(rows) == [Run(1, 3, 2), Run(1, 6, 1)]


def test_summary_by_hand() -> None:
    # 10 object-frames told, 7 exposed: 0.7 of the time that someone is visible, 2520 s of an hour; 4 frames of 40 ms.
    found = summarise(looks({1: [1, 0.2, 0.3, 1, 0.9], 2: [0, 0, 0, 0, 1], 3: [None] * 2}), 25.0)
    assert (found.frames, found.covered, found.untold, found.leaked) == (10, 3, 2, 7)
    assert (found.tracks, found.leaking) == (3, 2)
    assert (found.never, found.never_frames) == (0, 0)
    assert (found.longest_frames, found.longest_ms) == (4, 160.0)
    assert found.exposed_per_hour == pytest.approx(2520)
    assert found.recall == pytest.approx(0.3)
    assert found.least == 0.0


def test_objects_that_are_never_covered_are_told_apart() -> None:
    found = summarise(looks({1: [0, 0.5, None], 2: [0, 1], 3: [None, None], 4: [0.94]}), 25.0)
    assert (found.leaking, found.never, found.never_frames) == (3, 2, 3)


def test_nothing_told_is_no_recall_and_meets_nothing() -> None:
    found = summarise(looks({1: [None, None]}), 25.0)
    assert (found.recall, found.exposed_per_hour, found.least) == (None, None, None)


def truth(boxes: dict[str, list[float]], frames: int, **more: object) -> Truth:
    """One face (id 7) in a clip of 100 x 50."""
    item = {"id": 7, "cls": "face", "boxes": boxes, **more}
    return to_truth({"clip": "c", "width": 100, "height": 50, "frames": frames, "rate": 25, "objects": [item]})


def records(rows: Sequence[Sequence[Region]], ran: tuple[str, ...] = ("a", "b")) -> list[FrameRecord]:
    """One record a frame, at 25 frames a second."""
    return [FrameRecord(n, n, n / 25, ran, list(row)) for n, row in enumerate(rows)]


def test_shares_and_over_blur_of_records_by_hand() -> None:
    # The object takes 20 x 10 = 200 of 5000 samples; the region covers 30 x 10, of which 200 are the object's.
    t = truth({"0": [10, 10, 30, 20], "1": [10, 10, 30, 20]}, 2)
    found = of_records(t, records([[region(0, 10, 30, 20)], [region(20, 10, 50, 20)]]), "rect")
    assert [look.share for look in found.looks] == [1.0, 0.5]
    assert (found.covered, found.beyond, found.rest, found.objects) == (600, 100 + 200, 9600, 400)
    made = figures(found, RATE)
    assert made.over_blur == pytest.approx(300 / 9600)
    assert made.over_area == pytest.approx(0.75)
    assert found.rate == RATE


@pytest.mark.parametrize(
    ("shift", "covered"), [((0, 0), 1), ((0.4, 0.4), 1), ((1, 0), 1), ((2, 0), 0), ((0, 1), 0), ((-3, 0), 0)]
)
def test_a_shifted_region_falls_under_the_limit(shift: tuple[float, float], covered: int) -> None:
    # 1 of 20 columns bare is 95 % and counts; 2 columns, or 1 of 10 rows, do not.
    t = truth({"0": [10, 10, 30, 20]}, 1)
    x, y = shift
    found = of_records(t, records([[region(10 + x, 10 + y, 30 + x, 20 + y)]]), "rect")
    assert figures(found, RATE).all.covered == covered


def test_an_ellipse_that_only_fits_the_box_leaves_its_corners_bare() -> None:
    t = truth({"0": [10, 10, 50, 40]}, 1)
    tight = of_records(t, records([[region(10, 10, 50, 40)]]), "ellipse").looks[0].share
    assert tight == pytest.approx(math.pi / 4, abs=0.02)
    around = of_records(t, records([[region(1, 3, 59, 47)]]), "ellipse").looks[0].share
    assert around == 1.0


def test_detector_calls_are_counted_by_model_over_all_frames() -> None:
    t = truth({"0": [10, 10, 30, 20]}, 10)
    rows = [FrameRecord(n, n, n / 25, ("a", "b") if n % 5 == 0 else ("a",) if n == 1 else ()) for n in range(10)]
    made = figures(of_records(t, rows), RATE)
    assert made.calls == {"a": 0.3, "b": 0.2}
    assert made.calls_per_frame == pytest.approx(5 / 20)


def test_objects_of_other_classes_are_no_over_blur() -> None:
    value = {
        "clip": "c", "width": 100, "height": 50, "frames": 1, "objects": [
            {"id": 1, "cls": "face", "boxes": {"0": [0, 0, 10, 10]}},
            {"id": 2, "cls": "plate", "boxes": {"0": [50, 0, 70, 10]}},
        ],
    }  # fmt: skip
    t = to_truth(value).select(["face"])
    found = of_records(t, records([[region(0, 0, 10, 10), region(50, 0, 70, 10)]]), "rect")
    assert [look.track for look in found.looks] == [1]
    assert found.beyond == 0


def test_buckets_tags_and_doubt() -> None:
    boxes = {str(n): [10.0, 10.0, 30.0, 10.0 + h] for n, h in enumerate((15, 16, 24, 24))}
    t = truth(boxes, 4, tags=["turn", "blur"], visible={"3": 0.29, "2": 0.3})
    made = figures(of_records(t, records([[]] * 3 + [[region(0, 0, 99, 49)]]), "rect"), RATE)
    assert {name: (part.covered, part.frames) for name, part in made.heights.items()} == {
        "0-16": (0, 1), "16-24": (0, 1), "24-48": (0, 1),
    }  # fmt: skip
    assert {name: part.frames for name, part in made.tags.items()} == {"turn": 3, "blur": 3}
    assert (made.doubt.covered, made.doubt.frames) == (1, 1)
    assert [k.frame for k in made.exposed] == [0, 1, 2]
    lines = text(made)
    assert lines[0] == "records: 0 of 3 object-frames at least 95% covered (0.0000)"
    assert "1 of 1 objects (1 never covered: 3 object-frames)" in lines[1]
    assert "longest exposed run 120 ms (3 frames); 3600.0 s exposed per person-hour" in lines[1]
    assert "  in doubt, not counted above: 1 of 1" in lines


def test_requirement() -> None:
    t = truth({"0": [10, 10, 30, 20], "1": [10, 10, 30, 20]}, 2)
    made = figures(of_records(t, records([[region(0, 0, 99, 49)], []]), "rect"), RATE)
    assert unmet(made, 0.5) is None
    missed = unmet(made, 1.0)
    assert missed is not None
    assert [k.frame for k in missed] == [1]
    empty = figures(of_records(t.select(None, 99), records([[], []]), "rect"), RATE)
    assert unmet(empty, 0.0) is not None


def test_records_must_be_of_as_many_frames_as_the_truth() -> None:
    t = truth({"0": [10, 10, 30, 20]}, 3)
    with pytest.raises(RecordError, match="2 frames have records, the truth of c speaks of 3"):
        of_records(t, records([[], []]))


def write(path: Path, rows: Sequence[FrameRecord], frames: int, size: tuple[int, int] = (100, 50)) -> Path:
    """A record file of rows."""
    stream = StreamInfo(*size, "yuv420p", Fraction(1, 25), RATE, RATE)
    writer = RecordWriter(path, Header.of("write", stream))
    for row in rows:
        writer.write(row)
    writer.close(frames, None)
    return path


def test_frames_that_nobody_looked_at_are_covered_as_in_a_run(tmp_path: Path) -> None:
    a, b = region(0, 0, 10, 10), region(20, 0, 30, 10)
    rows = [FrameRecord(n, n, n / 25, ("m",), row) for n, row in ((0, [a]), (4, []), (8, [b]))]
    path = write(tmp_path / "r.jsonl", rows, 10)
    found = {record.n: [r.box for r in record.regions] for record in from_file(path)}
    assert list(found) == list(range(10))
    assert found[2] == [a.box]
    assert found[4] == []
    assert found[6] == [b.box]
    assert found[9] == [b.box]


def test_a_track_that_has_its_own_place_is_not_held(tmp_path: Path) -> None:
    a, between, b = (region(x, 0, x + 30, 10, track=1) for x in (0, 2, 4))
    rows = [FrameRecord(n, n, n / 25, ran, [r]) for n, (ran, r) in enumerate(((("m",), a), ((), between), (("m",), b)))]
    found = list(from_file(write(tmp_path / "r.jsonl", rows, 3)))
    assert [r.box for r in found[1].regions] == [between.box]


def test_measuring_a_file_checks_that_it_is_of_the_clip(tmp_path: Path) -> None:
    t = truth({"0": [10, 10, 30, 20]}, 3)
    rows = [FrameRecord(n, n, n / 25, ("m",), [region(10, 10, 30, 20)]) for n in range(3)]
    found = of_file(t, write(tmp_path / "good.jsonl", rows, 3), "rect")
    assert [look.share for look in found.looks] == [1.0]
    with pytest.raises(RecordError, match=r"other\.jsonl: made from a video of 64x48, the truth of c is of 100x50"):
        of_file(t, write(tmp_path / "other.jsonl", rows, 3, (64, 48)))
    with pytest.raises(RecordError, match=r"long\.jsonl: 4 frames have records, the truth of c speaks of 3"):
        of_file(t, write(tmp_path / "long.jsonl", rows, 4))
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"\n".join((tmp_path / "good.jsonl").read_bytes().splitlines()[:-1]) + b"\n")
    with pytest.raises(RecordError, match=r"cut\.jsonl: the file is cut short"):
        of_file(t, cut)
