"""Graph strings and record files, by grammar and by damage, that a number decides; and what may be done with them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from anonfilter import filter as registry
from anonfilter.errors import AnonfilterError
from anonfilter.exprcode import EndlessError
from anonfilter.filter import Env
from anonfilter.filters.read import Read
from anonfilter.frame import StreamInfo
from anonfilter.job import Job
from anonfilter.options import Option
from anonfilter.plan import Plan, make_plan
from anonfilter.recordfile import scan
from anonfilter.records import FrameRecord

# Of libavfilter's only those that open no file and make no process or thread of their own.
OTHERS = (
    "hflip", "vflip", "null", "negate", "scale", "crop", "pad", "transpose", "fps", "format", "setpts", "eq", "trim",
    "split", "overlay", "nullsink", "color", "select", "rotate", "setsar", "nosuchfilter", "tmix", "yadif", "unsharp",
)  # fmt: skip
_OTHER_ARGS = (
    "", "2", "iw/2:ih/2", "64:48", "-1:-1", "w=iw:h=ow", "1e9:1e9", "0:0", "yuv420p", "rgb24", "pix_fmts=gray|yuv444p",
    "PTS*2", "25", "1/0", "30000/1001", "end=1", "a=1:b=2", "angle=t", "'gt(t,1)'", "x=1:y=1:w=2:h=2", "flags=bicubic",
    "99999999999", "-5", "nan", "inf",
)  # fmt: skip
_NUMBERS = (
    "0", "1", "2", "5", "-1", "0.5", "1e9", "1e300", "-1e-300", "nan", "inf", "-inf", "0x10", "1k", "2Ki", "1/3", "1/0",
    "9" * 30, "9" * 5000, "2147483648", "9223372036854775807", "9223372036854775808", "1e", ".", "-", "+", "PI", "1s",
)  # fmt: skip
_WORDS = (
    "", "a", "face", "faces", "plates", "yolo12-face", "auto", "all", "black", "#ff0000", "0xffffff@0.5", "red",
    "64x48", "hd720", "0x0", "1000000x1000000", "/nosuch/file", "\u00e9\u4e2d", "\ud83d\ude00", "pchip", "rect",
    "ellipse", "1.5s", "500ms", "a|b|c", "|", "||", "true", "-0", "12s", "1e9s", "\x00",
    "\x7f", "\u2028", "\u0661", "\uff11",
)  # fmt: skip
_FUNCTIONS = (
    ("between", 3), ("if", 3), ("gt", 2), ("lt", 2), ("eq", 2), ("st", 2), ("ld", 1), ("while", 2), ("sqrt", 1),
    ("mod", 2), ("random", 1), ("randomi", 3), ("root", 2), ("taylor", 2), ("print", 1), ("gcd", 2), ("pow", 2),
    ("bitand", 2), ("floor", 1), ("clip", 3), ("exp", 1), ("not", 1), ("gauss", 1), ("nosuch", 1),
    ("squish", 1), ("lerp", 3),
)  # fmt: skip
_BYTES = "[]():;,='\\@| \t\n-+*/^!#\"%\u00e9\x00.0a"


def expression(rng: random.Random, depth: int = 0) -> str:
    """An expression of the timeline, mostly well formed."""
    kind = rng.random()
    if depth > 5 or kind < 0.35:
        return rng.choice((*_NUMBERS[:14], "t", "t", "n", "n", "w", "h", "pos", "PI", "E", "PHI", "x"))
    if kind < 0.65:
        return f"{expression(rng, depth + 1)}{rng.choice('+-*/^;')}{expression(rng, depth + 1)}"
    if kind < 0.72:
        return f"({expression(rng, depth + 1)})"
    if kind < 0.78:
        return f"{rng.choice('-+!')}{expression(rng, depth + 1)}"
    name, count = rng.choice(_FUNCTIONS)
    if rng.random() < 0.1:
        count = rng.randrange(5)
    return f"{name}({','.join(expression(rng, depth + 1) for _ in range(count))})"


def _quoted(text: str, rng: random.Random) -> str:
    how = rng.random()
    if how < 0.5:
        return "'" + text.replace("'", "'\\''") + "'"
    if how < 0.8:
        return "".join("\\" + c if c in ":,;[]'\\=" else c for c in text)
    return text


def _value(option: Option | None, rng: random.Random) -> str:
    """A value for an option: of its kind most of the time."""
    pool: tuple[str, ...] = (*_NUMBERS, *_WORDS)
    if option is None or rng.random() < 0.06:
        return rng.choice((*pool, expression(rng)))
    if option.choice_names and rng.random() < 0.8:
        return rng.choice(option.choice_names)
    if option.type == "expr":
        return expression(rng)
    if option.type == "duration" and rng.random() < 0.6:
        return rng.choice(("1.5s", "500ms", "3", "12", "0", "1s", "9" * 400))
    if option.type in ("int", "float", "duration"):
        edges = [f"{edge:g}" for edge in (option.min, option.max) if edge is not None]
        return rng.choice(("0", "1", "2", "0.5", *edges, "3", "10", "-1"))
    if option.type == "bool":
        return rng.choice(("0", "1", "true", "no", "on"))
    return rng.choice(_WORDS)


def filter_text(rng: random.Random) -> str:
    """One filter with its arguments."""
    if rng.random() < 0.3:
        name, args = rng.choice(OTHERS), rng.choice(_OTHER_ARGS)
        return f"{name}={args}" if args else name
    name = rng.choice(("zone", "zone", "zone", "track", "interp", "fill", "blur", *registry.names()))
    cls = registry.find(name)
    options: tuple[Option, ...] = cls.options if cls is not None else ()
    parts = []
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 6))):
        option = rng.choice(options) if options and rng.random() < 0.98 else None
        key = option.name if option is not None else rng.choice(_WORDS)
        value = _quoted(_value(option, rng), rng)
        parts.append(value if rng.random() < 0.05 else f"{key}={value}")
    if rng.random() < (0.3 if cls is not None and cls.timeline else 0.02):
        parts.append(f"enable={_quoted(expression(rng), rng)}")
    if name == "zone" and rng.random() < 0.6:
        parts.insert(0, "w=20:h=20")
    ident = f"@{rng.choice(('a', 'b', '', '@', '1'))}" if rng.random() < 0.05 else ""
    return f"{name}{ident}{'=' if parts else ''}{':'.join(parts)}"


def _maybe(words: list[str], rng: random.Random) -> str:
    return rng.choice(words) if rng.random() < 0.3 else ""


def graph_text(rng: random.Random) -> str:
    """A graph: by grammar, then, half of the time, with a few characters changed."""
    filters = [filter_text(rng) for _ in range(rng.choice((1, 2, 3, 4, 4, 6)))]
    if rng.random() < 0.7:
        filters = ["zone=w=20:h=20", *filters, "fill"]
    if rng.random() < 0.1:
        labels = ["[a]", "[b]", "[in]", "[out]", "[]", "[a][b]"]
        filters = [_maybe(labels, rng) + text + _maybe(labels, rng) for text in filters]
    between = (",",) * 30 + (" , ", " , ", ",\n", ";")
    text = "".join(text + rng.choice(between) for text in filters).rstrip(",;\n ")
    if rng.random() < 0.01:
        text = rng.choice(("(" * 3000, "[" * 3000, "null," * 500 + "null", "\\" * 999, "'" * 999, "a" * 100_000))
    while rng.random() < 0.3 and text:
        at = rng.randrange(len(text))
        how = rng.randrange(4)
        if how == 0:
            text = text[:at] + text[at + rng.choice((1, 1, 3, 10)) :]
        elif how == 1:
            text = text[:at] + rng.choice(_BYTES) * rng.choice((1, 1, 2, 50)) + text[at:]
        elif how == 2:
            text = text[:at] + rng.choice(_BYTES) + text[at + 1 :]
        else:
            text = text[:at] + text[rng.randrange(len(text)) :]
    return text


RATE = Fraction(25)
STREAMS = (
    StreamInfo(96, 64, "yuv420p", Fraction(1, 12800), RATE, RATE),
    StreamInfo(64, 97, "yuv420p10le", Fraction(1, 1000), Fraction(400), RATE, rotation=90),
    StreamInfo(1, 1, "gray", Fraction(1, 90000), Fraction(1, 10), Fraction(1, 10)),
    StreamInfo(7680, 4320, "nv12", Fraction(1001, 30000), RATE, RATE, rotation=270, hflip=True),
)


def try_graph(number: int, seed: int) -> str:
    """Plan one generated graph and ask its timelines. Returns "planned", or the name of the error. Raises what is not
    the project's own, with the graph's text."""
    rng = random.Random(f"graph/{seed}/{number}")
    text = graph_text(rng)
    stream = rng.choice(STREAMS)
    try:
        plan = make_plan(Job("in.mp4", "out.mp4", text), stream)
        plan.describe()
        _ask(plan, stream)
    except AnonfilterError as error:
        return _told(error, text)
    except Exception as error:
        raise AssertionError(f"graph {number}: {type(error).__name__}: {error}: {text[:400]!r}") from error
    return "planned"


def _told(error: AnonfilterError, text: str) -> str:
    """The error's kind. Its message must be short enough to read."""
    lines = str(error).splitlines()
    longest = 400 + 3 * max((len(line) for line in text.splitlines()), default=0)  # it may quote a name twice
    if not 0 < len(lines) < 4 or len(lines[0]) > longest:
        raise AssertionError(f"a message of {len(lines)} lines for {text[:200]!r}: {str(error)[:400]!r}")
    return type(error).__name__


def _ask(plan: Plan, stream: StreamInfo) -> None:
    for item in plan.filters:
        if item.enable is not None:
            for n in range(3):
                try:
                    item.enable.enabled(t=n / 25, n=n, pos=float("nan"), w=stream.width, h=stream.height)
                except EndlessError:
                    break


SAMPLE: tuple[dict[str, Any], ...] = (
    {
        "format": "anonfilter-records", "version": 1, "stage": "write",
        "stream": {"width": 96, "height": 64, "time_base": "1/12800", "rotation": 0, "hflip": False},
        "graph": "zone=w=20:h=20", "models": [{"name": "faces", "sha256": "09ab"}],
    },
    {"n": 0, "pts": 0, "ran": ["faces"], "det": [
        {"box": [1.5, 2, 30, 40.25], "cls": "face", "score": 0.91, "src": "det", "track": 4, "shape": "ellipse"},
        {"box": [0, 0, 4, 2], "cls": "zone", "score": 1.0, "src": "zone", "mask": [1, 3, 2, 2]},
    ]},
    {"n": 2, "pts": 1024, "ran": ["faces"], "det": [], "cut": True},
    {"n": 3, "pts": 1536, "ran": [], "det": [
        {"box": [5, 5, 50, 60], "cls": "face", "poly": [[5, 5], [50, 5], [20, 60]], "del": True},
    ], "fade": True},
    {"end": True, "frames": 5, "sha256": None},
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 1e300, -1e300, 10**30, 10**400, 1 << 63, (1 << 63) - 1, "", "x", "1/0", "1/3",
    "\u00e9", "\ud800", [], {}, [[]], [1, 2, 3, 4], [None], {"a": 1}, "a" * 5000, [1] * 5000, "nan", 90, 180,
)  # fmt: skip
_TOKENS = (
    b"null", b"true", b"[]", b"{}", b"-", b"1e400", b'"', b"NaN", b"Infinity", b"\n", b"\r\n", b"\x80", b"\\ud800",
    b",,", b"[" * 5000, b'{"a":' * 3000, b"9" * 6000, b"\0", b"\xef\xbb\xbf", b"1E5", b"0x1", b"// c",
)  # fmt: skip


def record_bytes(rng: random.Random) -> bytes:
    """A record file with values replaced, lines moved, bytes damaged."""
    lines: list[Any] = json.loads(json.dumps(SAMPLE))
    while rng.random() < 0.6:
        place, key = rng.choice(list(_places(lines)))
        how = rng.random()
        if how < 0.5:
            place[key] = copy.deepcopy(rng.choice(_ODD))
        elif how < 0.7:
            del place[key]
        elif isinstance(place, list):
            place.insert(key, copy.deepcopy(place[rng.randrange(len(place))]))
        else:
            name = rng.choice(("n", "pts", "end", "format", "det", "x", "mask", "poly"))
            place[name] = copy.deepcopy(rng.choice(_ODD))
        if not lines:
            break
    raw = bytearray(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    while rng.random() < 0.4 and raw:
        at = rng.randrange(len(raw))
        how = rng.random()
        if how < 0.3:
            raw[at] = rng.randrange(256)
        elif how < 0.5:
            del raw[at : at + rng.choice((1, 3, 12, 100))]
        elif how < 0.6:
            del raw[at:]
        else:
            raw[at:at] = rng.choice(_TOKENS)
    return bytes(raw)


def _places(value: Any) -> Any:
    """Every (container, key) of a JSON value."""
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, item in items:
        yield value, key
        yield from _places(item)


def try_records(number: int, seed: int, path: Path) -> str:
    """Read one generated record file as a run would. Returns "read", or the name of the error."""
    rng = random.Random(f"records/{seed}/{number}")
    raw = record_bytes(rng)
    path.write_bytes(raw)
    try:
        scan(path)
        plan = make_plan(Job("in.mp4", "out.mp4", f"read={path},track,interp,fill"), STREAMS[0])
        reader = next(item for item in plan.lane if isinstance(item, Read))
        reader.open(Env(STREAMS[0], None, "in.mp4"))
        try:
            for n in range(5):
                list(reader.push(FrameRecord(n, n * 512, n / 25)))
            list(reader.flush())
        finally:
            reader.close()
    except AnonfilterError as error:
        return _told(error, str(path))
    except Exception as error:
        raise AssertionError(f"records {number}: {type(error).__name__}: {error}: {raw[:400]!r}") from error
    return "read"


TRIES: dict[str, Callable[[int, int, Path], str]] = {
    "graphs": lambda number, seed, path: try_graph(number, seed),
    "records": try_records,
}
