"""Interlaced pictures: two half pictures of two moments. A box that moves cannot be right for both."""

from __future__ import annotations

from anonfilter.errors import GraphError
from anonfilter.syntax import parse_graph

_FILTERS = frozenset({"yadif", "bwdif", "w3fdif", "estdif", "nnedi", "kerndeint", "fieldmatch", "separatefields"})
"""libavfilter's filters that leave whole pictures of one moment."""

_DECLARE = frozenset({"setfield", "setparams"})
"""With these a user says that the mark is wrong."""


def deinterlaces(graph: str) -> bool:
    """Whether a graph's first filter ends interlacing. False for a graph that is wrong: others say so better."""
    try:
        specs = parse_graph(graph, "-vf").linear() if graph.strip() else []
    except GraphError:
        return False
    if not specs:
        return False
    first = specs[0]
    declared = first.name in _DECLARE and first.args is not None and "prog" in first.args.text
    return first.name in _FILTERS or declared
