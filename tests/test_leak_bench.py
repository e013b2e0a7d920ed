"""bench/leak.py: that a remembered net gives what a real run gives, and what is counted."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import asdict
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import leak
import leakpage
from lanes import frames_of, run_graphs
from memonet import LOW, Memo, Meter, opener, stand_in

from anonfilter import cli, infer
from anonfilter.errors import ModelError
from anonfilter.frame import StreamInfo
from anonfilter.io.reader import Reader
from anonfilter.job import Job
from anonfilter.leak.truth import to_truth
from anonfilter.models import catalog
from anonfilter.models import detector as models_detector
from anonfilter.models.family import Detection
from anonfilter.plan import make_plan
from anonfilter.records import FrameRecord, Region

STREET = Path(__file__).resolve().parents[1] / "examples" / "street.mp4"
SECONDS = 0.4


@pytest.fixture(scope="module")
def models() -> None:
    """The two nets, pulled if need be. CI may not skip."""
    try:
        for name in ("faces", "plates"):
            catalog.resolve(name).path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")


@pytest.mark.usefixtures("models")
def test_records_are_those_of_a_real_run_to_the_byte(tmp_path: Path) -> None:
    graphs = [
        "detect=faces:plates:every=3:threads=1,track=redetect=0,interp",
        "detect=faces:plates:every=auto:min=1:glance=0:threads=1,track=redetect=0,interp=pchip,grow",
        "detect=plates:thresh=0.5:threads=1",
    ]
    memo = Memo("street", tmp_path)
    # First on every frame, so that the others have nothing left to ask.
    run_graphs(STREET, ["detect=faces:plates"], memo, SECONDS)
    memo.save()
    again = Memo("street", tmp_path)
    texts = [f"{graph},write={tmp_path}/memo{i}.jsonl" for i, graph in enumerate(graphs)]
    runs = run_graphs(STREET, texts, again, SECONDS)
    assert again.filled == 0
    assert again.sessions == {}
    # Looks at parts of a frame are not remembered, but counted.
    graphs.append("detect=plates:every=auto:threads=1,track,interp")
    runs += run_graphs(STREET, [f"{graphs[-1]},write={tmp_path}/memo3.jsonl"], again, 1.4)
    again.close()
    for i, (graph, run) in enumerate(zip(graphs, runs, strict=True)):
        text = f"{graph},write={tmp_path}/real{i}.jsonl"
        seconds = SECONDS if i < 3 else 1.4
        real = ["-v", "error", "-t", str(seconds), "-i", str(STREET), "-an", "-vf", text, "-f", "null", "-"]
        assert cli.main(real) == 0
        assert (tmp_path / f"memo{i}.jsonl").read_bytes() == (tmp_path / f"real{i}.jsonl").read_bytes(), graph
        assert run.meter.calls == Counter(name for record in run.records for name in record.ran), graph
    assert [run.meter.crops > 0 for run in runs] == [False, False, False, True]
    assert runs[0].meter.calls == {"centerface": 4, "clpdet": 4}  # of ten frames 0, 3, 6 and 9
    assert all(any(record.regions for record in run.records) for run in runs)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("how", [{}, {"thresh": 0.9}, {"weak": 0.055}, {"thresh": 0.06, "coarse": 0}, {"coarse": 2}])
def test_a_detector_from_memory_says_what_the_real_one_says(how: dict[str, Any]) -> None:
    reader = Reader(Job(str(STREET), "-", output_format="null", audio=False))
    frames = [frame for frame in islice(frames_of(reader), 10) if frame.n in (5, 9)]
    row, memo, meter = catalog.resolve("faces"), Memo("street"), Meter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models_detector, "open_session", opener(memo, meter))
        remembering = stand_in(memo, meter)(row, reader.info.display_size, threads=1, **how)
    real = models_detector.Detector(row, reader.info.display_size, threads=1, **how)
    for _ in range(2):  # asked, then remembered
        assert [remembering(frame, reader.info) for frame in frames] == [real(frame, reader.info) for frame in frames]
    assert memo.filled == 2 * len(real.sizes)
    assert (meter.calls, meter.crops) == ({"centerface": 4}, 0)
    for part in (memo, real, reader):
        part.close()


@pytest.mark.usefixtures("models")
def test_what_lies_below_the_memo_is_refused() -> None:
    memo = Memo("street")
    try:
        with pytest.raises(Exception, match="the memo has what is over"):
            run_graphs(STREET, [f"detect=faces:thresh={0.2 * LOW * 0.9}"], memo, 0.1)
    finally:
        memo.close()


def test_the_memo_asks_once_and_keeps_what_it_heard(tmp_path: Path) -> None:
    found = [Detection((1.5, 2.0, 3.0, 4.25), "face", 0.3, ((1.0, 2.0),)), Detection((0.0, 0.0, 1.0, 1.0), "face", 0.2)]
    asked = []

    def ask() -> list[Detection]:
        asked.append(1)
        return found

    memo = Memo("clip", tmp_path)
    assert memo.get("net", 3, ask) == found
    assert memo.get("net", 3, ask) == found
    assert len(asked) == 1
    memo.save()
    later = Memo("clip", tmp_path)
    assert later.get("net", 3, ask) == found
    assert len(asked) == 1
    later.get("net", 4, ask)
    later.get("other net", 3, ask)
    assert len(asked) == 3


def test_crops_are_metered_by_area(monkeypatch: pytest.MonkeyPatch) -> None:
    session = SimpleNamespace(run=lambda tensor: {"out": tensor}, close=lambda: None)
    opened: list[Any] = []
    monkeypatch.setattr(infer, "open_session", lambda path, **how: opened.append(path) or session)
    memo, meter = Memo("clip"), Meter(area={"a": 100_000, "b": 50_000})
    make = opener(memo, meter)
    first, second = (make("net.onnx", shapes={"": (1, 3, 100, 150)}, threads=1) for _ in range(2))
    assert opened == []
    assert first.run(7) == {"out": 7}
    second.run(8)
    assert opened == ["net.onnx"]
    assert (meter.crops, meter.crop_area) == (2, 30_000)
    assert meter.crop_calls() == pytest.approx(0.4)
    second.filling = True
    second.run(9)
    assert meter.crops == 2


def test_every_graph_of_the_matrix_can_be_planned() -> None:
    stream = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
    table = list(leak.rows("faces:plates", 640, 360))
    keys = [f"{row.name}|{row.every}" for row in table]
    assert len(set(keys)) == len(keys)
    assert {row.every for row in table} == {"1", "2", "5", "10", "auto"}
    for row in table:
        assert make_plan(Job("-", "-", row.graph, output_format="null"), stream).lane, row.graph
    for name, every in leakpage.COMPARED:
        assert f"{name}|{every}" in keys


def counts() -> leak.Counts:
    """Measured by hand: two frames; a face of 30 rows bare on both, a plate of 10 rows covered on one."""
    face, plate = {"0": [10, 10, 30, 40], "1": [10, 10, 30, 40]}, {"0": [50, 40, 70, 50], "1": [50, 40, 70, 50]}
    value = {"clip": "c", "width": 100, "height": 50, "frames": 2, "rate": 10, "objects": [
        {"id": 1, "cls": "face", "boxes": face, "tags": ["turn"]}, {"id": 2, "cls": "plate", "boxes": plate},
    ]}  # fmt: skip
    cover = Region((50, 40, 80, 50), "plate")
    records = [FrameRecord(0, 0, 0.0, ("a", "b"), [cover]), FrameRecord(1, 1, 0.1)]
    run: Any = SimpleNamespace(records=records, meter=Meter(Counter(a=1, b=1), {"a": 100, "b": 100}, 1, 50))
    return leak.measure(to_truth(value), run, leak.Row("r", "2", ""), 10.0)


def test_counts_by_hand() -> None:
    c = counts()
    assert (c.told, c.leaked, c.never, c.tracks, c.leaking) == (4, 3, 2, 2, 2)
    assert (c.exposed_s, c.visible_s) == (pytest.approx(0.3), pytest.approx(0.4))
    assert (c.longest_ms, c.tall_ms) == (200.0, 200.0)
    assert (c.beyond, c.objects, c.rest) == (100, 2 * (600 + 200), 2 * 5000 - 1600)
    assert (c.calls, c.possible, c.crops) == (2, 4, 0.5)
    assert {tag: (part.leaked, part.told) for tag, part in c.tags.items()} == {
        "face": (2, 2), "plate": (1, 2), "turn": (2, 2),
    }  # fmt: skip
    assert c.tags["plate"].tall_ms == 0.0


def test_counts_add_up_over_clips_and_survive_a_file() -> None:
    both = leakpage.pooled([{"r|2": counts()}, {"r|2": leak.Counts.of_json(asdict(counts()))}])["r|2"]
    assert (both.told, both.leaked, both.leaking, both.longest_ms, both.calls) == (8, 6, 4, 200.0, 4)
    assert both.tags["turn"].told == 4


def test_the_page_says_what_was_counted() -> None:
    page = leakpage.page({"c": {"default chain|auto": counts()}}, 0.95, 24, "this machine")
    assert "all busy" not in page
    assert "| default chain | auto | 3 | 2 | 0.2500 | 2 of 2 | 200 | 200 | 2700.0 | 0.0119 | 0.500 + 0.125 |" in page
    assert "| c | 3 of 4 (never: 2), 0.500 + 0.125 |" in page
    assert "| turn | 2 of 2 (never: 2), 200 ms |" in page
    assert "this machine" in page


def test_the_page_sums_up_little_and_busy_movement() -> None:
    clips = {name: {"default chain|auto": counts()} for name in ("a (busy)", "b (busy)", "c")}
    page = leakpage.page(clips, 0.95, 24, "")
    assert "| all busy | 6 of 8 (never: 4), 0.500 + 0.125 |" in page
    assert "all little" not in page
