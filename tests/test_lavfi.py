"""libavfilter chains, and regions that follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.filter.filter import filters_available

from anonfilter.errors import GraphError, PlanError
from anonfilter.filters import lavfi
from anonfilter.frame import Frame, StreamInfo
from anonfilter.io.lavfi import LavfiGraph, arguments
from anonfilter.kernels.targets import mask_from_runs
from anonfilter.recordjson import runs_from_mask
from anonfilter.records import Region
from anonfilter.syntax import parse_graph

BASE = Fraction(1, 12800)
STREAM = StreamInfo(160, 120, "yuv420p", BASE, Fraction(25), Fraction(25), sar=Fraction(4, 3), color_space=1,
                    color_range=1)  # fmt: skip


def blank(stream: StreamInfo = STREAM, level: int = 16) -> av.VideoFrame:
    """A grey picture."""
    frame = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
    for i, plane in enumerate(frame.planes):
        np.frombuffer(memoryview(plane), "u1")[:] = 128 if i else level
    frame.colorspace, frame.color_range, frame.time_base = stream.color_space, stream.color_range, stream.time_base
    return frame


def frames(count: int, stream: StreamInfo = STREAM, first: int = 0) -> list[Frame]:
    """Frames whose level tells their ordinal."""
    out = []
    for n in range(count):
        picture = blank(stream, 20 + 2 * n)
        picture.pts = first + 512 * n
        out.append(Frame(n, picture.pts, n / 25, picture))
    return out


def run(graph: LavfiGraph, given: Sequence[Frame]) -> list[Frame]:
    return [f for frame in given for f in graph.push(frame)] + graph.flush()


# -- the stream that comes out --

OUT: dict[str, dict[str, Any]] = {
    "null": {},
    "scale=80:-2": {"width": 80, "height": 60},
    "scale=w=200:h=100": {"width": 200, "height": 100, "sar": Fraction(32, 45) * Fraction(5, 4)},
    "transpose": {"width": 120, "height": 160, "sar": Fraction(3, 4)},
    "crop=100:50": {"width": 100, "height": 50},
    "pad=200:200": {"width": 200, "height": 200},
    "setsar=1": {"sar": Fraction(1)},
    "fps=50": {"time_base": Fraction(1, 50), "rate": Fraction(50), "average_rate": Fraction(50)},
    "settb=1/1000": {"time_base": Fraction(1, 1000)},
    "format=yuv444p": {"pix_fmt": "yuv444p"},
    "format=yuv420p10le": {"pix_fmt": "yuv420p10le"},
    "setparams=range=pc:colorspace=smpte170m": {"color_range": 2, "color_space": 6},
    "select='gt(n,5)'": {},
    "trim=start=9": {},
}


@pytest.mark.parametrize("text", OUT)
def test_out_is_known_before_the_first_frame(text: str) -> None:
    out = LavfiGraph(text, STREAM).out
    expected = replace(STREAM, **OUT[text])
    if text.startswith("scale=w"):
        expected = replace(expected, sar=out.sar)
        # The shape as shown must not change.
        assert out.sar * out.width / out.height == STREAM.sar * STREAM.width / STREAM.height
    assert out == expected


@pytest.mark.parametrize("text", ["scale=80:60,transpose", "crop=100:50:3:5", "format=yuv444p", "fps=50"])
def test_frames_are_what_out_says(text: str) -> None:
    graph = LavfiGraph(text, STREAM)
    for frame in run(graph, frames(4)):
        assert (*frame.size, frame.av.format.name) == (graph.out.width, graph.out.height, graph.out.pix_fmt)
        assert frame.av.time_base == graph.out.time_base
        assert (frame.av.colorspace, frame.av.color_range) == (1, 1)


def test_sink_format_is_pinned() -> None:
    graph = LavfiGraph("negate", STREAM, ["yuv444p", "nv12"])
    (out,) = run(graph, frames(1))
    assert out.av.format.name == graph.out.pix_fmt
    assert graph.out.pix_fmt in ("yuv444p", "nv12")


@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "nv12", "yuv422p10le", "gray", "yuv444p12le", "rgb24"])
def test_any_format_goes_in(pix_fmt: str) -> None:
    stream = replace(
        STREAM, pix_fmt=pix_fmt, color_range=2 if "j" in pix_fmt else 1, color_space=0 if pix_fmt == "rgb24" else 1
    )
    graph = LavfiGraph("null", stream)
    assert graph.out.pix_fmt == pix_fmt
    picture = av.VideoFrame(160, 120, pix_fmt)
    picture.pts = 0
    picture.color_range, picture.colorspace = stream.color_range, stream.color_space
    (out,) = run(graph, [Frame(0, 0, 0.0, picture)])
    assert out.av.format.name == pix_fmt


def test_full_range_conversion_keeps_samples() -> None:
    stream = replace(STREAM, pix_fmt="yuvj420p", color_range=2)
    picture = blank(stream, 0)
    np.frombuffer(memoryview(picture.planes[0]), "u1")[:] = np.arange(picture.planes[0].buffer_size) % 256
    picture.pts = 0
    (out,) = run(LavfiGraph([], stream, ["yuv420p"]), [Frame(0, 0, 0.0, picture)])
    assert out.av.format.name == "yuv420p"
    assert bytes(out.av.planes[0])[:160] == bytes(picture.planes[0])[:160]


# -- times and ordinals --


def test_one_to_one_keeps_n_pts_and_t() -> None:
    graph = LavfiGraph("hflip,unsharp", STREAM, strict=True)
    given = frames(5, first=777)
    got = [graph.push(frame)[0] for frame in given]
    assert [(f.n, f.pts, f.t) for f in got] == [(f.n, f.pts, f.t) for f in given]
    assert [f.av.pts for f in given] == [777 + 512 * n for n in range(5)]  # as they were
    assert graph.flush() == []


@pytest.mark.parametrize(
    "text", ["fps=50", "fps=10", "reverse", "setpts=PTS+1", "select=not(mod(n\\,2))", "tmix=frames=3,fps=7"]
)
def test_strict_refuses_what_moves_frames(text: str) -> None:
    graph = LavfiGraph(text, STREAM, strict=True)
    with pytest.raises(PlanError, match=r"first or last"):
        run(graph, frames(6))


def test_new_rate_is_numbered_afresh() -> None:
    got = run(LavfiGraph("fps=50", STREAM), frames(5))
    assert len(got) >= 8
    assert [f.n for f in got] == [f.pts for f in got] == list(range(len(got)))
    assert [f.t for f in got] == [n / 50 for n in range(len(got))]


def test_filters_see_time_from_zero() -> None:
    # A file that starts at 8 s: negate between 0.04 and 0.08 s of what the user sees.
    stream = replace(STREAM, start=8.0)
    given = frames(4, stream, first=8 * 12800)
    got = run(LavfiGraph("negate=enable='between(t,0.03,0.09)'", stream), given)
    assert [f.pts for f in got] == [f.pts for f in given]
    levels = [bytes(f.av.planes[0])[0] for f in got]
    assert (levels[0], levels[3]) == (20, 26)
    assert min(levels[1], levels[2]) > 150
    assert [round(f.t, 6) for f in got] == [0, 0.04, 0.08, 0.12]


def test_start_survives_a_change_of_clock() -> None:
    stream = replace(STREAM, start=8.0)
    got = run(LavfiGraph("settb=1/1000", stream), frames(3, stream, first=8 * 12800))
    assert [f.pts for f in got] == [8000, 8040, 8080]


def test_input_is_not_written_to() -> None:
    given = frames(3)
    before = [bytes(f.av.planes[0]) for f in given]
    run(LavfiGraph("negate,drawbox=t=fill", STREAM), given)
    assert [bytes(f.av.planes[0]) for f in given] == before


def test_trim_ends_the_stream() -> None:
    assert len(run(LavfiGraph("trim=end_frame=3", STREAM), frames(10))) == 3


# -- what is refused --

FAULTS = {
    "bogus": "no such filter: 'bogus'",
    "hflipp": "did you mean 'hflip'",
    "eq=brightness=1": "lutyuv",
    "hue=hh=3": "'hue'.*hh",
    "scale=100": "Invalid size",
    "volume=2": "audio",
    "overlay": "'overlay'",
    "crop=1000:1000": "crop|too big|Invalid",
    "testsrc2": "input",
}


@pytest.mark.parametrize("text", [t for t in FAULTS if t.split("=")[0] != "eq" or "eq" not in filters_available])
def test_faults_are_one_graph_error(text: str) -> None:
    with pytest.raises(GraphError, match=FAULTS[text]) as caught:
        LavfiGraph(text, STREAM)
    assert caught.value.text == text
    assert caught.value.start == 0
    assert "\n" not in caught.value.message


def test_fault_points_at_its_filter() -> None:
    with pytest.raises(GraphError) as caught:
        LavfiGraph("null,crop=10:10,lutyuv=y=foo(", STREAM)
    assert caught.value.start == 16


def test_branches_are_refused() -> None:
    with pytest.raises(GraphError, match="one path"):
        LavfiGraph("split[a][b]", STREAM)


# -- arguments --


def test_arguments_are_read_as_libavutil_does() -> None:
    (spec,) = parse_graph(r"crop=w=100:x='a\:b':50\:1").linear()
    given = {k: v.text for k, v in arguments(spec, ("w", "h", "x", "y")).items()}
    assert given["x"] == "a:b"
    (spec,) = parse_graph("crop=100:50:out_w=3").linear()
    assert {k: v.text for k, v in arguments(spec, ("w", "h"), {"out_w": "w"}).items()} == {"w": "3", "h": "50"}


# -- tables --


@pytest.mark.parametrize("name", sorted(lavfi.VALUE_ONLY & filters_available))
def test_value_filters_only_change_values(name: str) -> None:
    """One frame in, one out at once, same size and pts, and the picture stays where it is."""
    args = {
        "metadata": "=print:file=/dev/null", "lut1d": None, "lut3d": None, "format": "=yuv420p", "noformat": "=gray",
        "colorspace": "=all=bt709:iall=bt709", "sidedata": "=delete:A53_CC",
    }  # fmt: skip
    if (given := args.get(name, "")) is None:
        pytest.skip("needs a table file")
    stream = replace(STREAM, width=640, height=480)
    text = name + given
    graph = LavfiGraph(text, stream, ["yuv420p"], strict=True)
    assert (graph.out.width, graph.out.height, graph.out.time_base) == (stream.width, stream.height, stream.time_base)
    for n in range(3):
        picture = blank(stream, 60)
        draw(picture, (40, 24, 72, 56))
        picture.pts = 512 * n
        (out,) = graph.push(Frame(n, 512 * n, n / 25, picture))
        assert out.size == (stream.width, stream.height)
    assert graph.flush() == []


# Those whose every sample depends on the whole picture, so that they tell no shape.
GLOBAL = {"elbg", "greyedge", "grayworld", "histeq", "normalize"}


@pytest.mark.parametrize("name", sorted((lavfi.VALUE_ONLY & filters_available) - GLOBAL))
def test_value_filters_carry_nothing_out_of_a_region(name: str) -> None:
    """Two pictures that differ in a box differ, behind the filter, in the box that the region has become only."""
    args = {
        "metadata": "=print:file=/dev/null", "format": "=yuv420p", "noformat": "=gray", "sidedata": "=delete:A53_CC",
        "colorspace": "=all=bt709:iall=bt709", "lut1d": None, "lut3d": None, "cas": "=1",
    }  # fmt: skip
    if (given := args.get(name, "")) is None:
        pytest.skip("needs a table file")
    text, box = name + given, (60, 50, 90, 70)
    step = lavfi.map_segment(parse_graph(text).linear(), STREAM, LavfiGraph(text, STREAM, ["yuv420p"]).out)
    x0, y0, x1, y1 = map(round, step(Region(tuple(map(float, box)), "x")).box)
    rng = np.random.default_rng(1)
    base = np.clip(rng.normal(110, 3, (180, 160)), 16, 235).astype(np.uint8)
    outs = []
    for seed in (2, 3):
        noise, picture = np.random.default_rng(seed), base.copy()
        picture[50:70, 60:90] = noise.integers(20, 230, (20, 30))
        for plane in (picture[120:150], picture[150:180]):
            plane.reshape(60, 80)[25:35, 30:45] = noise.integers(20, 230, (10, 15))
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts = 0
        (out,) = run(LavfiGraph(text, STREAM, ["yuv420p"]), [Frame(0, 0, 0.0, frame)])
        outs.append(out.av.to_ndarray().astype(int))
    changed = np.abs(outs[0] - outs[1]) > 2
    # Three-by-three edge detectors and their like are the "next two" samples that the table allows.
    luma, chroma = changed[:120], [changed[120:150].reshape(60, 80), changed[150:].reshape(60, 80)]
    luma[y0 - 2 : y1 + 2, x0 - 2 : x1 + 2] = False
    assert not luma.any()
    for plane in chroma:
        plane[(y0 - 2) // 2 : (y1 + 3) // 2, (x0 - 2) // 2 : (x1 + 3) // 2] = False
        assert not plane.any()


def test_classes() -> None:
    assert lavfi.classify("hue") == "value"
    assert lavfi.classify("crop") == "geometry"
    assert lavfi.classify("rotate") == lavfi.classify("fps") == lavfi.classify("bogus") == "other"
    assert not lavfi.VALUE_ONLY & set(lavfi.GEOMETRY)


# -- regions follow the picture --


def draw(frame: av.VideoFrame, box: tuple[int, int, int, int], level: int = 235) -> None:
    """A bright rectangle in the luma plane."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), "u1").reshape(-1, plane.line_size)
    rows[box[1] : box[3], box[0] : box[2]] = level


def find(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The box of what is brighter than the middle."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, "u1").reshape(-1, plane.line_size)[: frame.height, : frame.width]
    ys, xs = np.nonzero(rows > 125)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


# text, how far the mapped box may be larger than what is seen
GEOMETRY = {
    "hflip": 0, "vflip": 0, "hflip,vflip": 0, "transpose": 0, "transpose=clock": 0, "transpose=2": 0,
    "transpose=cclock_flip": 0, "transpose=clock_flip": 0, "transpose=1:landscape": 0, "transpose=1:portrait": 0,
    "transpose=dir=clock:passthrough=portrait": 0,
    "crop=100:80": 0, "crop=100:80:10:20": 0, "crop=101:81:11:21": 1, "crop=w=100:h=80:x=in_w-out_w:y=0": 0,
    "crop=iw/2:ih/2:x=iw/8+1:y=2*7": 1, "crop=100:80:11:21:exact=1": 1, "crop=100:80:-5:1000": 0, "crop=iw-10:h=90": 1,
    "crop=x=out_w/100:y=x+3:w=120:h=100": 1,
    "pad=200:180": 0, "pad=200:180:13:7": 1, "pad=200:180:-1:-1": 1, "pad=iw+40:ih+40:20:20:red": 0,
    "pad=w=210:h=190:x=(ow-iw)/2:y=(oh-ih)/2": 1, "pad=200:180:x=900": 1,
    "scale=320:240": 4, "scale=80:60": 2, "scale=100:200": 4, "scale=w=iw*2:h=-1": 4,
    "scale=hd480": 12, "scale=160:120": 1,
    "scale=320:240:flags=neighbor": 4, "scale=s=96x72": 3,
    "crop=120:100:20:10,scale=240:200,hflip,transpose": 5, "hue=s=0,hflip,null,crop=100:80:31:9": 1,
    "lutrgb=r=val,crop=100:80:31:9,hflip": 6,
}  # fmt: skip


def test_a_change_of_subsampling_reaches_further() -> None:
    """Resampled chroma carries an object's colour one sample of the coarser grid out of its box."""
    for text, after, want in (
        ("format=yuv444p", "yuv444p", (48.0, 38.0, 92.0, 72.0)),
        ("format=yuv422p", "yuv422p", (48.0, 38.0, 92.0, 72.0)),
        ("format=nv12", "nv12", (50.0, 40.0, 90.0, 70.0)),
    ):
        step = lavfi.map_segment(parse_graph(text).linear(), STREAM, replace(STREAM, pix_fmt=after))
        assert step(Region((50.0, 40.0, 90.0, 70.0), "x")).box == want


@pytest.mark.parametrize(
    "name",
    [
        "pixscope", "oscilloscope", "gblur", "avgblur", "dilation", "median", "codecview", "deband", "gradfun",
        "deblock", "chromanr", "unsharp",
    ],
)  # fmt: skip
def test_what_carries_samples_away_is_not_value_only(name: str) -> None:
    assert lavfi.classify(name) == "other"


@pytest.mark.parametrize("size", [(160, 120), (161, 121)])
@pytest.mark.parametrize("text", GEOMETRY)
def test_regions_follow(text: str, size: tuple[int, int]) -> None:
    stream = replace(STREAM, width=size[0], height=size[1], sar=Fraction(1))
    for box in [(50, 40, 90, 70), (61, 45, 82, 72)]:
        picture = blank(stream, 16)
        draw(picture, box)
        picture.pts = 0
        graph = LavfiGraph(text, stream, ["yuv420p"])
        (out,) = run(graph, [Frame(0, 0, 0.0, picture)])
        seen = find(out.av)
        step = lavfi.map_segment(parse_graph(text).linear(), stream, graph.out)
        got = step(Region(tuple(map(float, box)), "x")).box
        slack = GEOMETRY[text] + (2 if size[0] % 2 else 0)
        clipped = (max(0, got[0]), max(0, got[1]), min(out.av.width, got[2]), min(out.av.height, got[3]))
        for low in (0, 1):
            assert seen[low] - slack <= clipped[low] <= seen[low] + 1e-6, (text, box, seen, got)
        for high in (2, 3):
            assert seen[high] - 1e-6 <= clipped[high] <= seen[high] + slack, (text, box, seen, got)


@pytest.mark.parametrize("text", ["crop=100:80:t*10:0", "crop=100:80:x=n", "hflip=enable='lt(t,1)'",
                                  "scale=80:60:eval=frame",
                                  "pad=200:200:eval=frame", "rotate=1", "fps=5"])  # fmt: skip
def test_regions_that_cannot_follow(text: str) -> None:
    spec = parse_graph(text).linear()[0]
    with pytest.raises(GraphError, match="regions cannot follow"):
        lavfi.map_box(spec, STREAM, STREAM)


def region(**how: Any) -> Region:
    return Region((50.0, 40.0, 90.0, 70.0), "x", **how)


def mapped(text: str, r: Region, stream: StreamInfo = STREAM) -> Region:
    return lavfi.map_segment(parse_graph(text).linear(), stream, LavfiGraph(text, stream).out)(r)


def test_nothing_else_of_a_region_changes() -> None:
    given = region(score=0.5, src="interp", track=7, shape="ellipse", deleted=True)
    got = mapped("hflip", given)
    assert got == given.with_(box=(70.0, 40.0, 110.0, 70.0))


def test_corner_points_follow() -> None:
    got = mapped("transpose=clock", region(poly=((50.0, 40.0), (90.0, 45.0))))
    assert got.poly == ((80.0, 50.0), (75.0, 90.0))


@pytest.mark.parametrize(
    "text", ["hflip", "vflip", "transpose=0", "transpose=1", "transpose=2", "transpose=3", "crop=100:80:20:10"]
)
def test_masks_follow_whole_moves(text: str) -> None:
    bits = np.zeros((30, 40), bool)
    bits[3:9, 5:20] = True
    bits[20:28, 30:33] = True
    picture = blank(STREAM, 16)
    plane = picture.planes[0]
    rows = np.frombuffer(memoryview(plane), "u1").reshape(-1, plane.line_size)
    rows[40:70, 50:90][bits] = 235
    picture.pts = 0
    (out,) = run(LavfiGraph(text, STREAM), [Frame(0, 0, 0.0, picture)])
    got = mapped(text, region(mask=runs_from_mask(bits)))
    assert got.mask is not None
    plane = out.av.planes[0]
    seen = np.frombuffer(plane, "u1").reshape(-1, plane.line_size)[:, : out.av.width] > 125
    x0, y0, x1, y1 = map(int, got.box)
    assert np.array_equal(seen[y0:y1, x0:x1], mask_from_runs(got.mask, x1 - x0, y1 - y0) > 0)
    assert seen.sum() == bits.sum()


def test_masks_that_would_be_resampled_become_boxes() -> None:
    got = mapped("scale=320:240", region(mask=runs_from_mask(np.ones((30, 40), bool))))
    assert got.mask is None
    assert got.shape == "rect"


@pytest.mark.parametrize("text", ["scale=320:240", "scale=80:60", "crop=100:80:11:21", "pad=200:180:13:7"])
def test_ellipses_keep_their_content(text: str) -> None:
    # Every point of the old ellipse, through each way the filter may go, lies in the new one.
    given = region(shape="ellipse")
    got = mapped(text, given)
    angles = np.linspace(0, 2 * np.pi, 721)
    xs, ys = 70 + 20 * np.cos(angles), 55 + 15 * np.sin(angles)
    moves = lavfi.GEOMETRY[text.split("=")[0]](parse_graph(text).linear()[0], STREAM, LavfiGraph(text, STREAM).out)
    x0, y0, x1, y1 = got.box
    for move in moves:
        for dx in (-move.fuzz_x, 0, move.fuzz_x):
            px, py = move.sx * xs + move.tx + dx, move.sy * ys + move.ty
            inside = ((px - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((py - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2
            assert inside.max() <= 1 + 1e-9


@pytest.mark.parametrize("graph", ["select=1:1e9", "select=e=1:n=1e9", "split=1e9", "hstack=inputs=2e9"])
def test_pads_by_the_billion_are_refused_before_they_are_made(graph: str) -> None:
    """libavfilter would make them: a minute, and all memory."""
    with pytest.raises(GraphError, match="does not have exactly one video input and one video output"):
        LavfiGraph(graph, STREAM)


def test_a_rate_of_nothing() -> None:
    with pytest.raises(GraphError, match="no time base"):
        LavfiGraph("fps=0:0", STREAM)


def test_a_count_of_one_is_no_branch() -> None:
    assert LavfiGraph("select='gt(n,1)':1,split=1", STREAM).out.width == STREAM.width
