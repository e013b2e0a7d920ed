"""`anonfilter eval`: the measure as a command. Exit status 0, 1 for an error, UNMET where -require is not met."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import NoReturn

from anonfilter.errors import InputError, UsageError
from anonfilter.leak.bypixels import frame_rate, of_output
from anonfilter.leak.byrecords import Measured, of_file
from anonfilter.leak.figures import LIMIT, Figures, figures, text, unmet
from anonfilter.leak.truth import Truth, load_truth
from anonfilter.records import SHAPES
from anonfilter.values import not_negative

UNMET = 2
"""Exit status where the figures are not what -require asks for: a script tells it from a command that failed."""


def main(argv: Sequence[str]) -> int:
    """Run the command; argv is what follows `anonfilter eval`. Raises AnonfilterError with one clear line."""
    args = _parser().parse_args(list(argv))
    if not args.records and not args.output:
        raise UsageError("eval: nothing to measure: give -records, or -source and -output, or all three")
    if bool(args.source) != bool(args.output):
        raise UsageError("eval: -source and -output go together: pixels are compared with those of the source")
    limit, share = _required(args.require) if args.require else (args.limit, None)
    truth = load_truth(args.truth)
    if args.source:
        _check_source(args.source, truth)
    chosen = truth.select(args.classes.split(",") if args.classes else None, args.min_height)
    found: list[Measured] = []
    if args.records:
        found.append(of_file(chosen, args.records, args.shape))
    if args.source:
        found.append(of_output(chosen, args.source, args.output))
    rate = _rate(args, truth, found)
    results = [figures(measured, rate, limit) for measured in found]
    missed = {r.measure for r in results if share is not None and unmet(r, share) is not None}
    if args.json:
        value = {"truth": args.truth, "clip": truth.clip, "measures": [r.to_json() for r in results]}
        if share is not None:
            value["met"] = not missed
        print(json.dumps(value, allow_nan=False))
    else:
        for result in results:
            _show(result, args.require if result.measure in missed else "")
    sys.stdout.flush()
    return UNMET if missed else 0


def _show(result: Figures, missed: str) -> None:
    for line in text(result):
        print(line)
    if missed:
        print(f"  not met: {missed}; below {result.limit}:")
        for k in result.exposed:
            print(f"    frame {k.frame} object {k.track} {k.cls} box {list(k.box)} share {k.share:.3f}")


def _required(given: str) -> tuple[float, float]:
    """Limit and share of LIMIT-all or LIMIT-SHARE. Raises UsageError."""
    head, _, tail = given.partition("-")
    try:
        limit, share = float(head), 1.0 if tail == "all" else float(tail)
    except ValueError:
        limit = share = -1.0
    if not (0 < limit <= 1 and 0 <= share <= 1):
        raise UsageError(f"eval: -require '{given}' is not LIMIT-all or LIMIT-SHARE, as in 0.95-all or 0.95-0.999")
    return limit, share


def _check_source(source: str, truth: Truth) -> None:
    """Tell where the file is not the one that the truth names: boxes of another cut of it would measure nothing."""
    if not truth.sha256:
        return
    digest = hashlib.sha256()
    try:
        with open(source, "rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from None
    if digest.hexdigest() != truth.sha256:
        print(f"{source}: not the file that the truth was made for (its sha256 is another)", file=sys.stderr)


def _rate(args: argparse.Namespace, truth: Truth, found: Sequence[Measured]) -> Fraction:
    """Frames a second: the truth's word, else the source's, else the records'. Raises InputError where none says."""
    rates = [truth.rate, frame_rate(args.source) if args.source else None, *(measured.rate for measured in found)]
    rate = next((rate for rate in rates if rate), None)
    if rate is None:
        raise InputError(f"{args.truth}: no 'rate' in it, and nothing else here says how long a frame is shown")
    return rate


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"eval: {message} (anonfilter eval -h shows the options)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="anonfilter eval",
        description="How much of every object is covered: boxes of a truth file against the regions of a record file, "
        "or against what the decoded output still shows.",
        epilog=f"Exit status: 0, 1 for an error, {UNMET} where -require is not met.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-truth", required=True, metavar="T.json", help="boxes of every object on every frame")
    add("-records", metavar="R.jsonl", help="a record file, made by write at the end of the lane")
    add("-source", metavar="IN", help="the clip before")
    add("-output", metavar="OUT", help="the clip after, whose pixels are compared with the source's")
    add("-shape", choices=SHAPES, default="rect", help="of regions without one: the box or the ellipse in it (rect)")
    add("-classes", metavar="A,B", help="only objects of these classes (all)")
    add("-min_height", type=_height, default=0.0, metavar="PX", help="only where an object is so high (0)")
    add("-limit", type=_limit, default=LIMIT, metavar="SHARE", help=f"of its area from which it is covered ({LIMIT})")
    add("-require", metavar="L-all", help="LIMIT-all or LIMIT-SHARE: fail unless so many object-frames reach LIMIT")
    add("-json", action="store_true", help="the figures as one JSON object")
    return parser


def _height(value: str) -> float:
    try:
        return not_negative(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{value}' is not a height in luma samples") from None


def _limit(value: str) -> float:
    try:
        limit = float(value)
    except ValueError:
        limit = -1.0
    if not 0 < limit <= 1:
        raise argparse.ArgumentTypeError(f"'{value}' is not a share above 0 and up to 1")
    return limit

