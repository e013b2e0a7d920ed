"""Expressions: what is ours alone; values and grammar are compared with libavutil in test_libav."""

from __future__ import annotations

import math
import time

import pytest

from anonfilter.errors import GraphError
from anonfilter.expr import FUNCTIONS, Expr, evaluate
from anonfilter.exprcode import ARITY
from anonfilter.options import TIMELINE
from anonfilter.syntax import parse_graph


def failing(text: str) -> GraphError:
    with pytest.raises(GraphError) as info:
        Expr(text, TIMELINE)
    return info.value


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("betwen(t,1,5)", "unknown function 'betwen' (did you mean 'between'?)", "betwen"),
        ("1+tt", "'tt' is not a known name (did you mean 't'?)", "tt"),
        ("sin", "'sin' needs arguments", "sin"),
        ("max(1)", "'max' takes 2 arguments, not 1", "max(1)"),
        ("between(t,1,2,3)", "'between' takes 3 arguments, not 4", "between(t,1,2,3)"),
        ("if(t)", "'if' takes 2 to 3 arguments, not 1", "if(t)"),
        ("3*(1+2", "missing ')'", "("),
        ("1+", "ends too early", "+"),
        ("max(1,)", "unexpected ')'", ")"),
        ("if(1,2,)", "unexpected ')'", ")"),
        ("sin+(3)", "'sin' needs arguments", "sin"),
        ("1)", "unexpected ')'", ")"),
        ("", "an expression is missing", ""),
        ("  ", "an expression is missing", "  "),
        ("t < 3", "unexpected '<'", "<"),
    ],
)
def test_errors_point_at_the_fault(text: str, words: str, place: str) -> None:
    error = failing(text)
    assert words in error.message
    assert error.start is not None
    assert text[error.start : error.end] == place


@pytest.mark.parametrize(
    "graph", ["fill=enable=between(t\\,1\\,q)", "fill='enable=between(t\\,1\\,q)'", "fill=enable='1+q'"]
)
def test_an_error_points_into_the_graph_through_quotes(graph: str) -> None:
    args = parse_graph(graph).filters[0].args
    assert args is not None
    with pytest.raises(GraphError) as info:
        Expr(args.token(len("enable="), ":")[0], TIMELINE)
    assert info.value.text == graph
    assert info.value.start == graph.rindex("q")


@pytest.mark.parametrize(
    ("text", "t", "on"),
    [
        ("between(t,1,5)", 1.0, True),
        ("between(t,1,5)", 5.0, True),
        ("between(t,1,5)", 5.000001, False),
        ("t", 0.5, True),
        ("t", 0.499, False),
        ("-t", 1.0, True),
        ("0/0", 0.0, False),
        ("1/0", 0.0, True),
    ],
)
def test_enabled_is_half_or_more(text: str, t: float, on: bool) -> None:
    assert Expr(text, TIMELINE).enabled(t=t, n=0, pos=math.nan, w=1, h=1) is on


def test_a_redaction_list_of_many_ranges() -> None:
    """ffmpeg stops at a hundred terms; a list made by a script may be longer."""
    expr = Expr("+".join(f"between(t,{i},{i}.5)" for i in range(0, 2000, 2)), TIMELINE)
    assert expr.enabled(t=1998.25)
    assert not expr.enabled(t=1997.0)
    assert expr.used == {"t"}


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    assert evaluate("(" * 90 + "1" + ")" * 90) == 1
    assert "nested more than" in failing("(" * 5000 + "1" + ")" * 5000).message


def test_variables_last_and_random_repeats() -> None:
    counter = Expr("st(0,ld(0)+1)")
    assert [counter.eval() for _ in range(3)] == [1, 2, 3]
    one, two = Expr("random(0)"), Expr("random(0)")
    values = [one.eval() for _ in range(5)]
    assert values == [two.eval() for _ in range(5)]
    assert len(set(values)) == 5
    assert all(0 <= v < 1 for v in values)
    assert 5 <= Expr("st(1,7);randomi(1,5,6)").eval() <= 6


def test_a_loop_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anonfilter.exprcode.MAX_TURNS", 1000)
    with pytest.raises(GraphError, match="have gone round"):
        evaluate("while(1,0)")
    assert evaluate("while(lt(ld(0),999),st(0,ld(0)+1))") == 999
    inner = "while(lt(ld(0),99),st(0,ld(0)+1))"  # counted together with the loop around it
    with pytest.raises(GraphError, match="have gone round"):
        evaluate(f"while(lt(ld(1),99),st(1,ld(1)+1);st(0,0);{inner})")
    assert evaluate(f"while(lt(ld(1),9),st(1,ld(1)+1);st(0,0);{inner})") == 99


def test_time_and_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert abs(evaluate("time(0)") - time.time()) < 5
    assert evaluate("print(1.5)+1") == 2.5
    assert capsys.readouterr().err == "1.500000\n"


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1e308", "1e308", "-0.5"])
def test_no_function_raises_on_any_number(name: str, value: str) -> None:
    """A frame must never fail on an odd value: C gives NaN or infinity where Python would raise."""
    if name != "while":
        assert isinstance(evaluate(f"{name}({','.join([value] * ARITY[name][0])})"), float)


def test_an_expression_is_a_value() -> None:
    assert Expr("t+1", ("t",)) == Expr("t+1", ("t",)) != Expr("t+2", ("t",))
    assert repr(Expr("1")) == "Expr('1')"
    with pytest.raises(KeyError):
        Expr("t", ("t",)).eval()
