"""Explain YAML syntax errors in words that the author of a manifest understands."""

from __future__ import annotations

import re
from typing import Any, Literal

from batch_runner.manifest.yaml.mistake import (
    BROKEN_TAG,
    ENTRY,
    QUOTES,
    Mistake,
    has_content,
    in_quotes,
    indent,
    line_of,
)
from batch_runner.manifest.yaml.openings import closed_later, open_to_the_end, wrong_opening
from batch_runner.util.locale import mark_tr, tr

#: Deepest nesting of lists and mappings.
MAX_DEPTH = 64

_INDENT = mark_tr(
    "lines that belong together start in the same column; text with : or # needs quotes"
)


def explain(error: Any, text: str, last_quoted: tuple[int, int, int] | None = None) -> Mistake:
    """Return the parser's error as a mistake.

    `last_quoted` are the first line, the column and the last line of the quoted text that the
    parser read last; None if there was none.
    """
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    source = line_of(text, line)
    if (mistake := _never_closed(words, error, text)) is not None:
        return mistake
    if last_quoted and last_quoted[0] < last_quoted[2] == line:
        first, at, end = last_quoted
        if (mistake := closed_later(first, at, line_of(text, first), end)) is not None:
            return mistake
    after = "expected" in words or "not allowed in this context" in words  # of a complete value
    if (
        after
        and "expected ','" not in words
        and (mistake := wrong_opening(line, column, source)) is not None
    ):
        return mistake
    if "expected ':'" in words and context:  # the parser reports it lines later
        line, column = context.line + 1, context.column + 1
        source = line_of(text, line)
        if (mistake := _tight_colon(line, source)) is not None:
            return mistake
    if "mapping values are not allowed" in words:
        return _two_colons(text, line, column)
    if "cannot start any token" in words:
        return _bad_start(line, column, source)
    if (found := ENTRY.match(source)) and found["value"].startswith("{{"):
        message = tr("a value that starts with {{ needs quotes")
        return Mistake(line, column, message, in_quotes(found["value"]), repair="value")
    message, hint = _known(words)
    fix: Literal["value"] | None = "value" if "escape" in words else None
    if " #" in source and hint is not None:
        hint = tr(hint) + tr("; a # after a space starts a comment")
    return Mistake(line, column, message, hint, repair=fix)


def _never_closed(words: str, error: Any, text: str) -> Mistake | None:
    """Return the mistake of a quote or bracket without its end, None if it is another error."""
    mark = error.context_mark
    if mark is None:
        return None
    line, column = mark.line + 1, mark.column + 1
    if "end of stream" in words and "quoted" in str(error.context):
        return open_to_the_end(text, line, column, tr("a quote is opened here and never closed"))
    sign = "[" if "expected ',' or ']'" in words else "{" if "expected ',' or '}'" in words else ""
    if sign and error.problem_mark.line > mark.line:
        message = tr("a {sign} is opened here and never closed, or a comma is missing", sign=sign)
        return open_to_the_end(text, line, column, message)
    return None


def _known(words: str) -> tuple[str, str | None]:
    for pattern, message, hint in (
        ("expected ':'", tr("this line has no colon and does not continue a text"), _INDENT),
        ("expected key", tr("this line starts in another column than the keys around it"), _INDENT),
        ("expected '-'", tr("this line starts in another column than the list around it"), _INDENT),
        ("expected ',' or ']'", tr("a [ is not closed, or a comma is missing"), QUOTES),
        ("expected ',' or '}'", tr("a { is not closed, or a comma is missing"), QUOTES),
        ("expected node content", tr("a value is missing or a bracket is not closed"), QUOTES),
        (
            "Unicode character escape",
            tr("this \\u escape is not a character in YAML"),
            tr("write the character itself; YAML has no pairs of \\u escapes"),
        ),
        (
            "unknown escape character",
            tr("YAML has no such escape after \\"),
            tr("double the \\, or use single quotes"),
        ),
        (
            "nesting depth",
            tr("values are nested more than {max_depth} deep", max_depth=MAX_DEPTH),
            None,
        ),
        ("unexpected end of stream", tr("the file ends in the middle of something"), None),
        ("block sequence entries are not allowed", tr("a list cannot start here"), _INDENT),
    ):
        if pattern in words:
            return message, hint
    return tr("invalid YAML: {words}", words=words), _INDENT


def _two_colons(text: str, line: int, column: int) -> Mistake:
    if (mistake := _without_colon(text, line, column)) is not None:
        return mistake
    source = line_of(text, line)
    found = ENTRY.match(source)
    value = found["value"] if found else ""
    if source.lstrip().startswith("- ") and found and " " in _key(found["head"]):
        value = source.lstrip()[2:]  # the key is the start of a sentence
    message = tr("text that contains a colon and a space needs quotes")
    return Mistake(line, column, message, in_quotes(value), repair="value")


def _key(head: str) -> str:
    return head.lstrip("- \t").rstrip(": ")


def _without_colon(text: str, line: int, column: int) -> Mistake | None:
    """Return the mistake in an earlier line, if the parser read this line as its continuation."""
    source = line_of(text, line)
    if _PAIR.search(source[: column - 1]):
        return None  # this line has two colons
    before = text.split("\n", line - 1)[: line - 1]
    number = next((n for n in range(line - 1, 0, -1) if has_content(before[n - 1])), None)
    if number is None:
        return None
    earlier = before[number - 1]
    if (mistake := _tight_colon(number, earlier)) is not None:
        return mistake
    key = earlier.strip()
    if indent(earlier) != indent(source) or key.startswith("-") or _PAIR.search(earlier):
        return None
    hint = tr("a key is followed by a colon: {split}: …", split=key.split()[0])
    return Mistake(number, len(indent(earlier)) + 1, tr("this line has no colon"), hint)


def _tight_colon(line: int, source: str) -> Mistake | None:
    """Return the mistake of a line whose colon has no space after it."""
    found = _TIGHT.match(source)
    if found is None:
        return None
    head, key, value = found["head"], found["key"], found["value"].strip()
    written = f"{key}: {value}" if value else f"{key}:"
    harmless = f"{head}{key}: {BROKEN_TAG} x" if value else f"{head}{key}:"
    column = len(head) + len(key) + 1
    message = tr("a space is missing after the colon")
    return Mistake(line, column, message, tr("write {written}", written=written[:80]), harmless)


def _bad_start(line: int, column: int, source: str) -> Mistake:
    sign = source[column - 1 : column]
    space = indent(source)
    if sign == "\t" or "\t" in space:
        at = space.find("\t") + 1 if "\t" in space else column
        return Mistake(
            line, at, tr("this line is indented with a tab"), tr("use spaces"), repair="tabs"
        )
    found = ENTRY.match(source)
    message = tr("text cannot start with {sign}", sign=sign)
    return Mistake(
        line, column, message, in_quotes(found["value"] if found else ""), repair="value"
    )


#: A key whose colon has no space after it; not `http://`, `16:9` and `C:`.
_TIGHT = re.compile(
    r"(?P<head>[ \t]*(?:- +)*)(?P<key>[A-Za-z_][A-Za-z0-9_-]+):(?=[^\s/])(?P<value>.*)"
)
_PAIR = re.compile(r":(?= |$)")
