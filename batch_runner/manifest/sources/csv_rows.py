"""Read the rows of a CSV or TSV file: delimiter, names of the columns, cells."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.schema_types import is_blank, variable_refusal
from batch_runner.manifest.sources.text_lines import UnreadableError
from batch_runner.util.fullwidth import how_to_type
from batch_runner.util.locale import tr, tr_n

_NOT_NAME = re.compile(r"\W+")
#: First line with which spreadsheets name the delimiter.
_SEP = re.compile(r'\s*"?sep=([,;\t|])"?[,;\s]*', re.IGNORECASE)
#: Lines after the header that decide about the delimiter.
_SAMPLE = 20
_DELIMITERS = ",;\t"
_WIDE_DELIMITERS = {"，": ",", "；": ";", "｜": ",", "、": ","}


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: its number, the delimiter, and the columns as written and as variables."""

    line: int
    delimiter: str
    columns: list[str]
    names: list[str]
    nameless: int  # columns after these, which must be empty in all rows


def read_header(lines: Iterator[str], *, tabs: bool) -> tuple[Header, Iterator[str]]:
    """Return the header, and an iterator of the lines after it. With `tabs` tabs come first.

    Raises:
        UnreadableError: there is no header.
    """
    number, first = 1, next(lines, "")
    given = _SEP.fullmatch(first)
    if given:
        number, first = 2, next(lines, "")
    sample = [*itertools.islice(lines, _SAMPLE)]
    rest = itertools.chain(sample, lines)
    delimiter = given[1] if given else _delimiter(first, sample, tabs=tabs)
    columns = _cells(first, delimiter)
    if columns is None:
        message = tr("a quote in the header is not closed, or text follows it")
        raise UnreadableError(message, number, tr('write "" for a quote inside of a quoted cell'))
    written = len(columns)
    while columns and is_blank(columns[-1]):
        columns.pop()
    if not columns:
        raise UnreadableError(
            tr("the first line names no columns"),
            number,
            tr("write variables there, such as name,city"),
        )
    if len(columns) == 1:
        _refuse_wide_delimiter(columns[0], "".join(sample[:1]), number)
    names = [*map(variable_of, columns)]
    return Header(number, delimiter, columns, names, written - len(columns)), rest


def _delimiter(first: str, sample: list[str], *, tabs: bool) -> str:
    """Return the first delimiter that gives the header and the first rows the same width."""
    order = "\t,;" if tabs else _DELIMITERS
    candidates = [sign for sign in order if sign in first]
    for sign in candidates:
        widths = {*_widths([first, *sample], sign)}
        if len(widths) == 1 and 0 not in widths:
            return sign
    return candidates[0] if candidates else order[0]


def _widths(lines: list[str], delimiter: str) -> Iterator[int]:
    """Yield how many cells each row has that is not blank; 0 where it is not CSV."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if not all(map(is_blank, row)):
                yield len(row)
    except csv.Error as error:
        if "unexpected end" not in str(error) or reader.line_num < 2:  # not cut by the sample
            yield 0


def _cells(line: str, delimiter: str) -> list[str] | None:
    """Return the cells of one line; None if it is not CSV."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _refuse_wide_delimiter(column: str, row: str, number: int) -> None:
    for sign, typed in _WIDE_DELIMITERS.items():
        if sign in column and column.count(sign) == row.count(sign):
            message = tr("{sign} does not separate columns", sign=sign)
            raise UnreadableError(message, number, how_to_type({sign: typed}))


def check_header(
    header: Header, label: str, diagnostics: Diagnostics, *, cells: bool = False
) -> bool:
    """Return whether all columns can be variables; report those that cannot.

    With `cells` it is the header of a spreadsheet.
    """
    good = True
    location = Location(label, header.line)
    pairs = zip(header.columns, header.names, strict=True)
    for number, (column, name) in enumerate(pairs, start=1):
        reason = None if name == "id" else variable_refusal(name)
        if is_blank(column):
            message = tr("column {number} has no name", number=number)
        elif reason:
            message = tr(
                "a column cannot be named {column}: {reason}",
                column=excerpt(column),
                reason=reason,
            )
        elif name in header.names[: number - 1]:
            message = tr("there are two columns {name}", name=excerpt(name))
        else:
            continue
        good = False
        where = diagnostics.locate(location, column.strip())
        if cells:
            where = location._replace(column=number)
        diagnostics.add(where, message, hint=tr("rename it"))
    return good


def csv_rows(
    header: Header, lines: Iterator[str], label: str, diagnostics: Diagnostics
) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each row that has as many as the header; report the others.

    Raises:
        UnreadableError: quotes are wrong.
    """
    reader = csv.reader(lines, delimiter=header.delimiter, strict=True)
    width = len(header.names)
    before = header.line + 1  # number of the reader's first line
    start = before
    try:
        for row in reader:
            if not row or (is_blank(row[0]) and all(map(is_blank, row))):
                pass  # spreadsheets add blank rows; they are not items
            elif len(row) == width:
                yield start, row
            elif len(row) > width and all(map(is_blank, row[width:])):
                yield start, row[:width]  # and blank cells
            else:
                _report_width(row, header, Location(label, start), diagnostics)
            start = reader.line_num + before
    except csv.Error as error:
        raise _quote_error(str(error), start, reader.line_num + before - 1) from None


def _report_width(
    row: list[str], header: Header, location: Location, diagnostics: Diagnostics
) -> None:
    width = len(header.names)
    if width < len(row) <= width + header.nameless:
        number = next(at for at, cell in enumerate(row, start=1) if at > width and cell.strip())
        message = tr("column {number} has a value here, but no name in the header", number=number)
        diagnostics.add(location, message, hint=tr("give the column a name, or empty it"))
        return
    message = tr(
        "this row has {row}, the header has {header}",
        row=tr_n("{count} cell", "{count} cells", len(row)),
        header=tr_n("{count} cell", "{count} cells", width),
    )
    hint = tr("put a cell that contains the delimiter in quotes")
    if len(row) < width:
        wide = next((sign for sign in _WIDE_DELIMITERS if sign in "".join(row)), None)
        shown = tr("a tab") if header.delimiter == "\t" else header.delimiter
        hint = tr("cells are separated by {delimiter}; an empty one counts, too", delimiter=shown)
        if wide is not None:
            hint = how_to_type({wide: header.delimiter})
    diagnostics.add(location, message, hint=hint)


def _quote_error(words: str, start: int, end: int) -> UnreadableError:
    """Return what is wrong with quotes in the row of the lines `start` to `end`."""
    hint = tr('close the quote; write "" for a quote inside of a quoted cell')
    if "expected after" not in words:
        message = tr("a quote is opened in this row and never closed")
    elif end > start:
        message = tr(
            "a quote is opened in this row and closed in line {end}, where text follows it", end=end
        )
    else:
        message = tr("text follows the quote that closes a cell")
    return UnreadableError(message, start, hint)


def variable_of(column: str) -> str:
    """Return a column's name as a variable: "First name" becomes First_name."""
    return _NOT_NAME.sub("_", column.strip()).strip("_")
