"""Line breaks and indentation for long SQL. Nothing but white space changes, and none within quotes."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

WIDTH = 110
INDENT = "    "

_PHRASES = ("TIMESTAMP WITH TIME ZONE", "ON CONFLICT", "DO UPDATE SET", "DELETE FROM")
_TOKEN = re.compile(rf"""((?:{"|".join(_PHRASES)}|'(?:[^']|'')*'|"[^"]*"|[^\s'",()])+|[,()])(\s*)""")
_CLOSED_BY = {"(": ")", "CASE": "END"}
_CLAUSES = (
    *("WITH", "SELECT", "FROM", "JOIN", "LEFT", "WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET", "FOR", "UNION"),
    *("INSERT", "ON CONFLICT", "DO UPDATE SET", "UPDATE", "DELETE FROM", "SET", "VALUES", "RETURNING"),
)
_NO_CLAUSE_AFTER = ("DISTINCT", "KEY", "OUTER", "NO")
"""As in IS DISTINCT FROM, FOR NO KEY UPDATE and LEFT OUTER JOIN."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A word, or "(" or CASE with all up to its end. `gap` is the white space behind it, "" or one blank."""

    word: str
    gap: str
    inner: "tuple[_Part, ...] | None" = None
    lead: str = ""
    """The white space between the opening and what is inside."""

    @property
    def close(self) -> str:
        """What ends it, "" for a word."""
        return "" if self.inner is None else _CLOSED_BY[self.word]

    @property
    def flat(self) -> str:
        """In one line."""
        inside = "" if self.inner is None else f"{self.lead}{_flat(self.inner)}{self.lead}"
        return f"{self.word}{inside}{self.close}{self.gap}"


def laid_out(sql: str) -> str:
    """The statement in lines of about WIDTH characters; what fits into one line stays in one."""
    tokens = [(word, gap and " ") for word, gap in _TOKEN.findall(sql.strip())]
    parts, _ = _nested(iter(tokens))
    return "\n".join(_lines(parts, ""))


def _nested(tokens: Iterator[tuple[str, str]], close: str = "") -> tuple[tuple[_Part, ...], str]:
    """The parts up to `close`, and the white space behind that."""
    parts: list[_Part] = []
    for word, gap in tokens:
        if word == close:
            return tuple(parts), gap
        if word in _CLOSED_BY:
            inner, gap_behind = _nested(tokens, _CLOSED_BY[word])
            parts.append(_Part(word, gap_behind, inner, gap if word == "CASE" else ""))
        else:
            parts.append(_Part(word, gap))
    return tuple(parts), ""


def _flat(parts: Sequence[_Part]) -> str:
    return "".join(part.flat for part in parts).rstrip()


def _begins_clause(before: str, word: str) -> bool:
    return word in _CLAUSES and before not in _NO_CLAUSE_AFTER


_BREAKS: tuple[Callable[[str, str], bool], ...] = (
    _begins_clause,
    lambda _before, word: word in ("WHEN", "ELSE"),
    lambda before, _word: before == ",",
    lambda _before, word: word == "OR",
    lambda _before, word: word == "AND",
)
"""Where a line that is too long may end: at the first of these that it has anywhere outside brackets."""

_INDENTS = {*_CLAUSES, "OR", "AND", "WHEN", "ELSE"} - {"WITH"}
"""What a line begins with whose continuation stands further to the right."""


def _lines(parts: Sequence[_Part], indent: str) -> Iterator[str]:
    if len(indent) + len(_flat(parts)) <= WIDTH:
        yield indent + _flat(parts)
        return
    for begins in _BREAKS:
        first, *others = _pieces(parts, begins)
        if others:
            yield from _lines(first, indent)
            goes_in = begins not in _BREAKS[:2] and first[0].word in _INDENTS
            for piece in others:
                yield from _lines(piece, indent + INDENT if goes_in else indent)
            return
    yield from _opened(parts, indent)


def _opened(parts: Sequence[_Part], indent: str) -> Iterator[str]:
    """What can only be broken within a bracket or CASE: the first one that is long."""
    long = [part for part in parts if part.inner and len(part.flat) > WIDTH // 2]
    if not long:
        yield indent + _flat(parts)
        return
    opened = long[0]
    inner = opened.inner or ()
    at = parts.index(opened)
    yield indent + "".join(part.flat for part in parts[:at]) + opened.word
    yield from _lines(inner, indent + INDENT)
    yield from _lines((_Part(opened.close, opened.gap), *parts[at + 1 :]), indent)


def _pieces(parts: Sequence[_Part], begins: Callable[[str, str], bool]) -> list[list[_Part]]:
    pieces: list[list[_Part]] = [[]]
    before = ""
    for part in parts:
        if pieces[-1] and begins(before, part.word):
            pieces.append([])
        pieces[-1].append(part)
        before = part.word
    return pieces
