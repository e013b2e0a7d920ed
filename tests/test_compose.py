"""The composited clips: their truth follows from the scene alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"

for needed in ("cv2", "PIL"):
    pytest.importorskip(needed, reason=f"{needed} of the bench extra is not installed")


def compose(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "compose.py"), *args], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_scenes_have_names() -> None:
    names = [line.split()[0] for line in compose("--list").splitlines() if line.strip()]
    assert len(names) >= 12
    assert len(set(names)) == len(names)


@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data, and the bench extra has no pictures of its own")
def test_the_truth_of_a_scene_is_the_same_twice_and_says_what_the_scene_says(tmp_path: Path) -> None:
    truths = []
    for folder in ("a", "b"):
        compose("--data", str(DATA), "--out", str(tmp_path / folder), "--only", "gaps")
        truths.append(json.loads((tmp_path / folder / "gaps.json").read_text()))
    first, second = ({k: v for k, v in truth.items() if k != "sha256"} for truth in truths)
    assert first == second
    sure = [item for item in first["objects"] if not item.get("doubt")]
    assert sorted({item["cls"] for item in sure}) == ["face"]
    for item in sure:
        frames = sorted(int(n) for n in item["boxes"])
        assert 1 <= len(frames) <= 14, "people who show for a few frames between two walls"
        for x0, y0, x1, y1 in item["boxes"].values():
            assert 0 <= x0 < x1 <= first["width"]
            assert 0 <= y0 < y1 <= first["height"]
        assert all(0.25 <= share <= 1 for share in item.get("visible", {}).values())
