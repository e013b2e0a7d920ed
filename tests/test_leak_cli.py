"""`anonfilter eval` on files."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anonfilter import cli
from anonfilter.frame import StreamInfo
from anonfilter.leak.cli import UNMET
from anonfilter.recordfile import RecordWriter
from anonfilter.recordjson import Header
from anonfilter.records import FrameRecord, Region

BOX = [40.0, 30.0, 90.0, 94.0]


def texture(seed: int) -> np.ndarray:
    """A picture with detail of a few samples, 160 x 120, uint8."""
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal((120, 160)), 2.0)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """in.mp4; out.mp4 with the object filled on all frames but the fourth; t.json; r.jsonl, which covers it on all."""
    path = tmp_path_factory.mktemp("eval")
    pictures = [texture(10 + n) for n in range(5)]
    filled = [p.copy() for p in pictures]
    for n, p in enumerate(filled):
        if n != 3:
            p[24:104, 32:104] = 40
    encode(path / "in.mp4", pictures)
    encode(path / "out.mp4", filled)
    encode(path / "short.mp4", filled[:4])
    truth = {
        "clip": "in.mp4", "sha256": hashlib.sha256((path / "in.mp4").read_bytes()).hexdigest(), "width": 160,
        "height": 120, "frames": 5,
        "objects": [{"id": 7, "cls": "face", "tags": ["still"], "boxes": {str(n): BOX for n in range(5)}}],
    }  # fmt: skip
    (path / "t.json").write_text(json.dumps(truth))
    stream = StreamInfo(160, 120, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
    writer = RecordWriter(path / "r.jsonl", Header.of("write", stream))
    for n in range(0, 5, 2):
        writer.write(FrameRecord(n, n, n / 25, ("faces",), [Region((38, 28, 92, 96), "face")]))
    writer.close(5, None)
    return path


def run(folder: Path, line: str) -> int:
    """`anonfilter eval` with @ for the folder."""
    return cli.main(["eval", *line.replace("@", f"{folder}/").split()])


def test_an_untouched_output_is_all_leak(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "-truth @t.json -source @in.mp4 -output @in.mp4 -require 0.95-all") == UNMET
    assert "pixels: 0 of 5" in capsys.readouterr().out


def test_one_bare_frame_is_found_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = "-truth @t.json -source @in.mp4 -output @out.mp4"
    assert run(folder, f"{files} -require 0.95-all") == UNMET
    found = capsys.readouterr()
    assert found.err == ""
    assert "pixels: 4 of 5" in found.out
    assert "longest exposed run 40 ms (1 frames)" in found.out
    assert "not met: 0.95-all" in found.out
    assert "frame 3 object 7 face box [40.0, 30.0, 90.0, 94.0] share 0.000" in found.out
    assert run(folder, f"{files} -require 0.95-0.8") == 0
    assert run(folder, files) == 0


def test_records_and_pixels_at_once_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "-truth @t.json -records @r.jsonl -shape rect -source @in.mp4 -output @out.mp4 -json -require 0.95-all"
    assert run(folder, line) == UNMET
    value = json.loads(capsys.readouterr().out)
    records, pixels = value["measures"]
    assert value["met"] is False
    assert (records["measure"], records["all"]["recall"], records["calls"]) == ("records", 1.0, {"faces": 0.6})
    assert (pixels["measure"], pixels["all"]["leaked"], pixels["all"]["longest_ms"]) == ("pixels", 1, 40.0)
    assert pixels["tags"]["still"]["frames"] == 5
    assert [k["frame"] for k in pixels["exposed"]] == [3]
    assert pixels["calls_per_frame"] is None


def test_an_ellipse_in_the_box_is_less_than_the_box(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "-truth @t.json -records @r.jsonl -shape ellipse -require 0.95-all") == UNMET
    assert "records: 0 of 5" in capsys.readouterr().out
    assert run(folder, "-truth @t.json -records @r.jsonl -require 0.95-all") == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "eval: the following arguments are required: -truth"),
        ("-truth @t.json", "eval: nothing to measure: give -records"),
        ("-truth @t.json -output @out.mp4", "eval: -source and -output go together"),
        ("-truth @t.json -records @r.jsonl -requires 0.9-all", "eval: unrecognized arguments: -requires"),
        ("-truth @t.json -records @r.jsonl -require 95", "eval: -require '95' is not LIMIT-all or LIMIT-SHARE"),
        ("-truth @t.json -records @r.jsonl -require 0.9-2", "eval: -require '0.9-2' is not"),
        ("-truth @t.json -records @r.jsonl -min_height x", "'x' is not a height in luma samples"),
        ("-truth @t.json -records @r.jsonl -limit 0", "'0' is not a share above 0"),
        ("-truth @t.json -records @r.jsonl -classes dog", "has no class dog (it has face)"),
        ("-truth @no.json -records @r.jsonl", "no.json: cannot read the truth: No such file"),
        ("-truth @t.json -records @no.jsonl", "no.jsonl: cannot read records: No such file"),
        ("-truth @t.json -source @no.mp4 -output @out.mp4", "no.mp4: No such file"),
        ("-truth @t.json -source @in.mp4 -output @t.json", "t.json: cannot be decoded: "),
        ("-truth @t.json -source @in.mp4 -output @short.mp4", "short.mp4: ends after 4 frames, before the other file"),
    ],
)
def test_errors_are_one_line_and_status_1(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    assert run(folder, line) == cli.FAILED
    found = capsys.readouterr()
    assert message in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""


def test_another_source_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "-truth @t.json -source @out.mp4 -output @out.mp4") == 0
    assert "out.mp4: not the file that the truth was made for" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["eval", "-h"])
    assert end.value.code == 0
    assert "-min_height PX" in capsys.readouterr().out
