"""Which frames were looks for a class, as far as records tell."""

from __future__ import annotations

from anonfilter.records import FrameRecord


class Looks:
    """The newest two looks for every class.

    Records name the models that ran, not what these can find. A class is taken to be looked for where all those models
    ran that ran whenever it was found so far; where no model ran every time, several find it, and any will do. In
    doubt a frame is no look: an object counts as gone only where something looked and did not see it.
    """

    def __init__(self) -> None:
        self._models: dict[str, frozenset[str]] = {}
        self._last: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def add(self, record: FrameRecord) -> None:
        """Take note of a record; they come in decode order."""
        if not record.ran:
            return
        ran = frozenset(record.ran)
        for cls in {r.cls for r in record.regions if r.src == "det"}:
            self._models[cls] = self._models.get(cls, ran) & ran
        for cls, models in self._models.items():
            if models <= ran:
                self._before[cls], self._last[cls] = self.last(cls), record.n

    def last(self, cls: str) -> int:
        """Frame of the newest look for that class, -1 if there was none."""
        return self._last.get(cls, -1)

    def before(self, cls: str) -> int:
        """Frame of the look before that, -1 if there was none."""
        return self._before.get(cls, -1)
