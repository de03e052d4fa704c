"""Read the rows of a sheet of an .xlsx file, one at a time, with openpyxl.

What a sheet shows and what it stores may differ. A cell whose value is not what the user sees (a
date, a percentage) or not certain (a formula, a merged cell) is refused with its address, so that
nothing is sent that the user did not write.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import is_blank
from batch_runner.manifest.sources.csv_rows import Header, check_header, variable_of
from batch_runner.manifest.sources.text_lines import UnreadableError
from batch_runner.util.locale import tr

try:
    import openpyxl
    from openpyxl.utils import column_index_from_string
    from openpyxl.utils.exceptions import InvalidFileException
except ImportError:  # the extra is not installed
    openpyxl = None

#: What openpyxl raises for files that are not as they should be.
_DAMAGED = (
    zipfile.BadZipFile,
    *(KeyError, ValueError, IndexError, TypeError, AttributeError, SyntaxError, EOFError),
)
#: Formats in which a number is shown as it is sent, but for separators and decimals.
_PLAIN_FORMAT = re.compile(r"general|@|[#,]*0(\.[0#]+)?", re.IGNORECASE)
#: Numbers from here on are rounded by spreadsheets.
_LARGEST = 1e15
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]+)(\d+):([A-Z]+\d+)"')
#: Bytes read at a time, and the longest element that is searched for.
_CHUNK, _ELEMENT = 1_000_000, 200
#: The first bytes of an encrypted file, and of .xls.
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")


class Sheet:
    """One sheet, opened for reading.

    Raises:
        UnreadableError: from any call: the file, the sheet or its header cannot be used.
    """

    def __init__(self, path: Path, name: str | None) -> None:
        """Open the sheet called `name`, or the first visible one."""
        if not path.is_file():
            raise UnreadableError(tr("there is no such file"))
        if openpyxl is None:
            hint = tr("or save the table as CSV UTF-8 and name the .csv file")
            message = tr('reading .xlsx needs the extra xlsx: pip install "batch-runner[xlsx]"')
            raise UnreadableError(message, hint=hint)
        with path.open("rb") as file:
            if file.read(len(_OLE)) == _OLE:
                message = tr("this file is protected by a password, or is an .xls file")
                hint = tr("save it as .xlsx without a password, or as CSV UTF-8")
                raise UnreadableError(message, hint=hint)
        self._file = path.open("rb")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about extensions that do not matter here
                self._book = openpyxl.load_workbook(self._file, read_only=True)
            self._sheet = self._named(name)
        except (*_DAMAGED, InvalidFileException):
            self._file.close()
            raise _damaged() from None
        except UnreadableError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._book.close()
        self._file.close()

    def names(self) -> list[str]:
        """Return the variables: the names in the first row that is not empty."""
        return self._read_header()[0].names

    def rows(self, label: str, diagnostics: Diagnostics) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number and values of each row that is not empty; report the invalid cells."""
        self._refuse_merged()
        header, rows = self._read_header()
        if not check_header(header, label, diagnostics, cells=True):
            return
        width = len(header.names)
        for cells in rows:
            values: list[Any] = []
            good, number = True, 0
            for cell in cells:
                value = cell.value
                if value is not None:
                    number = cell.row
                    value, problem = _value(cell, value)
                    if problem is None and len(values) >= width and not _is_empty(value):
                        problem = (tr("the column of this cell has no name"), tr("name it"))
                    if problem is not None:
                        at = Location(label, cell.row, cell.column)
                        diagnostics.add(at, problem[0], hint=problem[1])
                        good = False
                values.append("" if value is None else value)
            if good and not all(map(_is_empty, values)):
                values += [""] * (width - len(values))
                yield number, dict(zip(header.names, values, strict=False))

    def _named(self, name: str | None) -> Any:
        sheets = self._book.worksheets
        visible = [one for one in sheets if one.sheet_state == "visible"] or sheets
        if name is None and visible:
            return visible[0]
        found = next((one for one in sheets if one.title == name), None)
        if found is None:
            names = tr(", ").join(excerpt(one.title) for one in sheets)
            message = tr("this file has no sheet {name}", name=excerpt(name or ""))
            raise UnreadableError(message, hint=tr("its sheets: {names}", names=names))
        return found

    def _cells(self) -> Iterator[tuple[Any, ...]]:
        self._sheet.reset_dimensions()  # some programs write wrong ones
        try:
            yield from self._sheet.iter_rows()
        except _DAMAGED:
            raise _damaged() from None

    def _read_header(self) -> tuple[Header, Iterator[tuple[Any, ...]]]:
        rows = self._cells()
        for cells in rows:
            given = [cell for cell in cells if cell.value is not None]
            if not given:
                continue
            number = given[0].row
            columns = [""] * given[-1].column
            for cell in given:
                value, problem = _value(cell, cell.value)
                if problem is not None:
                    raise UnreadableError(problem[0], cell.row, problem[1], cell.column)
                columns[cell.column - 1] = str(value)
            while columns and is_blank(columns[-1]):
                columns.pop()
            if columns:
                return Header(number, ",", columns, [*map(variable_of, columns)], 0), rows
        raise UnreadableError(tr("this sheet is empty: {name}", name=excerpt(self._sheet.title)))

    def _refuse_merged(self) -> None:
        """Refuse a sheet with merged cells; openpyxl does not know them when it reads row by row.

        They are after all rows, so the whole sheet is searched.
        """
        part = str(self._sheet._worksheet_path).lstrip("/")
        kept, found = b"", None
        try:
            with zipfile.ZipFile(self._file) as archive, archive.open(part) as file:
                while found is None and (chunk := file.read(_CHUNK)):
                    found = _MERGED.search(kept + chunk)
                    kept = (kept + chunk)[-_ELEMENT:]
        except _DAMAGED:
            raise _damaged() from None
        if found is None:
            return
        column, row, end = (text.decode() for text in found.groups())
        message = tr("the cells {start} to {end} are merged", start=column + row, end=end)
        hint = tr("unmerge them, and fill in each cell")
        raise UnreadableError(message, int(row), hint, column_index_from_string(column))


def _value(cell: Any, value: Any) -> tuple[Any, tuple[str, str] | None]:
    """Return the value of a cell, and what is wrong with it and what to do, or None."""
    kind = cell.data_type
    if kind == "f":
        text = getattr(value, "text", value)
        return None, (
            tr("this cell is a formula: {formula}", formula=excerpt(text)),
            tr("copy the column and paste it as values"),
        )
    if kind == "e":
        return None, (tr("this cell has the error {error}", error=excerpt(value)), tr("correct it"))
    if kind == "d":
        return None, (
            tr("this cell is a date or time, which each program shows in another way"),
            tr("format the cell as text, and write it as it is to be sent"),
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(cell, value)
    return value, None


def _number(cell: Any, value: float) -> tuple[Any, tuple[str, str] | None]:
    as_text = tr("format the cell as text, and write it as it is to be sent")
    if not _PLAIN_FORMAT.fullmatch(cell.number_format or "general"):
        message = tr(
            "this number is stored as {value} and shown in the format {format}",
            value=excerpt(f"{value:.15g}"),
            format=excerpt(cell.number_format),
        )
        return None, (message, as_text)
    if abs(value) >= _LARGEST:
        return None, (tr("this number has more digits than a spreadsheet stores"), as_text)
    number = float(f"{value:.15g}")  # as spreadsheets show it
    return int(number) if number.is_integer() else number, None


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and is_blank(value)


def _damaged() -> UnreadableError:
    return UnreadableError(
        tr("this is not a complete .xlsx file"),
        hint=tr("open and save it, or save it as CSV UTF-8"),
    )
