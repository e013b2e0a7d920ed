"""`anonfilter models`: list, pull, path, add."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from anonfilter.errors import AnonfilterError, UsageError
from anonfilter.models import catalog, fetch, scenenet
from anonfilter.models.catalog import Model


def main(argv: Sequence[str]) -> int:
    """Run one subcommand; argv is what follows `anonfilter models`. Returns the exit status."""
    args = _parser().parse_args(list(argv))
    try:
        status: int = args.run(args)
    except AnonfilterError as error:
        print(f"anonfilter: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `models list | head`: nothing is wrong, and the interpreter must not complain when it flushes.
        sys.stdout = None
        return 0
    return status


def _list(args: argparse.Namespace) -> int:
    rows = [("NAME", "ALIAS", "FAMILY", "CLASSES", "LICENCE", "SIZE", "STATE", "SOURCE")]
    rows += [
        (
            model.name, ",".join(model.aliases) or "-", model.family, ",".join(model.classes), model.licence,
            f"{model.bytes / 1e6:.1f}MB" if model.bytes else "-", model.state, _source(model),
        )
        for model in catalog.load().values()
    ]  # fmt: skip
    shots = scenenet.SOURCE
    state = "cached" if fetch.cached_path(shots).is_file() else "missing"
    rows.append((shots.name, "-", "(scene)", "-", shots.licence, f"{shots.bytes / 1e6:.1f}MB", state, shots.source))
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[7]]))
    return 0


def _source(model: Model) -> str:
    if model.added:
        return "added"
    return model.source or model.homepage


def _pull(args: argparse.Namespace) -> int:
    for model in [_resolve(name) for name in args.names]:
        print(f"{model.name}: {fetch.ensure(model, catalog.to_stderr)}", file=sys.stderr)
    return 0


def _path(args: argparse.Namespace) -> int:
    print(fetch.ensure(_resolve(args.name), catalog.to_stderr))
    return 0


def _resolve(name: str) -> fetch.Source:
    """A row of the catalogue, or the net of scene=transnetv2, which is no detector."""
    return scenenet.SOURCE if name == scenenet.SOURCE.name else catalog.resolve(name)


def _add(args: argparse.Namespace) -> int:
    from anonfilter.models.adding import add

    classes = tuple(name.strip() for name in args.classes.split(",") if name.strip())
    model = add(args.name, Path(args.file), args.family, classes, args.licence)
    print(
        f"anonfilter: added {model.name} (family {model.family}, classes {','.join(model.classes)}, licence "
        f"{model.licence}, sha256 {model.sha256})",
        file=sys.stderr,
    )
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"models: {message} (anonfilter models -h shows the commands)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="anonfilter models", description="The detection models and where they are."
    )
    commands = parser.add_subparsers(required=True, metavar="list|pull|path|add")
    command = commands.add_parser("list", help="show the catalogue and what is in the cache")
    command.set_defaults(run=_list)
    command = commands.add_parser("pull", help="download models that are not in the cache yet")
    command.add_argument("names", nargs="+", metavar="NAME")
    command.set_defaults(run=_pull)
    command = commands.add_parser("path", help="print the path of a model's file, downloading it if need be")
    command.add_argument("name", metavar="NAME")
    command.set_defaults(run=_path)
    command = commands.add_parser("add", help="check an ONNX file of your own and keep it under a name")
    command.add_argument("name", metavar="NAME")
    command.add_argument("file", metavar="FILE.onnx")
    command.add_argument(
        "--family", help="how its outputs are decoded: centerface, retina or yolo (default: told by them)"
    )
    command.add_argument(
        "--classes", default="", metavar="A,B", help="class names in output order (default: the file's)"
    )
    command.add_argument("--licence", default="", help="SPDX identifier (default: what the file says)")
    command.set_defaults(run=_add)
    return parser
