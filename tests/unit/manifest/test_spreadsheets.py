"""Data files as spreadsheets and other programs write them: delimiters, encodings, line ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.errors import Problem
from tests.unit.manifest.helpers import items_of, problems_of, write

HEAD = 'workflow: w\nparams: {"6": {text: "{{ name }} of {{ city }}"}}\n'


def manifest(folder: Path, rows: str | bytes, more: str = "", name: str = "rows.csv") -> Path:
    write(folder, rows, name)
    return write(folder, f"{HEAD}items_from: {name}\n{more}")


def texts(path: Path) -> list[str]:
    return [item.params["6"]["text"] for item in items_of(path)]


def the_row_problem(path: Path) -> Problem:
    return next(one for one in problems_of(path) if "rows" in one.path)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("sep=;\nname;city\n安;B, C\n波;D\n", id="sep-line"),
        pytest.param('"sep=,"\r\nname,city\r\n安,"B, C"\r\n波,D\r\n', id="quoted-sep-line"),
        pytest.param("name;city;note, more\n安;B, C;\n波;D;\n", id="comma-in-header"),
        pytest.param('"name";"city";"a, b"\n安;"B, C";x\n波;D;x\n', id="comma-in-quoted-header"),
        pytest.param("name;city;;\n安;B, C;;\n波;D\n", id="nameless-columns"),
        pytest.param('name,city\n安,"B, C",,\n波,D,\n', id="blank-cells-after-the-row"),
        pytest.param("name\tcity\r安\tB, C\r波\tD\r", id="only-cr"),
        pytest.param("name;city\n安;B, C\r波;D\n", id="lone-cr"),
        pytest.param("name;city\r\n安;B, C\r\n\r\n波;D", id="crlf"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_of_a_spreadsheet_is_read(tmp_path: Path, rows: str, encoding: str) -> None:
    assert texts(manifest(tmp_path, rows.encode(encoding))) == ["安 of B, C", "波 of D"]


def test_big_endian_file_with_mark_is_read(tmp_path: Path) -> None:
    rows = b"\xfe\xff" + "name\tcity\n安\tB\n".encode("utf-16-be")

    assert texts(manifest(tmp_path, rows)) == ["安 of B"]


def test_tab_separated_file_may_contain_commas(tmp_path: Path) -> None:
    rows = "name\tcity, country\tcity\n安\tx, y\tB\n"

    assert texts(manifest(tmp_path, rows, name="rows.tsv")) == ["安 of B"]


@pytest.mark.parametrize(
    ("given", "codec"),
    [
        *[("gbk", "gbk"), ("GB2312", "gbk"), ("gb18030", "gb18030"), ("Big5", "big5")],
        *[("utf-16-le", "utf-16-le"), ("UTF_16_BE", "utf-16-be"), ("shift_jis", "cp932")],
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_given_encoding_is_used(tmp_path: Path, given: str, codec: str, name: str) -> None:
    rows = {"rows.csv": "name,city\r\n馬,中\r\n", "rows.jsonl": '{"name": "馬", "city": "中"}\r\n'}
    if codec == "gbk":
        rows = {key: text.replace("馬", "马") for key, text in rows.items()}

    path = manifest(tmp_path, rows[name].encode(codec), f"encoding: {given}\n", name)

    assert texts(path) == ["马 of 中" if codec == "gbk" else "馬 of 中"]


def test_encoding_changes_no_key(tmp_path: Path) -> None:
    """The key is a hash of the text, not of the bytes in the file."""
    rows = "name,city\n马,雪\n"

    utf8 = items_of(manifest(tmp_path / "a", rows))
    gbk = items_of(manifest(tmp_path / "b", rows.encode("gbk"), "encoding: gbk\n"))

    assert [item.key for item in utf8] == [item.key for item in gbk]


@pytest.mark.parametrize(
    ("codec", "hint"),
    [
        ("gb18030", "if 安娜,上海的春天 is right, write encoding: gb18030"),
        ("big5", "if 安娜,上海的春天 is right, write encoding: big5"),
        ("utf-16-le", "if 安娜,上海的春天 is right, write encoding: utf-16-le"),
        ("utf-16-be", "if 安娜,上海的春天 is right, write encoding: utf-16-be"),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_encoding_of_a_file_is_named_and_not_guessed(
    tmp_path: Path, codec: str, hint: str, name: str
) -> None:
    rows = {
        "rows.csv": "name,city\n安娜,上海的春天\n",
        "rows.jsonl": '{"name":"安娜,上海的春天"}\n',
    }

    problem = the_row_problem(manifest(tmp_path, rows[name].encode(codec), name=name))

    wanted = hint if name == "rows.csv" else hint.replace("安娜,上海的春天", rows[name].strip())
    assert wanted in (problem.hint or "")
    assert "\N{REPLACEMENT CHARACTER}" not in str(problem)


@pytest.mark.parametrize(
    ("rows", "more", "line", "message", "hint"),
    [
        pytest.param("name,city\nA\0,B\n", "", 2, "NUL", "UTF-8", id="nul"),
        pytest.param("name，city\n安，B\n", "", 1, "， does not separate", ", for ，", id="wide"),
        pytest.param("name,city\n安，B\n", "", 2, "1 cell, the", ", for ，", id="wide-in-row"),
        pytest.param("name,city\n安\n", "", 2, "1 cell, the header has 2 cells", ",", id="short"),
        pytest.param("name,city\na,b,c\n", "", 2, "3 cells, the", "in quotes", id="long"),
        pytest.param('name,city\nx,y\n"a,b\nc,d\n', "", 3, "never closed", '""', id="open"),
        pytest.param(
            'name,city\n"a,b\nc,"d"\n', "", 2, "closed in line 3", '""', id="closed-later"
        ),
        pytest.param('name,"city\na,b\n', "", 1, "quote in the header", '""', id="header"),
        pytest.param("name,city,name\n", "", 1, "two columns name", "rename", id="twice"),
        pytest.param(
            "name,city\n安娜,臺北\n".encode("big5"),
            "encoding: gbk\n",
            2,
            "not gbk",
            "beside",
            id="wrong",
        ),
        pytest.param(b"name,city\n\xff\xff,b\n", "encoding: gbk\n", 1, "not gbk", "", id="bytes"),
    ],
)
def test_problem_of_a_csv_file_names_the_line(
    tmp_path: Path, rows: str | bytes, more: str, line: int, message: str, hint: str
) -> None:
    problem = the_row_problem(manifest(tmp_path, rows, more))

    assert problem.line == line
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert "csv" not in problem.message.lower()


@pytest.mark.parametrize(
    ("rows", "at", "message", "hint"),
    [
        pytest.param('[{"name": "a"}]\n', (1, 1), "this is a list", "jq -c", id="list"),
        pytest.param('[\n{"name": "a"}\n]\n', (1, 1), "this is a list", "jq -c", id="lines"),
        pytest.param('{\n "name": "a"\n}\n', (1, 1), "several lines", "jq -c", id="pretty"),
        pytest.param('{"name": "a"},\n', (1, 14), "ends before this", "comma", id="comma"),
        pytest.param('{“name”: "a"}\n', (1, 2), "double quotes", '" for “', id="wide-quotes"),
        pytest.param('{"name"： "a"}\n', (1, 8), "a colon", ": for ：", id="wide-colon"),
        pytest.param('{"name": "a"，"x": "b"}\n', (1, 13), "a comma", ", for ，", id="wide-comma"),
        pytest.param('{"name": None}\n', (1, 10), "a value", "write null", id="python"),
        pytest.param("{'name': 'a'}\n", (1, 2), "double quotes", "double quotes", id="single"),
        pytest.param('{"name": 1e999}\n', (1, 1), "1e999 is too large", "", id="infinite"),
        pytest.param('{"a": 1, "a": 2}\n', (1, 1), "the key a is repeated", "", id="twice"),
        pytest.param('{"name": "a\tb"}\n', (1, 12), "a tab or", "", id="tab"),
        pytest.param('{"name": "a}\n', (1, 10), "never closed", "", id="open"),
    ],
)
def test_problem_of_a_json_line_is_at_its_column(
    tmp_path: Path, rows: str, at: tuple[int, int], message: str, hint: str
) -> None:
    problem = the_row_problem(manifest(tmp_path, rows, name="rows.jsonl"))

    assert (problem.line, problem.column) == at
    assert message in problem.message
    assert hint in (problem.hint or "")


def test_json_lines_with_mark_crlf_and_blank_lines_are_read(tmp_path: Path) -> None:
    rows = '\ufeff{"name": "a", "city": "b"}\r\n\r\n \r\n{"name": "c", "city": "d"}\r\n'

    assert texts(manifest(tmp_path, rows, name="rows.jsonl")) == ["a of b", "c of d"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("items_from: rows.csv\nencoding: gbkk\n", "wanted an encoding such as"),
        ("items_from: rows.csv\nencoding: rot13\n", "wanted an encoding such as"),
        ("prompts: [a]\nencoding: gbk\n", "items_from, which is missing"),
        ("items_from: rows.xls\n", "save the table as .xlsx or CSV UTF-8"),
    ],
)
def test_wrong_encoding_or_file_is_refused(tmp_path: Path, more: str, message: str) -> None:
    write(tmp_path, "prompt\na\n", "rows.csv")
    head = 'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\n'

    messages = [one.message for one in problems_of(write(tmp_path, head + more))]
    assert any(message in one for one in messages)


def test_delimiter_of_an_accepted_file_stays(tmp_path: Path) -> None:
    """Another one would change names of variables, and so what is sent."""
    rows = "name,city;x\nA,B;C\n"
    head = 'workflow: w\nparams: {"6": {text: "{{ name }} of {{ city_x }}"}}\n'
    write(tmp_path, rows, "rows.csv")

    assert texts(write(tmp_path, f"{head}items_from: rows.csv\n")) == ["A of B;C"]
