"""The record file: exact round trips, and every kind of damage as one clear RecordError."""

import gc
import json
import math
import os
import random
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anonfilter import regionmask
from anonfilter.errors import OutputError, RecordError
from anonfilter.filter import Env, Options
from anonfilter.filters.read import Read
from anonfilter.filters.write import Write
from anonfilter.frame import StreamInfo
from anonfilter.kernels.targets import mask_from_runs
from anonfilter.options import parse_options
from anonfilter.recordfile import RecordReader, RecordWriter, scan
from anonfilter.recordjson import Header, from_region, runs_from_mask
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 12800), Fraction(25), Fraction(25))
HEADER = Header.of("test", STREAM, "detect=faces", [("faces", "09ab")])
SHA = "ab" * 32


def stream(**changes):
    known = {name: getattr(STREAM, name) for name in StreamInfo.__dataclass_fields__}
    return StreamInfo(**{**known, **changes})


def save(path, records, frames=None, sha256=SHA, **options):
    writer = RecordWriter(path, HEADER, **options)
    for record in records:
        writer.write(record)
    writer.close(records[-1].n + 1 if frames is None else frames, sha256)
    return path


def load(path):
    with RecordReader(path) as reader:
        records = list(reader)
        return reader, records


def sample():
    face = Region((1.25, 0.1, 33.3, 1 / 3 + 40), "face", 0.91, "det", 4)
    bitmap = np.zeros(regionmask.size((10.5, 20.5, 14.0, 23.0)), bool)
    bitmap[1:, 2:] = True
    mask = Region((10.5, 20.5, 14.0, 23.0), "plaque d'été", 0.5, "manual", mask=runs_from_mask(bitmap))
    poly = ((0.5, 1.0), (2.0, -3.0), (1e-9, 1e6))
    gone = Region((-5.0, -5.0, 700.0, 400.0), "plate", 1.0, "interp", 7, "ellipse", poly, deleted=True)
    return [
        FrameRecord(0, -512, 0.0, ("faces",), []),
        FrameRecord(1, None, 0.0, ("faces", "plates"), [face, mask]),
        FrameRecord(7, 3003, 0.0, (), [gone]),
        FrameRecord(8, 3003, 0.0, (), []),
    ]


def graph(cls, text):
    parsed = parse_options(cls, text)
    item = cls(Options(parsed.values, parsed.given))
    item.enable = parsed.enable
    return item


def env(**changes):
    return Env(
        **{"stream": STREAM, "ring": None, "input_name": "x.mp4", "fingerprint": lambda: SHA, **changes}
    )


# ---- round trips


def test_round_trip(tmp_path):
    path = save(tmp_path / "a.jsonl", sample(), frames=9)
    reader, records = load(path)
    assert [(r.n, r.pts, r.ran, r.regions) for r in records] == [
        (r.n, r.pts, r.ran, r.regions) for r in sample()[:3]
    ]  # frame 8 says nothing and takes no line
    assert (reader.frames, reader.sha256, reader.header) == (9, SHA, HEADER)
    assert records[0].t == pytest.approx(-0.04)
    assert math.isnan(records[1].t)
    assert not (tmp_path / "a.jsonl.part").exists()


def test_lines_are_as_designed(tmp_path):
    lines = save(tmp_path / "a.jsonl", sample(), frames=9).read_text().splitlines()
    head = json.loads(lines[0])
    assert (head["format"], head["version"], head["stage"]) == ("anonfilter-records", 1, "test")
    assert head["stream"] == {
        "width": 640,
        "height": 360,
        "time_base": "1/12800",
        "rotation": 0,
        "hflip": False,
    }
    assert (head["graph"], head["models"]) == ("detect=faces", [{"name": "faces", "sha256": "09ab"}])
    assert lines[1] == '{"n":0,"pts":-512,"ran":["faces"],"det":[]}'
    frame = json.loads(lines[2])
    assert frame["det"][0] == {
        "box": [1.25, 0.1, 33.3, 40.333333333333336], "cls": "face", "score": 0.91, "src": "det", "track": 4
    }  # fmt: skip
    assert json.loads(lines[3])["det"][0]["del"] is True
    assert lines[4] == f'{{"end":true,"frames":9,"sha256":"{SHA}"}}'


def test_every_frame(tmp_path):
    path = save(tmp_path / "a.jsonl", sample(), every_frame=True)
    assert [(r.n, r.looked) for r in load(path)[1]] == [(0, True), (1, True), (7, False), (8, False)]


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_region_comes_back_to_the_bit(tmp_path, data):
    number = st.floats(-(2**20), 2**20)
    boxes = st.tuples(number, number, number, number).map(
        lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
    )
    regions = st.builds(
        Region,
        boxes,
        st.text(min_size=1),
        st.floats(0, 1),
        st.sampled_from(["det", "interp", "grow", "zone", "manual"]),
        st.none() | st.integers(0, 2**40),
        st.sampled_from([None, "rect", "ellipse"]),
        st.none() | st.lists(st.tuples(number, number)).map(tuple),
        deleted=st.booleans(),
    )
    found = data.draw(st.lists(regions, max_size=4))
    path = save(tmp_path / "a.jsonl", [FrameRecord(3, 12, 0.0, ("m",), found)])
    assert load(path)[1][0].regions == found


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32), st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=60, deadline=None)
def test_mask_runs(height, width, seed, x, y):
    box = (x, y, x + width, y + height)
    bitmap = np.random.default_rng(seed).random(regionmask.size(box)) < (seed % 5) / 4
    runs = runs_from_mask(bitmap)
    rows, columns = bitmap.shape
    assert np.array_equal(mask_from_runs(runs, columns, rows), bitmap)
    assert from_region(Region(box, "face", mask=runs))["mask"] == list(runs)


def test_edited_by_hand(tmp_path):
    path = save(tmp_path / "a.jsonl", sample(), frames=9)
    lines = path.read_text().splitlines()
    lines.insert(3, '  {"pts": 1, "n": 4, "det": [ {"cls":"face", "box":[1, 2, 3, 4], "why": "missed"} ] }')
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", "  ", ""]).encode())
    record = load(path)[1][2]
    assert (record.n, record.looked) == (4, False)
    assert record.regions == [Region((1.0, 2.0, 3.0, 4.0), "face", 1.0, "manual")]


def test_numpy_numbers(tmp_path):
    region = Region(tuple(np.float32([1.1, 2.2, 3.3, 4.4])), "face", np.float32(0.1), track=np.int64(3))
    path = save(tmp_path / "a.jsonl", [FrameRecord(0, 0, 0.0, ("m",), [region])])
    assert load(path)[1][0].regions[0] == region


# ---- damage

GOOD = {
    "head": json.dumps(
        {
            "format": "anonfilter-records",
            "version": 1,
            "stage": "",
            "stream": {"width": 640, "height": 360, "time_base": "1/25", "rotation": 0},
            "models": [],
        }
    ),
    "frame": '{"n":0,"pts":0,"ran":["m"],"det":[{"box":[0,0,2,2],"cls":"face"}]}',
    "end": '{"end":true,"frames":5,"sha256":null}',
}


def frame(region):
    return f'{{"n":0,"pts":0,"det":[{region}]}}'


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([], None, "cut short"),
        (["", ""], None, "cut short"),
        (["head"], None, "cut short"),
        (["head", "frame"], None, "cut short"),
        (["head", '{"n":0,"pts":0,"ran":["m"],"de'], 2, "not JSON"),
        (["frame", "end"], 1, "not a record file"),
        (["end"], 1, "not a record file"),
        (["[1,2]"], 1, "object"),
        (['"text"'], 1, "object"),
        ([GOOD["head"].replace('"version": 1', '"version": 2'), "end"], 1, "version 2"),
        ([GOOD["head"].replace('"version": 1', '"version": true'), "end"], 1, "version True"),
        ([GOOD["head"].replace("640", "-1"), "end"], 1, "width"),
        ([GOOD["head"].replace("640", "6.5"), "end"], 1, "width"),
        ([GOOD["head"].replace("1/25", "1/0"), "end"], 1, "time_base"),
        ([GOOD["head"].replace("1/25", "1e999999999"), "end"], 1, "time_base"),
        ([GOOD["head"].replace('"rotation": 0', '"rotation": 45'), "end"], 1, "rotation"),
        ([GOOD["head"].replace('"models": []', '"models": [3]'), "end"], 1, "model"),
        (["head", "head", "end"], 2, "second header"),
        (["head", "frame", "frame", "end"], 3, "frame 0 comes after frame 0"),
        (["head", "frame", "end", "frame"], 4, "after the end"),
        (["head", "frame", "end", "x"], 4, "after the end"),
        (["head", '{"n":5,"pts":0,"det":[]}', "end"], 3, "says 5 frames"),
        (["head", '{"end":false,"frames":5}'], 2, "'end' must be true"),
        (["head", '{"end":true,"frames":"5"}'], 2, "frames"),
        (["head", '{"end":true,"frames":5,"sha256":7}'], 2, "sha256"),
        (["head", '{"n":-1,"pts":0,"det":[]}', "end"], 2, "n must be an integer"),
        (["head", '{"n":true,"pts":0,"det":[]}', "end"], 2, "n must be an integer"),
        (["head", '{"n":1e3,"pts":0,"det":[]}', "end"], 2, "n must be an integer"),
        (["head", '{"n":0,"pts":0.5,"det":[]}', "end"], 2, "pts must be an integer"),
        (["head", '{"n":0,"det":[]}', "end"], 2, "no 'pts'"),
        (["head", '{"n":0,"pts":0,"dets":[]}', "end"], 2, "no 'det'"),
        (["head", '{"n":0,"pts":0,"det":{}}', "end"], 2, "det must be a list"),
        (["head", '{"n":0,"pts":0,"det":[],"det":[]}', "end"], 2, "twice"),
        (["head", '{"n":0,"pts":0,"ran":"m","det":[]}', "end"], 2, "ran must be a list"),
        (["head", '{"n":0,"pts":0,"ran":[1],"det":[]}', "end"], 2, "ran must be a list"),
        (["head", frame("[]"), "end"], 2, "object"),
        (["head", frame('{"cls":"a"}'), "end"], 2, "no 'box'"),
        (["head", frame('{"box":[0,0,1,1]}'), "end"], 2, "no 'cls'"),
        (["head", frame('{"box":[0,0,1,1],"cls":""}'), "end"], 2, "cls must be"),
        (["head", frame('{"box":[0,0,1],"cls":"a"}'), "end"], 2, "3 numbers"),
        (["head", frame('{"box":"0011","cls":"a"}'), "end"], 2, "box must be a list"),
        (["head", frame('{"box":[0,0,"1",1],"cls":"a"}'), "end"], 2, "box must be a number"),
        (["head", frame('{"box":[0,0,true,1],"cls":"a"}'), "end"], 2, "box must be a number"),
        (["head", frame('{"box":[5,0,4,1],"cls":"a"}'), "end"], 2, "negative size"),
        (["head", frame('{"box":[0,0,NaN,1],"cls":"a"}'), "end"], 2, "NaN is not a number"),
        (["head", frame('{"box":[0,0,Infinity,1],"cls":"a"}'), "end"], 2, "Infinity is not a number"),
        (["head", frame('{"box":[0,0,1e999,1],"cls":"a"}'), "end"], 2, "out of bounds"),
        (["head", frame('{"box":[0,0,' + "9" * 400 + ',1],"cls":"a"}'), "end"], 2, "out of bounds"),
        (["head", frame('{"box":[0,0,' + "9" * 5000 + ',1],"cls":"a"}'), "end"], 2, ":2: "),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","src":"dte"}'), "end"], 2, "src 'dte'"),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","src":[]}'), "end"], 2, "src []"),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","shape":"round"}'), "end"], 2, "shape 'round'"),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","track":1.5}'), "end"], 2, "track must be"),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","del":1}'), "end"], 2, "del must be"),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","score":null}'), "end"], 2, "score must be"),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","poly":[[1,2,3]]}'), "end"], 2, "poly must have 2"),
        (["head", frame('{"box":[0,0,2,2],"cls":"a","mask":[1,2]}'), "end"], 2, "add up to 3"),
        (["head", frame('{"box":[0,0,2,2],"cls":"a","mask":[5,-1]}'), "end"], 2, "run of the mask"),
        (["head", frame('{"box":[0,0,1e6,1e6],"cls":"a","mask":[1000000000000]}'), "end"], 2, "too large"),
        (["head", "[" * 100_000, "end"], 2, ":2: "),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","src":"' + "x" * 10_000 + '"}'), "end"], 2, "src 'xxxxxxxxxxxx..."),
        (["head", frame('{"box":[0,0,1,1],"cls":"a","shape":[' + "1," * 9_999 + '1]}'), "end"], 2, "shape [1, 1, 1"),
        ([GOOD["head"].replace('"version": 1', '"version": ' + "9" * 4000), "end"], 1, "version 999999999999999999..."),
        (["head", '{"a\\nb":1,"a\\nb":2}', "end"], 2, r"twice: 'a\nb'"),
        (["head", b'{"n":0,"pts":0,"det":[{"box":[0,0,1,1],"cls":"\xff"}]}', "end"], 2, "UTF-8"),
        (["head", b"\x00\x00\x00", "end"], 2, "not JSON"),
    ],
)  # fmt: skip
def test_damage(tmp_path, lines, line, words):
    path = tmp_path / "a.jsonl"
    parts = [GOOD.get(part, part) if isinstance(part, str) else part for part in lines]
    path.write_bytes(b"".join((p.encode() if isinstance(p, str) else p) + b"\n" for p in parts))
    with pytest.raises(RecordError, match=re.escape(words)) as caught:
        scan(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 300 + len(str(path))
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")


def test_good_lines_are_good(tmp_path):
    """The damaged files above differ from this one only by their damage."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(GOOD.values()))
    found = scan(path)
    assert (found.models, found.gap, found.frames, found.sha256) == (("m",), 1, 5, None)


def test_cut_anywhere(tmp_path):
    """Whatever the length it was cut to, but for the last newline."""
    whole = save(tmp_path / "a.jsonl", sample(), frames=9).read_bytes()
    path = tmp_path / "b.jsonl"
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RecordError):
            scan(path)


def is_refused(path):
    """Whether the file is refused; any other exception passes."""
    try:
        scan(path)
    except RecordError as error:
        return str(error).startswith(f"{path}:")
    return False


def test_mutations(tmp_path):
    """Seeded damage to bytes: a RecordError or a valid file, never another exception."""
    rng = random.Random(7)
    whole = save(tmp_path / "a.jsonl", sample(), frames=9).read_bytes()
    path, refused = tmp_path / "b.jsonl", 0
    tokens = [b"null", b"true", b"[]", b"{}", b"-", b"1e400", b'"', b"NaN", b"\n", b"\x80", b"\\ud800", b",,"]
    for _ in range(900):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(damaged))
            choice = rng.random()
            if choice < 0.4:
                damaged[at] = rng.randrange(256)
            elif choice < 0.7:
                del damaged[at : at + rng.randint(1, 12)]
            else:
                damaged[at:at] = rng.choice(tokens)
        path.write_bytes(damaged)
        refused += is_refused(path)
    assert refused > 600


def test_replaced_values(tmp_path):
    """Each value of a good file replaced by each odd one: no exception but RecordError."""
    odd = [
        None,
        True,
        -1,
        0,
        1e300,
        -1e-300,
        10**30,
        "",
        "x",
        [],
        [[]],
        {},
        {"a": []},
        [None],
        [1, 2, 3, 4],
        "1/0",
    ]
    values = [
        json.loads(text) for text in save(tmp_path / "a.jsonl", sample(), frames=9).read_text().splitlines()
    ]
    path = tmp_path / "b.jsonl"

    def places(value):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            if isinstance(inner, (dict, list)):
                yield from places(inner)

    refused = 0
    for container, key in [place for value in values for place in places(value)]:
        before = container[key]
        for other in odd:
            container[key] = other
            path.write_text("\n".join(json.dumps(value) for value in values))
            refused += is_refused(path)
        container[key] = before
    assert refused > 500


@pytest.mark.parametrize("what", ["missing", "folder", "fifo"])
def test_not_a_file(tmp_path, what):
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        RecordReader(path)


def test_line_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr("anonfilter.recordfile.MAX_LINE", 1000)
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD["head"] + "\n" + " " * 1001 + "\n" + GOOD["end"])
    with pytest.raises(RecordError, match=":2: line longer"):
        scan(path)


def test_a_reader_that_was_forgotten_bars_nothing(tmp_path):
    path = save(tmp_path / "a.jsonl", sample())
    reader = RecordReader(path)
    with pytest.raises(OutputError, match="reads that file"):
        RecordWriter(path, HEADER)
    del reader
    gc.collect()
    RecordWriter(path, HEADER).abort()


# ---- writing


@pytest.mark.parametrize(
    "region",
    [
        Region((0, 0, math.nan, 1), "a"),
        Region((0, 0, math.inf, 1), "a"),
        Region((3, 0, 2, 1), "a"),
        Region((0, 0, 1, 1), ""),
        Region((0, 0, 2, 2), "a", mask=(1, 1)),
        Region((0, 0, 1, 1), "a", math.nan),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, region):
    writer = RecordWriter(tmp_path / "a.jsonl", HEADER)
    with pytest.raises(RecordError, match="frame 4: "):
        writer.write(FrameRecord(4, 0, 0.0, ("m",), [region]))
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_order_is_checked(tmp_path):
    writer = RecordWriter(tmp_path / "a.jsonl", HEADER)
    writer.write(FrameRecord(4, 0, 0.0))
    with pytest.raises(RecordError, match="frame 4 after frame 4"):
        writer.write(FrameRecord(4, 0, 0.0))
    with pytest.raises(RecordError, match="4 frames in all"):
        writer.close(4, None)
    writer.close(5, None)
    writer.close(5, None)
    writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
    with pytest.raises(RecordError, match="closed"):
        writer.write(FrameRecord(5, 0, 0.0, ("m",)))


def test_writer_targets(tmp_path):
    path = save(tmp_path / "a.jsonl", sample())
    before = path.read_bytes()
    with pytest.raises(OutputError, match="overwrite=1"):
        RecordWriter(path, HEADER, overwrite=False)
    with pytest.raises(OutputError, match="no such folder"):
        RecordWriter(tmp_path / "none" / "a.jsonl", HEADER)
    with pytest.raises(OutputError, match="regular file"):
        RecordWriter(tmp_path, HEADER)
    with pytest.raises(OutputError, match="regular file"):
        RecordWriter("/dev/null", HEADER)
    with pytest.raises(OutputError, match="standard output"):
        RecordWriter("-", HEADER)
    with pytest.raises(OutputError, match="cannot be written"):
        RecordWriter(tmp_path / ("n" * 253), HEADER)
    link = tmp_path / "link"
    link.symlink_to(path)
    with RecordReader(path), pytest.raises(OutputError, match="reads that file"):
        RecordWriter(link, HEADER)
    assert path.read_bytes() == before
    save(link, sample()[:1])
    assert link.is_symlink()
    assert len(load(path)[1]) == 1


# ---- the filters


def run(item, records, environment=None):
    item.open(environment or env())
    try:
        out = [out for record in records for out in item.push(record)]
        return [*out, *item.flush()]
    finally:
        item.close()


def clip(count=9):
    return [FrameRecord(n, 512 * n, n / 25) for n in range(count)]


def detected():
    face = Region((10.0, 20.0, 30.0, 40.0), "face", 0.9)
    return [
        FrameRecord(n, 512 * n, n / 25, ("faces",) if n % 4 == 0 else (), [face] * (n % 4 == 0))
        for n in range(9)
    ]


def test_write_then_read(tmp_path):
    path = tmp_path / "a.jsonl"
    passed = run(graph(Write, f"{path}"), detected())
    assert passed == detected()
    read = graph(Read, f"{path}")
    assert (read.models(), read.gap(STREAM)) == (("faces",), 4)
    assert run(read, clip()) == detected()


def test_write_names_models_and_graph(tmp_path):
    environment = env(graph="detect=faces,write=a")
    item = graph(Write, f"{tmp_path / 'a'}")
    item.open(environment)
    environment.models_used += [("faces", "01"), ("faces", "01")]  # a detector that opens later
    for record in detected():
        item.push(record)
    item.flush()
    item.close()
    header = scan(tmp_path / "a").header
    assert (header.models, header.graph) == ((("faces", "01"),), "detect=faces,write=a")


def test_broken_off_run_leaves_nothing(tmp_path):
    item = graph(Write, f"{tmp_path / 'a'}")
    item.open(env())
    item.push(detected()[0])
    assert [p.name for p in tmp_path.iterdir()] == ["a.part"]
    item.close()
    assert list(tmp_path.iterdir()) == []


def test_empty_clip(tmp_path):
    run(graph(Write, f"{tmp_path / 'a'}"), [])
    assert scan(tmp_path / "a").frames == 0
    assert run(graph(Read, f"{tmp_path / 'a'}"), []) == []


def test_write_refuses(tmp_path):
    path = tmp_path / "a"
    path.write_text("mine")
    with pytest.raises(OutputError, match="overwrite=1"):
        graph(Write, f"{path}").open(env())
    with pytest.raises(OutputError, match="is the input"):
        graph(Write, f"{path}:overwrite=1").open(env(input_name=str(path)))
    with pytest.raises(OutputError, match="no file"):
        graph(Write, None).open(env())
    assert path.read_text() == "mine"
    run(graph(Write, f"{path}:overwrite=1"), detected())
    assert scan(path).frames == 9


def test_write_over_what_is_read(tmp_path):
    path = tmp_path / "a"
    run(graph(Write, f"{path}"), detected())
    read, write = graph(Read, f"{path}"), graph(Write, f"{path}:overwrite=1")
    read.open(env())
    with pytest.raises(OutputError, match="reads that file"):
        write.open(env())
    read.close()
    write.open(env())
    write.close()


def test_read_replaces_but_zones(tmp_path):
    path = tmp_path / "a"
    run(graph(Write, f"{path}"), detected())
    zone, other = Region((0, 0, 5, 5), "zone", src="zone"), Region((50, 50, 60, 60), "plate")
    records = [FrameRecord(n, 512 * n, n / 25, ("plates",), [zone, other]) for n in range(9)]
    out = run(graph(Read, f"{path}"), records)
    assert out[0].regions == [zone, detected()[0].regions[0]]
    assert (out[0].ran, out[1].ran, out[1].regions) == (("faces",), (), [zone])


def test_read_merge(tmp_path):
    path = tmp_path / "a"
    run(graph(Write, f"{path}"), detected())
    other = Region((50, 50, 60, 60), "plate")
    records = [FrameRecord(n, 512 * n, n / 25, ("plates",), [other]) for n in range(9)]
    out = run(graph(Read, f"{path}:merge=1"), records)
    assert (out[0].ran, out[0].regions) == (("plates", "faces"), [other, detected()[0].regions[0]])
    assert (out[1].ran, out[1].regions) == (("plates",), [other])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 642}, "width 640, this one has 642"),
        ({"height": 2}, "height"),
        ({"time_base": Fraction(1, 90000)}, "time_base 1/12800, this one has 1/90000"),
        ({"rotation": 90}, "rotation"),
        ({"hflip": True}, "hflip"),
    ],
)
def test_read_of_another_stream(tmp_path, changes, words):
    path = tmp_path / "a"
    run(graph(Write, f"{path}"), detected())
    with pytest.raises(RecordError, match=words):
        graph(Read, f"{path}").open(env(stream=stream(**changes)))


def test_read_of_another_video(tmp_path):
    path = tmp_path / "a"
    run(graph(Write, f"{path}"), detected())

    def fails(words, records, **changes):
        with pytest.raises(RecordError, match=words):
            run(graph(Read, f"{path}"), records, env(**changes))

    fails("made from another video", clip(), fingerprint=lambda: "00")
    fails("made from 9 frames, the video has 10", clip(10))
    fails("speaks of frame 8, the video has 8 frames", clip(8))
    shifted = clip()
    shifted[4].pts += 1
    fails(r"a:3: frame 4 has pts 2048 here, 2049 in the video", shifted)
    assert run(graph(Read, f"{path}"), clip(), env(fingerprint=None)) == detected()


def test_read_damaged_file_fails_before_the_run(tmp_path):
    path = tmp_path / "a"
    run(graph(Write, f"{path}"), detected())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match="cut short"):
        graph(Read, f"{path}").open(env())
    with pytest.raises(RecordError, match="cut short"):
        graph(Read, f"{path}").gap(STREAM)
    with pytest.raises(RecordError, match="no file"):
        graph(Read, None).open(env())


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Reading holds a line at a time."""
    import tracemalloc

    path: Path = tmp_path / "a"
    region = Region((1.5, 2.5, 30.5, 40.5), "face", 0.5, track=1)
    save(path, [FrameRecord(n, n, 0.0, ("faces",), [region] * 5) for n in range(1500)])
    assert path.stat().st_size > 600_000
    tracemalloc.start()
    scan(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
