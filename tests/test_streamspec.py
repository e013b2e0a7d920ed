"""Stream specifiers and -map. What they choose is compared with the real ffmpeg in test_ffmpeg_parity.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from anonfilter.errors import UsageError
from anonfilter.streamspec import parse_map, parse_specifier, resolve_maps


def stream(index: int, kind: str, bits: int = 0, id: int = 0, **tags: str) -> Any:
    return SimpleNamespace(index=index, type=kind, id=id, metadata=tags, disposition=bits, codec_context=object())


STREAMS = [
    stream(0, "video", 1, 0x100),
    stream(1, "audio", 1, 0x101, language="eng"),
    stream(2, "audio", 0, 0x102, language="ger", title="a:b"),
    stream(3, "subtitle", 64, 0x103, language="eng"),
    stream(4, "video", 0x400, 0x104),
    stream(5, "data", 0, 0x105),
]


def chosen(*maps: str) -> list[int]:
    return [s.index for s in resolve_maps(maps, STREAMS)]


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("v", [0, 4]),
        ("V", [0]),
        ("a", [1, 2]),
        ("a:1", [2]),
        ("a:2", []),
        ("3", [3]),
        ("m:language:eng", [1, 3]),
        ("a:m:language:ger", [2]),
        ("m:Language:eng", [1, 3]),
        ("m:language:Eng", []),
        ("m:title:a:b", [2]),
        ("m:language", [1, 2, 3]),
        ("#0x102", [2]),
        ("i:258", [2]),
        ("disp:default", [0, 1]),
        ("disp:default:1", [1]),
        ("s:disp:forced", [3]),
        ("t", []),
        ("d", [5]),
        ("u", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_specifiers(text: str, indexes: list[int]) -> None:
    assert [s.index for s in parse_specifier(text).matches(STREAMS)] == indexes


def test_maps_add_and_take_away_in_order() -> None:
    assert chosen("0", "-0:a", "0:2") == [0, 3, 4, 5, 2]
    assert chosen("0:v:0", "0:a?", "0:t?") == [0, 1, 2]
    assert chosen("0:v:0", "0:a:1,0:a:0") == [0, 2]
    assert chosen("0:v:0", "-0:9") == [0], "as ffmpeg: what is taken away need not be there"


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (("0:t",), "Stream map '0:t' matches no streams. To ignore this, add a trailing '?' to the map."),
        (("-0:a",), "Stream map '-0:a' matches no streams."),
        (("1:v",), "Invalid input file index: 1."),
        (("[out]",), "labels need -filter_complex"),
        (("v",), "'v' is not a file's number"),
        (("0:x",), "Invalid stream specifier: x"),
        (("0:1:2",), "nothing can follow a number"),
        (("0:p:1",), "programs and groups are not supported"),
        (("0:disp:odd",), "'odd' is not a disposition"),
        (("0:#x",), "'x' is not a stream id"),
    ],
)
def test_maps_that_cannot_be(maps: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as info:
        resolve_maps(maps, STREAMS)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_a_map_says_what_it_is() -> None:
    item = parse_map("-0:a:1?")
    assert (item.negative, item.optional, item.specifier.type, item.specifier.index) == (True, True, "audio", 1)
