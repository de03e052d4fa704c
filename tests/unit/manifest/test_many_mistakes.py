"""Many errors in one file: each is reported once, at its location."""

from __future__ import annotations

from pathlib import Path

from tests.unit.manifest.helpers import HEAD, problems_of, the_problem, write

BROKEN = """\
job: con
workfow: cards
params: {"6": {text: "{{ prompt | uper }}", on: no}}
repeat: 010
limits: {rate: 0/s, until: 12:30}
attempts: 0
prompts:
  - A horse: under lanterns
  - A horse #1 in the snow
  - {prompt: "", id: x}
  - {prompt: a dog, id: same}
  - {prompt: a cat, id: same}
  - {prompt: a cow, id: ../up}
matrix: {style: []}
defaults: &d {style: ink}
output: {folder: ~/out}
output: {folder: elsewhere}
"""


def test_every_error_is_reported_at_its_location(tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, BROKEN))

    assert [(one.line, one.column) for one in problems] == [
        *[(1, 6), (2, 1), (3, 35), (3, 49), (4, 9), (5, 16), (5, 28), (6, 11), (8, 5), (9, 13)],
        *[(10, 14), (12, 5), (13, 5), (14, 17), (15, 11), (16, 18), (17, 1)],
    ]
    assert all(one.source_line for one in problems)


def test_empty_value_is_reported_as_empty(tmp_path: Path) -> None:
    prompt = the_problem(tmp_path, HEAD + 'prompts: [{prompt: " ", id: x}]\n')
    values = the_problem(tmp_path, HEAD.replace("prompt", "style") + "matrix: {style: []}\n")

    assert prompt.message == "prompt: wanted some text, this is empty"
    assert values.message == "matrix.style: wanted something in it, this is empty"


def test_unknown_variable_is_reported_once_besides_items(tmp_path: Path) -> None:
    text = HEAD.replace("{{ prompt }}", "{{ prompt }} {{ colour.id }} {{ (size.text) }}")
    prompts = "prompts: [{prompt: a, id: one}, {prompt: b, id: two}, {prompt: c, id: ../up}]\n"

    problems = problems_of(write(tmp_path, text + prompts))

    assert [one.message.split(":")[0] for one in problems] == [
        "there is no variable colour",
        "there is no variable size",
        "the file cannot be named ../up",
    ]


def test_too_long_text_is_refused_everywhere(tmp_path: Path) -> None:
    long = "y" * 64_001
    head = HEAD.replace("text:", f"big: {long}, text:")

    in_params = the_problem(tmp_path, head + "prompts: [a]\n")
    in_a_list = the_problem(tmp_path, f"{HEAD}prompts: [{{prompt: a, colours: [red, {long}]}}]\n")

    assert "64001 characters, at most 64000" in in_params.message
    assert "64001 characters, at most 64000" in in_a_list.message
