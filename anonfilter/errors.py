"""What can go wrong, as a typed tree. A message is one clear line; the command line adds nothing to it."""

from __future__ import annotations


class AnonfilterError(Exception):
    """Base of every error that a user can cause or meet. str() is the line to print."""


def one_line(text: str) -> str:
    """Text as one line of as many columns: what would break it, or steer a terminal, becomes a space or a box."""
    return "".join(" " if c in "\t\n\r" else c if c.isprintable() else "\ufffd" for c in text)


class GraphError(AnonfilterError):
    """A filter graph, an expression or a filter option is wrong.

    source: where the text is from ("-vf"). text: the whole text. start, end: the half-open span of
    characters at fault, shown below the message with carets; None where no place can be named.
    """

    def __init__(
        self,
        message: str,
        *,
        source: str = "-vf",
        text: str = "",
        start: int | None = None,
        end: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.source, self.text, self.start, self.end = message, source, text, start, end

    def __str__(self) -> str:
        head = f"{self.source}: {one_line(self.message)}"
        if self.start is None or not self.text:
            return head
        # Only the line that holds the fault: a -/vf file has many, and its newlines would misplace the carets.
        line_start = self.text.rfind("\n", 0, self.start) + 1
        line_end = self.text.find("\n", self.start)
        line = one_line(self.text[line_start : line_end if line_end >= 0 else len(self.text)])
        begin = self.start - line_start
        stop = min(len(line), (self.end or self.start + 1) - line_start)
        return f"{head}\n  {line}\n  {' ' * begin}{'^' * max(1, stop - begin)}"


class UsageError(AnonfilterError):
    """The command line is wrong: unknown option, missing value, value out of range."""


class InputError(AnonfilterError):
    """The input cannot be opened, read or decoded, or is not what it says."""


class OutputError(AnonfilterError):
    """The output cannot be created, encoded or written."""


class ModelError(AnonfilterError):
    """A model is unknown, cannot be had, or does not match its checksum."""


class RecordError(AnonfilterError):
    """A record file is damaged, cut short or belongs to another video."""


class PlanError(AnonfilterError):
    """The graph is well formed and cannot be run on this input."""


class Cancelled(AnonfilterError):
    """The run was stopped from outside (Ctrl-C)."""
