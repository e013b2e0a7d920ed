"""The README's first command on the example clip: what a new user sees first."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from anonfilter import cli
from anonfilter.errors import ModelError
from anonfilter.leak.bypixels import luma_frames, pixel_share
from anonfilter.leak.byrecords import of_file
from anonfilter.leak.truth import load_truth
from anonfilter.models import catalog

ROOT = Path(__file__).resolve().parents[1]
CLIP, TRUTH = ROOT / "examples" / "street.mp4", ROOT / "bench" / "truth" / "street.json"
# The writer stands at the end of the lane, where the planner's own rule at the picture's edge has already acted: it
# acts in the graph's `grow` where there is one, and this one does nothing else.
RECORDS = "grow=before=0:after=0:scale=1:pad=0,write={}"
OUTSIDE = 0.11


def first_command() -> list[str]:
    """The arguments of the first anonfilter command in the README."""
    found = re.search(r"^ {4}.*?\banonfilter (-i .+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found is not None
    return shlex.split(found[1], comments=True)


def pull_models() -> None:
    """The two nets, pulled if need be. CI may not skip."""
    try:
        for name in ("faces", "plates"):
            catalog.resolve(name).path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")


def test_truth_is_of_this_clip_and_names_all_that_is_to_be_hidden() -> None:
    truth = json.loads(TRUTH.read_text())
    assert truth["sha256"] == hashlib.sha256(CLIP.read_bytes()).hexdigest()
    assert sorted(item["cls"] for item in truth["objects"]) == ["face", "face", "plate", "plate"]
    for item in truth["objects"]:
        assert len(item["boxes"]) >= truth["frames"] // 2, item["note"]
        for x0, y0, x1, y1 in item["boxes"].values():
            assert 0 <= x0 < x1 <= truth["width"]
            assert 0 <= y0 < y1 <= truth["height"]


def test_first_command_covers_every_face_and_plate_on_every_frame(tmp_path: Path) -> None:
    pull_models()
    args, records, output = first_command(), tmp_path / "out.jsonl", tmp_path / "out.mp4"
    assert args[0::2] == ["-i", "-vf", "out.mp4"]
    assert args[1] == "examples/street.mp4"
    lane, comma, blur = args[3].rpartition(",")
    assert blur.startswith("blur")
    graph = f"{lane},{RECORDS.format(records)}{comma}{blur}"
    assert cli.main(["-nostats", "-i", str(CLIP), "-vf", graph, str(output)]) == 0

    truth = load_truth(TRUTH)
    by_records = of_file(truth, records, "rect")
    shares = {"records": [(look.frame, look.track, look.share) for look in by_records.looks]}
    # As bypixels.of_output, without its look at the rest of the picture, which takes seconds and the records tell.
    pairs = enumerate(zip(luma_frames(CLIP), luma_frames(output), strict=True))
    shares["pixels"] = [
        (n, look.track, pixel_share(before, after, look.box))
        for n, (before, after) in pairs
        for look in truth.looks.get(n, ())
    ]
    wanted = sum(len(row) for row in truth.looks.values())
    for name, rows in shares.items():
        assert len(rows) == wanted, name
        bare = [row for row in rows if row[2] is None or row[2] < 0.95]
        assert not bare, f"{name}: (frame, object, share) {bare}"
    assert by_records.beyond < OUTSIDE * by_records.rest


def test_adaptive_looks_give_the_same_file_in_one_pass_and_in_two(tmp_path: Path) -> None:
    pull_models()
    graph = "detect=faces:plates:every=auto:threads=1,track,interp,write={},blur"
    outputs, records = [], []
    for passes in ("1", "2"):
        output, kept = tmp_path / f"{passes}.mp4", tmp_path / f"{passes}.jsonl"
        args = ["-nostats", "-passes", passes, "-threads", "1", "-i", str(CLIP), "-vf", graph.format(kept), str(output)]
        assert cli.main(args) == 0
        outputs.append(output.read_bytes())
        records.append(kept.read_bytes())
    assert outputs[0] == outputs[1]
    assert records[0] == records[1]
    looks = [json.loads(line)["ran"] for line in records[0].splitlines()[1:-1]]
    for name in ("centerface", "clpdet"):
        assert 5 < sum(name in ran for ran in looks) < 65, "of 130 frames"
