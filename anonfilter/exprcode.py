"""What the functions and operators of an expression do: libavutil's arithmetic, compiled to closures."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_NAN, _INF = math.nan, math.inf

# Fewest and most arguments of every function.
ARITY: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        ("abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "exp", "floor", "gauss", "isinf", "isnan",
        "ld", "log",
         "not", "random", "round", "sgn", "sin", "sinh", "sqrt", "squish", "tan", "tanh", "time", "trunc"),
         (1, 1)),
    **dict.fromkeys(
        ("atan2", "bitand", "bitor", "eq", "gcd", "gt", "gte", "hypot", "lt", "lte", "max", "min", "mod",
        "pow",
         "root", "st", "while"), (2, 2)),
    **dict.fromkeys(("if", "ifnot", "taylor"), (2, 3)),
    **dict.fromkeys(("between", "clip", "lerp", "randomi"), (3, 3)),
    "print": (1, 2),
}  # fmt: skip
# In libavutil a minus sign before one of these does nothing.
_SIGNLESS = frozenset({"while", "taylor", "root"})
SLOTS = 10  # variables of st() and ld()
MAX_TURNS = 1_000_000
"""Of all loops of an evaluation together, also those inside of others: under a second."""


@dataclass(slots=True)
class Node:
    """op: a function's name, "number", "name", or the first operator of a chain. args of a chain are its
    terms and ops its operators (one fewer). sign: +1 or -1, multiplied in as ffmpeg does it."""

    op: str
    args: list[Node] = field(default_factory=list)
    value: float = 0.0
    name: str = ""
    ops: str = ""
    sign: int = 1


@dataclass(slots=True)
class State:
    """Values during one evaluation."""

    values: dict[str, float]
    slots: list[float]
    turns: int = 0

    def turn(self) -> None:
        """Count one turn of a loop. Raises EndlessError."""
        self.turns += 1
        if self.turns > MAX_TURNS:
            raise EndlessError


Code = Callable[[State], float]


class EndlessError(Exception):
    """Loops that do not end."""


def compile_node(node: Node) -> Code:
    """A closure for a node; closures of closures run a few times faster than walking the tree."""
    sign, code = node.sign, compile_unsigned(node)
    if sign > 0 or node.op in _SIGNLESS:
        return code
    return lambda s: -code(s)


def compile_unsigned(node: Node) -> Code:
    if node.op == "number":
        value = node.value
        return lambda s: value
    if node.op == "name":
        name = node.name
        return lambda s: s.values[name]
    args = [compile_node(arg) for arg in node.args]
    if node.ops:
        first, rest = args[0], [(_CHAIN[c], code) for c, code in zip(node.ops, args[1:], strict=True)]

        def chain(s: State) -> float:
            value = first(s)
            for combine, code in rest:
                value = combine(value, code(s))
            return value

        return chain
    if node.op in _LAZY:
        lazy = _LAZY[node.op]
        return lambda s: lazy(s, *args)
    if len(args) == 1:
        (one,), unary = args, _UNARY[node.op]
        return lambda s: unary(one(s))
    if len(args) == 2:
        (left, right), binary = args, _BINARY[node.op]
        return lambda s: binary(left(s), right(s))
    (a, b, c), ternary = args, _TERNARY[node.op]
    return lambda s: ternary(a(s), b(s), c(s))


def _guard(function: Callable[..., float]) -> Callable[..., float]:
    """C's answer where Python raises: NaN outside of the domain, infinity for what is too large."""

    def guarded(*args: float) -> float:
        try:
            return function(*args)
        except ValueError:
            return _NAN
        except OverflowError:
            return _INF

    return guarded


def power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -_INF if a < 0 and b % 2 == 1 else _INF
    except ValueError:  # 0 to a negative power, or a root of a negative number
        if a != 0:
            return _NAN
        return math.copysign(_INF, a) if b % 2 == 1 else _INF


def _divide(a: float, b: float) -> float:
    return a / b if b else a * _INF


def _mod(a: float, b: float) -> float:
    return a - _whole(math.floor)(_divide(a, b)) * b


def _log(a: float) -> float:
    return -_INF if a == 0 else _guard(math.log)(a)


def _sinh(a: float) -> float:
    return math.copysign(_guard(math.sinh)(abs(a)), a)


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """floor, ceil or trunc that pass NaN and infinity on."""
    return lambda a: math.copysign(float(function(a)), a) if math.isfinite(a) else a


def _round(a: float) -> float:
    """Half away from zero, as C rounds."""
    if not math.isfinite(a):
        return a
    low = math.floor(abs(a))
    return math.copysign(low + (abs(a) - low >= 0.5), a)


def _long(a: float) -> int:
    """C's conversion to a 64-bit integer on x86-64: what does not fit is the least one."""
    return int(a) if -(2.0**63) <= a < 2.0**63 else -(2**63)


def _slot(a: float) -> int:
    """Index of a variable, clipped; what does not fit an int is 0."""
    return min(max(int(a), 0), SLOTS - 1) if -(2.0**31) <= a < 2.0**31 else 0


def _bits(function: Callable[[int, int], int]) -> Callable[[float, float], float]:
    return lambda a, b: _NAN if a != a or b != b else float(function(_long(a), _long(b)))


def _gcd(a: float, b: float) -> float:
    """With a zero the other number, sign and all, as libavutil has it."""
    x, y = _long(a), _long(b)
    return float(math.gcd(x, y) if x and y else x or y)


def _clip(x: float, low: float, high: float) -> float:
    if x != x or low != low or high != high or low > high:
        return _NAN
    return min(max(x, low), high)


def _exp(a: float) -> float:
    return _guard(math.exp)(a)


_UNARY: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "acos": _guard(math.acos),
    "asin": _guard(math.asin),
    "atan": math.atan,
    "ceil": _whole(math.ceil),
    "cos": _guard(math.cos),
    "cosh": _guard(math.cosh),
    "exp": _exp,
    "floor": _whole(math.floor),
    "gauss": lambda a: _exp(-a * a / 2) / math.sqrt(2 * math.pi),
    "isinf": lambda a: float(math.isinf(a)),
    "isnan": lambda a: float(a != a),
    "log": _log,
    "not": lambda a: float(a == 0),
    "round": _round,
    "sgn": lambda a: float((a > 0) - (a < 0)),
    "sin": _guard(math.sin),
    "sinh": _sinh,
    "sqrt": _guard(math.sqrt),
    "squish": lambda a: 1 / (1 + _exp(4 * a)),
    "tan": _guard(math.tan),
    "tanh": math.tanh,
    "time": lambda a: time.time(),
    "trunc": _whole(math.trunc),
}
_BINARY: dict[str, Callable[[float, float], float]] = {
    "atan2": math.atan2,
    "bitand": _bits(lambda a, b: a & b),
    "bitor": _bits(lambda a, b: a | b),
    "eq": lambda a, b: float(a == b),
    "gcd": _gcd,
    "gt": lambda a, b: float(a > b),
    "gte": lambda a, b: float(a >= b),
    "hypot": math.hypot,
    "lt": lambda a, b: float(a < b),
    "lte": lambda a, b: float(a <= b),
    "max": lambda a, b: a if a > b else b,
    "min": lambda a, b: a if a < b else b,
    "mod": _mod,
    "pow": power,
}
_TERNARY: dict[str, Callable[[float, float, float], float]] = {
    "between": lambda x, low, high: float(low <= x <= high),
    "clip": _clip,
    "lerp": lambda a, b, f: a + (b - a) * f,
}
_CHAIN: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a + b,  # the sign is the term's
    "*": lambda a, b: a * b,
    "/": _divide,
    "^": power,
    ";": lambda a, b: b,
}


def _ld(s: State, index: Code) -> float:
    return s.slots[_slot(index(s))]


def _st(s: State, index: Code, value: Code) -> float:
    where = index(s)
    what = value(s)
    s.slots[_slot(where)] = what
    return what


def _if(s: State, test: Code, then: Code, other: Code | None = None) -> float:
    return then(s) if test(s) else other(s) if other else 0.0


def _ifnot(s: State, test: Code, then: Code, other: Code | None = None) -> float:
    return then(s) if not test(s) else other(s) if other else 0.0


def _while(s: State, test: Code, body: Code) -> float:
    value = _NAN
    while test(s):
        s.turn()
        value = body(s)
    return value


def _print(s: State, value: Code, level: Code | None = None) -> float:
    x = value(s)
    print(f"{x:f}", file=sys.stderr)
    return x


def _random(s: State, index: Code) -> float:
    """Linear congruential, 64 bits, state in the variable as a double (libavutil before 6.1)."""
    slot = _slot(index(s))
    held = s.slots[slot]
    state = 0 if held != held else _long(held) if held < 2.0**63 else int(min(held, 2.0**64 - 2048))
    state = (state * 1664525 + 1013904223) % 2**64
    s.slots[slot] = float(state)
    return state * (1.0 / (2**64 - 1))


def _randomi(s: State, index: Code, low: Code, high: Code) -> float:
    a, b = low(s), high(s)
    return a + _random(s, index) * (b - a)


def _taylor(s: State, term: Code, x: Code, index: Code | None = None) -> float:
    """sum over i of term(i) * x^i / i!, with i in variable `index`."""
    at, factor, total = x(s), 1.0, 0.0
    slot = _slot(index(s)) if index else 0
    kept = s.slots[slot]
    for i in range(1000):
        before = total
        s.turn()
        s.slots[slot] = float(i)
        value = term(s)
        total += factor * value
        if before == total and value:
            break
        factor *= at / (i + 1)
    s.slots[slot] = kept
    return total


def _root(s: State, function: Code, limit: Code) -> float:
    """An x in 0..limit (and nearby) where function(ld(0) = x) is 0: libavutil's search, then bisection."""
    low = high = -1.0
    low_value, high_value = -sys.float_info.max, sys.float_info.max
    kept, end = s.slots[0], limit(s)
    for i in range(-1, 1024):
        if i < 255:
            x = int(f"{i & 255:08b}"[::-1], 2) * end / 255
        else:
            x = end * 0.9 ** (i - 255)
            if i & 1:
                x = -x
            x += low if i & 2 else high
        s.turn()
        s.slots[0] = x
        value = function(s)
        if value <= 0 and value > low_value:
            low, low_value = x, value
        if value >= 0 and value < high_value:
            high, high_value = x, value
        if low >= 0 and high >= 0:
            low, high = _bisect(s, function, low, high)
            break
    s.slots[0] = kept
    return low if -low_value < high_value else high


def _bisect(s: State, function: Code, low: float, high: float) -> tuple[float, float]:
    for _ in range(1000):
        middle = (low + high) * 0.5
        s.slots[0] = middle
        if middle in (low, high):
            break
        s.turn()
        value = function(s)
        if value != value:
            return value, value
        if value <= 0:
            low = middle
        if value >= 0:
            high = middle
    return low, high


_LAZY: dict[str, Callable[..., float]] = {
    "if": _if,
    "ifnot": _ifnot,
    "ld": _ld,
    "print": _print,
    "random": _random,
    "randomi": _randomi,
    "root": _root,
    "st": _st,
    "taylor": _taylor,
    "while": _while,
}
