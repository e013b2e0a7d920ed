"""The truth file: where the objects are, frame by frame (its format: bench/truth/README.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from anonfilter.errors import InputError
from anonfilter.records import Box

SEEN = 0.3
"""Share of an object that must show for the frame to count. Below it a person is hardly known by what shows, and the
truth's own box is a guess."""


@dataclass(frozen=True, slots=True)
class Look:
    """One object on one frame, an object-frame.

    box: luma samples of the coded frame, x1 and y1 exclusive. share: of its area that is covered, 0..1; None before it
    is measured and where it cannot be told. doubt: whether it is reported apart, and not counted.
    """

    frame: int
    track: int
    cls: str
    box: Box
    share: float | None = None
    doubt: bool = False
    tags: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Of the box, in luma samples."""
        return self.box[3] - self.box[1]


@dataclass(frozen=True, slots=True)
class Truth:
    """All objects of one clip. rate: frames a second, None where the file does not say. sha256: of the clip's file.
    movement: "little", "busy" or another word, "" where the file does not say.

    looks: every object-frame, by frame, shares unset. everything: the same before anything was left out by select(), so
    that covering a plate is not over-blur where only faces are asked for.
    """

    clip: str
    sha256: str
    width: int
    height: int
    frames: int
    rate: Fraction | None
    cuts: tuple[int, ...]
    movement: str
    looks: Mapping[int, tuple[Look, ...]]
    everything: Mapping[int, tuple[Look, ...]]

    def select(self, classes: Iterable[str] | None = None, min_height: float = 0.0) -> Truth:
        """Only the objects of these classes (None: all), and only the frames where they are so high. Raises InputError
        for a class that no object has."""
        if classes is None:
            return self._where(lambda k: k.height >= min_height)
        wanted = set(classes)
        known = {look.cls for row in self.everything.values() for look in row}
        if unknown := sorted(wanted - known):
            raise InputError(
                f"the truth of {self.clip} has no class {', '.join(unknown)} "
                f"(it has {', '.join(sorted(known)) or 'none'})"
            )
        return self._where(lambda k: k.cls in wanted and k.height >= min_height)

    def _where(self, keep: Callable[[Look], bool]) -> Truth:
        rows = {n: tuple(k for k in row if keep(k)) for n, row in self.looks.items()}
        return replace(self, looks={n: row for n, row in rows.items() if row})


def load_truth(path: str | Path) -> Truth:
    """Read and check a truth file. Raises InputError, which names the file and what is wrong in it."""
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the truth: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    try:
        return to_truth(value)
    except ValueError as error:
        raise InputError(f"{path}: not a truth file: {error}") from None


def to_truth(value: Any) -> Truth:
    """A truth from its JSON value. Raises ValueError with the reason."""
    if not isinstance(value, dict):
        raise ValueError("it must be an object {...}")
    width, height, frames = (_count(value, key) for key in ("width", "height", "frames"))
    cuts = tuple(value.get("cuts", ()))
    if any(not isinstance(cut, int) or not 0 < cut < frames for cut in cuts):
        raise ValueError(f"cuts {list(cuts)} are not frames between the first and the last")
    items = value.get("objects")
    if not isinstance(items, list):
        raise ValueError("it has no list 'objects'")
    looks: dict[int, list[Look]] = {}
    seen: set[int] = set()
    for item in items:
        for look in _looks(item, frames):
            looks.setdefault(look.frame, []).append(look)
        if item["id"] in seen:
            raise ValueError(f"two objects have the id {item['id']}")
        seen.add(item["id"])
    rows = {n: tuple(looks[n]) for n in sorted(looks)}
    return Truth(
        str(value.get("clip", "")), str(value.get("sha256", "")), width, height, frames, _rate(value.get("rate")), cuts,
        str(value.get("movement", "")), rows, rows,
    )  # fmt: skip


def _looks(item: Any, frames: int) -> list[Look]:
    """The object-frames of one object."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), int):
        raise ValueError("an object has no whole number 'id'")
    where = f"object {item['id']}"
    cls, tags, boxes, visible = (item.get(k, v) for k, v in (("cls", ""), ("tags", []), ("boxes", {}), ("visible", {})))
    if not isinstance(cls, str) or not cls:
        raise ValueError(f"{where} has no 'cls'")
    if not isinstance(tags, list) or any(not isinstance(tag, str) for tag in tags):
        raise ValueError(f"{where}: 'tags' must be a list of texts")
    if not isinstance(boxes, dict) or not isinstance(visible, dict):
        raise ValueError(f"{where}: 'boxes' and 'visible' must be objects by frame number")
    if strange := sorted(set(visible) - set(boxes)):
        raise ValueError(f"{where}: 'visible' speaks of frame {strange[0]}, which has no box")
    out = []
    for key, box in boxes.items():
        if not key.isascii() or not key.isdigit() or int(key) >= frames:
            raise ValueError(f"{where}: frame {key!r} is not one of 0 to {frames - 1}")
        if not isinstance(box, list) or len(box) != 4 or not all(_is_number(v) for v in box):
            raise ValueError(f"{where}, frame {key}: a box has four numbers")
        x0, y0, x1, y1 = map(float, box)
        if not (x0 < x1 and y0 < y1):
            raise ValueError(f"{where}, frame {key}: box {box} has no area (it is x0, y0, x1, y1)")
        share = visible.get(key, 1.0)
        if not _is_number(share) or not 0 <= share <= 1:
            raise ValueError(f"{where}, frame {key}: visible {share!r} is not a share of 0 to 1")
        doubt = bool(item.get("doubt")) or share < SEEN
        out.append(Look(int(key), item["id"], cls, (x0, y0, x1, y1), None, doubt, tuple(tags)))
    return out


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: dict[str, Any], key: str) -> int:
    number = value.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"'{key}' must be a whole number from 1")
    return number


def _rate(value: Any) -> Fraction | None:
    """Frames a second, a number or a text such as "30000/1001"."""
    if value is None:
        return None
    try:
        rate = Fraction(value) if not isinstance(value, bool) else Fraction(0)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        rate = Fraction(0)
    if rate <= 0:
        raise ValueError(f"rate {value!r} is not a number of frames a second")
    return rate
