"""The page and the plot of bench/leak.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leak import Counts

Table = Mapping[str, "Counts"]

HEAD = """<!-- Made by bench/leak.py. Do not edit. -->
# Leaks against detector calls

An object-frame (one object on one frame) leaks where less than {limit:.0%} of its truth box is covered. Clips: {clips}.
An object that is never covered was not found by any look, and what works on looks cannot cover it.
Calls per frame are runs of a model on a whole frame over frames x models, "+" its looks at parts of a frame (glances of
every=auto, second looks of redetect) in the same unit, by tensor area. The default chain is detect,track,interp with
what the planner adds: scene, redetect, grow, smooth. Over-blur: share of the area that belongs to no object which is
covered.

{versions}
"""
COLUMNS = (
    "graph", "every", "leaked", "of objects never covered", "recall", "objects that leak", "longest exposed, ms",
    "of {tall} px and more", "exposed s per person-hour", "over-blur", "calls per frame",
)  # fmt: skip
COMPARED = (("detect alone", "1"), ("default chain", "1"), ("default chain", "5"), ("default chain", "auto"))
"""(name, every) of the rows that are given clip by clip and tag by tag."""


def pooled(tables: Iterable[Table]) -> dict[str, Counts]:
    """All clips together, by row."""
    out: dict[str, Counts] = {}
    for table in tables:
        for key, counts in table.items():
            if key not in out:
                out[key] = type(counts)()
            out[key].add(counts)
    return out


def line(cells: Iterable[object]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    names = list(head)
    return "\n".join([line(names), line("---" for _ in names), *(line(row) for row in rows)])


def ratio(a: float, b: float, digits: int) -> str:
    """a / b, or "-" where b is 0."""
    return f"{a / b:.{digits}f}" if b else "-"


def calls(counts: Counts) -> str:
    """Calls per frame, and crops where there are any."""
    text = ratio(counts.calls, counts.possible, 3)
    return f"{text} + {ratio(counts.crops, counts.possible, 3)}" if counts.crops else text


def cells(key: str, c: Counts) -> list[object]:
    """One row of the main table."""
    name, every = key.split("|")
    return [
        name, every, c.leaked, c.never, ratio(c.told - c.leaked, c.told, 4), f"{c.leaking} of {c.tracks}",
        f"{c.longest_ms:.0f}", f"{c.tall_ms:.0f}", ratio(3600 * c.exposed_s, c.visible_s, 1),
        ratio(c.beyond, c.rest, 4), calls(c),
    ]  # fmt: skip


def page(result: Mapping[str, Table], limit: float, tall: int, versions: str) -> str:
    """The whole page as Markdown. result: counts by clip and by "NAME|every"."""
    total = pooled(result.values())
    names = [column.format(tall=tall) for column in COLUMNS]
    parts = [HEAD.format(limit=limit, clips=", ".join(result), versions=versions)]
    parts.append(f"## All clips\n\n{table(names, (cells(key, c) for key, c in total.items()))}\n")
    compared = [f"{name}|{every}" for name, every in COMPARED if f"{name}|{every}" in total] or list(total)
    titles = [key.replace("|", ", every=") for key in compared]
    parts.append("## Clip by clip\n\nLeaked of all object-frames, calls per frame.\n")
    clips = {**result, **by_movement(result)}
    rows = ([clip, *(of(counts, key) for key in compared)] for clip, counts in clips.items())
    parts.append(table(["clip", *titles], rows) + "\n")
    tags = sorted({tag for key in compared for tag in total[key].tags})
    parts.append("## By class and by what makes it hard\n")
    parts.append(f"Leaked of all object-frames; longest exposed run of objects of {tall} px and more.\n")
    rows = ([tag, *(tagged(total[key].tags.get(tag)) for key in compared)] for tag in tags)
    parts.append(table(["tag", *titles], rows) + "\n")
    return "\n".join(parts)


def by_movement(result: Mapping[str, Table]) -> dict[str, Table]:
    """Sums over the clips whose name ends in (little) and in (busy)."""
    out = {}
    for kind in ("little", "busy"):
        tables = [counts for clip, counts in result.items() if clip.endswith(f"({kind})")]
        if tables:
            out[f"all {kind}"] = pooled(tables)
    return out


def of(counts: Table, key: str) -> str:
    """A clip's cell: leaked, of how many, calls."""
    return f"{leaked(counts[key])}, {calls(counts[key])}" if key in counts else "-"


def tagged(c: Counts | None) -> str:
    """A tag's cell."""
    return "-" if c is None else f"{leaked(c)}, {c.tall_ms:.0f} ms"


def leaked(c: Counts) -> str:
    """Leaked of all object-frames, and how many of these belong to objects that are never covered."""
    return f"{c.leaked} of {c.told}" + (f" (never: {c.never})" if c.never else "")


def plot(result: Mapping[str, Table], path: Path) -> None:
    """Leaked share against calls per frame, a line for each chain over its schedules."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    total = pooled(result.values())
    figure, axes = pyplot.subplots(figsize=(10, 5), constrained_layout=True)
    for name in dict.fromkeys(key.split("|")[0] for key in total):
        points = {key.split("|")[1]: place(total[key]) for key in total if key.startswith(f"{name}|")}
        fixed = sorted(point for every, point in points.items() if every != "auto")
        chain = len(fixed) > 2  # not one that stands for a single schedule
        (drawn,) = axes.plot(*zip(*fixed, strict=True), "o-" if chain else "x", label=name)
        if "auto" in points:
            axes.plot(*points["auto"], "*" if chain else "+", markersize=14, color=drawn.get_color())
    axes.plot([], [], "k*", markersize=14, label="every=auto (without a filter: +)")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylim(bottom=-0.02)
    axes.margins(y=0.1)
    axes.set_xlabel("detector calls per frame and model, crops included")
    axes.set_ylabel("leaked object-frames, %")
    axes.grid(True, alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    pyplot.close(figure)


def place(c: Counts) -> tuple[float, float]:
    """Where a row is in the plot: calls per frame, leaked share in percent."""
    return (c.calls + c.crops) / max(1, c.possible), 100 * c.leaked / max(1, c.told)
