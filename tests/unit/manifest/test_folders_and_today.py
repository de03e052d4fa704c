"""Folders and the date of the first run in names of files, and repeats that `redo` asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.errors import ManifestError
from batch_runner.manifest import load
from batch_runner.models import ItemSpec, JobFacts
from tests.unit.manifest.helpers import HEAD, items_of, problems_of, the_problem, write

MATRIX = HEAD + "matrix: {style: [ink, paper]}\nprompts: [{prompt: 'a {{ style }}', id: card}]\n"
SEEDED = 'workflow: w\nparams: {"6": {text: "{{ prompt }}", seed: "{{ seed() }}"}}\n'


def named(folder: Path, template: str, text: str = MATRIX) -> list[str]:
    return [
        item.name for item in items_of(write(folder, f"{text}output: {{name: '{template}'}}\n"))
    ]


def in_job(path: Path, **redone: tuple[int, ...]) -> list[ItemSpec]:
    """Return the items in a job whose first run was on 2026-11-27."""
    return list(load(path).of_job(JobFacts(today="2026-11-27", redone=redone)).items())


def test_slash_of_the_template_makes_a_folder(tmp_path: Path) -> None:
    assert named(tmp_path, "{{ style.id }}/{{ id }}.png") == ["ink/card-ink", "paper/card-paper"]


def test_prompt_of_its_own_name_may_hold_folders(tmp_path: Path) -> None:
    (item,) = items_of(write(tmp_path, HEAD + "prompts: [{prompt: a, name: covers/front}]\n"))

    assert item.name == "covers/front"


def test_repeats_are_numbered_in_their_folder(tmp_path: Path) -> None:
    names = named(tmp_path, "a.b/{{ id }}", HEAD + "repeat: 2\nprompts: [{prompt: a, id: x}]\n")

    assert names == ["a.b/x-1", "a.b/x-2"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("/{{ id }}", "an absolute path"),
        ("../{{ id }}", "a folder in it is .."),
        ("a/../{{ id }}", "a folder in it is .."),
        ("./{{ id }}", "a folder in it is ."),
        ("a//{{ id }}", "the name is empty"),
        ("a/{{ id }}/", "the name is empty"),
        ("a/ /{{ id }}", "the name is empty"),
        (".batch/{{ id }}", "start with ."),
        ("-a/{{ id }}", "start with -"),
        ("index.html/{{ id }}", "ends in .html like a file"),
        ("card.PNG/{{ id }}", "ends in .PNG like a file"),
        ("index/{{ id }}", "the report"),
        ("nul/{{ id }}", "Windows reserves"),
        ("a/con.x/{{ id }}", "Windows reserves"),
        ("a:b/{{ id }}", "not allowed in file names on Windows"),
        ("a./{{ id }}", "end with a dot"),
        ("a\\\\b/{{ id }}", "slash"),
        ("x" * 300 + "/{{ id }}", "308 bytes"),
        (("x" * 200 + "/") * 4 + "{{ id }}", "with its folders it has 808 bytes"),
    ],
)
def test_folder_that_is_not_safe_is_refused(tmp_path: Path, template: str, message: str) -> None:
    text = HEAD + f'prompts: [{{prompt: a, id: card}}]\noutput: {{name: "{template}"}}\n'
    problem = the_problem(tmp_path, text)

    assert message in problem.message


@pytest.mark.parametrize("value", ["a/b", "../x", "/etc/x", "x/"])
def test_slash_of_a_value_is_refused(tmp_path: Path, value: str) -> None:
    text = HEAD + f"prompts: [{{prompt: a, to: '{value}'}}]\noutput: {{name: 'a/{{{{ to }}}}'}}\n"
    problem = the_problem(tmp_path, text)

    assert f"the file cannot be named a/{value}: it contains a slash" in problem.message
    assert problem.hint == "give the item an id, or use {{ value | slug }} in output.name"


@pytest.mark.parametrize("names", [("a/X", "A/x"), ("é/x", "e\u0301/x")])
def test_names_that_some_file_system_mixes_up_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    prompts = ", ".join(f"{{prompt: p{n}, name: '{name}'}}" for n, name in enumerate(names))
    problem = the_problem(tmp_path, f"{HEAD}prompts: [{prompts}]\n")

    assert "is already used by" in problem.message


def test_today_is_the_day_of_the_first_run(tmp_path: Path) -> None:
    path = write(tmp_path, MATRIX + "output: {name: '{{ today }}/{{ id }}'}\n")

    assert [item.name for item in in_job(path)] == ["2026-11-27/card-ink", "2026-11-27/card-paper"]
    assert [item.key for item in in_job(path)] == [item.key for item in items_of(path)]


def test_variable_called_today_is_the_manifests_own(tmp_path: Path) -> None:
    text = HEAD.replace("prompt }}", "prompt }} {{ today }}")
    path = write(
        tmp_path, text + "defaults: {today: noon}\nprompts: [a]\noutput: {name: '{{ today }}'}\n"
    )

    (item,) = in_job(path)

    assert (item.name, item.params["6"]["text"]) == ("noon", "a noon")


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("prompt }}", "prompt }} {{ today }}") + "prompts: [a]\n",
        HEAD + "prompts: ['a {{ today }}']\n",
    ],
)
def test_today_in_a_request_is_refused(tmp_path: Path, text: str) -> None:
    problem = the_problem(tmp_path, text)

    assert problem.message == "there is no variable today"
    assert problem.hint is not None
    assert problem.hint.startswith("it is for output.name only")


def test_today_in_a_request_of_rows_is_refused(tmp_path: Path) -> None:
    write(tmp_path, '{"prompt": "a", "day": 1}\n', "rows.jsonl")
    text = HEAD.replace("prompt }}", "prompt }} {{ today }}") + "items_from: rows.jsonl\n"
    (problem,) = problems_of(write(tmp_path, text))

    assert problem.hint is not None
    assert problem.hint.startswith("it is for output.name only")


def test_redone_item_follows_its_item_with_a_name_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, SEEDED + "prompts: [{prompt: a, id: x}, {prompt: b, id: z}]\n")
    first, last = items_of(path)

    items = in_job(path, **{first.key: (2, 5)})

    assert [item.id for item in items] == ["x", "x-2", "x-5", "z"]
    assert [item.name for item in items] == ["x", "x-2", "x-5", "z"]
    assert [item.position for item in items] == [0, 1, 2, 3]
    assert (items[0].key, items[3].key) == (first.key, last.key)
    assert len({item.params["6"]["seed"] for item in items}) == 4


def test_redone_item_has_the_key_of_its_repeat(tmp_path: Path) -> None:
    prompts = "prompts: [{prompt: a, id: x}]\n"
    first, second, third = items_of(write(tmp_path, SEEDED + "repeat: 3\n" + prompts))
    path = write(tmp_path, SEEDED + "repeat: 2\n" + prompts)

    items = in_job(path, **{first.key: (2, 3)})

    assert [item.key for item in items] == [first.key, second.key, third.key]
    assert [item.id for item in items] == ["x-1", "x-2", "x-3"]


def test_manifest_of_another_job_has_another_fingerprint(tmp_path: Path) -> None:
    manifest = load(write(tmp_path, SEEDED + "prompts: [a]\n"))
    key = next(manifest.items()).key
    redone = manifest.of_job(JobFacts(today=manifest.facts.today, redone={key: (2,)}))

    assert manifest.fingerprint() != redone.fingerprint()
    assert redone.of_job(redone.facts) is redone


def test_redone_item_whose_name_is_used_by_a_new_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SEEDED + "prompts: [{prompt: a, id: x}, {prompt: b, id: x-2}]\n")
    key = items_of(path)[0].key

    with pytest.raises(ManifestError, match="the id x-2 is already in use"):
        in_job(path, **{key: (2,)})
