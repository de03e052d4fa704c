"""What a YAML syntax error means to a person, and how to read on behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mistake:
    """A syntax error: its place (from 1), what is wrong, the way out."""

    line: int
    column: int
    message: str
    hint: str | None


#: Lists and mappings inside one another, at most.
MAX_DEPTH = 64
#: Marks a value that `repair` has taken out.
BROKEN_TAG = "!batch-runner-broken"

_QUOTES = "put the text in quotes"
_INDENT = "lines that belong together start in the same column; text with : or # needs quotes"


def explain(error: Any, text: str) -> Mistake:
    """Return the parser's complaint in the words of someone who writes manifests."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    source = _line(text, line)
    if "end of stream" in words and context and "quoted" in str(error.context):
        return Mistake(
            context.line + 1,
            context.column + 1,
            "a quote is opened here and never closed",
            "close it, or put the text in quotes of the other kind",
        )
    if "mapping values are not allowed" in words:
        return Mistake(line, column, "a colon and a space inside text need quotes", _quoted(source))
    if "cannot start any token" in words:
        return _bad_start(line, column, source)
    if (found := _ENTRY.match(source)) and found["value"].startswith("{{"):
        return Mistake(line, column, "a value that starts with {{ needs quotes", _quoted(source))
    message, hint = _known(words)
    if " #" in source and hint is not None:
        hint += "; a # after a space starts a comment"
    return Mistake(line, column, message, hint)


def _known(words: str) -> tuple[str, str | None]:
    for pattern, message, hint in (
        ("expected ':'", "this line has no colon and belongs to no text", _INDENT),
        ("expected key", "this line is not in line with the keys around it", _INDENT),
        ("expected '-'", "this line is not in line with the list around it", _INDENT),
        ("expected ',' or ']'", "a [ is not closed, or a comma is missing", _QUOTES),
        ("expected ',' or '}'", "a { is not closed, or a comma is missing", _QUOTES),
        ("expected node content", "a value is missing or a bracket is not closed", _QUOTES),
        (
            "Unicode character escape",
            "no such character in a YAML escape",
            "write the sign itself: emoji are no pairs of \\u escapes in YAML",
        ),
        ("unknown escape character", "no such escape after \\", "double it, or use single quotes"),
        ("nesting depth", f"values are nested more than {MAX_DEPTH} deep", None),
        ("unexpected end of stream", "the file ends in the middle of something", None),
        ("block sequence entries are not allowed", "a list cannot start here", _INDENT),
    ):
        if pattern in words:
            return message, hint
    return f"this is not YAML: {words}", _INDENT


def _bad_start(line: int, column: int, source: str) -> Mistake:
    sign = source[column - 1 : column]
    indent = source[: len(source) - len(source.lstrip())]
    if sign == "\t" or "\t" in indent:
        at = indent.find("\t") + 1 if "\t" in indent else column
        return Mistake(line, at, "a tab indents this line", "indent with spaces")
    return Mistake(line, column, f"text cannot start with {sign!r}", _quoted(source))


def _quoted(source: str) -> str:
    """Return the hint that shows the line as it should be written."""
    found = _ENTRY.match(source)
    value = found["value"].strip() if found else ""
    if not value or len(value) > 60 or (value[0] in "\"'[|>{" and value[:2] != "{{"):
        return _QUOTES
    quote = "'" if '"' in value else '"'
    if quote in value:
        return _QUOTES
    return f"{_QUOTES}: {quote}{value}{quote}"


_ENTRY = re.compile(r"(?P<head>[ \t]*(?:- +)*(?:[^\s:#\"'\[{-][^:#]*: +|(?<=- )))(?P<value>.*)")


def repair(text: str, mistake: Mistake) -> str | None:
    """Return the text with the mistaken line made harmless; None when that is not safe.

    Only mistakes that sit inside one line are taken out, so that no second complaint follows from
    the first: the value of a key or of a list entry, and a tab.
    """
    lines = text.split("\n")
    source = lines[mistake.line - 1] if mistake.line <= len(lines) else ""
    if mistake.message.startswith("a tab"):
        indent = source[: len(source) - len(source.lstrip())]
        changed = indent.replace("\t", "  ") + source.lstrip()
    elif mistake.message.startswith(("a colon", "text cannot", "a value that starts", "no such")):
        found = _ENTRY.match(source)
        if not found:
            return None
        changed = f"{found['head']}{BROKEN_TAG} x"
    else:
        return None
    if changed == source:
        return None
    lines[mistake.line - 1] = changed
    return "\n".join(lines)


def _line(text: str, number: int) -> str:
    lines = text.split("\n", number)
    return lines[number - 1] if number <= len(lines) else ""
