"""Items from CSV and JSONL files: columns are variables, errors name file and line."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_runner.manifest import load
from tests.unit.manifest.helpers import items_of, problems_of, the_problem, write

HEAD = 'workflow: w\nparams: {"6": {text: "{{ name }} of {{ city }}"}}\n'


def from_csv(folder: Path, rows: str | bytes, head: str = HEAD) -> Path:
    write(folder, rows, "rows.csv")
    return write(folder, head + "items_from: rows.csv\n")


def from_jsonl(folder: Path, rows: str, head: str = HEAD) -> Path:
    write(folder, rows, "rows.jsonl")
    return write(folder, head + "items_from: rows.jsonl\n")


def texts(path: Path) -> list[str]:
    return [item.params["6"]["text"] for item in items_of(path)]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("name,city\nAnna,Rome\nBo,Ürümqi\n", id="plain"),
        pytest.param("\ufeffname,city\r\nAnna,Rome\r\nBo,Ürümqi", id="spreadsheet"),
        pytest.param("name;city\nAnna;Rome\nBo;Ürümqi\n", id="semicolons"),
        pytest.param("name\tcity\nAnna\tRome\nBo\tÜrümqi\n", id="tabs"),
        pytest.param('name,city\n"Anna","Rome"\n\n\nBo,"Ürümqi"\n', id="quotes-and-empty-lines"),
    ],
)
def test_csv_row_is_an_item(tmp_path: Path, rows: str) -> None:
    assert texts(from_csv(tmp_path, rows)) == ["Anna of Rome", "Bo of Ürümqi"]


#: Texts without a visible character: white space, and characters without width.
BLANKS = ["", " ", "\t", "\u3000", "\u00a0", "\u2003", "\ufeff", "\u200b"]


@pytest.mark.parametrize("cell", BLANKS)
@pytest.mark.parametrize("width", [1, 2, 3])
def test_blank_csv_row_is_no_item(tmp_path: Path, cell: str, width: int) -> None:
    blank = ",".join([f'"{cell}"', cell, cell][:width]) + "\n"

    items = items_of(
        from_csv(tmp_path, f"name,city\n{blank}Anna,Rome\n{blank}Bo,Oslo\n{blank * 3}")
    )

    assert [item.params["6"]["text"] for item in items] == ["Anna of Rome", "Bo of Oslo"]
    assert [item.source.rsplit(":", 1)[1] for item in items] == ["3", "5"]
    assert [item.position for item in items] == [0, 1]


def test_blank_csv_row_of_one_column_is_no_item(tmp_path: Path) -> None:
    head = HEAD.replace(" of {{ city }}", "")

    assert texts(from_csv(tmp_path, 'name\n""\n \nAnna\n\u3000\n', head)) == ["Anna"]


def test_blank_csv_row_over_lines_keeps_the_line_numbers(tmp_path: Path) -> None:
    (problem,) = problems_of(from_csv(tmp_path, 'name,city\n"\n\n"," "\n,\nAnna\n'))

    assert problem.line == 6


def test_blank_csv_row_does_not_get_the_default_prompt(tmp_path: Path) -> None:
    head = 'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\ndefaults: {prompt: a horse}\n'

    assert texts(from_csv(tmp_path, "id,prompt\n,\nown,\n,\n", head)) == ["a horse"]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_blank_csv_rows_change_no_item(tmp_path: Path, data: st.DataObject) -> None:
    """Seeds and picks included."""
    head = HEAD.replace("{{ city }}", "{{ city }} {{ seed() }} {{ pick([1, 2, 3]) }}")
    rows = [f"Anna {number},Rome" for number in range(data.draw(st.integers(1, 4)))]
    before = [(item.key, item.id, item.position) for item in items_of(_rows(tmp_path, rows, head))]
    for _ in range(data.draw(st.integers(1, 6))):
        cells = data.draw(st.lists(st.sampled_from(BLANKS), min_size=1, max_size=4))
        rows.insert(data.draw(st.integers(0, len(rows))), ",".join(cells))

    after = [(item.key, item.id, item.position) for item in items_of(_rows(tmp_path, rows, head))]

    assert after == before


def _rows(folder: Path, rows: list[str], head: str) -> Path:
    return from_csv(folder, "\n".join(["name,city", *rows]) + "\n", head)


@pytest.mark.parametrize("blank", [*BLANKS, " \ufeff\t"])
def test_blank_jsonl_line_is_no_item(tmp_path: Path, blank: str) -> None:
    row = '{"name": "Anna", "city": "Rome"}\n'

    items = items_of(from_jsonl(tmp_path, f"{blank}\n{row}{blank}\n"))

    assert [item.source.rsplit(":", 1)[1] for item in items] == ["2"]


@pytest.mark.parametrize(
    "row", ["{}", '{"name": ""}', '{"name": " ", "city": null}', '{"name": "\\u200b"}']
)
def test_empty_jsonl_row_is_refused(tmp_path: Path, row: str) -> None:
    head = 'workflow: w\nparams: {"6": {text: a horse}}\n'

    (problem,) = problems_of(from_jsonl(tmp_path, f'{{"name": "Anna"}}\n\n{row}\n', head))

    assert problem.message == "this row is empty"
    assert problem.line == 3


def test_quoted_csv_cell_spans_lines(tmp_path: Path) -> None:
    path = from_csv(tmp_path, 'name,city\n"An\nna","a ""b"", c"\nBo,Rome\n')

    items = items_of(path)

    assert items[0].params["6"]["text"] == 'An\nna of a "b", c'
    assert [item.source.rsplit(":", 1)[1] for item in items] == ["2", "4"]


@pytest.mark.parametrize(("inside", "end"), [("\r\n", "\r\n"), ("\n", "\r\n"), ("\r", "\n")])
def test_line_ends_of_data_file_do_not_change_items(inside: str, end: str, tmp_path: Path) -> None:
    def keys(inside: str, end: str) -> list[str]:
        rows = ["name,city", f'"An{inside}{inside}na",Rome', f'Bo,"Rome{inside}"', ""]
        return [item.key for item in items_of(from_csv(tmp_path, end.join(rows)))]

    assert keys(inside, end) == keys("\n", "\n")


def test_jsonl_row_keeps_types(tmp_path: Path) -> None:
    rows = '{"name": "Anna", "city": {"n": 1}, "steps": 20}\n\n{"name": "Bo", "city": "x"}\n'
    head = 'workflow: w\nparams: {"6": {t: "{{ name }}", c: "{{ city }}"}}\n'

    items = items_of(from_jsonl(tmp_path, rows, head))

    assert [item.params["6"] for item in items] == [
        {"t": "Anna", "c": {"n": 1}},
        {"t": "Bo", "c": "x"},
    ]


def test_id_column_gives_the_id(tmp_path: Path) -> None:
    path = from_csv(tmp_path, "id,name,city\n7,Anna,Rome\nbo,Bo,Rome\n")

    assert [item.id for item in items_of(path)] == ["7", "bo"]


def test_id_without_column_is_first_cell_and_key(
    tmp_path: Path,
) -> None:
    (item,) = items_of(from_csv(tmp_path, "name,city\nAnna Lee,Rome\n"))

    assert item.id == f"anna-lee-{item.key[:6]}"
    assert item.variables == {"name": "Anna Lee", "city": "Rome"}


def test_prompt_column_gives_the_prompt(tmp_path: Path) -> None:
    head = HEAD.replace("{{ name }} of {{ city }}", "{{ prompt }}")

    (item,) = items_of(from_csv(tmp_path, "prompt\nA horse\n", head))

    assert item.prompt == "A horse"


def test_spaces_in_column_names_become_underscores(tmp_path: Path) -> None:
    head = HEAD.replace("{{ city }}", "{{ Home_town }}")

    assert texts(from_csv(tmp_path, "name,Home town\nAnna,Rome\n", head)) == ["Anna of Rome"]


def test_rows_follow_prompts_and_use_the_matrix(tmp_path: Path) -> None:
    head = 'workflow: w\nparams: {"6": {text: "{{ prompt }} {{ style }}"}}\n'
    head += "prompts: [first]\nmatrix: {style: [ink, clay]}\n"

    path = from_csv(tmp_path, "prompt\nsecond\n", head)

    assert texts(path) == ["first ink", "first clay", "second ink", "second clay"]


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        pytest.param(
            "name,city\nAnna\n", 2, "this row has 1 cell, the header has 2 cells", id="few"
        ),
        pytest.param(
            "name,city\nA,B\n\nA,B,C\n", 4, "this row has 3 cells, the header has 2", id="many"
        ),
        pytest.param('name,city\nA,"B\n', 2, "never closed", id="open-quote"),
        pytest.param('name,city\nA,"B"C\n', 2, "text follows the quote", id="text-after-quote"),
        pytest.param("name,name,city\nA,B,C\n", 1, "two columns name", id="columns-alike"),
        pytest.param("name,city,n\nA,B,1\n", 1, "a column cannot be named n: n is", id="reserved"),
        pytest.param("name,city,\nA,B,1\n", 2, "column 3 has a value here", id="nameless"),
        pytest.param("name,,city\nA,B,1\n", 1, "column 2 has no name", id="nameless-between"),
        pytest.param("", 1, "names no columns", id="empty"),
        pytest.param("name,city\n", 1, "has no rows", id="no-rows"),
        pytest.param("name,city\n,\n ,\n", 1, "has no rows", id="blank-rows"),
        pytest.param(b"name,city\nA,B\nA,caf\xe9\n", 3, "0xe9 in this line is not", id="latin"),
        pytest.param("id,name,city\n ,A,B\n", 2, "the id of this row is empty", id="blank-id"),
        pytest.param("id,name,city\n1,A,B\n1,C,D\n", 3, "the id 1 is already in use", id="ids"),
        pytest.param("name,city\nA,B\nA,B\n", 3, "would send the same request as a-", id="alike"),
        pytest.param("id,name,city\na/b,A,B\n", 2, "it contains a slash", id="bad-name"),
        pytest.param("name,city\n{{ x }},B\n", 2, "a template is not rendered here", id="template"),
        pytest.param(f"name,city\n{'x' * 64001},B\n", 2, "at most 64000", id="long"),
        pytest.param(
            f"name,city\nA,{'x' * 1_000_001}\n", 2, "more than 1000000 bytes", id="endless"
        ),
        pytest.param("prompt,name,city\n ,A,B\n", 2, "prompt of this row is empty", id="prompt"),
        pytest.param("prompt,name,city\n\u200b,A,B\n", 2, "prompt of this row is", id="no-width"),
        pytest.param("id,name,city\n\ufeff,A,B\n", 2, "id of this row is empty", id="bom-id"),
    ],
)
def test_csv_error_names_file_and_line(
    tmp_path: Path, rows: str | bytes, line: int, message: str
) -> None:
    found = problems_of(from_csv(tmp_path, rows))

    assert message in found[0].message
    assert (found[0].path, found[0].line) == (str(tmp_path / "rows.csv"), line)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("{", "not JSON", id="half"),
        pytest.param("[1]", "wanted a JSON object, this is a list", id="list"),
        pytest.param("null", "this is nothing", id="null"),
        pytest.param(
            '{"name": "A", "name": "B", "city": "C"}', "the key name is repeated", id="twice"
        ),
        pytest.param('{"name": NaN, "city": "C"}', "NaN is not a JSON number", id="nan"),
        pytest.param('{"name": "\\ud800", "city": "C"}', "not JSON", id="surrogate"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        pytest.param(
            '{"na me": 1, "name": "A", "city": "C"}', "a variable cannot be named", id="name"
        ),
        pytest.param('{"id": "", "name": "A", "city": "C"}', "id of this row", id="id"),
        pytest.param('{"name": "A", "prompt": 3, "city": "C"}', "wanted text", id="number"),
        pytest.param('{"name": "A"}', "{{ city }} has no value here", id="missing"),
        pytest.param('{"name": "A", "city": null}', "empty (null)", id="null-value"),
    ],
)
def test_jsonl_error_names_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    path = from_jsonl(tmp_path, '{"name": "fine", "city": "x"}\n' + row + "\n")

    found = problems_of(path)

    assert message in found[0].message
    assert (found[0].path, found[0].line) == (str(tmp_path / "rows.jsonl"), 2)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_variable_in_matrix_and_row_is_refused(tmp_path: Path, name: str) -> None:
    rows = {"rows.csv": "name,city\nA,B\n", "rows.jsonl": '{"name": "A", "city": "B"}\n'}
    write(tmp_path, rows[name], name)

    found = problems_of(write(tmp_path, f"{HEAD}items_from: {name}\nmatrix: {{city: [C]}}\n"))

    assert [one.message for one in found] == ["city is both a variable here and in the matrix"]


def test_missing_data_file_is_named(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, HEAD + "items_from: data/rows.csv\n"))

    assert problem.path == str(tmp_path / "data/rows.csv")
    assert problem.message == "there is no such file"


def test_unknown_column_is_reported_in_the_manifest(tmp_path: Path) -> None:
    (problem,) = problems_of(from_csv(tmp_path, "name,town,cty\nA,B,C\n"))

    assert problem.path == str(tmp_path / "job.yaml")
    assert problem.hint == "did you mean cty?"


def test_all_rows_are_checked_before_reporting(tmp_path: Path) -> None:
    path = from_csv(tmp_path, "name,city\nA\nB,C\nD\n{{ e }},F\n")

    assert [problem.line for problem in problems_of(path)] == [2, 4, 5]


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    rows = (json.dumps({"name": f"Name {n}", "city": "Rome" * 50}) for n in range(20_000))
    manifest = load(from_jsonl(tmp_path, "\n".join(rows)))

    tracemalloc.start()
    count = sum(1 for _ in itertools.islice(manifest.items(), 2000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 2000
    assert peak < 500_000  # the file has five million bytes


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param('["{{ y }}"]', "a template is not rendered here", id="template"),
        pytest.param('{"a": ["batch-runner-upload:00"]}', "which is reserved", id="mark"),
        pytest.param(f'[["{"z" * 64_001}"]]', "at most 64000 are allowed", id="long"),
        pytest.param("[" * 70 + "]" * 70, "nested more than 64 deep", id="deep"),
        pytest.param("[" * 900 + "]" * 900, "nested more than 64 deep", id="very-deep"),
        pytest.param("[" * 90_000 + "]" * 90_000, "not JSON", id="far-too-deep"),
    ],
)
def test_nested_values_of_rows_are_checked(tmp_path: Path, value: str, message: str) -> None:
    write(tmp_path, f'{{"x": "a"}}\n{{"x": {value}}}\n', "rows.jsonl")

    problem = the_problem(
        tmp_path, 'workflow: w\nparams: {"6": {t: "{{ x }}", u: v}}\nitems_from: rows.jsonl\n'
    )

    assert problem.path.endswith("rows.jsonl")
    assert problem.line == 2
    assert message in problem.message


def test_empty_cell_uses_the_default(tmp_path: Path) -> None:
    head = HEAD + "defaults: {city: Paris}\n"

    assert texts(from_csv(tmp_path, "name,city\nAnna,Rome\nBo,\nCy,  \n", head)) == [
        "Anna of Rome",
        "Bo of Paris",
        "Cy of Paris",
    ]
    assert texts(from_csv(tmp_path, "name,city\nAnna,\n")) == ["Anna of "]


def test_empty_prompt_cell_uses_the_default_prompt(tmp_path: Path) -> None:
    head = (
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\ndefaults: {prompt: "for {{ name }}"}\n'
    )

    assert texts(from_csv(tmp_path, "name,prompt\nAnna,mine\nBo,\n", head)) == ["mine", "for Bo"]
