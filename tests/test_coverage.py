"""bench/coverage.py and bench/plate_ocr.py: the measures themselves, on small synthetic cases."""

from __future__ import annotations

import importlib.util
import json
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

BENCH = Path(__file__).resolve().parents[1] / "bench"


def load(name: str) -> ModuleType:
    """A script of bench/ as a module."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


coverage = load("coverage")
plate_ocr = load("plate_ocr")


def texture(seed: int, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    """A picture with detail of a few samples, uint8."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = gaussian_filter(noise, 2.0)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


BOX = (40.0, 30.0, 90.0, 94.0)


def test_untouched_box_reads_zero_even_with_coding_noise() -> None:
    source = texture(1)
    noisy = source + np.random.default_rng(2).normal(0, 4, source.shape)
    assert coverage.pixel_share(source, source, BOX) == 0.0
    assert coverage.pixel_share(source, noisy, BOX) == 0.0


@pytest.mark.parametrize("level", [16, 128, 235])
def test_filled_box_reads_one(level: int) -> None:
    source = texture(3)
    output = source.copy()
    output[30:94, 40:90] = level
    assert coverage.pixel_share(source, output, BOX) == 1.0


def test_blurred_box_reads_one_and_a_faint_blur_does_not() -> None:
    source = texture(4)
    strong = gaussian_filter(source.astype(float), 9)
    faint = gaussian_filter(source.astype(float), 0.8)
    assert coverage.pixel_share(source, strong, BOX) >= 0.95
    assert coverage.pixel_share(source, faint, BOX) == 0.0


def test_half_covered_box_reads_about_half() -> None:
    source = texture(5)
    output = source.copy()
    output[30:62, 40:90] = 90
    assert coverage.pixel_share(source, output, BOX) == pytest.approx(0.5, abs=0.07)


def test_a_box_one_block_row_short_is_seen() -> None:
    source = texture(6)
    output = source.copy()
    output[30:86, 40:90] = 90
    assert coverage.pixel_share(source, output, BOX) < 0.95


def test_flat_area_is_unknown_unless_painted_over() -> None:
    source = np.full((120, 160), 60, np.uint8)
    painted = source.copy()
    painted[30:94, 40:90] = 16
    assert coverage.pixel_share(source, source, BOX) is None
    assert coverage.pixel_share(source, painted, BOX) == 1.0


def test_box_over_the_edge_counts_its_part_in_the_frame() -> None:
    mask = np.zeros((20, 30), bool)
    mask[:10] = True
    assert coverage.mask_share(mask, (-10, -10, 5, 20)) == pytest.approx(0.5)
    assert coverage.mask_share(mask, (40, 0, 50, 10)) is None


def test_region_mask_follows_the_design() -> None:
    rect = coverage.region_mask([{"box": [1.2, 2.0, 4.1, 3.5]}], 8, 6, "rect")
    assert rect.nonzero()[0].tolist() == [2] * 4 + [3] * 4
    assert rect[2].nonzero()[0].tolist() == [1, 2, 3, 4]
    ellipse = coverage.region_mask([{"box": [-4, 0, 4, 6]}], 8, 6, "ellipse")
    assert not ellipse[0, 3]
    assert ellipse[2, 3]
    assert ellipse[3, 0]
    named = coverage.region_mask([{"box": [0, 0, 4, 4], "shape": "rect"}], 8, 6, "ellipse")
    assert named[0, 0]
    assert not coverage.region_mask([{"box": [0, 0, 4, 4], "del": True}], 8, 6, "rect").any()
    bitmap = coverage.region_mask([{"box": [2, 1, 4, 3], "mask": [1, 2, 1]}], 8, 6, "rect")
    assert np.argwhere(bitmap).tolist() == [[1, 3], [2, 2]]


def test_union_counts_once_and_gaps_count_against() -> None:
    regions = [{"box": [0, 0, 10, 10]}, {"box": [5, 0, 15, 10]}]
    mask = coverage.region_mask(regions, 40, 20, "rect")
    assert coverage.mask_share(mask, (0, 0, 20, 10)) == pytest.approx(0.75)


def test_exposed_runs_break_at_covered_frames_and_tracks() -> None:
    shares = {1: [1, 0.2, 0.3, 1, 0.9], 2: [0, 0, 0, 0, 1]}
    looks = [
        coverage.Look(n, track, "face", (0, 0, 9, 20), share)
        for track, row in shares.items()
        for n, share in enumerate(row)
    ]
    assert coverage.exposed_runs(looks, 0.95) == [(1, 1, 2), (1, 4, 1), (2, 0, 4)]
    assert coverage.recall(looks, 0.95) == (3, 10)


def test_frame_without_a_line_takes_its_neighbours_regions() -> None:
    records = {0: [{"box": [0, 0, 1, 1]}], 4: [], 8: [{"box": [2, 0, 3, 1]}]}
    assert coverage.held(records, 2) == [{"box": [0, 0, 1, 1]}]
    assert coverage.held(records, 6) == [{"box": [2, 0, 3, 1]}]
    assert coverage.held(records, 4) == []
    assert coverage.held(records, 9) == [{"box": [2, 0, 3, 1]}]


def encode(path: Path, frames: list[np.ndarray]) -> None:
    """Gray pictures as H.264."""
    with av.open(str(path), "w") as box:
        stream = box.add_stream("libx264", rate=25, options={"crf": "20", "threads": "1"})
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "yuv420p"
        for n, gray in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(gray, "gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))


def test_command_line_on_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [texture(10 + n) for n in range(5)]
    filled = [p.copy() for p in pictures]
    for n, p in enumerate(filled):
        if n != 3:
            p[24:104, 32:104] = 40
    encode(tmp_path / "in.mp4", pictures)
    encode(tmp_path / "out.mp4", filled)
    boxes = {str(n): BOX for n in range(5)}
    truth = {"clip": "in.mp4", "width": 160, "height": 120, "frames": 5}
    truth["objects"] = [{"id": 7, "cls": "face", "boxes": boxes}]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    lines = [{"n": n, "pts": n, "ran": ["faces"], "det": [{"box": [32, 24, 104, 104]}]} for n in range(5)]
    record = [{"format": "anonfilter"}, *lines, {"end": True, "frames": 5}]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, record)))
    files = ["--truth", str(tmp_path / "truth.json"), "--source", str(tmp_path / "in.mp4")]
    assert coverage.main([*files, "--output", str(tmp_path / "in.mp4"), "--require", "0.95-all"]) == 1
    assert "0 of 5" in capsys.readouterr().out
    assert coverage.main([*files, "--output", str(tmp_path / "out.mp4"), "--require", "0.95-all"]) == 1
    text = capsys.readouterr().out
    assert "4 of 5" in text
    assert "longest exposed 1 frames 40 ms" in text
    assert "frame 3 track 7 box" in text
    assert coverage.main([*files, "--output", str(tmp_path / "out.mp4"), "--require", "0.95-0.8"]) == 0
    capsys.readouterr()
    by_record = [*files[:2], "--records", str(tmp_path / "r.jsonl"), "--shape", "rect"]
    assert coverage.main([*by_record, "--require", "0.95-all"]) == 0
    assert "5 of 5" in capsys.readouterr().out


def test_record_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"format":"anonfilter"}\n{"n":0,"det":[]}\n')
    with pytest.raises(SystemExit, match="cut short"):
        coverage.read_records(path)


@pytest.mark.parametrize("path", sorted((BENCH / "truth").glob("*.json")), ids=lambda p: p.stem)
def test_committed_truth_is_sound(path: Path) -> None:
    truth = json.loads(path.read_text())
    ids = [item["id"] for item in truth["objects"]]
    assert len(set(ids)) == len(ids)
    assert all(0 < cut < truth["frames"] for cut in truth["cuts"])
    for item in truth["objects"]:
        for key, (x0, y0, x1, y1) in item["boxes"].items():
            assert 0 <= int(key) < truth["frames"]
            assert 0 <= x0 < x1 <= truth["width"]
            assert 0 <= y0 < y1 <= truth["height"]
        shots = {sum(int(key) >= cut for cut in truth["cuts"]) for key in item["boxes"]}
        assert len(shots) == 1, f"object {item['id']} crosses a cut"


def test_plate_text_measure() -> None:
    assert plate_ocr.plain("ab-I2 Oé") == "AB120"
    assert plate_ocr.common("AB15XYC", "AB15XYC") == 7
    assert plate_ocr.common("QQA5C", "AB15XYC") == 3
    assert plate_ocr.common("", "AB15XYC") == 0
    assert plate_ocr.majority([["AB12"], ["AB12"], ["A812"], [""]]) == "AB12"
    with pytest.raises(SystemExit):
        plate_ocr.majority([[""], ["1"]])


def test_plate_crop_stays_in_the_picture() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    assert plate_ocr.crop(picture, (50, 30, 60, 40), 1, 1).shape == (20, 20, 3)
    assert plate_ocr.crop(picture, (0, 0, 20, 10), 0.1, 0.1).shape == (12, 22, 3)
