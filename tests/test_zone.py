"""zone: a box as the viewer sees it, in coordinates of the coded picture."""

import math
from fractions import Fraction

import numpy as np
import pytest

from anonfilter.errors import GraphError, PlanError
from anonfilter.filter import Env, Options
from anonfilter.filters.zone import Zone, to_coded
from anonfilter.frame import StreamInfo
from anonfilter.options import parse_options
from anonfilter.records import FrameRecord, Region


def stream(rotation=0, hflip=False, width=64, height=36):
    return StreamInfo(
        width, height, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25), rotation=rotation, hflip=hflip
    )


def zone(text=None, **changes):
    parsed = parse_options(Zone, text)
    item = Zone(Options(parsed.values, parsed.given), "zone")
    item.enable = parsed.enable
    item.open(Env(stream=stream(**changes), ring=None, input_name="x"))
    return item


def box(item, n=0):
    (record,) = item.push(FrameRecord(n, n, n / 25))
    return record.regions[0].box if record.regions else None


def test_region():
    item = zone("10:2:20:5:ellipse:class=badge")
    det = Region((0, 0, 1, 1), "face")
    (record,) = item.push(FrameRecord(0, 0, 0.0, ("faces",), [det]))
    assert record.regions == [det, Region((10.0, 2.0, 30.0, 7.0), "badge", 1.0, "zone", shape="ellipse")]
    assert record.ran == ("faces",)
    (blind,) = item.push(FrameRecord(1, 1, 0.0))
    assert (len(blind.regions), blind.looked) == (1, False)
    assert (item.lookahead(stream()), list(item.flush())) == (0, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (0, 0, 64, 36)),
        ("x=iw/2", (32, 0, 96, 36)),
        ("x=(iw-w)/2:y=in_h-h:w=iw/4:h=6", (24, 30, 40, 36)),
        ("-4:-2.5:10:10", (-4, -2.5, 6, 7.5)),
    ],
)
def test_expressions(text, expected):
    assert box(zone(text)) == pytest.approx(expected)


def test_expressions_see_the_displayed_size():
    assert box(zone("x=0:y=0:w=iw:h=ih/2", rotation=90)) == (0, 0, 32, 36)


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_orientation(rotation, hflip):
    """Against the picture itself: mark the coded box, turn the picture as a player would, and look."""
    source = stream(rotation, hflip, 16, 9)
    wide, high = source.display_size
    x0, y0, x1, y1 = shown = (3, 1, 7, 4)
    a, b, c, d = (int(v) for v in to_coded(shown, source))
    coded = np.zeros((9, 16), int)
    coded[b:d, a:c] = 1
    display = np.rot90(coded, -rotation // 90)  # rot90 turns anticlockwise
    display = display[:, ::-1] if hflip else display
    expected = np.zeros((high, wide), int)
    expected[y0:y1, x0:x1] = 1
    assert np.array_equal(display, expected)


def test_enable():
    item = zone("x=0:enable='between(t,0.08,0.16)'")
    assert [box(item, n) is not None for n in range(6)] == [False, False, True, True, True, False]
    item = zone("x=0:enable='gt(w,h)*eq(mod(n,2),1)'", rotation=90)
    assert [box(item, n) for n in range(3)] == [None] * 3  # w and h are those of the displayed picture
    item = zone("x=0:enable='lt(w,h)*eq(mod(n,2),1)'", rotation=90)
    assert [box(item, n) is not None for n in range(4)] == [False, True, False, True]
    assert box(zone("x=0:enable='isnan(pos)'")) is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("w=0", "empty"),
        ("h=-3", "empty"),
        ("x=64", "outside of the picture, which is 64x36"),
        ("y=36", "outside"),
        ("x=-10:w=10", "outside"),
        ("w=1/0", "not finite"),
        ("w=0/0", "not finite"),
        ("x=-2000000:w=3000000", "larger"),
    ],
)
def test_what_covers_nothing_is_an_error(text, words):
    with pytest.raises(PlanError, match=words) as caught:
        zone(text)
    assert "\n" not in str(caught.value)


def test_unknown_variable():
    with pytest.raises(GraphError):
        zone("w=width")
    with pytest.raises(GraphError):
        zone("w=w")


def test_frame_without_time():
    item = zone("x=0:enable='eq(n,1)'")
    (record,) = item.push(FrameRecord(1, None, math.nan))
    assert len(record.regions) == 1
