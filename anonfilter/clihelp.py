"""-h, -h filter=NAME, -filters and -version. All of it is made from the option tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from anonfilter import __version__
from anonfilter.clijob import pending
from anonfilter.cliopts import COMMON, FLAGS, Flag
from anonfilter.errors import UsageError

if TYPE_CHECKING:
    from anonfilter.options import Option

USAGE = "usage: anonfilter [options] -i INPUT [options] -vf GRAPH OUTPUT"
_INTRO = f"""anonfilter: anonymise video the way ffmpeg filters it
{USAGE}
       anonfilter models list|pull|path|add ...
       anonfilter eval -truth T.json [-records R.jsonl] [-source IN -output OUT] ...
       anonfilter scan [-json] [-ignore KINDS] FILE ...

  anonfilter -i in.mp4 -vf "detect=faces:plates,track,interp=pchip,blur=adaptive" out.mp4

Getting help:
    -h              these options
    -h full         these options, and those of all filters
    -h filter=NAME  the options of one filter
    -filters        the filters
"""
SECTIONS = {
    "generic": "Generic options",
    "main": "Main options",
    "video": "Video options",
    "audio": "Audio options",
    "subtitle": "Subtitle and data options",
    "advanced": "Advanced options",
    "own": "Options of this program's own",
}
"""Titles of the tables' sections, which are those of ffmpeg's manual."""
WHERE = {"global": "", "file": " [input, output]", "input": " [input]", "output": ""}


def main_help(full: bool = False) -> Iterator[str]:
    """Lines of -h and -h full."""
    yield from _INTRO.splitlines()
    yield "Options stand before the file that they are for; those for an input say [input]."
    for section, title in SECTIONS.items():
        yield ""
        yield f"{title}:"
        yield from (flag_line(flag) for flag in FLAGS if flag.section == section and not pending(flag.dest))
    yield ""
    yield "Encoder and muxer options, by ffmpeg's names; any that the encoder or muxer takes is accepted:"
    yield from (f"    {'-' + name:<22} {text}" for name, text in COMMON)
    if full:
        from anonfilter import filter as registry

        for name in registry.names():
            yield ""
            yield from filter_help(name)


def flag_line(flag: Flag) -> str:
    """One line of -h: the usual name, then the others."""
    head = f"-{flag.names[0]} {flag.arg}".rstrip()
    also = f" (also {', '.join('-' + name for name in flag.names[1:])})" if len(flag.names) > 1 else ""
    return f"    {head:<22} {flag.help}{also}{WHERE[flag.where]}"


def topic_help(topic: str) -> Iterator[str]:
    """Lines of -h TOPIC. Raises UsageError for a topic that there is not."""
    kind, _, name = topic.partition("=")
    if kind == "filter" and name:
        yield from filter_help(name)
    elif topic in ("", "long", "full"):
        yield from main_help(full=topic == "full")
    else:
        raise UsageError(f"no help for '{topic}': use -h, -h full or -h filter=NAME")


def filter_help(name: str) -> Iterator[str]:
    """Lines of -h filter=NAME in ffmpeg's layout. Raises UsageError for a name that nobody has."""
    from anonfilter import filter as registry
    from anonfilter.values import hint

    cls = registry.find(name)
    if cls is None:
        import av.filter

        if name not in av.filter.filters_available:
            known = [*registry.names(), *av.filter.filters_available]
            raise UsageError(f"Unknown filter '{name}'.{hint(name, known)}")
        yield f"Filter {name} (libavfilter)"
        yield f"  {av.filter.Filter(name).description}"
        yield f"For its options see `ffmpeg -h filter={name}` or ffmpeg's manual."
        return
    yield f"Filter {name}"
    yield f"  {cls.help}"
    yield f"    {cls.role.value}"
    if cls.options:
        yield f"{name} options:"
        for option in cls.options:
            yield from _option_lines(option, cls.timeline)
    if cls.timeline:
        yield ""
        yield "This filter has support for timeline through the 'enable' option."


def _option_lines(option: Option, timeline: bool) -> Iterator[str]:
    yield f"   {option.name:<17} {'<' + option.type + '>':<12} {option_text(option)}"
    for choice in option.choices:
        name, text = (choice, "") if isinstance(choice, str) else choice
        yield f"     {name:<15} {'':<12} {text}".rstrip()


def option_text(option: Option) -> str:
    """Help, unit, range, default and what else a table row says, in ffmpeg's brackets."""
    parts = [option.help]
    if bounds := option.range_text():
        parts.append(f"({bounds.replace(' to ', ' - ')}{' ' + option.unit if option.unit else ''})")
    elif option.unit:
        parts.append(f"({option.unit})")
    if default := option.default_text():
        quote = '"' if option.type in ("string", "path", "expr", "list") else ""
        parts.append(f"(default {quote}{default}{quote})")
    if option.variadic:
        parts.append("(takes all values that have no name)")
    if option.per_item:
        parts.append(f"(also ITEM.{option.name})")
    if option.aliases:
        parts.append(f"(also {', '.join(option.aliases)})")
    return " ".join(parts)


def filter_list() -> Iterator[str]:
    """Lines of -filters."""
    from anonfilter import filter as registry

    yield "Filters:"
    yield "  T = timeline (enable=) support"
    for name in registry.names():
        cls = registry.find(name)
        if cls is not None:
            yield f" {'T' if cls.timeline else '.'} {name:<12} {cls.role.value:<14} {cls.help}"
    import av
    import av.filter

    version = ".".join(map(str, av.library_versions["libavfilter"]))
    count = len(av.filter.filters_available)
    yield f"Any of the {count} filters of libavfilter {version} can stand before or after these."


def version_lines() -> Iterator[str]:
    """Lines of -version."""
    import platform

    yield f"anonfilter {__version__}"
    yield f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    import av

    ffmpeg = getattr(av, "ffmpeg_version_info", "")
    yield f"PyAV {av.__version__}{', FFmpeg ' + ffmpeg if ffmpeg else ''}"
    for library, numbers in sorted(av.library_versions.items()):
        yield f"  {library:<14} {'.'.join(map(str, numbers))}"
    yield f"kernels: {_kernels()}"
    engines = [f"{name} {v}" for name in ("onnxruntime", "openvino", "tensorrt") if (v := _installed(name))]
    yield f"inference: {', '.join(engines) or 'none (pip install onnxruntime)'}"


def _kernels() -> str:
    """Which C++ path this CPU runs."""
    try:
        from anonfilter.kernels import _cpu
    except ImportError as error:
        return f"not built ({error})"
    isa = getattr(_cpu, "isa", None)
    return f"cpu ({isa() if callable(isa) else isa or 'portable C++'})"


def _installed(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def show(lines: Iterator[str]) -> None:
    """Print to stdout."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
