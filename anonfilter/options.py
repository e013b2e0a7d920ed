"""Option tables: what a filter's arguments may be, and the parser that reads them as ffmpeg would.

One table per filter is the only place where an option's name, type, default, range, unit and help are
written. Parsing, range checks, `-h filter=NAME`, `-filters` and docs/filters.md all come from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Literal, Protocol

from anonfilter.errors import GraphError
from anonfilter.expr import Expr, evaluate
from anonfilter.located import Located
from anonfilter.syntax import FilterSpec
from anonfilter.values import hint, parse_bool, parse_color, parse_size

OptionType = Literal[
    "int", "float", "bool", "string", "enum", "duration", "color", "list", "size", "expr", "path"
]  # fmt: skip
TIMELINE = ("t", "n", "pos", "w", "h")
"""Variables of enable=."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in frames ("12") or in seconds ("1.5s", "500ms")."""

    value: float
    unit: Literal["frames", "s"] = "frames"

    def frames(self, rate: Fraction | float) -> int:
        """Whole frames that hold this duration at `rate` frames per second, rounded up."""
        if self.unit == "frames":
            return math.ceil(self.value)
        return math.ceil(Fraction(self.value).limit_denominator(1_000_000) * Fraction(rate))

    def __str__(self) -> str:
        return f"{self.value:g}{'s' if self.unit == 's' else ''}"


_LONGEST = 1e15  # frames or seconds: whole numbers up to there are exact, and nothing overflows
Color = tuple[int, int, int]
"""R, G, B in 0..255."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row of a filter's table.

    name: as written in a graph. type: what its value becomes (all are immutable):
      int, float   a number, ffmpeg's suffixes and arithmetic allowed ("2k", "1/3")
      bool         True or False
      string, path str
      enum         one of `choices`, as str
      duration     Duration: "12" frames, "1.5s", "500ms"
      color        (r, g, b) in 0..255, from a name, #RRGGBB or 0xRRGGBB
      list         tuple of str, from a|b|c; with `choices` each item must be one of them
      size         (width, height) from WxH, a name such as hd720, or N for (N, N)
      expr         expr.Expr over the variables `names`
    default: a value of that type or its text ("1s", "black", "0"); None means "not given".
    min, max: inclusive range of a number, a duration (in whatever unit it is given) or both sides of a size.
    unit: for help only ("px", "frames"). choices: names, or (name, help) pairs; for a type other than enum
    and list they are words that may stand instead of a value ("auto"), and the value is then that str.
    variadic: (type list) takes all further positional values: detect=faces:plates; key=a|b|c is the same.
    aliases: other names. per_item: `ITEM.name=value` overrides this option for one item of the variadic
    option; such values are in opts["overrides"][item][name].
    names: variables of an expr.
    """

    name: str
    type: OptionType
    default: Any
    help: str
    min: float | None = None
    max: float | None = None
    unit: str = ""
    choices: tuple[str | tuple[str, str], ...] = ()
    variadic: bool = False
    aliases: tuple[str, ...] = ()
    per_item: bool = False
    names: tuple[str, ...] = ()

    @property
    def choice_names(self) -> tuple[str, ...]:
        """Names of the choices without their help."""
        return tuple(c if isinstance(c, str) else c[0] for c in self.choices)

    def default_value(self) -> Any:
        """The default as a value of the option's type; one given as text is parsed."""
        if isinstance(self.default, str) and self.type not in ("string", "path", "enum"):
            return parse_value(self, Located.plain(self.default, f"default of '{self.name}'"))
        return tuple(self.default) if isinstance(self.default, list) else self.default

    def default_text(self) -> str:
        """The default as a user would write it, "" where there is none."""
        value = self.default
        if value is None:
            return ""
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, (tuple, list)):
            if self.type == "color":
                return "0x" + "".join(f"{v:02x}" for v in value)
            return ("x" if self.type == "size" else "|").join(str(v) for v in value)
        return _plain(value) if isinstance(value, float) else str(value)

    def range_text(self) -> str:
        """ "0 to 1", "from 1", "up to 8", or ""."""
        if self.min is not None and self.max is not None:
            return f"{_plain(self.min)} to {_plain(self.max)}"
        if self.min is not None:
            return f"from {_plain(self.min)}"
        return f"up to {_plain(self.max)}" if self.max is not None else ""


def _plain(number: float) -> str:
    """The shortest way to write a number, without an exponent for whole ones."""
    return str(int(number)) if abs(number) < 1e15 and number == int(number) else f"{number:.12g}"


class HasOptions(Protocol):
    """What parse_options must know of a filter class."""

    name: ClassVar[str]
    options: ClassVar[tuple[Option, ...]]
    timeline: ClassVar[bool]


@dataclass(frozen=True, slots=True)
class Parsed:
    """Checked values by name, defaults filled in; with a per_item option also "overrides": {item: {name:
    value}}.

    given: the names that the user wrote. enable: the timeline expression (variables TIMELINE), None for
    always.
    """

    values: dict[str, Any]
    given: frozenset[str] = frozenset()
    enable: Expr | None = None


def parse_options(cls: type[HasOptions], spec: FilterSpec | Located | str | None) -> Parsed:
    """Read a filter's arguments against its table.

    spec: the filter as parsed from a graph, or its arguments alone. Positional values go to the options in
    table order, then key=value; the last of two values for one option counts, as in ffmpeg. Raises GraphError
    with the place of the fault in the text that the user wrote.
    """
    args = (
        spec.args if isinstance(spec, FilterSpec) else Located.plain(spec) if isinstance(spec, str) else spec
    )
    reader = _Reader(cls)
    if args is not None:
        reader.read(args)
    return reader.finish()


_KEY = re.compile(r"[ \n\t\r]*([A-Za-z0-9_./-]*)[ \n\t\r]*=")


@dataclass(slots=True)
class _Reader:
    """State of reading one filter's arguments."""

    cls: type[HasOptions]
    values: dict[str, Any] = field(default_factory=dict)
    overrides: list[tuple[str, Option, Any, GraphError]] = field(default_factory=list)
    enable: Expr | None = None
    named: bool = False

    def read(self, args: Located) -> None:
        pos, position = 0, 0
        while pos < len(args):
            key = _KEY.match(args.text, pos)
            if key:
                self.named = True
                value, pos = args.token(key.end(), ":")
                self.assign(args.slice(*key.span(1)), value)
            else:
                value, pos = args.token(pos, ":")
                position = self.positional(value, position)
            pos += 1  # the ':'

    def positional(self, value: Located, position: int) -> int:
        """Assign a value without a key; gives the position of the next one."""
        table = self.cls.options
        if self.named:
            raise value.error(
                f"'{value}' of filter '{self.cls.name}' stands after a key=value: write it as KEY={value} too"
            )
        if position >= len(table):
            takes = f"takes {len(table)} values" if table else "takes no options"
            raise value.error(f"no option for '{value}': filter '{self.cls.name}' {takes}")
        option = table[position]
        if not option.variadic:
            self.values[option.name] = parse_value(option, value)
            return position + 1
        (item,) = _items(option, value, split=False)
        self.values[option.name] = (*self.values.get(option.name, ()), item)
        return position

    def assign(self, key: Located, value: Located) -> None:
        """Assign a key=value."""
        name = key.text
        option = self.option(name)
        if option is not None:
            self.values[option.name] = parse_value(option, value)
        elif name == "enable":
            if not self.cls.timeline:
                raise key.error(f"Timeline ('enable' option) not supported with filter '{self.cls.name}'")
            self.enable = _expr(_ENABLE, value)
        elif (override := self.override(name)) is not None:
            item, target = override
            unknown = key.error("", 0, len(item))
            self.overrides.append((item, target, parse_value(target, value), unknown))
        else:
            known = [n for o in self.cls.options for n in (o.name, *o.aliases)]
            known += ["enable"] if self.cls.timeline else []
            raise key.error(f"unknown option '{name}' of filter '{self.cls.name}'{hint(name, known)}")

    def option(self, name: str) -> Option | None:
        return next((o for o in self.cls.options if name == o.name or name in o.aliases), None)

    def override(self, name: str) -> tuple[str, Option] | None:
        """ITEM and option of a key ITEM.option."""
        item, dot, last = name.rpartition(".")
        option = self.option(last) if dot and item else None
        return (item, option) if option is not None and option.per_item else None

    def finish(self) -> Parsed:
        values = {
            o.name: self.values[o.name] if o.name in self.values else o.default_value()
            for o in self.cls.options
        }
        if any(o.per_item for o in self.cls.options):
            values["overrides"] = self.checked_overrides(values)
        return Parsed(values, frozenset(self.values), self.enable)

    def checked_overrides(self, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        items = [i for o in self.cls.options if o.variadic for i in values[o.name] or ()]
        found: dict[str, dict[str, Any]] = {}
        for item, option, value, error in self.overrides:
            if item not in items:
                raise GraphError(
                    f"'{item}' is not among the values of filter '{self.cls.name}'{hint(item, items)}",
                    source=error.source,
                    text=error.text,
                    start=error.start,
                    end=error.end,
                )
            found.setdefault(item, {})[option.name] = value
        return found


def parse_value(option: Option, value: Located) -> Any:
    """One value of an option's type. Raises GraphError that points at the value."""
    if option.type not in ("enum", "list") and value.text in option.choice_names:
        return value.text
    try:
        return _PARSERS[option.type](option, value)
    except ValueError as error:
        words = option.choice_names if option.type not in ("enum", "list") else ()
        also = f", or {' or '.join(words)}" if words else ""
        raise value.error(f"option '{option.name}': {error}{also}") from None


def _number(option: Option, value: Located) -> float:
    """libavutil lets a number be an expression with the names default, min and max."""
    names = {"min": option.min, "max": option.max, "default": option.default}
    constants = {k: float(v) for k, v in names.items() if isinstance(v, (int, float))}
    try:
        number = evaluate(value, **constants)
    except GraphError as error:
        error.message = f"option '{option.name}': '{value}' is not a number: {error.message}"
        raise
    return _ranged(option, number, value)


def _ranged(option: Option, number: float, value: Located, shown: str = "") -> float:
    low, high = option.min, option.max
    if number != number or (low is not None and number < low) or (high is not None and number > high):
        bounds = f"[{'-inf' if low is None else _plain(low)} - {'inf' if high is None else _plain(high)}]"
        raise value.error(f"value {shown or f'{number:g}'} for option '{option.name}' out of range {bounds}")
    return number


def _int(option: Option, value: Located) -> int:
    number = _number(option, value)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"'{value}' is not a whole number")
    return int(number)


def _enum(option: Option, value: Located) -> str:
    if value.text not in option.choice_names:
        known = option.choice_names
        raise ValueError(
            f"unknown value '{value}'{hint(value.text, known) or ' (one of ' + ', '.join(known) + ')'}"
        )
    return value.text


def _duration(option: Option, value: Located) -> Duration:
    match = re.fullmatch(r"(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(s|ms|us|frames|f)?", value.text)
    if match is None:
        raise ValueError(f"'{value}' is not a duration (12 frames are 12, seconds are 1.5s or 500ms)")
    number, unit = float(match[1]), match[2]
    if not abs(number) < _LONGEST:
        raise ValueError(f"'{value}' is too long")
    if unit in (None, "f", "frames"):
        if number != int(number):
            raise ValueError(f"'{value}' is not a whole number of frames (for seconds write {match[1]}s)")
        return Duration(_ranged(option, number, value))
    seconds = number * {"s": 1.0, "ms": 1e-3, "us": 1e-6}[unit]
    return Duration(_ranged(option, seconds, value, value.text), "s")


def _size(option: Option, value: Located) -> tuple[int, int]:
    width, height = parse_size(value.text)
    for side in (width, height):
        _ranged(option, side, value)
    return width, height


def _items(option: Option, value: Located, split: bool = True) -> tuple[str, ...]:
    """Items of a list, each checked against the choices. Empty text is an empty list."""
    if not value.text and split:
        return ()
    items, pos = [], 0
    while pos <= len(value):
        stop = value.text.find("|", pos) if split else -1
        end = len(value) if stop < 0 else stop
        item = value.slice(pos, end)
        if not item.text:
            raise value.error(f"option '{option.name}': an item is empty", pos, end)
        if option.choices and item.text not in option.choice_names:
            known = option.choice_names
            advice = hint(item.text, known) or f" (one of {', '.join(known)})"
            raise item.error(f"option '{option.name}': unknown value '{item}'{advice}")
        items.append(item.text)
        pos = end + 1
    return tuple(items)


def _expr(option: Option, value: Located) -> Expr:
    try:
        made = Expr(value, option.names)
        if not made.used and "while" in value.text:
            made.eval()  # it is the same for every frame: one that never ends is told now, not at the first of them
            made = Expr(value, option.names)  # with its variables as they were
        return made
    except GraphError as error:
        error.message = f"option '{option.name}': {error.message}"
        raise


_ENABLE = Option("enable", "expr", None, "when the filter is on", names=TIMELINE)

_PARSERS: dict[str, Callable[[Option, Located], Any]] = {
    "int": _int,
    "float": _number,
    "bool": lambda option, value: parse_bool(value.text),
    "string": lambda option, value: value.text,
    "path": lambda option, value: value.text,
    "enum": _enum,
    "duration": _duration,
    "color": lambda option, value: parse_color(value.text),
    "list": _items,
    "size": _size,
    "expr": _expr,
}
