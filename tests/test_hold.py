"""hold: nothing is left out by not looking."""

from fractions import Fraction

import pytest

from anonfilter.filter import Env
from anonfilter.filters.hold import Hold
from anonfilter.frame import StreamInfo
from anonfilter.records import FrameRecord, Region

STREAM = StreamInfo(640, 360, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(25))
A = Region((0, 0, 10, 10), "face", 0.9)
B = Region((50, 0, 60, 10), "face", 0.8)
C = Region((0, 50, 10, 60), "plate", 0.7)


def held(*regions):
    return [region.with_(src="interp") for region in regions]


def run(gap, frames, models=()):
    """frames: (ran, regions) each. Gives each frame's regions, checking order and look-ahead on the way."""
    item, out = Hold(gap, models), []
    item.open(Env(stream=STREAM, ring=None, input_name="x"))
    for n, (ran, regions) in enumerate(frames):
        out += item.push(FrameRecord(n, n, n / 25, tuple(ran.split()), list(regions)))
        assert len(out) >= n + 1 - item.lookahead(STREAM)
    out += item.flush()
    assert [record.n for record in out] == list(range(len(frames)))
    assert [record.ran for record in out] == [tuple(ran.split()) for ran, _ in frames]
    return [record.regions for record in out]


def test_between_two_looks():
    out = run(3, [("m", [A]), ("", []), ("", []), ("m", [B])])
    assert out == [[A], held(A, B), held(A, B), [B]]


def test_lookahead():
    assert [Hold(gap).lookahead(STREAM) for gap in (0, 1, 5)] == [0, 0, 4]


def test_ends_of_the_clip():
    assert run(3, [("", []), ("", []), ("m", [A]), ("", []), ("", [])], ["m"]) == [
        held(A), held(A), [A], held(A), held(A)
    ]  # fmt: skip


def test_nothing_found_is_a_finding():
    out = run(2, [("m", [A]), ("", []), ("m", []), ("", []), ("m", [])])
    assert out == [[A], held(A), [], [], []]


def test_never_looked():
    zone = A.with_(src="zone")
    item = Hold(5)
    item.open(Env(stream=STREAM, ring=None, input_name="x"))
    for n in range(4):
        assert [r.regions for r in item.push(FrameRecord(n, n, 0.0, (), [zone]))] == [[zone]]
    assert list(item.flush()) == []


def test_models_that_never_run():
    assert run(3, [("", [A])] * 8, ["m"]) == [[A]] * 8


def test_tracks_account_for_themselves():
    a, b = A.with_(track=1), B.with_(track=2)
    mine = A.with_(track=1, src="interp", box=(1, 0, 11, 10))
    out = run(2, [("m", [a, b]), ("", [mine]), ("m", [a, b])])
    assert out[1] == [mine, *held(b)]


def test_a_track_that_went_far_does_not_account():
    """It may have jumped from one object to another: joining looks must not uncover what each look saw."""
    a, b = A.with_(track=1), B.with_(track=1)
    path = A.with_(track=1, src="interp", box=(25, 0, 35, 10))
    assert run(2, [("m", [a]), ("", [path]), ("m", [b])])[1] == [path, *held(a, b)]


def test_a_grown_region_does_not_account():
    """It is a guess that follows a speed; what was found is held too."""
    a = A.with_(track=1)
    grown = A.with_(track=1, src="grow", box=(90, 0, 99, 9))
    out = run(2, [("m", [a]), ("", [grown]), ("m", [])])
    assert out[1] == [grown, *held(a)]
    # Nor is it held itself: it has its own times.
    assert run(2, [("m", [grown]), ("", []), ("m", [])])[1] == []


def test_removed_by_hand():
    a = A.with_(track=1)
    gone = a.with_(deleted=True)
    assert run(2, [("m", [gone]), ("", []), ("m", [B])])[1] == held(B)
    assert run(2, [("m", [a]), ("", [gone]), ("m", [a])])[1] == [gone]


def test_zones_are_not_held():
    zone = A.with_(src="zone", box=(0, 0, 600, 300))
    out = run(2, [("m", [A, zone]), ("", [zone]), ("m", [A])])
    assert out[1] == [zone, *held(A)]


def test_the_same_box_is_held_once():
    assert run(3, [("m", [A]), ("", []), ("", held(A)), ("m", [A.with_(src="manual")])])[1:3] == [
        held(A),
        held(A),
    ]


def test_shapes_and_bitmaps_are_kept():
    fancy = A.with_(shape="ellipse", mask=(0, 100), poly=((1.0, 2.0),), track=5)
    assert run(2, [("m", [fancy]), ("", [])])[1] == held(fancy)


def test_what_was_held_is_not_held_again():
    out = run(3, [("m", [A]), ("", []), ("", []), ("m", []), ("", []), ("", []), ("m", [])])
    assert out[4:] == [[], [], []]


def test_a_look_later_than_promised():
    """Frames leave in time; the late look still covers those that wait."""
    out = run(3, [("m", [A]), *[("", [])] * 5, ("m", [B])])
    assert out[1:6] == [held(A), held(A), held(A), held(A, B), held(A, B)]


def test_models_at_different_rates():
    """Plates on every frame, faces on every third: the frames between were not looked at for faces."""
    plates = [C.with_(box=(n, 50, n + 10, 60)) for n in range(7)]
    frames = [
        ("faces plates" if n % 3 == 0 else "plates", [plates[n]] + ([A] if n == 3 else [])) for n in range(7)
    ]
    out = run(3, frames)
    assert out[0] == [plates[0]]
    for n in (1, 2, 4, 5):
        assert out[n][0] == plates[n]
        assert held(A)[0] in out[n]
    assert out[6] == [plates[6]]


def test_a_model_that_starts_late():
    frames = [("plates", [C]), ("plates", [C]), ("faces plates", [A, C])]
    assert run(3, frames, ["faces", "plates"])[:2] == [[C, *held(A, C)]] * 2


@pytest.mark.parametrize("every", [1, 2, 5])
def test_every(every):
    frames = [("m", [A.with_(box=(n, 0, n + 9, 9))]) if n % every == 0 else ("", []) for n in range(23)]
    out = run(every, frames)
    for n, regions in enumerate(out):
        before, after = n - n % every, n - n % every + every
        near = [n] if n % every == 0 else [before, after] if after < 23 else [before]
        assert [r.box[0] for r in regions] == near
