"""Prompts that start like something else in YAML: the message shows them in quotes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.manifest.helpers import HEAD, items_of, location, problems_of, write

OPENINGS = [
    *['"Welcome" sign', "'a' b 'c'", '"a" and "b"', "[a] horse", "[x], y", "{a|b} horse"],
    *["{a: b} c", "*x horse", "*", "&x horse", "& x", "!x horse", "! x", "> x", ">x", "| x", "|x"],
    *["? x", ", x", "]x", "}x", ": x", "@x", "%x", "`x` y", "# x", "#x", "- x", "~", "[x]", "{x}"],
    *["title: value of it", "A horse: in snow: white", "a horse:", "'Tis snow", '"unclosed'],
    *['"a" \\ b', "[a horse", "{a horse"],
]


#: After `prompt: ` these are other mistakes.
OTHERWISE = ("- x", "~", "a horse:", ": x", "title: value of it")
IN_LINES = [(before, prompt) for before in ("- ", "  - ") for prompt in OPENINGS]
IN_LINES += [("- prompt: ", prompt) for prompt in OPENINGS if prompt not in OTHERWISE]


@pytest.mark.parametrize(("before", "prompt"), IN_LINES)
def test_prompt_that_starts_like_yaml_is_shown_in_quotes(
    tmp_path: Path, prompt: str, before: str
) -> None:
    lines = f"{before}{prompt}\n{before}a good one\n"

    found = problems_of(write(tmp_path, f"{HEAD}prompts:\n{lines}repat: 2\n"))

    assert [problem.line for problem in found] == [4, 6], "\n".join(map(str, found))
    problem, other = found
    assert "repeat" in (other.hint or "")
    if before == "- prompt: " and prompt[:1] in "?[{#":
        return  # may be meant as a list or a mapping there
    _, _, quoted = (problem.hint or "").rpartition("in quotes: ")
    path = write(tmp_path, f"{HEAD}prompts:\n{before}{quoted}\n")
    assert [item.prompt for item in items_of(path)] == [prompt]


@pytest.mark.parametrize(
    "lines", ["- 'Tis snow\n- it's night\n- a\n", '- "one\n  two" three\n- b\n']
)
def test_quote_that_ends_in_a_later_line_is_told_where_it_opens(tmp_path: Path, lines: str) -> None:
    problem = problems_of(write(tmp_path, f"{HEAD}prompts:\n{lines}"))[0]

    assert location(problem) == (4, 3)
    assert "ends in line 5" in problem.message


def test_text_of_a_prompt_may_contain_such_signs(tmp_path: Path) -> None:
    lines = "- -x\n- ~x\n- <<x\n- =x\n- a [b] {c} *d* & e! @f %g `h` | > i?\n- http://x y\n"

    assert len(items_of(write(tmp_path, f"{HEAD}prompts:\n{lines}"))) == 6


def test_extra_brace_in_params_is_told_without_quotes(tmp_path: Path) -> None:
    text = 'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}}\nprompts: [a]\n'

    problem = problems_of(write(tmp_path, text))[0]

    assert problem.line == 2
