"""The graph language: filter chains, labels, arguments, quotes and escapes, as libavfilter reads them.

The scanner follows libavutil's av_get_token and libavfilter's graph parser rule by rule; every character of
every token knows its place in the text that the user wrote, so that an error inside a value that was quoted
and escaped twice still points at the right column.
"""

from __future__ import annotations

from dataclasses import dataclass

from anonfilter.errors import GraphError
from anonfilter.located import WHITESPACE, Located


@dataclass(frozen=True, slots=True)
class Label:
    """A [name] before or after a filter; start and end enclose the brackets."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """One filter as written.

    name, id: "blur" and "x" of blur@x (None without). args: what stands after '=', unescaped once, None
    without '='. inputs, outputs: its labels. start, end: the text from the name to the last argument.
    name_span: the name alone. index: its ordinal in the graph. text: the whole graph text.
    """

    name: str
    id: str | None
    args: Located | None
    inputs: tuple[Label, ...]
    outputs: tuple[Label, ...]
    start: int
    end: int
    name_span: tuple[int, int]
    index: int
    text: str
    source: str = "-vf"

    @property
    def label(self) -> str:
        """What messages call this filter: name@id, or the name."""
        return f"{self.name}@{self.id}" if self.id else self.name

    def to_text(self) -> str:
        """The filter exactly as the user wrote it, quotes and escapes included, labels left out."""
        return self.text[self.start : self.end]

    def error(self, message: str, start: int | None = None, end: int | None = None) -> GraphError:
        """A GraphError at this filter, or at the given span of the text."""
        return GraphError(
            message,
            source=self.source,
            text=self.text,
            start=self.start if start is None else start,
            end=self.end if end is None else end,
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """Filters that are separated by ','."""

    filters: tuple[FilterSpec, ...]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A parsed graph: chains that are separated by ';'. sws_flags: "flags=..." of a leading sws_flags=...; or
    ""."""

    text: str
    source: str
    chains: tuple[Chain, ...]
    sws_flags: str = ""

    @property
    def filters(self) -> list[FilterSpec]:
        """All filters in the order they are written."""
        return [spec for chain in self.chains for spec in chain.filters]

    def linear(self) -> list[FilterSpec]:
        """The filters in the order that frames take, labels resolved.

        Each filter has one input and one output here. The ends may bear any label, as with ffmpeg's -vf.
        Raises GraphError where a label is repeated or a filter would need a second input or output, and where
        the filters do not make one path with one input and one output.
        """
        return _Links(self).path()


def parse_graph(text: str, source: str = "-vf") -> GraphSpec:
    """Parse a graph as avfilter_graph_parse2 does. Raises GraphError with the place of the fault.

    Filter names and arguments are not looked at: whose filter it is and what it takes is decided later. Where
    FFmpeg 5 and 8 differ this is 8, which PyAV brings: one ',' or ';' may end the graph, and the id
    after '@' be empty.
    """
    return _Scanner(Located.plain(text, source)).graph()


class _Scanner:
    """libavfilter's graph parser, one method per rule of it."""

    def __init__(self, whole: Located) -> None:
        self.whole, self.text, self.pos, self.count = whole, whole.text, 0, 0

    def graph(self) -> GraphSpec:
        zero = self.text.find("\0")
        if zero >= 0:
            raise self.whole.error("a NUL character in the graph", zero, zero + 1)
        self.pos = self.whole.skip(0)
        flags = self.sws_flags()
        chains: list[Chain] = []
        filters: list[FilterSpec] = []
        while True:
            self.pos = self.whole.skip(self.pos)
            filters.append(self.filter())
            self.pos = self.whole.skip(self.pos)
            separator = self.text[self.pos : self.pos + 1]
            if separator and separator in ",;" and self.whole.skip(self.pos + 1) == len(self.text):
                separator = ""
            if separator != ",":
                chains.append(Chain(tuple(filters)))
                filters = []
            if not separator:
                return GraphSpec(self.text, self.whole.source, tuple(chains), flags)
            if separator not in ",;":
                raise self.whole.error(
                    f"unexpected '{separator}' (between filters stands ',' or ';')", self.pos, self.pos + 1
                )
            self.pos += 1

    def sws_flags(self) -> str:
        if not self.text.startswith("sws_flags=", self.pos):
            return ""
        stop = self.text.find(";", self.pos)
        if stop < 0:
            raise self.whole.error("sws_flags not terminated with ';'", self.pos, self.pos + len("sws_flags"))
        flags = self.text[self.pos + len("sws_") : stop]
        self.pos = stop + 1
        return flags

    def labels(self) -> tuple[Label, ...]:
        found = []
        while self.text[self.pos : self.pos + 1] == "[":
            start = self.pos
            name, self.pos = self.whole.token(start + 1, "]")
            if not name.text:
                raise self.whole.error("bad (empty?) label", start, min(self.pos + 1, len(self.text)))
            if self.text[self.pos : self.pos + 1] != "]":
                raise self.whole.error("mismatched '['", start, start + 1)
            self.pos += 1
            found.append(Label(name.text, start, self.pos))
            self.pos = self.whole.skip(self.pos)
        return tuple(found)

    def filter(self) -> FilterSpec:
        inputs = self.labels()
        start = self.whole.skip(self.pos)
        token, self.pos = self.whole.token(self.pos, "=,;[")
        if not token.text:
            at = min(start, max(0, len(self.text) - 1))
            raise self.whole.error("a filter name is missing here", at, at + 1)
        end = _trimmed(self.text, start, self.pos)
        args = None
        if self.text[self.pos : self.pos + 1] == "=":
            args, stop = self.whole.token(self.pos + 1, "[],;")
            end = max(self.pos + 1, _trimmed(self.text, self.pos + 1, stop))
            self.pos = stop
        name, _, ident = token.text.partition("@")
        outputs = self.labels()
        span = token.span()
        spec = FilterSpec(
            name,
            ident or None,
            args,
            inputs,
            outputs,
            start,
            end,
            span,
            self.count,
            self.text,
            self.whole.source,
        )
        self.count += 1
        return spec


def _trimmed(text: str, start: int, end: int) -> int:
    """`end` without the white space before it, which the token did not take; an escaped blank is kept."""
    while end > start and text[end - 1] in WHITESPACE:
        if end - 2 >= start and text[end - 2] == "\\":
            break
        end -= 1
    return end


class _Links:
    """Connects filters as libavfilter does, each with one input and one output."""

    def __init__(self, graph: GraphSpec) -> None:
        self.graph, self.filters = graph, graph.filters
        self.next: dict[int, int] = {}
        self.open_outputs: dict[str, tuple[int, Label]] = {}  # labelled outputs that wait for their input
        self.open_inputs: dict[str, tuple[int, Label]] = {}
        self.starts: list[int] = []  # filters that nothing feeds, and that feed nothing, labelled or not
        self.ends: list[int] = []

    def path(self) -> list[FilterSpec]:
        for chain in self.graph.chains:
            previous: int | None = None
            for spec in chain.filters:
                self.input(spec, previous)
                previous = self.output(spec)
            if previous is not None:
                self.ends.append(previous)
        self.starts += [index for index, _ in self.open_inputs.values()]
        self.ends += [index for index, _ in self.open_outputs.values()]
        return self.walk()

    def input(self, spec: FilterSpec, previous: int | None) -> None:
        """Feed spec from its label or from the filter before it."""
        if len(spec.inputs) > 1 or (spec.inputs and previous is not None):
            extra = spec.inputs[1 if len(spec.inputs) > 1 else 0]
            raise self.error(
                f"too many inputs specified for the '{spec.name}' filter: a graph is one path here", extra
            )
        if not spec.inputs:
            if previous is None:
                self.starts.append(spec.index)
            else:
                self.next[previous] = spec.index
            return
        label = spec.inputs[0]
        if label.name in self.open_outputs:
            self.next[self.open_outputs.pop(label.name)[0]] = spec.index
        elif label.name in self.open_inputs:
            raise self.error(
                f"label '{label.name}' is the input of two filters: a graph is one path here", label
            )
        else:
            self.open_inputs[label.name] = spec.index, label

    def output(self, spec: FilterSpec) -> int | None:
        """Note spec's output label; gives spec.index if its output goes to the next filter of the chain."""
        if not spec.outputs:
            return spec.index
        label = spec.outputs[0]
        if len(spec.outputs) > 1:
            raise self.error(
                f"no output pad of '{spec.name}' can be associated to link label '{spec.outputs[1].name}': "
                "a graph is one path here",
                spec.outputs[1],
            )
        if label.name in self.open_inputs:
            self.next[spec.index] = self.open_inputs.pop(label.name)[0]
        elif label.name in self.open_outputs:
            raise self.error(f"label '{label.name}' is the output of two filters", label)
        else:
            self.open_outputs[label.name] = spec.index, label
        return None

    def walk(self) -> list[FilterSpec]:
        starts, ends = sorted(self.starts), sorted(self.ends)
        if len(starts) > 1 or len(ends) > 1:
            extra = self.filters[starts[1] if len(starts) > 1 else ends[1]]
            raise extra.error(
                f"a graph has 1 input and 1 output, this one has {len(starts)} and {len(ends)}: "
                f"'{extra.name}' is not connected to the rest"
            )
        order: list[FilterSpec] = []
        at = starts[0] if starts else None
        while at is not None:
            order.append(self.filters[at])
            at = self.next.get(at)
        if len(order) < len(self.filters):
            seen = {spec.index for spec in order}
            lost = next(spec for spec in self.filters if spec.index not in seen)
            raise lost.error(f"'{lost.name}' feeds itself: its labels make a loop")
        return order

    def error(self, message: str, label: Label) -> GraphError:
        return GraphError(
            message, source=self.graph.source, text=self.graph.text, start=label.start, end=label.end
        )
