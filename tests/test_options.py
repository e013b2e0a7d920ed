"""Option tables: types, ranges, positional and named values, and errors that point through quoting."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import pytest

from anonfilter import filter as registry
from anonfilter.errors import GraphError
from anonfilter.expr import Expr
from anonfilter.options import Duration, Option, Parsed, parse_options
from anonfilter.syntax import parse_graph


class Detect:
    name: ClassVar[str] = "detect"
    timeline: ClassVar[bool] = False
    options: ClassVar[tuple[Option, ...]] = (
        Option("models", "list", ("faces",), "", variadic=True),
        Option("thresh", "float", 0.5, "", min=0, max=1, per_item=True, aliases=("conf",)),
        Option("every", "int", 1, "", min=1, max=100, choices=("auto",)),
        Option("size", "size", "640x384", "", min=32, max=4096),
    )


class Paint:
    name: ClassVar[str] = "paint"
    timeline: ClassVar[bool] = True
    options: ClassVar[tuple[Option, ...]] = (
        Option("mode", "enum", "adaptive", "", choices=(("adaptive", "by size"), "gaussian")),
        Option("strength", "float", 2.0, "", min=0.25, max=16),
        Option("color", "color", "black", ""),
        Option("gap", "duration", "1s", "", min=-1, max=300),
        Option("on", "bool", True, ""),
        Option("file", "path", None, ""),
        Option("classes", "list", (), "", choices=("face", "plate")),
        Option("x", "expr", "w/2", "", names=("w", "t")),
    )


def read(cls: Any, args: str) -> Parsed:
    return parse_options(cls, parse_graph(f"{cls.name}={args}").filters[0])


def failing(cls: Any, args: str) -> tuple[str, str]:
    """Message and the characters that the carets stand under."""
    with pytest.raises(GraphError) as info:
        read(cls, args)
    error = info.value
    assert error.start is not None
    assert error.text == f"{cls.name}={args}"
    return error.message, error.text[error.start : error.end]


def test_defaults_are_values() -> None:
    parsed = parse_options(Paint, parse_graph("paint").filters[0])
    assert parsed.values == {
        "mode": "adaptive", "strength": 2.0, "color": (0, 0, 0), "gap": Duration(1, "s"), "on": True,
        "file": None,
        "classes": (), "x": Expr("w/2", ("w", "t")),
    }  # fmt: skip
    assert parsed.given == frozenset()
    assert parsed.enable is None
    assert parse_options(Detect, None).values["overrides"] == {}


@pytest.mark.parametrize(
    ("args", "name", "value"),
    [
        ("gaussian:3", "strength", 3.0),
        ("gaussian:3:red", "color", (255, 0, 0)),
        ("strength=1/2", "strength", 0.5),
        ("strength=max", "strength", 16.0),
        ("strength=1:strength=4", "strength", 4.0),
        ("color=#0a0B0c", "color", (10, 11, 12)),
        ("color=Navy@1", "color", (0, 0, 128)),
        ("gap=12", "gap", Duration(12)),
        ("gap=-1", "gap", Duration(-1)),
        ("gap=.5s", "gap", Duration(0.5, "s")),
        ("gap=250ms", "gap", Duration(0.25, "s")),
        ("on=no", "on", False),
        ("on=OFF", "on", False),
        ("on=1", "on", True),
        ("file='a\\:b.jsonl'", "file", "a:b.jsonl"),
        ("file=it\\\\\\'s", "file", "it's"),
        ("classes=plate|face", "classes", ("plate", "face")),
        ("classes=", "classes", ()),
        (" strength = 3 ", "strength", 3.0),
    ],
)
def test_values(args: str, name: str, value: object) -> None:
    parsed = read(Paint, args)
    assert parsed.values[name] == value
    assert name in parsed.given


@pytest.mark.parametrize(
    ("args", "every", "size"),
    [("every=auto", "auto", (640, 384)), ("every=5:size=hd720", 5, (1280, 720)), ("size=320", 1, (320, 320))],
)
def test_words_that_stand_for_a_value(args: str, every: object, size: object) -> None:
    values = read(Detect, args).values
    assert (values["every"], values["size"]) == (every, size)


def test_variadic_and_overrides() -> None:
    parsed = read(Detect, "faces:my/net.v2.onnx:thresh=.4:faces.conf=.2:my/net.v2.onnx.thresh=1")
    assert parsed.values["models"] == ("faces", "my/net.v2.onnx")
    assert parsed.values["overrides"] == {"faces": {"thresh": 0.2}, "my/net.v2.onnx": {"thresh": 1.0}}
    assert read(Detect, "models=a|b").values["models"] == ("a", "b")
    assert read(Detect, "thresh=.4:faces.thresh=.2").values["overrides"] == {"faces": {"thresh": 0.2}}


@pytest.mark.parametrize(
    ("cls", "args", "message", "place"),
    [
        (
            Paint,
            "strenght=2",
            "unknown option 'strenght' of filter 'paint' (did you mean 'strength'?)",
            "strenght",
        ),
        (Paint, "gausian", "unknown value 'gausian' (did you mean 'gaussian'?)", "gausian"),
        (Paint, "strength=17", "value 17 for option 'strength' out of range [0.25 - 16]", "17"),
        (Paint, "strength=nan", "out of range", "nan"),
        (Paint, "strength=2x", "is not a number: unexpected 'x'", "x"),
        (Paint, "strength=", "is not a number", ""),
        (Paint, "color=redd", "unknown colour 'redd' (did you mean 'red'?)", "redd"),
        (Paint, "color=red@.5", "would not cover", "red@.5"),
        (Paint, "color=0x00000080", "would not cover", "0x00000080"),
        (Paint, "gap=1.5", "not a whole number of frames (for seconds write 1.5s)", "1.5"),
        (Paint, "gap=-2s", "value -2s for option 'gap' out of range [-1 - 300]", "-2s"),
        (Paint, "on=maybe", "'maybe' is not a truth value", "maybe"),
        (Paint, "classes=face|dog|plate", "unknown value 'dog' (one of face, plate)", "dog"),
        (Paint, "classes=face||plate", "an item is empty", ""),
        (Paint, "x=w+q", "option 'x': 'q' is not a known name", "q"),
        (Paint, "enable='while(1,0)'", "option 'enable': its loops have gone round", "while(1,0)"),
        (Paint, "enable='between(t,1,z)'", "'z' is not a known name", "z"),
        (Paint, "on=1:red", "stands after a key=value", "red"),
        (Paint, "a:b:c:d:e:f:g:h:i", "unknown value 'a'", "a"),
        (Paint, "strength='1\\:9'", "is not a number", ":"),
        (Paint, "'color=re\\'\\\\\\'\\'d'", "unknown colour", "re\\'\\\\\\'\\'d"),
        (Detect, "enable=1", "Timeline ('enable' option) not supported with filter 'detect'", "enable"),
        (Detect, "every=1.5", "'1.5' is not a whole number, or auto", "1.5"),
        (Detect, "every=0", "value 0 for option 'every' out of range [1 - 100]", "0"),
        (
            Detect,
            "fces:faces.thresh=.2",
            "'faces' is not among the values of filter 'detect' (did you mean 'fces'?)",
            "faces",
        ),
        (Detect, "faces:faces.every=2", "unknown option 'faces.every'", "faces.every"),
        (Detect, "faces:faces.thresh=2", "out of range", "2"),
        (Detect, "faces::plates", "an item is empty", ""),
        (Detect, "size=16x64", "value 16 for option 'size' out of range [32 - 4096]", "16x64"),
        (Detect, "size=10by10", "'10by10' is not a size", "10by10"),
    ],
)
def test_errors_say_what_and_where(cls: Any, args: str, message: str, place: str) -> None:
    said, marked = failing(cls, args)
    assert message in said
    assert place in marked
    assert len(marked) <= len(place) + 1


def test_a_filter_without_options() -> None:
    empty = type("Empty", (Paint,), {"name": "empty", "options": (), "timeline": False})
    assert parse_options(empty, "").values == {}
    assert failing(empty, "1") == ("no option for '1': filter 'empty' takes no options", "1")


def test_more_values_than_options() -> None:
    two = type("Two", (Paint,), {"options": Paint.options[:2]})
    assert failing(two, "adaptive:1:2")[0] == "no option for '2': filter 'paint' takes 2 values"


def test_enable() -> None:
    enable = read(Paint, "enable='between(t,1,5)*gte(n,3)'").enable
    assert enable is not None
    assert enable.enabled(t=2, n=3, w=1, h=1, pos=0)
    assert not enable.enabled(t=2, n=2, w=1, h=1, pos=0)


@pytest.mark.parametrize(
    ("duration", "rate", "frames"),
    [
        (Duration(12), 25, 12),
        (Duration(1.5, "s"), 25, 38),
        (Duration(1, "s"), Fraction(30000, 1001), 30),
        (Duration(0.1, "s"), 30, 3),  # 0.1 is a hair more than a tenth in binary
        (Duration(0, "s"), 30, 0),
        (Duration(-1), 30, -1),
    ],
)
def test_durations_in_frames(duration: Duration, rate: Fraction, frames: int) -> None:
    assert duration.frames(rate) == frames


def all_options() -> list[tuple[str, Option]]:
    found = []
    for name in registry.names():
        try:
            cls = registry.find(name)
        except ImportError as error:
            pytest.fail(f"filter {name}: {error}")
        assert cls is not None
        found += [(name, option) for option in cls.options]
    return found


def test_every_default_of_every_filter_is_a_legal_value() -> None:
    """What the help says is the default can be written, and means the default."""
    for name, option in all_options():
        if option.default is None:
            continue
        text = option.default_text()
        table = type("One", (), {"name": name, "timeline": False, "options": (option,)})
        quoted = text.replace("\\", "\\\\").replace(":", "\\:").replace("'", "\\'")
        value = parse_options(table, f"{option.name}={quoted}").values[option.name]
        assert value == option.default_value(), f"{name}: {option.name}={text}"


def test_every_option_is_described() -> None:
    for name, option in all_options():
        assert option.help, f"{name}: {option.name} has no help"
        assert not option.help.endswith("."), f"{name}: {option.name}: help is a phrase, not a sentence"


@pytest.mark.parametrize("text", ["9" * 400, "1" + "0" * 15, "-" + "9" * 30 + "s", "9" * 400 + "ms"])
def test_a_duration_that_no_clock_holds(text: str) -> None:
    """Infinity would have been an OverflowError."""
    table = type("One", (), {"name": "one", "timeline": False, "options": (Option("gap", "duration", "1s", ""),)})
    with pytest.raises(GraphError, match="is too long"):
        parse_options(table, f"gap={text}")
