"""Texts that start like something else in YAML: `- "Welcome" sign`, `- [a] horse`, `- > x`."""

from __future__ import annotations

import re

from batch_runner.manifest.yaml.mistake import ENTRY, Mistake, in_quotes, indent, line_of
from batch_runner.util.locale import mark_tr, tr

#: First sign of a value → what YAML takes it for.
_OPENINGS = {
    **dict.fromkeys("\"'", mark_tr("{sign} starts a text in quotes, but more text follows it")),
    "[": mark_tr("{sign} starts a list, but text follows it"),
    "{": mark_tr("{sign} starts a mapping, but text follows it"),
    "*": mark_tr("{sign} starts an alias in YAML"),
    "&": mark_tr("{sign} starts an anchor in YAML"),
    "!": mark_tr("{sign} starts a tag in YAML"),
    **dict.fromkeys("|>", mark_tr("{sign} starts a text of several lines in YAML")),
    **dict.fromkeys("?:,]}-", mark_tr("{sign} has a meaning of its own in YAML")),
}
_NEW_ENTRY = re.compile(r"\s*(?:-(?:\s|$)|[^\s:]+:(?:\s|$))")


def wrong_opening(line: int, column: int, source: str) -> Mistake | None:
    """Return the mistake of a line whose value starts with a sign of YAML; None if it does not.

    `column` is where the parser gave up.
    """
    found = ENTRY.match(source)
    if not found or not found["value"] or column < len(found["head"]):
        return None
    value = found["value"]
    message = _OPENINGS.get(value[0])
    if message is None or value.startswith(("{{", "{%")):
        return None
    return Mistake(
        line,
        len(found["head"]) + 1,
        tr(message, sign=value[0]),
        in_quotes(value),
        repair="value",
    )


def open_to_the_end(text: str, line: int, column: int, message: str) -> Mistake:
    """Return the mistake of a quote or bracket that is opened at `line` and never closed.

    It is repaired if the next line starts a new key or entry.
    """
    source = line_of(text, line)
    found = ENTRY.match(source)
    if found is None or column != len(found["head"]) + 1:
        hint = tr("close it, or put the text in quotes of the other kind")
        return Mistake(line, column, message, hint)
    following = line_of(text, line + 1)
    alone = not following.strip() or (
        len(indent(following)) <= len(indent(source)) and _NEW_ENTRY.match(following)
    )
    hint = tr("close it; or, if it is part of the text, {quotes}", quotes=in_quotes(found["value"]))
    return Mistake(line, column, message, hint, repair="value" if alone else None)


def closed_later(line: int, column: int, source: str, end: int) -> Mistake | None:
    """Return the mistake of a quote at the start of a text that ends in a later line, `end`."""
    found = ENTRY.match(source)
    if found is None or column != len(found["head"]) + 1:
        return None
    message = tr("the quote opened here ends in line {end}", end=end)
    hint = tr("close it; or, if it is part of the text, {quotes}", quotes=in_quotes(found["value"]))
    return Mistake(line, column, message, hint, repair="value")
