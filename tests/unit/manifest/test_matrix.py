from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.manifest.helpers import items_of, location, problems_of, the_problem, write

HEAD = 'workflow: w\nparams: {"6": {text: "{{ animal }} in {{ style }}"}}\n'


def texts(path: Path) -> list[str]:
    return [item.params["6"]["text"] for item in items_of(path)]


def test_matrix_varies_last_variable_fastest(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "matrix: {animal: [horse, dog], style: [ink, clay]}\n")

    assert texts(path) == ["horse in ink", "horse in clay", "dog in ink", "dog in clay"]


def test_matrix_ids_are_joined_in_order(tmp_path: Path) -> None:
    matrix = "matrix: {animal: [A Horse!, {id: d, text: dog}], style: [3, true]}\n"
    path = write(tmp_path, HEAD.replace("{{ animal }}", "{{ animal.id }}") + matrix)

    items = items_of(path)

    assert [item.id for item in items] == ["a-horse-3", "a-horse-true", "d-3", "d-true"]
    assert items[0].variables == {"animal": "a-horse", "style": "3"}


def test_matrix_value_keeps_its_type_in_params(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'workflow: w\nparams: {"6": {steps: "{{ steps }}", hd: "{{ hd }}", t: x}}\n'
        "matrix: {steps: [20, 30], hd: [true]}\n",
    )

    assert [item.params["6"]["steps"] for item in items_of(path)] == [20, 30]
    assert items_of(path)[0].params["6"]["hd"] is True


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        pytest.param("[{style: ink}]", ["horse in clay", "dog in clay"], id="one-variable"),
        pytest.param("[{animal: dog, style: ink}]", 3, id="one-combination"),
        pytest.param("[{animal: dog}, {style: ink}]", ["horse in clay"], id="two-rules"),
        pytest.param("[]", 4, id="none"),
    ],
)
def test_exclude_removes_combinations_with_all_its_values(
    tmp_path: Path, exclude: str, left: list[str] | int
) -> None:
    matrix = f"matrix: {{animal: [horse, dog], style: [ink, clay], exclude: {exclude}}}\n"

    found = texts(write(tmp_path, HEAD + matrix))

    assert (len(found) if isinstance(left, int) else found) == left


def test_exclude_accepts_the_id_of_a_value(tmp_path: Path) -> None:
    matrix = "{animal: [{id: h, text: x}, dog], style: [Ink Wash], exclude: [{animal: h}]}"
    path = write(tmp_path, f"{HEAD}matrix: {matrix}\n")

    assert texts(path) == ["dog in Ink Wash"]


def test_include_extends_matching_combinations(tmp_path: Path) -> None:
    head = 'workflow: w\nparams: {"6": {text: "{{ animal }} {{ extra | default(\'-\') }}"}}\n'
    path = write(
        tmp_path, head + "matrix: {animal: [horse, dog], include: [{animal: dog, extra: bone}]}\n"
    )

    assert texts(path) == ["horse -", "dog bone"]
    assert [item.id for item in items_of(path)] == ["horse", "dog"]


def test_include_without_match_adds_a_combination(tmp_path: Path) -> None:
    matrix = "{animal: [horse], style: [ink], include: [{animal: cat, style: oil}]}"
    path = write(tmp_path, f"{HEAD}matrix: {matrix}\n")

    assert texts(path) == ["horse in ink", "cat in oil"]
    assert [item.id for item in items_of(path)] == ["horse-ink", "cat-oil"]


def test_matrix_of_includes_only(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "matrix: {include: [{animal: a, style: b}]}\n")

    assert texts(path) == ["a in b"]


def test_include_that_lacks_a_used_variable_is_refused(tmp_path: Path) -> None:
    matrix = "matrix: {animal: [horse], style: [ink], include: [{animal: cat}]}\n"

    problem = the_problem(tmp_path, HEAD + matrix)

    assert problem.message == "{{ style }} has no value here"
    assert problem.item == "cat"


def test_prompts_are_combined_with_the_matrix(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\n'
        'prompts: ["a horse in {{ style }}", {prompt: "{{ style }} dog", id: dog}]\n'
        "matrix: {style: [ink, clay]}\nrepeat: 2\n",
    )

    items = items_of(path)

    assert [item.prompt for item in items[::2]] == [
        *("a horse in ink", "a horse in clay", "ink dog", "clay dog"),
    ]
    assert [item.id for item in items[4:]] == ["dog-ink-1", "dog-ink-2", "dog-clay-1", "dog-clay-2"]


@pytest.mark.parametrize(
    ("matrix", "column", "message", "hint"),
    [
        pytest.param("{animal: [a], style: [i, I]}", 34, "two values with the id i", "id", id="id"),
        pytest.param("{animal: [a], style: []}", 30, "something in it", None, id="no-values"),
        pytest.param("{animal: [a], style: ink}", 30, "wanted a list", None, id="no-list"),
        pytest.param("{animal: [a], style: [no]}", 31, "no is false", "quotes", id="ambiguous"),
        pytest.param("{animal: [a], style: [[i]]}", 31, "this is a list", None, id="list"),
        pytest.param("{animal: [a], style: [{t: i}]}", 31, "needs an id", None, id="no-id"),
        pytest.param(
            "{animal: [a], style: ['{{ x }}']}", 32, "not rendered here", "prompts", id="t"
        ),
        pytest.param(
            "{animal: [a], style: [i], id: [x]}", 35, "cannot be named id", "rename", id="name"
        ),
        pytest.param("{animal: [a], style: [i], odd: [x]}", 40, "variable odd", "odd", id="odd"),
        pytest.param(
            "{animal: [a], style: [i], exclude: [{stile: i}]}",
            46,
            "exclude names stile",
            "did you mean style?",
            id="exclude-variable",
        ),
        pytest.param(
            "{animal: [a], style: [ink, b], exclude: [{style: inc}]}",
            58,
            "style has no value inc",
            "did you mean ink?",
            id="exclude-value",
        ),
        pytest.param(
            "{animal: [a], style: [i], exclude: [{style: i}]}",
            9,
            "exclude removes every combination",
            None,
            id="nothing-left",
        ),
    ],
)
def test_invalid_matrix_is_refused_at_its_location(
    tmp_path: Path, matrix: str, column: int, message: str, hint: str | None
) -> None:
    found = problems_of(write(tmp_path, f"{HEAD}matrix: {matrix}\n"))

    problem = next(one for one in found if message in one.message)
    assert location(problem) == (3, column)
    assert problem.hint is None if hint is None else hint in (problem.hint or "")


def test_huge_matrix_is_refused_without_expanding(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(10)]
    params = " ".join(f"{{{{ {name} }}}}" for name in names)
    matrix = ", ".join(f"{name}: [{', '.join('abcdefghij')}]" for name in names)
    text = f'workflow: w\nparams: {{"6": {{t: "{params}"}}}}\nmatrix: {{{matrix}}}\n'

    problem = the_problem(tmp_path, text.replace(" e,", ' "e",'))

    assert "10000000000 combinations" in problem.message


def test_variable_in_matrix_and_prompt_is_refused(tmp_path: Path) -> None:
    head = HEAD.replace("{{ animal }}", "{{ prompt }}")
    text = head + "matrix: {style: [ink]}\nprompts: [{prompt: a, style: clay}]\n"

    problem = the_problem(tmp_path, text)

    assert location(problem) == (4, 23)
    assert "and in the matrix" in problem.message
