"""`prompts_from`: text files, and the name that the key had before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.manifest.helpers import HEAD, items_of, problems_of, write


def manifest(folder: Path, content: str | bytes, more: str = "", name: str = "prompts.txt") -> Path:
    write(folder, content, name)
    return write(folder, f"{HEAD}prompts_from: {name}\n{more}")


def texts(path: Path) -> list[str]:
    return [item.params["6"]["text"] for item in items_of(path)]


@pytest.mark.parametrize(
    "content",
    [
        "# horses\nA horse\n\n  \t\n   # not one\n  A foal, #2  \n",
        "\ufeffA horse\r\n\r\nA foal, #2",
        "A horse\rA foal, #2\r",
        "A horse\nA foal, #2\n".encode("utf-16"),
    ],
    ids=["comments", "bom-crlf", "cr", "utf-16"],
)
def test_each_line_of_text_is_a_prompt(tmp_path: Path, content: str | bytes) -> None:
    assert texts(manifest(tmp_path, content)) == ["A horse", "A foal, #2"]


def test_line_has_the_key_of_a_prompt_in_the_manifest(tmp_path: Path) -> None:
    (listed,) = items_of(write(tmp_path, HEAD + "prompts: [一匹马]\n"))
    (line,) = items_of(manifest(tmp_path, "一匹马\n"))

    assert (line.key, line.id, line.name) == (listed.key, listed.id, listed.name)
    assert line.source.endswith("prompts.txt:1")


def test_lines_are_combined_with_matrix_and_repeat(tmp_path: Path) -> None:
    more = "matrix: {style: [ink, oil]}\nrepeat: 2\noutput: {name: '{{ style }}-{{ id }}'}\n"
    write(tmp_path, "A\nB\n", "prompts.txt")
    head = HEAD.replace("{{ prompt }}", "{{ prompt }} in {{ style }} {{ n }}")

    found = texts(write(tmp_path, f"{head}prompts_from: prompts.txt\n{more}"))

    assert found[:4] == ["A in ink 1", "A in ink 2", "A in oil 1", "A in oil 2"]
    assert len(found) == 8


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_tables_are_read_under_both_names(tmp_path: Path, ending: str) -> None:
    content = '{"prompt": "A horse"}\n' if ending == "jsonl" else "prompt\nA horse\n"
    new = manifest(tmp_path, content, name=f"rows.{ending}")
    (item,) = items_of(new)
    old = write(tmp_path, new.read_text().replace("prompts_from", "items_from"))

    assert [one.key for one in items_of(old)] == [item.key]


@pytest.mark.parametrize(
    ("content", "more", "line", "message"),
    [
        ("A horse\nA {{ style }} horse\n", "", 2, "a template is not rendered here"),
        ("A horse\n\nB\nA horse\n", "", 4, "would send the same request"),
        ("# nothing\n\n", "", 1, "this file has no prompts"),
        ("", "", 1, "this file has no prompts"),
        (b"A horse\n\xc2\xed\n", "", 2, "byte 0xc2 in this line is not UTF-8"),
        ("A\nB\0\n", "", 2, "NUL"),
        ("A" * 1_000_001, "", 1, "more than 1000000 bytes"),
    ],
    ids=["template", "twice", "comments", "empty", "encoding", "nul", "long"],
)
def test_bad_line_is_refused_at_its_place(
    tmp_path: Path, content: str | bytes, more: str, line: int, message: str
) -> None:
    (problem,) = problems_of(manifest(tmp_path, content, more))

    assert (problem.path.rpartition("/")[2], problem.line) == ("prompts.txt", line)
    assert message in problem.message


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gbk", "一匹骏马在雪地里奔跑，背景是红色灯笼\n"),
        ("big5", "一匹駿馬在雪地裡奔跑，背景是紅色燈籠\n"),
        ("cp932", "雪の中を走る馬、赤い提灯の背景\n"),
        ("cp1250", "Ein Pferd läuft über die grüne Wiese, schön\n"),  # as in cp1252
        ("utf-16-le", "A horse in falling snow\n"),
    ],
)
def test_other_encoding_is_named_and_then_read(tmp_path: Path, encoding: str, text: str) -> None:
    content = text.encode(encoding)
    problems = problems_of(manifest(tmp_path, content))
    named = {"gbk": "gb18030"}.get(encoding, encoding)

    assert f"if {text.strip()} is right, write encoding: {named}" in str(problems[0].hint)
    assert texts(manifest(tmp_path, content, f"encoding: {named}\n")) == [text.strip()]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("prompts_from: a.txt\nitems_from: b.csv\n", "both are here"),
        ("prompts_from: a.pdf\n", "ends in .txt, .csv, .tsv, .jsonl or .xlsx"),
        ("prompts_from: a.xls\n", "save the table as .xlsx or CSV UTF-8"),
        ("prompts_from: missing.txt\n", "there is no such file"),
        ("prompts_from: a.txt\nsheet: Cards\n", "sheet is that of an .xlsx file"),
        ("prompts_from: a.xlsx\nencoding: gbk\n", "an .xlsx file has no encoding"),
        ("prompts_from: a.txt\nencoding: auto\n", "an encoding is never guessed"),
        ("prompts: [a]\nsheet: x\n", "sheet is that of an .xlsx file"),
        ("sheet: x\n", "prompts, prompts_from, files_from and matrix are all missing"),
    ],
)
def test_wrong_file_or_key_is_refused(tmp_path: Path, more: str, message: str) -> None:
    write(tmp_path, "a\n", "a.txt")
    write(tmp_path, "prompt\na\n", "b.csv")

    assert any(message in one.message for one in problems_of(write(tmp_path, HEAD + more)))


def test_unused_prompts_of_text_file_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a\n", "a.txt")
    head = 'workflow: w\nparams: {"6": {text: horse}}\n'

    (problem,) = problems_of(write(tmp_path, head + "prompts_from: a.txt\n"))

    assert "no template uses the prompts" in problem.message


def test_duplicates_are_skipped_and_counted(tmp_path: Path) -> None:
    from batch_runner.manifest import load

    path = manifest(tmp_path, "A\nB\nA\nC\nB\n", "on_duplicate: skip\nrepeat: 2\n")
    loaded = load(path)
    items = list(loaded.items())

    assert [item.prompt for item in items] == ["A", "A", "B", "B", "C", "C"]
    (skipped, equal) = loaded.warnings()
    assert "4 items were skipped" in skipped.message
    assert skipped.line == 3
    assert "would send the same request as another one" in equal.message


def test_skipping_does_not_excuse_equal_ids(tmp_path: Path) -> None:
    rows = "id,prompt\na,A\nb,A\na,C\n"
    path = manifest(tmp_path, rows, "on_duplicate: skip\n", "rows.csv")

    (problem,) = problems_of(path)

    assert (problem.line, problem.message[:26]) == (4, "the id a is already in use")
