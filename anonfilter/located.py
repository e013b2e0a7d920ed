"""Text that knows where it came from, and libavutil's tokens."""

from __future__ import annotations

from dataclasses import dataclass

from anonfilter.errors import GraphError

WHITESPACE = " \n\t\r"


@dataclass(frozen=True, slots=True)
class Located:
    """Text that remembers where each of its characters stands in the user's text.

    text: the characters, unescaped as far as they were read. at: index in `whole` of each character, and one
    more entry for the end. source: what the user's text is called in messages ("-vf").
    """

    text: str
    at: tuple[int, ...]
    whole: str
    source: str = "-vf"

    @classmethod
    def plain(cls, text: str, source: str = "-vf") -> Located:
        """Text that is its own source."""
        return cls(text, tuple(range(len(text) + 1)), text, source)

    def __str__(self) -> str:
        return self.text

    def __len__(self) -> int:
        return len(self.text)

    def slice(self, start: int, end: int) -> Located:
        """Characters start..end, still located."""
        return Located(
            self.text[start:end], (*self.at[start:end], self._end(start, end)), self.whole, self.source
        )

    def _end(self, start: int, end: int) -> int:
        return self.at[end - 1] + 1 if end > start else self.at[start]

    def span(self, start: int = 0, end: int | None = None) -> tuple[int, int]:
        """The half-open range of `whole` that holds characters start..end (default: all)."""
        return self.at[start], self._end(start, len(self.text) if end is None else end)

    def error(self, message: str, start: int = 0, end: int | None = None) -> GraphError:
        """A GraphError that points at characters start..end (default: all)."""
        first, last = self.span(start, end)
        return GraphError(message, source=self.source, text=self.whole, start=first, end=last)

    def skip(self, pos: int) -> int:
        """The first position from pos on that is not white space."""
        while pos < len(self.text) and self.text[pos] in WHITESPACE:
            pos += 1
        return pos

    def token(self, pos: int, stops: str) -> tuple[Located, int]:
        """One token from pos up to a bare character of `stops`, and where it stopped (libavutil's
        av_get_token).

        White space around it is dropped unless quoted or escaped; '...' is literal; a backslash takes the
        next character as it is. An open quote runs to the end of the text, and a last backslash is itself: so
        ffmpeg reads them.
        """
        text, n = self.text, len(self.text)
        pos = self.skip(pos)
        chars: list[str] = []
        where: list[int] = []
        kept = 0  # characters that trailing white space must not take
        while pos < n and text[pos] not in stops:
            c = text[pos]
            pos += 1
            if c == "\\" and pos < n:
                chars.append(text[pos])
                where.append(self.at[pos])
                pos += 1
                kept = len(chars)
            elif c == "'":
                close = text.find("'", pos)
                stop = close if close >= 0 else n
                chars.extend(text[pos:stop])
                where.extend(self.at[pos:stop])
                pos = stop
                if close >= 0:
                    pos += 1
                    kept = len(chars)
            else:
                chars.append(c)
                where.append(self.at[pos - 1])
        while len(chars) > kept and chars[-1] in WHITESPACE:
            chars.pop()
            where.pop()
        end = where[-1] + 1 if where else self.at[pos]
        return Located("".join(chars), (*where, end), self.whole, self.source), pos
