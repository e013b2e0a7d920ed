"""ffmpeg's expression language (libavutil/eval.c): `between(t,1,5)*not(mod(n,2))`.

Same grammar, functions, number suffixes and NaN rules as the libavutil that PyAV brings (FFmpeg 8), its
oddities included where a value depends on them. Stricter in two things: junk between a function's name and
its bracket, and an argument left empty, are errors instead of being passed over. Longer in one: a sum of
more than a hundred terms is fine. `random` is a fixed sequence (ffmpeg 5's generator), so that runs repeat.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from anonfilter.errors import GraphError
from anonfilter.exprcode import ARITY, MAX_TURNS, SLOTS, EndlessError, Node, State, compile_node, power
from anonfilter.located import Located
from anonfilter.values import hint

_SPACE = " \f\n\r\t\v"
_MAX_DEPTH = 100
_CONSTANTS = {"E": math.e, "PI": math.pi, "PHI": (1 + math.sqrt(5)) / 2, "QP2LAMBDA": 118.0}
_SUFFIXES = {
    "y": -24, "z": -21, "a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "c": -2, "d": -1, "h": 2,
    "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "Z": 21, "Y": 24,
}  # fmt: skip
# What C's strtod takes; ffmpeg reads an unsigned 0x number as an integer, which is the same below 2^64.
_NUMBER = re.compile(
    r"[+-]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])"
)
_DECIBELS = re.compile(r"-(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?dB")
_NAME = re.compile(r"[A-Za-z0-9_]+")

FUNCTIONS = tuple(sorted(ARITY))


class Expr:
    """A parsed expression. Values of st() last from one eval to the next, as in ffmpeg.

    text: the expression, or a Located one so that errors point into the user's text. names: the variables it
    may use. Raises GraphError with the place of the fault.
    """

    def __init__(self, text: str | Located, names: Sequence[str] = ()) -> None:
        self._source = text if isinstance(text, Located) else Located.plain(text, "expression")
        self.text, self.names = self._source.text, tuple(names)
        self._slots = [0.0] * SLOTS
        parser = _Parser(self._source, self.names)
        self._code = compile_node(parser.parse())
        self.used = frozenset(parser.used)

    def eval(self, **values: float) -> float:
        """The value for these variables (all that it uses). Raises GraphError for a loop that does not
        end."""
        try:
            return self._code(State(values, self._slots))
        except EndlessError:
            raise self._source.error(
                f"its loops have gone round {MAX_TURNS} times without an end: the condition of while() stays true"
            ) from None

    def enabled(self, **values: float) -> bool:
        """Whether a filter with this enable= is on: libavfilter's rule, |value| >= 0.5, so NaN is off."""
        return abs(self.eval(**values)) >= 0.5

    def __repr__(self) -> str:
        return f"Expr({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and (self.text, self.names) == (other.text, other.names)

    def __hash__(self) -> int:
        return hash((self.text, self.names))


def evaluate(text: str | Located, **values: float) -> float:
    """Parse and evaluate once."""
    return Expr(text, tuple(values)).eval(**values)


class _Parser:
    """Recursive descent over the text without its white space, which ffmpeg drops first, even inside of
    names."""

    def __init__(self, source: Located, names: Sequence[str]) -> None:
        keep = [i for i, c in enumerate(source.text) if c not in _SPACE]
        self.source, self.names = source, names
        self.text = "".join(source.text[i] for i in keep)
        self.at = [*keep, len(source.text)]
        self.pos, self.depth = 0, 0
        self.used: set[str] = set()

    def parse(self) -> Node:
        if not self.text:
            raise self.source.error("an expression is missing")
        node = self.sequence()
        if self.pos < len(self.text):
            raise self.error(f"unexpected '{self.text[self.pos]}' in expression")
        return node

    def error(self, message: str, start: int | None = None, end: int | None = None) -> GraphError:
        begin = self.pos if start is None else start
        stop = max(begin + 1, begin + 1 if end is None else end)
        if begin >= len(self.text):  # at the end: point at the last character
            begin, stop = max(0, len(self.text) - 1), len(self.text)
        first = self.at[begin]
        return self.source.error(message, first, max(first, self.at[stop - 1]) + 1)

    def chain(self, operators: str, term: Callable[[], Node]) -> Node:
        """term (operator term)*, left to right; '+' and '-' stay with the term that follows, as a sign."""
        node = term()
        if self.peek() not in operators:
            return node
        out = Node(operators[0], [node])
        while (c := self.peek()) and c in operators:
            if operators != "+-":
                self.pos += 1
            out.ops += c
            out.args.append(term())
        return out

    def peek(self) -> str:
        return self.text[self.pos] if self.pos < len(self.text) else "\0"

    def sequence(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error(f"expression is nested more than {_MAX_DEPTH} deep")
        node = self.chain(";", lambda: self.chain("+-", lambda: self.chain("*/", self.factor)))
        self.depth -= 1
        return node

    def factor(self) -> Node:
        first, sign = self.signed()
        node = first
        if self.peek() == "^":
            node = Node("^", [first])
            while self.peek() == "^":
                self.pos += 1
                power, power_sign = self.signed()
                power.sign *= power_sign
                node.ops += "^"
                node.args.append(power)
        node.sign *= sign
        return node

    def signed(self) -> tuple[Node, int]:
        """One primary and the sign before it. -3dB is the number of -3 dB, not minus 3 dB."""
        sign = 1
        if self.peek() in "+-" and not (self.peek() == "-" and _DECIBELS.match(self.text, self.pos)):
            sign = -1 if self.peek() == "-" else 1
            self.pos += 1
        return self.primary(), sign

    def primary(self) -> Node:
        start = self.pos
        if self.peek() == "\0":
            raise self.error("expression ends too early")
        if (number := self.number()) is not None:
            return Node("number", value=number)
        match = _NAME.match(self.text, start)
        if match is None:
            if self.peek() != "(":
                raise self.error(f"unexpected '{self.peek()}' in expression")
            self.pos += 1
            node = self.sequence()
            self.close(start)
            return node
        name = match.group()
        self.pos = match.end()
        if name in self.names:
            self.used.add(name)
            return Node("name", name=name)
        if name in _CONSTANTS:
            return Node("number", value=_CONSTANTS[name])
        if self.peek() != "(":
            known = [*self.names, *_CONSTANTS]
            kind = "needs arguments in brackets" if name in ARITY else "is not a known name"
            raise self.error(f"'{name}' {kind}{hint(name, known)}", start, self.pos)
        if name not in ARITY:
            raise self.error(f"unknown function '{name}'{hint(name, FUNCTIONS)}", start, self.pos)
        return self.call(name, start)

    def call(self, name: str, start: int) -> Node:
        after = self.pos
        self.pos += 1
        args = [self.sequence()]
        while self.peek() == ",":
            self.pos += 1
            args.append(self.sequence())
        self.close(after)
        low, high = ARITY[name]
        if not low <= len(args) <= high:
            wants = f"{low}" if low == high else f"{low} to {high}"
            raise self.error(
                f"'{name}' takes {wants} argument{'s' * (high > 1)}, not {len(args)}", start, self.pos
            )
        return Node(name, args)

    def close(self, opened: int) -> None:
        if self.peek() != ")":
            where = "expression" if self.peek() == "\0" else f"expression before '{self.peek()}'"
            raise self.error(f"missing ')' in {where}", opened, opened + 1)
        self.pos += 1

    def number(self) -> float | None:
        match = _NUMBER.match(self.text, self.pos)
        if match is None:
            return None
        text, end = match.group(), match.end()
        if match.group("hex"):
            value = float(min(int(text, 16), 2**64 - 1))  # strtoul stops there
        else:
            value = float(text)
        rest = self.text[end : end + 2]
        if rest == "dB":
            value, end = power(10.0, value / 20), end + 2
        elif rest[:1] in _SUFFIXES and rest:
            exponent = _SUFFIXES[rest[0]]
            if rest[1:] == "i":
                value, end = value * 2.0 ** (10 * exponent / 3), end + 2
            else:
                value, end = value * float(f"1e{exponent}"), end + 1
        if self.text[end : end + 1] == "B":
            value, end = value * 8, end + 1
        self.pos = end
        return value
