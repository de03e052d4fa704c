"""Read the rows of a CSV or JSONL file as entries: columns are variables, `id` is the id.

Rows are read one at a time; memory does not grow with the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import is_blank, kind, variable_refusal
from batch_runner.manifest.sources.prompts import Entry
from batch_runner.manifest.variables import check_value
from batch_runner.util.locale import tr

#: Longest line of a data file, in bytes.
MAX_LINE = 1_000_000

_NOT_NAME = re.compile(r"\W+")


class _UnreadableError(Exception):
    """The file cannot be read further: message, line and hint."""

    def __init__(self, message: str, line: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


class Rows:
    """The file named under `items_from`."""

    def __init__(
        self,
        path: Path,
        label: str,
        *,
        taken: frozenset[str] = frozenset(),
        defaults: frozenset[str] = frozenset(),
    ) -> None:
        self._path = path
        self._taken = taken  # variables of the matrix
        self._defaults = defaults  # variables that a row may leave empty
        self._label = label
        self._is_csv = path.name.lower().endswith(".csv")

    def columns(self) -> list[str] | None:
        """Return the variables of every row; None if rows may differ or cannot be read."""
        if not self._is_csv:
            return None
        try:
            header, _ = self._header(_lines(self._path))
        except (_UnreadableError, OSError, csv.Error):
            return None
        return [_variable(column) for column in header]

    def entries(self, diagnostics: Diagnostics) -> Iterator[Entry]:
        """Yield the valid rows; report the invalid ones."""
        count = 0
        try:
            rows = self._csv_rows(diagnostics) if self._is_csv else self._json_rows(diagnostics)
            for line, variables in rows:
                count += 1
                entry = self._entry(Location(self._label, line), variables, diagnostics)
                if entry is not None:
                    yield entry
        except _UnreadableError as error:
            diagnostics.add(Location(self._label, error.line), str(error), hint=error.hint)
            return
        except OSError as error:
            diagnostics.add(
                Location(self._label),
                tr("the file cannot be read: {strerror}", strerror=error.strerror),
            )
            return
        if not count and not diagnostics:
            diagnostics.add(Location(self._label), tr("this file has no rows"))

    def _entry(
        self, location: Location, variables: dict[str, Any], diagnostics: Diagnostics
    ) -> Entry | None:
        for value in variables.values():
            if not check_value(value, location, diagnostics):
                return None
        own_id = variables.pop("id", None)
        if own_id is not None:
            own_id = str(own_id) if isinstance(own_id, str | int) else ""
            if is_blank(own_id):
                hint = tr("fill it in, or remove the column")
                diagnostics.add(location, tr("the id of this row is empty"), hint=hint)
                return None
        prompt = variables.get("prompt", "none")
        if not isinstance(prompt, str) or is_blank(prompt):
            seen = tr("empty") if isinstance(prompt, str) else tr(kind(prompt))
            diagnostics.add(
                location, tr("the prompt of this row is {seen}, wanted text", seen=seen)
            )
            return None
        return Entry(location, variables, own_id)

    def _csv_rows(self, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        lines = _lines(self._path)
        header, delimiter = self._header(lines)
        names = [_variable(column) for column in header]
        if not self._check_header(header, names, diagnostics):
            return
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        width = len(names)
        may_be_empty = self._defaults.intersection(names)
        start = 2
        try:
            for row in reader:
                if not row or (is_blank(row[0]) and all(map(is_blank, row))):
                    pass  # spreadsheets add blank rows; they are not items
                elif len(row) == width:
                    variables = dict(zip(names, row, strict=True))
                    for name in may_be_empty:
                        if not variables[name].strip():
                            del variables[name]
                    yield start, variables
                else:
                    hint = tr("put a cell that contains the delimiter in quotes")
                    message = tr(
                        "number of cells: {row} in this row, {width} in the header",
                        row=len(row),
                        width=width,
                    )
                    diagnostics.add(Location(self._label, start), message, hint=hint)
                start = reader.line_num + 2
        except csv.Error as error:
            raise _UnreadableError(tr("this is not CSV: {error}", error=error), start) from None

    def _header(self, lines: Iterator[str]) -> tuple[list[str], str]:
        """Return the names of the columns, and the delimiter that the first line uses."""
        first = next(lines, "")
        delimiter = "," if "," in first else ";" if ";" in first else "\t" if "\t" in first else ","
        try:
            rows = list(csv.reader([first], delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise _UnreadableError(tr("this is not CSV: {error}", error=error)) from None
        if not rows or not any(column.strip() for column in rows[0]):
            raise _UnreadableError(
                tr("the first line names no columns"),
                hint=tr("write variables there, such as name,city"),
            )
        return rows[0], delimiter

    def _check_header(self, header: list[str], names: list[str], diagnostics: Diagnostics) -> bool:
        good = True
        for column, name in zip(header, names, strict=True):
            reason = None if name == "id" else variable_refusal(name)
            if reason or names.count(name) > 1:
                good = False
                text = tr(
                    "a column cannot be named {column!r}: {reason}",
                    column=excerpt(column),
                    reason=reason,
                )
                twice = tr("there are two columns {name}", name=excerpt(name))
                diagnostics.add(
                    Location(self._label), text if reason else twice, hint=tr("rename it")
                )
        return good

    def _json_rows(self, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        good = {"id"}
        for number, line in enumerate(_lines(self._path), start=1):
            if line.isspace():
                continue
            try:
                row = _parse(line)
            except (ValueError, RecursionError) as error:
                if is_blank(line):
                    continue
                message = tr("this line is not JSON: {json_error}", json_error=_json_error(error))
                diagnostics.add(Location(self._label, number), message)
                continue
            if not isinstance(row, dict):
                message = tr("wanted a JSON object, this is {kind}", kind=tr(kind(row)))
                diagnostics.add(Location(self._label, number), message)
                continue
            if _is_empty(next(iter(row.values()), None)) and all(map(_is_empty, row.values())):
                hint = tr("remove the line, or give it an id if it is meant as an item")
                diagnostics.add(Location(self._label, number), tr("this row is empty"), hint=hint)
                continue
            if not good.issuperset(row):
                self._check_names(row.keys() - good, Location(self._label, number), diagnostics)
                good.update(row)  # report each name once
            yield number, row

    def _check_names(self, names: set[str], location: Location, diagnostics: Diagnostics) -> None:
        for name in names:
            if reason := variable_refusal(name):
                message = tr(
                    "a variable cannot be named {name!r}: {reason}",
                    name=excerpt(name),
                    reason=reason,
                )
                diagnostics.add(location, message, hint=tr("rename it"))
            elif name in self._taken:
                message = tr("{name} is both a variable here and in the matrix", name=excerpt(name))
                diagnostics.add(location, message, hint=tr("rename one of them"))


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and is_blank(value))


def _variable(column: str) -> str:
    """Return a column's name as a variable: "First name" becomes First_name."""
    return _NOT_NAME.sub("_", column.strip()).strip("_")


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file one at a time, with LF as line ends.

    Raises:
        _UnreadableError: a line is not UTF-8 or too long, or the file does not exist.
    """
    if not path.is_file():
        raise _UnreadableError(tr("there is no such file"))
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise _UnreadableError(
                    tr("this line has more than {max_line} bytes", max_line=MAX_LINE), number
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _UnreadableError(
                    tr("byte 0x{line:02x} in this line is not UTF-8", line=line[error.start]),
                    number,
                    "save the file as UTF-8 (in a spreadsheet: CSV UTF-8)",
                ) from None
            if "\r" in text:
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            yield text


def _parse(line: str) -> Any:
    value = _decode(line)
    if "\\u" in line:
        # Half of a surrogate pair can be written in JSON, but not sent as UTF-8.
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError(tr("half of a pair of \\u escapes is missing")) from None
    return value


def _json_error(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return tr("{msg} (column {colno})", msg=error.msg, colno=error.colno)
    return tr("values are nested too deep") if isinstance(error, RecursionError) else str(error)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError(tr("a key is repeated"))
    return mapping


def _no_constant(word: str) -> float:
    raise ValueError(tr("{word} is not a JSON number", word=word))


_decode = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant).decode
