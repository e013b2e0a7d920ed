"""Detectors that ask their net once for each frame of a clip, whoever asks again: for running many graphs on one clip.

`stand_in(memo, meter)` makes a class that takes the place of models.detector.Detector in the detect filter. All of the
Detector is the real one but for its look at a whole frame: the net's detections from a low threshold on are kept
in the memo, and those over the asked threshold are given from it. That is exact: NMS goes from high scores to
low ones, so a box that is left out changes nothing for those above it. Looks at a crop are not kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anonfilter import infer
from anonfilter.frame import Frame, StreamInfo
from anonfilter.models.detector import Detector
from anonfilter.models.family import Detection

LOW = 0.25
"""The memo holds detections from this share of the model's own threshold on."""

Found = list[Detection]


class Memo:
    """What the nets said of one clip, by look ("MODEL WxH[ in WxH]") and frame.

    folder: where it is kept between runs, None for nowhere. clip: the sha256 of the clip's file. sessions: shared by
    all detectors, opened when the first net has to run.
    """

    def __init__(self, clip: str, folder: Path | None = None) -> None:
        self._path = folder / f"{clip[:32]}.json" if folder else None
        self._looks: dict[str, dict[int, Found]] = {}
        self.sessions: dict[str, Any] = {}
        self.filled = 0
        if self._path and self._path.exists():
            value = json.loads(self._path.read_text())
            self._looks = {
                look: {int(n): [_detection(item) for item in items] for n, items in rows.items()}
                for look, rows in value.items()
            }

    def get(self, look: str, n: int, ask: Callable[[], Found]) -> Found:
        """What is known of frame n, asking the net where nothing is."""
        rows = self._looks.setdefault(look, {})
        if n not in rows:
            rows[n] = ask()
            self.filled += 1
        return rows[n]

    def save(self) -> None:
        """Keep it, if it has a folder and learnt something."""
        if self._path is None or not self.filled:
            return
        value = {
            look: {str(n): [[item.box, item.cls, item.score, item.poly] for item in found] for n, found in rows.items()}
            for look, rows in self._looks.items()
        }
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(value))
        part.replace(self._path)

    def close(self) -> None:
        """Free the nets."""
        for session in self.sessions.values():
            session.close()
        self.sessions.clear()


def _detection(item: list[Any]) -> Detection:
    box, cls, score, poly = item
    return Detection(tuple(box), cls, score, None if poly is None else tuple((x, y) for x, y in poly))


@dataclass
class Meter:
    """What one graph asked of the nets. calls: of each model on whole frames. area: of the tensors of one such call, in
    samples. crops, crop_area: runs of a net on anything else, and the area of their tensors. Neither this nor Memo is
    for several threads: lanes.py opens its filters with threads=1, with which models look one after the other."""

    calls: Counter[str] = field(default_factory=Counter)
    area: dict[str, int] = field(default_factory=dict)
    crops: int = 0
    crop_area: int = 0

    def crop_calls(self) -> float:
        """The crops' cost, in calls of an average model on a whole frame (by tensor area)."""
        return self.crop_area / (sum(self.area.values()) / len(self.area)) if self.area else 0.0


class _Lazy:
    """A session that is opened when it is run, once for all who need the like. The meter counts its runs, unless they
    fill the memo."""

    def __init__(self, memo: Memo, meter: Meter, key: str, opener: Callable[[], Any], area: int) -> None:
        self._memo, self._meter, self._key, self._opener, self._area = memo, meter, key, opener, area
        self.filling = False

    def run(self, tensor: Any) -> Any:
        if not self.filling:
            self._meter.crops += 1
            self._meter.crop_area += self._area
        if self._key not in self._memo.sessions:
            self._memo.sessions[self._key] = self._opener()
        return self._memo.sessions[self._key].run(tensor)

    def close(self) -> None:
        """The memo closes it."""


def opener(memo: Memo, meter: Meter) -> Callable[..., Any]:
    """In place of infer.open_session."""

    def open_lazily(path: Any, *, shapes: dict[str, tuple[int, ...]], **how: Any) -> _Lazy:
        shape = next(iter(shapes.values()))
        key = f"{path} {shapes}"
        return _Lazy(memo, meter, key, lambda: infer.open_session(path, shapes=shapes, **how), shape[-1] * shape[-2])

    return open_lazily


def stand_in(memo: Memo, meter: Meter) -> type[Detector]:
    """A Detector that answers from the memo and counts in the meter."""

    class Remembering(Detector):
        def __call__(self, frame: Frame, stream: StreamInfo, *more: Any, **named: Any) -> Found:
            meter.calls[self.model.name] += 1
            meter.area[self.model.name] = sum(look.size[0] * look.size[1] for look in self._looks)
            return super().__call__(frame, stream, *more, **named)

        def _look(self, look: Any, frame: Frame, stream: StreamInfo, thresh: float, *more: Any, **named: Any) -> Found:
            if more or named:
                return super()._look(look, frame, stream, thresh, *more, **named)
            low = LOW * self.model.thresh
            if thresh < low:
                raise ValueError(f"{self.model.name}: asked from {thresh} on, the memo has what is over {low}")

            def ask() -> Found:
                look.session.filling = True
                try:
                    return super(Remembering, self)._look(look, frame, stream, low)
                finally:
                    look.session.filling = False

            size = "x".join(map(str, look.size)) + (f" in {look.room[0]}x{look.room[1]}" if look.room else "")
            found = memo.get(f"{self.model.name} {self.model.sha256[:16]} {size}", frame.n, ask)
            least = np.float32(thresh)  # as the families compare
            return [item for item in found if np.float32(item.score) >= least]

        def close(self) -> None:
            with suppress(AttributeError):
                super().close()

    return Remembering
