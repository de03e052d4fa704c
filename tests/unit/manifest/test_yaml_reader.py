"""What is refused while YAML is read: each error at its location, none hiding another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch_runner.errors import ManifestError
from batch_runner.manifest import load
from tests.unit.manifest.helpers import HEAD, items_of, location, problems_of, the_problem, write


@pytest.mark.parametrize("depth", [66, 999, 1001, 200_000])
def test_deep_nesting_is_refused_at_any_depth(tmp_path: Path, depth: int) -> None:
    """Newer libraries have a limit of their own, which applies before ours."""
    (problem,) = problems_of(write(tmp_path, "a: " + "[" * depth))

    assert "more than 64 deep" in problem.message
    assert location(problem)[0] == 1


@pytest.mark.parametrize(
    ("text", "at", "message", "hint"),
    [
        pytest.param("", (1, 1), "empty", "init", id="empty"),
        pytest.param("# only words\n", (1, 1), "only comments", None, id="comments-only"),
        pytest.param("- a\n- b\n", (1, 1), "this is a list", "workflow:", id="list"),
        pytest.param("just text\n", (1, 1), "this is text", "workflow:", id="text"),
        pytest.param(b"a: caf\xe9\n", (1, 7), "0xe9 is not UTF-8", "UTF-8", id="latin-1"),
        pytest.param(b"\xff\xfea\x00", (1, 1), "0xff is not UTF-8", "UTF-8", id="utf-16"),
        pytest.param("a: b\nc: d\x07e\n", (2, 5), "U+0007", "remove it", id="control-character"),
        pytest.param("a: b\x00\n", (1, 5), "U+0000", "remove it", id="nul"),
        pytest.param("a: b\u2028c\n", (1, 5), "U+2028", "remove it", id="line-separator"),
        pytest.param("a: " * 3 + "b", (1, 5), "colon", '"a: a: b"', id="colons"),
        pytest.param("{a: " * 100, (1, 257), "more than 64 deep", None, id="deep-mappings"),
        pytest.param("a: 'b\n", (1, 4), "never closed", "close it", id="open-quote"),
        pytest.param("a: [1, 2\nb: 3\n", (1, 4), "[ is opened here", "quotes", id="open-bracket"),
        pytest.param("a: 1\n---\nb: 2\n", (2, 1), "second document", None, id="two-documents"),
    ],
)
def test_text_without_manifest_is_one_problem(
    tmp_path: Path, text: str | bytes, at: tuple[int, int], message: str, hint: str | None
) -> None:
    found = {location(problem): problem for problem in problems_of(write(tmp_path, text))}

    problem = found[at]
    assert message in problem.message
    assert problem.hint is None if hint is None else hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("line", "column", "message", "hint"),
    [
        pytest.param("prompts: [&x a]", 11, "&x is an anchor", "write the values", id="anchor"),
        pytest.param("prompts: [*x]", 11, "*x is an alias", "write the values", id="alias"),
        pytest.param("<<: {prompts: [a]}", 1, "merge key", "write the values", id="merge-key"),
        pytest.param("prompts: [!!str a]", 11, "not supported", "remove it", id="tag"),
        pytest.param("prompts: {{ x }}", 11, "cannot be a key", "template", id="bare-template"),
    ],
)
def test_advanced_yaml_features_are_refused(
    tmp_path: Path, line: str, column: int, message: str, hint: str
) -> None:
    found = problems_of(write(tmp_path, HEAD + line + "\n"))

    assert (3, column) in map(location, found)
    problem = next(one for one in found if location(one) == (3, column))
    assert message in problem.message
    assert hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("prompt", "column", "message", "hint"),
    [
        pytest.param("no", 5, "no is false to some", 'write "no"', id="no"),
        pytest.param("Y", 5, "Y is true to some", 'write "Y"', id="y"),
        pytest.param("on", 5, "on is true to some", 'write "on"', id="on"),
        pytest.param("12:30", 5, "base 60", 'write "12:30"', id="time"),
        pytest.param("010", 5, "octal", "or 10 for the number", id="leading-zero"),
        pytest.param("2026-01-30", 5, "a date to some", 'write "2026-01-30"', id="date"),
        pytest.param("1e3", 5, "a number to others", "or 1000 for the number", id="exponent"),
        pytest.param("1_000", 5, "a number to some", 'write "1_000"', id="underscore"),
        pytest.param("Horse #1 in snow", 11, "starts a comment", "quotes", id="hash"),
        pytest.param("a: b: c", 9, "colon", '"b: c"', id="two-colons"),
        pytest.param(
            "Dark: a horse",
            5,
            "after Dark turns this prompt into a mapping",
            '"Dark: a horse"',
            id="one-colon",
        ),
        pytest.param("@home", 5, "cannot start with @", '"@home"', id="at-sign"),
        pytest.param("{{ x }} horse", 13, "starts with {{", '"{{ x }} horse"', id="template"),
        pytest.param(
            "{prompt: a, in snow}", 17, "a comma ends the text", "quotes", id="comma-in-braces"
        ),
        pytest.param("2026", 5, "this is a number", 'write "2026"', id="number"),
        pytest.param("true", 5, "true or false", 'write "true"', id="truth"),
        pytest.param("~", 5, "this is nothing", "quotes", id="null"),
        pytest.param("[a]", 5, "this is a list", "quotes", id="list"),
        pytest.param('"  "', 5, "the prompt is empty", None, id="blank"),
        pytest.param('"\u3000"', 5, "the prompt is empty", None, id="blank-of-full-width"),
        pytest.param('"\\ufeff"', 5, "the prompt is empty", None, id="byte-order-mark"),
        pytest.param("\u200b", 5, "the prompt is empty", None, id="without-width"),
        pytest.param("{prompt: \u200b}", 14, "the prompt is empty", None, id="mapping"),
    ],
)
def test_prompt_that_yaml_changes_is_refused(
    tmp_path: Path, prompt: str, column: int, message: str, hint: str | None
) -> None:
    problem = the_problem(tmp_path, f"{HEAD}prompts:\n  - {prompt}\n  - a good one\n")

    assert location(problem) == (4, column)
    assert message in problem.message
    assert problem.hint is None if hint is None else hint in (problem.hint or "")
    assert problem.source_line == f"  - {prompt}"


REST = 'params: {"6": {text: "{{ prompt }}"}}\nprompts: [a]\n'


@pytest.mark.parametrize(
    ("text", "at", "message", "hint"),
    [
        pytest.param(
            f"workflow:cards\n{REST}", (1, 9), "a space is missing", "workflow: cards", id="first"
        ),
        pytest.param(
            f"workflow： cards\n{REST}", (1, 9), "reads ： as text", ": for ：", id="wide"
        ),
        pytest.param(
            f"{HEAD}limits:\n  rate:5/s\n  in_flight: 3\nprompts: [a]\n",
            *((4, 7), "a space is missing", "rate: 5/s"),
            id="inner",
        ),
        pytest.param(
            f"{HEAD}prompts: [a]\nlimits:\n  in_flight: 3\n  rate:5/s\n",
            *((6, 7), "a space is missing", "rate: 5/s"),
            id="last",
        ),
        pytest.param(
            f"{HEAD}prompts:\n  - id:one\n    prompt: a horse\n",
            *((4, 7), "a space is missing", "id: one"),
            id="entry",
        ),
        pytest.param(
            f"{HEAD}prompts：\n  - a\n", (3, 8), "reads ： as text", ": for ：", id="block"
        ),
        pytest.param(f"job cards\n{HEAD}prompts: [a]\n", (1, 1), "no colon", "job: …", id="none"),
        pytest.param(
            f"{HEAD}prompts:\n  - a horse\n    in snow: white\n",
            *((5, 12), "a colon and a space needs quotes", "quotes"),
            id="text-over-two-lines",
        ),
        pytest.param(
            f"{HEAD}prompts:\n  - 16:9 wide shot\n    standing: proudly\n",
            *((5, 13), "a colon and a space needs quotes", "quotes"),
            id="ratio",
        ),
        pytest.param(
            f"{HEAD}prompts:\n  - 风格：油画，一匹马\n    背景: 草地\n",
            *((5, 7), "a colon and a space needs quotes", "quotes"),
            id="wide-in-text",
        ),
        pytest.param(
            f"{HEAD}prompts:\n  - http://a.example\n    b: c\n",
            *((5, 6), "a colon and a space needs quotes", "quotes"),
            id="address",
        ),
    ],
)
def test_invalid_colon_is_reported_at_its_position(
    tmp_path: Path, text: str, at: tuple[int, int], message: str, hint: str
) -> None:
    problem = the_problem(tmp_path, text)

    assert location(problem) == at
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert problem.source_line == text.splitlines()[at[0] - 1]


def test_repaired_text_is_never_shown(tmp_path: Path) -> None:
    """The line after a repaired one may be invalid, too."""
    text = f"{HEAD}prompts:\n  - a: b: c\n    d\n  e: f\n   g:h: i\n  - @x\n"

    found = problems_of(write(tmp_path, text))

    assert found[0].line == 4
    assert "broken" not in "\n".join(map(str, found))


def test_tab_is_reported_at_its_position(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, f"{HEAD}prompts:\n\t- a\n")

    assert location(problem) == (4, 1)
    assert problem.message == "this line is indented with a tab"
    assert problem.hint == "use spaces"


def test_repeated_key_names_the_first_line(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, f"{HEAD}prompts: [a]\nworkflow: other\n")

    assert location(problem) == (4, 1)
    assert "repeated; it is also in line 1" in problem.message


def test_syntax_error_hides_no_other_error(tmp_path: Path) -> None:
    text = f"{HEAD}prompts:\n  - a: b: c\n  - no\n  - x: y: z\nlimits: {{rate: fast}}\n"

    found = problems_of(write(tmp_path, text))

    assert [problem.line for problem in found] == [4, 5, 6, 7]


def test_comment_after_space_is_a_comment(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}prompts:\n  - a horse # the best one\n")

    assert [item.prompt for item in items_of(path)] == ["a horse"]


def test_yaml_is_read_as_version_1_2(tmp_path: Path) -> None:
    values = "{a: 0x1F, b: 0o17, c: -3, d: .5, e: True, f: 1.5e+3, g: ~, h: 3d, i: 'no'}"
    path = write(tmp_path, f"workflow: w\nparams: {{'6': {values}}}\nprompts: [p]\n")
    path.write_text(path.read_text().replace("i: 'no'", "i: 'no', p: '{{ prompt }}'"))

    (item,) = items_of(path)

    assert item.params["6"] == {
        **{"a": 31, "b": 15, "c": -3, "d": 0.5, "e": True, "f": 1500.0, "g": None, "h": "3d"},
        **{"i": "no", "p": "p"},
    }


def test_number_as_key_is_text(tmp_path: Path) -> None:
    path = write(tmp_path, "workflow: w\nparams: {6: {text: '{{ prompt }}'}}\nprompts: [p]\n")

    (item,) = items_of(path)

    assert item.params == {"6": {"text": "p"}}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, "no such file", id="missing"),
        pytest.param(lambda path: path.mkdir(), "this is a folder", id="folder"),
        pytest.param(os.mkfifo, "this is not a regular file", id="named-pipe"),
    ],
)
def test_path_without_regular_file_is_reported(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "job.yaml"
    make(path)  # type: ignore[operator]

    (problem,) = problems_of(path)

    assert location(problem) == (1, 1)
    assert message in problem.message


def test_control_characters_are_replaced_in_messages(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, "a: \x1b[31mred\n"))

    assert "\x1b" not in str(problem)


def test_many_problems_are_cut_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "prompts:\n" + "  - no\n" * 60)

    with pytest.raises(ManifestError) as caught:
        load(path)

    assert (len(caught.value.problems), caught.value.more) == (50, 10)


@pytest.mark.parametrize("text", ["? ? |\n", "? [a]\n: b\n", "{[a]: b, {c}}", "? {a}\n"])
def test_key_that_is_not_text_is_refused(tmp_path: Path, text: str) -> None:
    found = problems_of(write(tmp_path, text))

    assert "a list or mapping cannot be a key" in [problem.message for problem in found]
