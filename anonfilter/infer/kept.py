"""Sessions that outlive a run: a folder of files opens each net once for each size of picture.

Of a net that takes any size ONNX Runtime's sessions share one copy (onnx.py), which goes with the last of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from anonfilter.infer.session import Session, Tensor

MOST = 8
"""Idle sessions that are kept; the one that was idle for longest goes first."""

Key = tuple[Any, ...]
_lock = threading.Lock()
_idle: OrderedDict[int, tuple[Key, Session]] | None = None


class _Kept:
    """A session that goes back to the shelf when it is closed."""

    def __init__(self, key: Key, session: Session) -> None:
        self._key, self._session, self._open = key, session, True
        self.input_name, self.outputs, self.engine = session.input_name, session.outputs, session.engine

    def run(self, tensor: Any) -> dict[str, Tensor]:
        """See Session."""
        return self._session.run(tensor)

    def close(self) -> None:
        """See Session."""
        if self._open:
            self._open = False
            _put(self._key, self._session)


@contextmanager
def keeping() -> Iterator[None]:
    """Inside of the block closed sessions are kept for whoever opens the same; at its end they are freed."""
    global _idle
    with _lock:
        before, _idle = _idle, OrderedDict()
    try:
        yield
    finally:
        with _lock:
            left, _idle = _idle, before
        for _, session in (left or {}).values():
            session.close()


def session(key: Key, make: Callable[[], Session]) -> Session:
    """An idle session of that key, else a new one. key: all that tells sessions apart. Raises what make() raises."""
    with _lock:
        if _idle is None:
            kept = None
        else:
            kept = next((at for at, (have, _) in _idle.items() if have == key), None)
            if kept is not None:
                return _Kept(key, _idle.pop(kept)[1])
    made = make()
    return made if _idle is None else _Kept(key, made)


def _put(key: Key, session: Session) -> None:
    gone: list[Session] = []
    with _lock:
        if _idle is None:
            gone.append(session)
        else:
            _idle[id(session)] = key, session
            while len(_idle) > MOST:
                gone.append(_idle.popitem(last=False)[1][1])
    for item in gone:
        item.close()
