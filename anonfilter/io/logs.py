"""libav's log messages, which say what its error codes do not."""

from __future__ import annotations

import ast
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import av
import av.logging

Message = tuple[int, str, str]
"""libav level, name of the component that speaks ("matroska,webm", "libx264"), text."""

_lock = threading.Lock()


def listen(level: int = av.logging.ERROR) -> None:
    """Let libav's messages up to `level` reach captures and Python's logging (loggers "libav.NAME").

    PyAV drops them all unless it is told otherwise. A message that nobody captures must not reach the
    terminal through logging's last resort, so the logger gets a handler that does nothing. Levels above
    errors are left to captured(): each message costs the interpreter's lock, also in the codecs' worker
    threads.
    """
    with _lock:
        # Else the same file read twice in one process would complain only once.
        av.logging.set_skip_repeated(False)
        now = av.logging.get_level()
        if now is None or now < level:
            av.logging.set_level(level)
        logger = logging.getLogger("libav")
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


@contextmanager
def captured(level: int = av.logging.ERROR) -> Iterator[list[Message]]:
    """The messages of this thread while the block runs.

    Messages of codec worker threads are not among them.
    """
    listen()
    before = av.logging.get_level()
    raised = before is None or before < level
    if raised:
        av.logging.set_level(level)
    try:
        with av.logging.Capture() as found:
            yield found
    finally:
        if raised:
            av.logging.set_level(before)


def errors(messages: Iterable[Message]) -> list[str]:
    """Texts of error messages, each once, in order."""
    return list(
        dict.fromkeys(text.strip() for level, _, text in messages if level <= av.logging.ERROR and text.strip())
    )


def reason(error: BaseException, messages: Iterable[Message] = ()) -> str:
    """One line for an exception of PyAV: what libav said, else what the error code means."""
    texts = errors(messages)
    if not texts:
        texts = [str(getattr(error, "strerror", None) or error)]
    return "; ".join(text.rstrip(".") for text in texts)


@contextmanager
def unused_options() -> Iterator[list[str]]:
    """Names of the options that no muxer took. PyAV only tells its log."""
    names: list[str] = []
    me = threading.get_ident()
    logger = logging.getLogger("av.container.output")

    def look(record: logging.LogRecord) -> bool:
        head, _, rest = record.getMessage().partition(": ")
        if record.thread != me or head != "Some options were not used":
            return True
        names.extend(ast.literal_eval(rest))
        return False

    level, disabled = logger.level, logger.disabled
    logger.addFilter(look)
    logger.setLevel(logging.WARNING)
    logger.disabled = False
    try:
        yield names
    finally:
        logger.removeFilter(look)
        logger.setLevel(level)
        logger.disabled = disabled
