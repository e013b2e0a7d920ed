"""Truth files: what is read from them, what is refused, and whether those in the repository are sound."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from anonfilter.errors import InputError
from anonfilter.leak.truth import load_truth, to_truth

FOLDER = Path(__file__).resolve().parents[1] / "bench" / "truth"
GOOD: dict[str, Any] = {
    "clip": "c.mp4", "sha256": "ab", "width": 64, "height": 48, "frames": 9, "rate": "30000/1001", "cuts": [4],
    "movement": "busy", "rule": "drawn", "objects": [
        {"id": 1, "cls": "face", "tags": ["entering"], "note": "n", "doubt": False,
         "boxes": {"2": [1, 2, 11.5, 22], "3": [2, 2, 12, 22]}, "visible": {"3": 0.2}},
        {"id": 2, "cls": "plate", "doubt": True, "boxes": {"3": [30, 30, 40, 35]}},
    ],
}  # fmt: skip


def test_what_a_truth_says() -> None:
    truth = to_truth(GOOD)
    assert (truth.clip, truth.sha256, truth.cuts, truth.movement) == ("c.mp4", "ab", (4,), "busy")
    assert (truth.width, truth.height, truth.frames) == (64, 48, 9)
    assert truth.rate == Fraction(30000, 1001)
    first, second, third = [*truth.looks[2], *truth.looks[3]]
    assert (first.box, first.height) == ((1, 2, 11.5, 22), 20)
    assert (first.cls, first.track, first.tags) == ("face", 1, ("entering",))
    assert (first.doubt, second.doubt, third.doubt) == (False, True, True)


def test_selection_keeps_the_rest_for_over_blur() -> None:
    truth = to_truth(GOOD)
    assert {k.track for row in truth.select(["plate"]).looks.values() for k in row} == {2}
    assert {k.track for row in truth.select(None, 6).looks.values() for k in row} == {1}
    assert truth.select(["plate"]).everything == truth.looks
    with pytest.raises(InputError, match=r"c\.mp4 has no class dog \(it has face, plate\)"):
        truth.select(["dog"])


def broken(change: str) -> dict[str, Any]:
    """GOOD with one thing wrong: PATH=JSON, the path's parts split by /."""
    value = copy.deepcopy(GOOD)
    path, _, new = change.partition("=")
    at: Any = value
    *parts, last = path.split("/")
    for part in parts:
        at = at[int(part)] if isinstance(at, list) else at[part]
    at[int(last) if isinstance(at, list) else last] = json.loads(new)
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("width=0", "'width' must be a whole number from 1"),
        ("frames=true", "'frames' must be a whole number from 1"),
        ("rate=0", "rate 0 is not a number of frames a second"),
        ('rate="1/0"', "rate '1/0' is not a number"),
        ("cuts=[9]", "not frames between the first and the last"),
        ("objects={}", "no list 'objects'"),
        ('objects/0/id="a"', "no whole number 'id'"),
        ("objects/1/id=1", "two objects have the id 1"),
        ('objects/0/cls=""', "object 1 has no 'cls'"),
        ('objects/0/tags="turn"', "object 1: 'tags' must be a list of texts"),
        ("objects/0/boxes/9=[0,0,1,1]", "object 1: frame '9' is not one of 0 to 8"),
        ("objects/0/boxes/-1=[0,0,1,1]", "frame '-1'"),
        ("objects/0/boxes/2=[0,0,1]", "frame 2: a box has four numbers"),
        ('objects/0/boxes/2=[0,0,1,"1"]', "frame 2: a box has four numbers"),
        ("objects/0/boxes/2=[5,0,5,4]", "has no area"),
        ("objects/0/visible/3=1.5", "visible 1.5 is not a share"),
        ("objects/0/visible/7=1", "'visible' speaks of frame 7, which has no box"),
    ],
)
def test_what_is_wrong_is_said(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        to_truth(broken(change))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.json: cannot read the truth"):
        load_truth(tmp_path / "no.json")
    path = tmp_path / "t.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"t\.json: not JSON"):
        load_truth(path)
    path.write_text("[]")
    with pytest.raises(InputError, match=r"t\.json: not a truth file: it must be an object"):
        load_truth(path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda p: p.stem)
def test_committed_truth_is_sound(path: Path) -> None:
    truth = load_truth(path)
    shots: dict[int, set[int]] = {}
    for n, row in truth.looks.items():
        for look in row:
            x0, y0, x1, y1 = look.box
            assert x0 >= 0
            assert y0 >= 0
            assert x1 <= truth.width
            assert y1 <= truth.height
            shots.setdefault(look.track, set()).add(sum(n >= cut for cut in truth.cuts))
    assert shots or json.loads(path.read_text())["fades"], "neither objects nor transitions"
    assert all(len(seen) == 1 for seen in shots.values()), "an object crosses a cut"
