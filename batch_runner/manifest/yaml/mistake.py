"""A syntax error in words, and its removal, so that the rest of the file can be checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

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


#: Tag of a value that `repair` has replaced.
BROKEN_TAG = "!batch-runner-broken"

QUOTES = mark_tr("put the text in quotes")
#: Longest text that a hint shows in quotes, in characters.
_SHOWN = 100

#: A line with the value of a key or list entry.
ENTRY = re.compile(
    r"""(?P<head>[ \t]*(?:- +)*(?:(?:[^\s:#"'\[{-][^:#]*|"[^"]*"): +|(?<=- )))(?P<value>.*)"""
)
_COMMENT = re.compile(r"\s+#(?:\s.*)?$")


def in_quotes(value: str) -> str:
    """Return the hint that shows a text in quotes, as it is typed in YAML."""
    value = _COMMENT.sub("", value).strip()
    if not value or len(value) > _SHOWN or BROKEN_TAG in value:
        return tr(QUOTES)
    return tr("put the text in quotes: {text}", text=quoted(value))


def quoted(value: str) -> str:
    """Return a text as a quoted YAML value."""
    if '"' in value or "\\" in value:
        return "'" + value.replace("'", "''") + "'"
    return f'"{value}"'


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
        changed = indent(source).replace("\t", "  ") + source.lstrip()
    elif mistake.repair == "value":
        found = ENTRY.match(source)
        if not found:
            return None
        changed = f"{found['head']}{BROKEN_TAG} x"
    else:
        return None
    if changed == source:
        return None
    lines[mistake.line - 1] = changed
    return "\n".join(lines)


def line_of(text: str, number: int) -> str:
    """Return a line of the text; empty if there is no such line."""
    lines = text.split("\n", number)
    return lines[number - 1] if 0 < number <= len(lines) else ""


def indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
