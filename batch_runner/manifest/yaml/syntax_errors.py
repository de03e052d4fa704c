"""Explain YAML syntax errors, and remove them so that the rest can be checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from batch_runner.util.locale import mark_tr, tr


@dataclass(frozen=True, slots=True)
class Mistake:
    """A syntax error: line and column (from 1), message and hint.

    `repair` is what `repair()` replaces in the line: its value, its tabs, or nothing (None).
    `harmless` is the repaired line itself, if known.
    """

    line: int
    column: int
    message: str
    hint: str | None
    harmless: str | None = None
    repair: Literal["value", "tabs"] | None = None


#: Deepest nesting of lists and mappings.
MAX_DEPTH = 64
#: Tag of a value that `repair` has replaced.
BROKEN_TAG = "!batch-runner-broken"

_QUOTES = mark_tr("put the text in quotes")
_INDENT = mark_tr(
    "lines that belong together start in the same column; text with : or # needs quotes"
)


def explain(error: Any, text: str) -> Mistake:
    """Return the parser's error in words that the author of a manifest understands."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    source = _line(text, line)
    if "end of stream" in words and context and "quoted" in str(error.context):
        return Mistake(
            context.line + 1,
            context.column + 1,
            tr("a quote is opened here and never closed"),
            tr("close it, or put the text in quotes of the other kind"),
        )
    if "expected ':'" in words and context:  # the parser reports it lines later
        line, column = context.line + 1, context.column + 1
        source = _line(text, line)
        if (mistake := _bad_colon(line, source)) is not None:
            return mistake
    if "mapping values are not allowed" in words:
        if (mistake := _without_colon(text, line, column)) is not None:
            return mistake
        return Mistake(
            line,
            column,
            tr("text that contains a colon and a space needs quotes"),
            _quoted(source),
            repair="value",
        )
    if "cannot start any token" in words:
        return _bad_start(line, column, source)
    if (found := _ENTRY.match(source)) and found["value"].startswith("{{"):
        message = tr("a value that starts with {{ needs quotes")
        return Mistake(line, column, message, _quoted(source), repair="value")
    message, hint = _known(words)
    fix: Literal["value"] | None = "value" if "escape" in words else None
    if " #" in source and hint is not None:
        hint = tr(hint) + tr("; a # after a space starts a comment")
    return Mistake(line, column, message, hint, repair=fix)


def _known(words: str) -> tuple[str, str | None]:
    for pattern, message, hint in (
        ("expected ':'", tr("this line has no colon and does not continue a text"), _INDENT),
        ("expected key", tr("this line starts in another column than the keys around it"), _INDENT),
        ("expected '-'", tr("this line starts in another column than the list around it"), _INDENT),
        ("expected ',' or ']'", tr("a [ is not closed, or a comma is missing"), _QUOTES),
        ("expected ',' or '}'", tr("a { is not closed, or a comma is missing"), _QUOTES),
        ("expected node content", tr("a value is missing or a bracket is not closed"), _QUOTES),
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


def _without_colon(text: str, line: int, column: int) -> Mistake | None:
    """Return the mistake in an earlier line, if the parser read this line as its continuation."""
    source = _line(text, line)
    if _PAIR.search(source[: column - 1]):
        return None  # this line has two colons
    before = text.split("\n", line - 1)[: line - 1]
    number = next((n for n in range(line - 1, 0, -1) if _has_content(before[n - 1])), None)
    if number is None:
        return None
    earlier = before[number - 1]
    if (mistake := _bad_colon(number, earlier)) is not None:
        return mistake
    key = earlier.strip()
    if _indent(earlier) != _indent(source) or key.startswith("-") or _PAIR.search(earlier):
        return None
    hint = tr("a key is followed by a colon: {split}: …", split=key.split()[0])
    return Mistake(number, len(_indent(earlier)) + 1, tr("this line has no colon"), hint)


def _bad_colon(line: int, source: str) -> Mistake | None:
    """Return the mistake of a line whose colon YAML does not accept."""
    found = _TIGHT.match(source)
    if found is None:
        return None
    head, key, value = found["head"], found["key"], found["value"].strip()
    what = tr("a space is missing after the colon")
    if found["wide"]:
        what = tr("YAML does not accept the colon ：")
    written = f"{key}: {value}" if value else f"{key}:"
    harmless = f"{head}{key}: {BROKEN_TAG} x" if value else f"{head}{key}:"
    column = len(head) + len(key) + 1
    return Mistake(line, column, what, tr("write {written}", written=written[:80]), harmless)


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _bad_start(line: int, column: int, source: str) -> Mistake:
    sign = source[column - 1 : column]
    indent = _indent(source)
    if sign == "\t" or "\t" in indent:
        at = indent.find("\t") + 1 if "\t" in indent else column
        return Mistake(
            line, at, tr("this line is indented with a tab"), tr("use spaces"), repair="tabs"
        )
    message = tr("text cannot start with {sign!r}", sign=sign)
    return Mistake(line, column, message, _quoted(source), repair="value")


def _quoted(source: str) -> str:
    """Return a hint that shows the value in quotes."""
    found = _ENTRY.match(source)
    value = found["value"].strip() if found and BROKEN_TAG not in source else ""
    if not value or len(value) > 60 or (value[0] in "\"'[|>{" and value[:2] != "{{"):
        return _QUOTES
    quote = "'" if '"' in value else '"'
    if quote in value:
        return _QUOTES
    return tr("put the text in quotes: {quote}{value}{quote}", quote=quote, value=value)


_ENTRY = re.compile(r"(?P<head>[ \t]*(?:- +)*(?:[^\s:#\"'\[{-][^:#]*: +|(?<=- )))(?P<value>.*)")


#: A key whose colon has no space after it, or is full-width; not `http://`, `16:9` and `C:`.
_TIGHT = re.compile(
    r"(?P<head>[ \t]*(?:- +)*)(?P<key>[A-Za-z_][A-Za-z0-9_-]+)"
    r"(?:(?P<colon>:)(?=[^\s/])|(?P<wide>：))(?P<value>.*)"
)
_PAIR = re.compile(r":(?= |$)")


def repair(text: str, mistake: Mistake) -> str | None:
    """Return the text with the invalid line repaired; None if that is not safe.

    Only mistakes inside one line are repaired, so that no second error follows from the first: the
    value of a key or list entry, and tabs.
    """
    lines = text.split("\n")
    source = lines[mistake.line - 1] if mistake.line <= len(lines) else ""
    if mistake.harmless is not None:
        changed = mistake.harmless
    elif mistake.repair == "tabs":
        indent = _indent(source)
        changed = indent.replace("\t", "  ") + source.lstrip()
    elif mistake.repair == "value":
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


def was_repaired(text: str, line: int) -> bool:
    """Return whether this line was repaired."""
    return BROKEN_TAG in _line(text, line)


def _line(text: str, number: int) -> str:
    lines = text.split("\n", number)
    return lines[number - 1] if number <= len(lines) else ""
