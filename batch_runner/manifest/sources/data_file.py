"""Read the rows of a data file as entries: columns are variables, `id` is the id.

In a text file, each line is a row with the one variable `prompt`.

Rows are read one at a time; memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import is_blank, kind, variable_refusal
from batch_runner.manifest.sources.csv_rows import Header, check_header, csv_rows, read_header
from batch_runner.manifest.sources.json_rows import json_rows
from batch_runner.manifest.sources.prompts import Entry
from batch_runner.manifest.sources.text_lines import UnreadableError, lines_of
from batch_runner.manifest.variables import check_value
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from batch_runner.manifest.sources.xlsx_rows import Sheet


class Rows:
    """The file named under `prompts_from`."""

    def __init__(
        self,
        path: Path,
        label: str,
        *,
        taken: frozenset[str] = frozenset(),
        defaults: frozenset[str] = frozenset(),
        encoding: str | None = None,
        sheet: str | None = None,
    ) -> None:
        self._path = path
        self._taken = taken  # variables of the matrix
        self._defaults = defaults  # variables that a row may leave empty
        self._label = label
        self._encoding = encoding  # None: UTF-8
        self._sheet = sheet  # None: the first visible one
        ending = path.name.lower().rpartition(".")[2]
        self._read = {
            "txt": self._text_rows,
            "csv": self._csv_rows,
            "tsv": self._csv_rows,
            "xlsx": self._sheet_rows,
        }.get(ending, self._json_rows)
        self.are_prompts = ending == "txt"  # without other variables
        self._column = 0 if ending == "xlsx" else 1  # of a row's location: no cell, or its start

    def columns(self) -> list[str] | None:
        """Return the variables of every row; None if rows may differ or cannot be read."""
        if self.are_prompts:
            return ["prompt"]
        try:
            if self._read == self._csv_rows:
                return self._header()[0].names
            if self._read == self._sheet_rows:
                with self._open_sheet() as sheet:
                    return sheet.names()
        except (UnreadableError, OSError):
            pass
        return None

    def entries(self, diagnostics: Diagnostics) -> Iterator[Entry]:
        """Yield the valid rows; report the invalid ones."""
        count = 0
        try:
            for line, variables in self._read(diagnostics):
                count += 1
                location = Location(self._label, line, self._column)
                entry = self._entry(location, variables, diagnostics)
                if entry is not None:
                    yield entry
        except UnreadableError as error:
            location = Location(self._label, error.line, error.column)
            diagnostics.add(location, str(error), hint=error.hint)
            return
        except OSError as error:
            diagnostics.add(
                Location(self._label),
                tr("the file cannot be read: {strerror}", strerror=error.strerror),
            )
            return
        if not count and not diagnostics:
            text = (
                tr("this file has no prompts") if self.are_prompts else tr("this file has no rows")
            )
            diagnostics.add(Location(self._label), text)

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

    def _text_rows(self, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, line in enumerate(lines_of(self._path, self._encoding), start=1):
            text = line.strip()
            if not is_blank(text) and not text.startswith("#"):
                yield number, {"prompt": text}

    def _sheet_rows(self, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        with self._open_sheet() as sheet:
            may_be_empty = self._defaults.intersection(sheet.names())
            for line, variables in sheet.rows(self._label, diagnostics):
                for name in may_be_empty:
                    if _is_empty(variables[name]):
                        del variables[name]
                yield line, variables

    def _open_sheet(self) -> Sheet:
        from batch_runner.manifest.sources.xlsx_rows import Sheet  # needs an extra

        return Sheet(self._path, self._sheet)

    def _csv_rows(self, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        header, lines = self._header()
        if not check_header(header, self._label, diagnostics):
            return
        may_be_empty = self._defaults.intersection(header.names)
        for line, row in csv_rows(header, lines, self._label, diagnostics):
            variables: dict[str, Any] = dict(zip(header.names, row, strict=True))
            for name in may_be_empty:
                if not variables[name].strip():
                    del variables[name]
            yield line, variables

    def _header(self) -> tuple[Header, Iterator[str]]:
        tabs = self._path.name.lower().endswith(".tsv")
        return read_header(lines_of(self._path, self._encoding), tabs=tabs)

    def _json_rows(self, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        good = {"id"}
        lines = lines_of(self._path, self._encoding)
        for number, row in json_rows(lines, self._label, diagnostics):
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
                    "a variable cannot be named {name}: {reason}",
                    name=excerpt(name),
                    reason=reason,
                )
                diagnostics.add(location, message, hint=tr("rename it"))
            elif name in self._taken:
                message = tr("{name} is both a variable here and in the matrix", name=excerpt(name))
                diagnostics.add(location, message, hint=tr("rename one of them"))


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and is_blank(value))
