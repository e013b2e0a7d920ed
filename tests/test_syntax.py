"""The graph parser: structure, places of errors, and the one path that a graph is. test_libav compares it."""

from __future__ import annotations

import pytest

from anonfilter.errors import GraphError
from anonfilter.located import Located
from anonfilter.syntax import parse_graph


def failing(text: str, *, linear: bool = False) -> GraphError:
    read = (lambda: parse_graph(text).linear()) if linear else (lambda: parse_graph(text).filters)
    with pytest.raises(GraphError) as info:
        read()
    return info.value


def marked(error: GraphError) -> str:
    """The characters that the carets stand under."""
    assert error.start is not None
    return error.text[error.start : error.end]


def test_a_graph_of_ours() -> None:
    graph = parse_graph("detect=yolo12-face:plates,track , interp=pchip\n,blur@b=adaptive")
    names = [(s.name, s.id, s.label, s.args.text if s.args else None, s.index) for s in graph.filters]
    assert names == [
        ("detect", None, "detect", "yolo12-face:plates", 0),
        ("track", None, "track", None, 1),
        ("interp", None, "interp", "pchip", 2),
        ("blur", "b", "blur@b", "adaptive", 3),
    ]


def test_chains_labels_and_flags() -> None:
    graph = parse_graph(" sws_flags=bicubic+accurate_rnd; [in] scale=2:2 [a] ; [a] [b c] null [out]")
    assert graph.sws_flags == "flags=bicubic+accurate_rnd"
    assert [len(chain.filters) for chain in graph.chains] == [1, 1]
    first, second = graph.filters
    assert [label.name for label in (*first.inputs, *first.outputs)] == ["in", "a"]
    assert [label.name for label in (*second.inputs, *second.outputs)] == ["a", "b c", "out"]
    assert graph.text[first.inputs[0].start : first.inputs[0].end] == "[in]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", ["null"]),
        (
            "  drawtext=text='a, [b];c'\\ : x=1 [l];[l]crop= w = 8 ",
            ["drawtext=text='a, [b];c'\\ : x=1", "crop= w = 8"],
        ),
        ("drawtext=text=a\\ [l];[l]null", ["drawtext=text=a\\ ", "null"]),
        ("null=,hflip", ["null=", "hflip"]),
        ("cr\\op=1 , 'null'", ["cr\\op=1", "'null'"]),
    ],
)
def test_to_text_is_what_was_written(text: str, expected: list[str]) -> None:
    assert [spec.to_text() for spec in parse_graph(text).filters] == expected


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("", "a filter name is missing", ""),
        ("null,,null", "a filter name is missing", ","),
        ("null;;", "a filter name is missing", ";"),
        ("null,=3", "a filter name is missing", "="),
        ("[]null", "bad (empty?) label", "[]"),
        ("null,[a null", "mismatched '['", "["),
        ("null[a", "mismatched '['", "["),
        ("crop=1:2]", "unexpected ']'", "]"),
        ("null[a]null", "unexpected 'n'", "n"),
        ("sws_flags=1,null", "sws_flags not terminated", "sws_flags"),
        ("nu\0ll", "NUL", "\0"),
    ],
)
def test_errors_of_the_grammar(text: str, words: str, place: str) -> None:
    error = failing(text)
    assert words in error.message
    assert place == "" or marked(error) == place


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("null", "null"),
        ("a,b,c", "a b c"),
        ("[0:v]a[x];[x]b[out]", "a b"),
        ("[x]b[out];[in]a[x]", "a b"),
        ("[y]c;a[x];[x]b[y]", "a b c"),
        ("a[x],[x]b", "a b"),
        ("[in]a[in]", "loop"),
        ("a;", "a"),
        ("a,", "a"),
    ],
)
def test_linear(text: str, order: str) -> None:
    if order == "loop":
        assert "feeds itself" in failing(text, linear=True).message
    else:
        assert " ".join(spec.name for spec in parse_graph(text).linear()) == order


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("a;b", "1 input and 1 output, this one has 2 and 2", "b"),
        ("a[x];b", "not connected", "b"),
        ("split[x][y]", "no output pad of 'split'", "[y]"),
        ("[x][y]overlay", "too many inputs", "[y]"),
        ("a,[x]b", "too many inputs", "[x]"),
        ("a[x];b[x]", "output of two filters", "[x]"),
        ("[x]a[y];[x]b[z]", "input of two filters", "[x]"),
        ("a[x],b", "not connected", "b"),
        ("a;[x]b[x]", "feeds itself", "b"),
    ],
)
def test_graphs_that_are_no_path(text: str, words: str, place: str) -> None:
    error = failing(text, linear=True)
    assert words in error.message
    assert marked(error) == place


def test_the_caret_stands_in_the_right_line() -> None:
    error = failing("null,\n\tcrop=1,\n  []null\n")
    assert str(error) == "-vf: bad (empty?) label\n    []null\n    ^^"


def test_every_character_knows_its_place() -> None:
    text = "crop=w='a\\:b'\\'c:x=2"
    args = parse_graph(text).filters[0].args
    assert args is not None
    assert args.text == "w=a\\:b'c:x=2"
    for i, char in enumerate(args.text):
        assert text[args.at[i]] == char
    value, _ = args.token(2, ":")
    assert value.text == "a:bc:x=2"  # the escaped quote of the first level opens one on the second
    assert [text[i] for i in value.at[:-1]] == list(value.text)


def test_slices_and_spans() -> None:
    text = Located.plain("hello world")
    assert text.slice(6, 11).span() == (6, 11)
    assert text.slice(6, 11).slice(1, 3).span() == (7, 9)
    assert text.slice(3, 3).span() == (3, 3)
    assert str(text.slice(0, 5).error("bad", 1, 2)) == "-vf: bad\n  hello world\n   ^"


def test_the_message_is_one_line_whatever_the_text_holds() -> None:
    """Line separators and terminal codes of a graph must not reach the terminal; the caret stays in its column."""
    error = GraphError("no filter 'a\nb\u2028'", text="null,\x1b[2J\u2028bad", start=10, end=13)
    assert str(error).splitlines() == ["-vf: no filter 'a b\ufffd'", "  null,\ufffd[2J\ufffdbad", "            ^^^"]
