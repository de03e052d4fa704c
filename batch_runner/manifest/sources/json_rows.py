"""Read the rows of a JSON Lines file: one object on each line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import is_blank, kind
from batch_runner.manifest.sources.text_lines import UnreadableError
from batch_runner.util.fullwidth import ascii_hint
from batch_runner.util.locale import mark_tr, tr

#: Part of the parser's message → ours.
_MISTAKES = {
    "property name": mark_tr("a name in double quotes is expected here"),
    "Expecting value": mark_tr("a value is expected here"),
    "Extra data": mark_tr("the object ends before this"),
    "',' delimiter": mark_tr("a comma or the end of the object is expected here"),
    "':' delimiter": mark_tr("a colon is expected here"),
    "control character": mark_tr("a tab or another control character cannot be in a text"),
    "escape": mark_tr("there is no such escape after \\"),
    "Unterminated string": mark_tr("a quote is opened here and never closed"),
    "trailing comma": mark_tr("a comma cannot be before the end of an object"),
}
_HINTS = {
    "None": mark_tr("write null"),
    "True": mark_tr("write true"),
    "False": mark_tr("write false"),
    "'": mark_tr('JSON has double quotes: "'),
}


def json_rows(
    lines: Iterator[str], label: str, diagnostics: Diagnostics
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and values of each row; report the lines that are none.

    Raises:
        UnreadableError: the file is JSON over several lines.
    """
    rows = 0
    for number, written in enumerate(lines, start=1):
        if written.isspace():
            continue
        line = written.rstrip("\n")
        try:
            row = _parse(line)
        except (ValueError, RecursionError) as error:
            if is_blank(line):
                continue
            if not rows:
                _refuse_other_json(line.strip(), number)
            location = Location(label, number)
            diagnostics.add(*_mistake(error, line, location)[:2], hint=_hint(error, line))
            continue
        rows += 1
        if isinstance(row, dict):
            yield number, row
            continue
        if isinstance(row, list) and rows == 1:
            _refuse_other_json("[", number)
        message = tr("wanted a JSON object, this is {kind}", kind=tr(kind(row)))
        diagnostics.add(Location(label, number), message)


def _refuse_other_json(start: str, number: int) -> None:
    if start.startswith("["):
        message = tr("this is a list; a JSON Lines file has one object on each line")
        hint = tr("convert it: jq -c '.[]' rows.json > rows.jsonl")
    elif start == "{":
        message = tr("this object is spread over several lines; wanted one object on each line")
        hint = tr("convert it: jq -c . rows.json > rows.jsonl")
    else:
        return
    raise UnreadableError(message, number, hint)


def _parse(line: str) -> Any:
    value = _decode(line)
    if "\\u" in line:
        # Half of a surrogate pair can be written in JSON, but not sent as UTF-8.
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError(tr("half of a pair of \\u escapes is missing")) from None
    return value


def _mistake(
    error: ValueError | RecursionError, line: str, location: Location
) -> tuple[Location, str]:
    if isinstance(error, RecursionError):
        reason = tr("values are nested too deep")
    elif isinstance(error, json.JSONDecodeError):
        location = location._replace(column=min(error.pos, len(line.rstrip())) + 1)
        known = (tr(text) for part, text in _MISTAKES.items() if part in error.msg)
        reason = next(known, tr("this is not expected here"))
    else:
        reason = str(error)
    return location, tr("this line is not JSON: {reason}", reason=reason)


def _hint(error: ValueError | RecursionError, line: str) -> str | None:
    if not isinstance(error, json.JSONDecodeError):
        return None
    rest = line[error.pos :].strip()
    if rest == "," and "Extra data" in error.msg:
        return tr("remove the comma at the end of each line")
    known = (tr(hint) for start, hint in _HINTS.items() if rest.startswith(start))
    return next(known, None) or ascii_hint(rest[:1])


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        again = next(name for name in names if names.count(name) > 1)
        raise ValueError(tr("the key {name} is repeated", name=excerpt(again)))
    return mapping


def _no_constant(word: str) -> float:
    raise ValueError(tr("{word} is not a JSON number", word=word))


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(tr("the number {text} is too large", text=excerpt(text)))
    return number


_decode = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
).decode
