"""`prompts_from` with an .xlsx file: values, and cells that are refused at their address."""

from __future__ import annotations

import datetime
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from batch_runner.errors import Problem
from tests.unit.manifest.helpers import HEAD, items_of, problems_of, write

openpyxl = pytest.importorskip("openpyxl")


def manifest(folder: Path, rows: Sequence[Any], more: str = "", change: Any = None) -> Path:
    """Write a book with one sheet of these rows, and a manifest; `change` gets book and sheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if change:
        change(book, book.active)
    book.save(folder / "rows.xlsx")
    return write(folder, f"{HEAD}prompts_from: rows.xlsx\n{more}")


def rows_problems(path: Path) -> list[Problem]:
    return [one for one in problems_of(path) if one.path.endswith("rows.xlsx")]


def sent(folder: Path, value: Any, number_format: str = "General") -> Any:
    """Return what is sent for a cell."""

    def set_format(book: Any, sheet: Any) -> None:
        sheet["B2"].number_format = number_format

    path = manifest(folder, [["prompt", "x"], ["a", value]], "", set_format)
    write(folder, path.read_text().replace('"{{ prompt }}"', '"{{ prompt }}", x: "{{ x }}"'))
    (item,) = items_of(path)
    return item.params["6"]["x"]


def test_rows_are_items_and_columns_variables(tmp_path: Path) -> None:
    rows = [
        [None],
        ["id", " First name ", "prompt", None],
        ["anna", "Anna", "A horse"],
        [None, "  "],
        [7, "Bo", "两匹马\nin snow"],
    ]

    items = items_of(manifest(tmp_path, rows))

    assert [(item.id, item.prompt) for item in items] == [
        ("anna", "A horse"),
        ("7", "两匹马\nin snow"),
    ]
    assert items[1].source.endswith("rows.xlsx:5")
    assert items[1].variables == {"First_name": "Bo"}


def test_row_has_the_key_of_the_same_csv_row(tmp_path: Path) -> None:
    (cell,) = items_of(manifest(tmp_path, [["prompt"], ["A horse"]]))
    write(tmp_path, "prompt\nA horse\n", "rows.csv")
    (row,) = items_of(write(tmp_path, HEAD + "prompts_from: rows.csv\n"))

    assert cell.key == row.key


@pytest.mark.parametrize(
    ("value", "number_format", "expected"),
    [
        ("007", "@", "007"),
        (7, "General", 7),
        (3.0, "0", 3),
        (0.1 + 0.2, "General", 0.3),
        (1234.5, "#,##0.00", 1234.5),
        (True, "General", True),
        (None, "General", ""),
    ],
)
def test_value_is_sent_as_it_is_shown(
    tmp_path: Path, value: Any, number_format: str, expected: Any
) -> None:
    found = sent(tmp_path, value, number_format)

    assert (found, type(found)) == (expected, type(expected))


def test_empty_cells_get_the_default(tmp_path: Path) -> None:
    path = manifest(tmp_path, [["prompt", "style"], ["a", None], ["b", "oil"]])
    text = path.read_text().replace("{{ prompt }}", "{{ prompt }} {{ style }}")

    items = items_of(write(tmp_path, text + "defaults: {style: ink}\n"))

    assert [item.params["6"]["text"] for item in items] == ["a ink", "b oil"]


@pytest.mark.parametrize(
    ("value", "number_format", "message"),
    [
        ('=A2&" horse"', "General", 'this cell is a formula: =A2&" horse"'),
        ("=SUM(1,2)", "General", "this cell is a formula"),
        (datetime.date(2026, 2, 17), "General", "this cell is a date or time"),
        (
            datetime.datetime(2026, 2, 17, 8, 30),  # noqa: DTZ001  sheets have no time zones
            "General",
            "this cell is a date or time",
        ),
        (datetime.time(8, 30), "General", "this cell is a date or time"),
        (46070, "dd.mm.yyyy", "this cell is a date or time"),
        (1.5, "[h]:mm", "this cell is a date or time"),
        (0.5, "0%", "stored as 0.5 and shown in the format 0%"),
        (7, "000", "stored as 7 and shown in the format 000"),
        (12345678901234567890, "General", "more digits"),
        ("#N/A", "General", "this cell has the error #N/A"),
        ("{{ x }}", "General", "a template is not rendered here"),
    ],
)
def test_uncertain_value_is_refused_at_its_cell(
    tmp_path: Path, value: Any, number_format: str, message: str
) -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet["B3"] = value
        if number_format != "General":
            sheet["B3"].number_format = number_format

    path = manifest(tmp_path, [["prompt", "x"], ["a", "b"], ["c", "d"]], "", fill)

    (problem,) = rows_problems(path)
    assert message in problem.message
    assert problem.line == 3
    cell = "3: " if "template" in message else f"B3: {problem.message}"
    assert f"rows.xlsx:{cell}" in str(problem)
    assert problem.hint


def test_merged_cells_are_refused_at_the_first(tmp_path: Path) -> None:
    rows = [["prompt", "x"], *([f"a{n}", "b" * 50] for n in range(20_000))]
    path = manifest(tmp_path, rows, "", lambda book, sheet: sheet.merge_cells("B7:B9"))

    (problem,) = rows_problems(path)
    assert "rows.xlsx:B7: the cells B7 to B9 are merged" in str(problem)


def test_cell_without_column_name_is_refused(tmp_path: Path) -> None:
    (problem,) = rows_problems(manifest(tmp_path, [["prompt"], ["a"], ["b", None, "lost"]]))

    assert "rows.xlsx:C3: the column of this cell has no name" in str(problem)


@pytest.mark.parametrize(
    ("header", "where", "message"),
    [
        (["prompt", None, "x"], "B1", "column 2 has no name"),
        (["prompt", "prompt"], "B1", "two columns prompt"),
        (["prompt", "if"], "B1", "cannot be named if"),
        (["prompt", "=A1"], "B1", "this cell is a formula"),
        ([], "A1", "this sheet is empty"),
    ],
)
def test_bad_header_is_refused(tmp_path: Path, header: list[Any], where: str, message: str) -> None:
    problems = rows_problems(manifest(tmp_path, [header, ["a", "b", "c"]] if header else []))

    assert any(f"rows.xlsx:{where}: " in str(one) and message in one.message for one in problems)


def test_first_visible_sheet_is_read_or_the_named_one(tmp_path: Path) -> None:
    def more_sheets(book: Any, sheet: Any) -> None:
        sheet.title, sheet.sheet_state = "Notes", "hidden"
        for name in ("Cards", "草稿"):
            other = book.create_sheet(name)
            other.append(["prompt"])
            other.append([f"from {name}"])
        book.active = 1

    path = manifest(tmp_path, [["prompt"], ["from Notes"]], "", more_sheets)
    text = path.read_text()

    assert [item.prompt for item in items_of(path)] == ["from Cards"]
    for name in ("Notes", "草稿"):
        (item,) = items_of(write(tmp_path, f"{text}sheet: {name}\n"))
        assert item.prompt == f"from {name}"
    (problem,) = rows_problems(write(tmp_path, text + "sheet: Card\n"))
    assert "no sheet Card" in problem.message
    assert "Notes, Cards, 草稿" in str(problem.hint)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def without_sheet(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")


def broken_xml(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content[:-40] if "sheet1" in name else content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damaged, "this is not a complete .xlsx file"),
        (without_sheet, "this is not a complete .xlsx file"),
        (broken_xml, "this is not a complete .xlsx file"),
        (lambda path: path.write_bytes(b""), "this is not a complete .xlsx file"),
        (lambda path: path.write_text("prompt\na\n"), "this is not a complete .xlsx file"),
        (
            lambda path: path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)),
            "protected by a password, or is an .xls file",
        ),
        (lambda path: path.unlink(), "there is no such file"),
    ],
)
def test_damaged_file_is_refused(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    path = manifest(tmp_path, [["prompt"], ["a"]])
    change(tmp_path / "rows.xlsx")

    (problem,) = rows_problems(path)
    assert message in problem.message


def test_without_the_extra_its_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path, [["prompt"], ["a"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.delitem(sys.modules, "batch_runner.manifest.sources.xlsx_rows", raising=False)

    (problem,) = rows_problems(path)
    assert 'pip install "batch-runner[xlsx]"' in problem.message
    monkeypatch.delitem(sys.modules, "batch_runner.manifest.sources.xlsx_rows")


def test_every_bad_cell_is_reported_at_once(tmp_path: Path) -> None:
    rows = [["prompt", "x"], ["a", "=1"], ["b", datetime.date(2026, 1, 1)], ["=2", "ok"]]

    found = [
        str(one).partition(": ")[0].rpartition("/")[2]
        for one in rows_problems(manifest(tmp_path, rows))
    ]

    assert found == ["rows.xlsx:B2", "rows.xlsx:B3", "rows.xlsx:A4"]
