"""Writes docs/filters.md and docs/options.md from the option tables.

python docs/generate.py            # write them
python docs/generate.py --check    # exit 1 if they are not what the tables say
"""

from __future__ import annotations

import sys
from pathlib import Path

from anonfilter import filter as registry
from anonfilter.clihelp import SECTIONS
from anonfilter.clijob import pending
from anonfilter.cliopts import COMMON, FLAGS
from anonfilter.clirefused import OTHERS
from anonfilter.expr import FUNCTIONS
from anonfilter.options import TIMELINE, Option

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Made by docs/generate.py from the option tables. Do not edit. -->\n"


def cell(text: str) -> str:
    """Text that is safe inside a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def option_row(option: Option) -> str:
    """One row of a filter's table."""
    name = f"`{option.name}`" + "".join(f", `{alias}`" for alias in option.aliases)
    default = option.default_text()
    bounds = " ".join(part for part in (option.range_text(), option.unit) if part)
    notes = [option.help]
    if option.variadic:
        notes.append("takes all values that have no name")
    if option.per_item:
        notes.append(f"`ITEM.{option.name}` sets it for one item")
    for choice in option.choices:
        word, text = (choice, "") if isinstance(choice, str) else choice
        notes.append(f"`{word}`{': ' + text if text else ''}")
    cells = (name, option.type, f"`{default}`" if default else "", bounds, "; ".join(notes))
    return f"| {' | '.join(cell(text) for text in cells)} |"


def filters() -> str:
    """docs/filters.md."""
    out = [NOTE, "# Filters\n"]
    out.append(
        "Values without a name go to the options in this order. Numbers take ffmpeg's suffixes and "
        "arithmetic. Any other filter name is libavfilter's.\n"
    )
    for name in registry.names():
        cls = registry.find(name)
        assert cls is not None, name
        out.append(f"## {name}\n")
        out.append(f"{cls.help}\n")
        enable = "takes `enable=`" if cls.timeline else "no `enable=`"
        out.append(f"Role: {cls.role.value}; {enable}.\n")
        if cls.options:
            out.append("| option | type | default | range | meaning |\n| --- | --- | --- | --- | --- |")
            out.append("\n".join(option_row(option) for option in cls.options) + "\n")
            out.append(f"```\nanonfilter -h filter={name}\n```\n")
    out.append("## Expressions\n")
    out.append(
        f"`enable=` is an expression over {', '.join(f'`{n}`' for n in TIMELINE)} with the functions "
        f"{', '.join(f'`{n}`' for n in FUNCTIONS)}; the filter is on where its absolute value is 0.5 or "
        "more.\n"
    )
    return "\n".join(out)


WHERE = {"global": "", "file": "input, output", "input": "input", "output": "output"}


def flag_rows(section: str) -> list[str]:
    """Rows of a section: what is honoured, then what is taken without effect, then what is refused."""
    rows = []
    for flag in FLAGS:
        if flag.section == section:
            first = f"`-{flag.names[0]}{' ' + flag.arg if flag.arg else ''}`"
            also = "".join(f", `-{name}`" for name in flag.names[1:])
            status = "own" if section == "own" else "not yet" if pending(flag.dest) else "honoured"
            rows.append((first + also, status, WHERE[flag.where], flag.help))
    others = [other for other in OTHERS if other.section == section]
    for other in sorted(others, key=lambda other: other.args < 0):
        names = ", ".join(f"`-{name}`" for name in other.names)
        rows.append((names, "refused" if other.args < 0 else "not applicable", "", other.text))
    return [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]


def options() -> str:
    """docs/options.md."""
    out = [NOTE, "# Command line\n"]
    out.append(
        "Options apply to the next file, as with ffmpeg. A switch `-name` is turned off by `-noname`. The sections are "
        "those of ffmpeg's manual. *Honoured* options do what ffmpeg's do; *refused* ones are an error that says what "
        "to do instead; those that are *not applicable* are taken and have nothing to act on here.\n"
    )
    for section, title in SECTIONS.items():
        out.append(
            f"## {title}\n\n| option | status | of | meaning, or what to do instead |\n| --- | --- | --- | --- |"
        )
        out.append("\n".join(flag_rows(section)) + "\n")
    out.append("## Encoder, muxer and demuxer options\n")
    out.append("Any option that the encoder or muxer takes, by ffmpeg's name, is honoured. Most used:\n")
    out.append("\n".join(f"- `-{name}`: {text}" for name, text in COMMON) + "\n")
    return "\n".join(out)


def main(argv: list[str]) -> int:
    """Write or check both pages."""
    stale = []
    for name, text in (("filters.md", filters()), ("options.md", options())):
        path = HERE / name
        if argv == ["--check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(f"docs/{name} is not what the option tables say: run python docs/generate.py")
        else:
            path.write_text(text, encoding="utf-8")
    for line in stale:
        print(line, file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
