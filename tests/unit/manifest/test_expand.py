"""Keys, ids, names, repeats, random values and input files of items."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from batch_runner.errors import ManifestError
from batch_runner.manifest import load
from batch_runner.models import UPLOAD_MARK
from tests.unit.manifest.helpers import HEAD, items_of, location, problems_of, the_problem, write


def keys(folder: Path, text: str) -> dict[str, str]:
    """Return identities by prompt."""
    return {item.prompt: item.key for item in items_of(write(folder, text))}


def test_item_has_all_values_of_the_manifest(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "prompts:\n  - A horse in snow\nattempts: 2\n")

    (item,) = items_of(path)

    assert item.prompt == "A horse in snow"
    assert item.workflow == "cards"
    assert item.params == {"6": {"text": "A horse in snow"}}
    assert item.attempts == 2
    assert item.position == 0
    assert item.source == f"{path}:4"
    assert item.id == item.name == f"a-horse-in-snow-{item.key[:6]}"


def test_key_is_hash_of_request(tmp_path: Path) -> None:
    """The hash is computed here again: if it changed, every item would be paid for again."""
    content = '["baicai","cards",{"6":{"text":"\\u9a6c"}}]'

    (item,) = items_of(write(tmp_path, HEAD + "prompts: [马]\n"))

    assert item.key == hashlib.sha256(content.encode()).hexdigest()[:32]


def test_key_ignores_position_names_and_limits(tmp_path: Path) -> None:
    before = keys(tmp_path, HEAD + "prompts: [a, b]\n")

    after = keys(
        tmp_path,
        HEAD + "job: other\nlimits: {rate: 9/s}\nattempts: 3\n"
        "prompts: [new, {prompt: b, id: x, name: z}, a]\noutput: {folder: elsewhere}\n",
    )

    assert {prompt: after[prompt] for prompt in before} == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("workflow: cards", "workflow: other", id="workflow"),
        pytest.param("provider: baicai", "provider: comfyui", id="provider"),
        pytest.param('"6"', '"7"', id="node"),
        pytest.param("text:", "txt:", id="field"),
        pytest.param('}}" }', '}}", seed: 1}', id="added-field"),
        pytest.param('}}" }', '}}."}', id="text"),
    ],
)
def test_key_changes_with_every_part_of_the_request(tmp_path: Path, old: str, new: str) -> None:
    text = "provider: baicai\n" + HEAD.replace('}}"}', '}}" }') + "prompts: [a]\n"

    (before,) = items_of(write(tmp_path, text))
    (after,) = items_of(write(tmp_path, text.replace(old, new)))

    assert before.key != after.key


def test_raised_repeat_keeps_existing_keys(tmp_path: Path) -> None:
    (once,) = items_of(write(tmp_path, HEAD + "prompts: [a]\n"))

    tries = items_of(write(tmp_path, HEAD + "prompts: [a]\nrepeat: 3\n"))

    assert tries[0].key == once.key
    assert len({one.key for one in tries}) == 3
    assert [one.id for one in tries] == [f"{once.id}-{n}" for n in (1, 2, 3)]
    assert [one.name for one in tries] == [one.id for one in tries]


def test_repeat_number_is_appended_unless_in_name(tmp_path: Path) -> None:
    text = HEAD + "prompts: [{prompt: a, id: x}]\nrepeat: 2\noutput: {name: NAME}\n"

    appended = items_of(write(tmp_path, text.replace("NAME", '"c-{{ id }}"')))
    placed = items_of(write(tmp_path, text.replace("NAME", '"{{ n }}-{{ id }}"')))

    assert [item.name for item in appended] == ["c-x-1", "c-x-2"]
    assert [item.name for item in placed] == ["1-x", "2-x"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("c-{{ id }}.png", "c-x"),
        ("{{ id }}.JPEG", "x"),
        ("{{ id }}.v2.webp", "x.v2"),
        ("{{ id }}.png.d", "x.png.d"),
        ("a.b", "a.b"),
    ],
)
def test_image_extension_in_name_is_removed(tmp_path: Path, wanted: str, name: str) -> None:
    text = f'{HEAD}prompts: [{{prompt: a, id: x}}]\noutput: {{name: "{wanted}"}}\n'

    (once,) = items_of(write(tmp_path, text))
    twice = items_of(write(tmp_path, f"{text}repeat: 2\n"))

    assert once.name == name
    assert [item.name for item in twice] == [f"{name}-1", f"{name}-2"]


def test_prompt_overrides_every_setting_of_the_job(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
workflow: cards
params: {"6": {text: "{{ prompt }}", steps: 20}, "7": {size: big}}
prompts:
  - prompt: a horse
    id: own
    name: "{{ id }}-of-{{ job }}"
    params: {"6": {steps: 50}}
    attempts: 3
    repeat: 2
  - {prompt: a dog, workflow: dogs, params: {"1": {t: "{{ prompt }}"}}}
  - a cat
""",
    )

    own, again, dog, cat = items_of(path)

    assert (own.name, own.attempts, again.id) == ("own-of-job-1", 3, "own-2")
    assert own.params == {"6": {"text": "a horse", "steps": 50}, "7": {"size": "big"}}
    assert (dog.workflow, dog.params) == ("dogs", {"1": {"t": "a dog"}})
    assert cat.params == {"6": {"text": "a cat", "steps": 20}, "7": {"size": "big"}}
    assert load(path).workflows == {"cards", "dogs"}


def test_defaults_fill_missing_variables(tmp_path: Path) -> None:
    text = HEAD.replace("{{ prompt }}", "{{ prompt }} in {{ style }}")
    path = write(
        tmp_path, text + "defaults: {style: ink}\nprompts: [a, {prompt: b, style: clay}]\n"
    )

    assert [item.params["6"]["text"] for item in items_of(path)] == ["a in ink", "b in clay"]


def test_default_prompt_is_a_template(tmp_path: Path) -> None:
    text = HEAD + 'defaults: {prompt: "a {{ animal }}"}\nmatrix: {animal: [horse, dog]}\n'

    items = items_of(write(tmp_path, text))

    assert [(item.prompt, item.id) for item in items] == [("a horse", "horse"), ("a dog", "dog")]


def test_report_gets_short_variables_only(tmp_path: Path) -> None:
    text = f"prompts: [{{prompt: p, city: Rome, long: {'x' * 201}, count: 3}}]\nrepeat: 2\n"

    first, _ = items_of(write(tmp_path, HEAD + text))

    assert first.variables == {"city": "Rome", "count": "3", "n": "1"}


def test_longest_text_is_shown_without_a_prompt(tmp_path: Path) -> None:
    params = '{"6": {a: short, b: [{c: "a much longer {{ x }}"}]}}'
    path = write(tmp_path, f"workflow: w\nparams: {params}\nmatrix: {{x: [text]}}\n")

    assert items_of(path)[0].prompt == "a much longer text"


# --- items that are refused ----------------------------------------------------------------------


def test_items_with_equal_requests_are_refused(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, HEAD + "prompts:\n  - a\n  - b\n  - {prompt: a, id: again}\n")

    assert location(problem) == (6, 5)
    assert problem.item == "again"
    assert ":4)" in problem.message
    assert (problem.hint or "").startswith("remove one; ")


def test_repeated_id_is_refused(tmp_path: Path) -> None:
    text = HEAD + "prompts:\n  - {prompt: a, id: x}\n  - {prompt: b, id: x}\n"

    problem = the_problem(tmp_path, text)

    assert location(problem) == (5, 5)
    assert "the id x is already in use" in problem.message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Card", "card", id="case"),
        pytest.param("Straße", "STRASSE", id="folded-case"),
        pytest.param("cafe\N{COMBINING ACUTE ACCENT}", "caf\u00e9", id="unicode-form"),
    ],
)
def test_names_equal_on_some_file_system_are_refused(tmp_path: Path, one: str, other: str) -> None:
    text = f"prompts:\n  - {{prompt: a, id: {one}}}\n  - {{prompt: b, id: {other}}}\n"

    problem = the_problem(tmp_path, HEAD + text)

    assert location(problem) == (5, 5)
    assert "is already used by" in problem.message
    assert "many file systems" in (problem.hint or "")


def test_name_template_without_variable_is_refused(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, HEAD + "prompts: [a, b]\noutput: {name: card}\n")

    assert "the file name card is already used" in problem.message
    assert problem.hint == "add a variable to output.name that differs between the two"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b", "slash"),
        ("..", "start with ."),
        ("../x", "slash"),
        ("a\\\\b", "slash"),
        (".hidden", "start with ."),
        ("-rf", "start with -"),
        ("CON", "Windows reserves"),
        ("lpt1.txt", "Windows reserves"),
        ("what?", "not allowed in file names on Windows"),
        ("a\\tb", "one line"),
        ("end.", "end with a dot"),
        ("index", "the report"),
        ("x" * 248, "256 bytes"),
        ("马" * 83, "257 bytes"),
    ],
)
def test_unsafe_file_name_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (problem,) = problems_of(write(tmp_path, f'{HEAD}prompts: [{{prompt: a, id: "{name}"}}]\n'))

    assert message in problem.message
    assert problem.line == 3


@pytest.mark.parametrize("name", ["x" * 247, "马" * 82, "a b", "a.b", "café", "console"])
def test_safe_file_name_is_kept(tmp_path: Path, name: str) -> None:
    (item,) = items_of(write(tmp_path, f'{HEAD}prompts: [{{prompt: a, id: "{name}"}}]\n'))

    assert item.name == name


def test_too_long_prompt_is_refused(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, f"{HEAD}prompts: [{'x' * 64_001}]\n")

    assert "64001 characters, at most 64000" in problem.message


def test_prompt_that_renders_empty_is_refused(tmp_path: Path) -> None:
    text = HEAD + "prompts: [{prompt: \"{{ '' if n else 'x' }}\", id: x}]\n"

    assert the_problem(tmp_path, text).message == "the prompt is empty"


def test_unused_prompts_are_refused(tmp_path: Path) -> None:
    text = "workflow: w\nparams: {'6': {text: always the same}}\nprompts: [a]\n"

    problem = the_problem(tmp_path, text)

    assert location(problem) == (2, 9)
    assert "no template uses the prompts" in problem.message


def test_invalid_items_are_left_out_of_the_iteration(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "prompts: [a, {prompt: b, id: CON}, c]\n")
    seen: list[tuple[int, str]] = []

    def go_through() -> None:
        seen.extend((item.position, item.prompt) for item in load(path).items())

    with pytest.raises(ManifestError, match="CON"):
        go_through()

    assert seen == [(0, "a"), (2, "c")]


# --- random values -------------------------------------------------------------------------------

CHANCE = (
    'workflow: w\nparams: {"6": {text: "{{ prompt }} {{ pick(colours) }}", seed: "{{ seed() }}"}}\n'
    "defaults: {colours: [red, gold, green, white]}\n"
)


def drawn(folder: Path, prompts: str) -> dict[str, object]:
    items = items_of(write(folder, f"{CHANCE}prompts: {prompts}\nrepeat: 2\n"))
    return {item.prompt + item.variables["n"]: item.params for item in items}


def test_random_values_are_stable_per_item(tmp_path: Path) -> None:
    before = drawn(tmp_path, "[a, b, c]")

    after = drawn(tmp_path, "[new, c, b, a]")

    assert {name: after[name] for name in before} == before


def test_seeds_differ_by_item_repeat_and_name(tmp_path: Path) -> None:
    prompts = ", ".join(f"p{number}" for number in range(50))
    text = CHANCE.replace('"{{ seed() }}"', '"{{ seed() }}", other: "{{ seed(\'x\') }}"')
    items = items_of(write(tmp_path, f"{text}prompts: [{prompts}]\nrepeat: 2\n"))

    seeds = [item.params["6"][field] for item in items for field in ("seed", "other")]

    assert len(set(seeds)) == 200
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)


def test_added_option_keeps_other_picks(tmp_path: Path) -> None:
    prompts = "[" + ", ".join(f"p{number}" for number in range(100)) + "]"
    picks = {}
    for colours in ("[red, gold, green]", "[red, blue, gold, green]"):
        text = CHANCE.replace("[red, gold, green, white]", colours)
        items = items_of(write(tmp_path, f"{text}prompts: {prompts}\n"))
        picks[colours] = [item.params["6"]["text"].split()[1] for item in items]

    before, after = picks.values()

    assert set(after) == {"red", "blue", "gold", "green"}
    assert all(new in (old, "blue") for old, new in zip(before, after, strict=True))


# --- input files --------------------------------------------------------------------------------

PHOTO = (
    'workflow: w\nparams: {"22": {prompt: "{{ prompt }}"}, "113": {url: "{{ photo }}"}}\n'
    'files: {photo: "photos/{{ who }}.jpg"}\n'
    "prompts: [{prompt: a, who: anna}, {prompt: b, who: bo}]\n"
)


def test_input_file_is_identified_by_its_hash(tmp_path: Path) -> None:
    write(tmp_path, b"anna's photo", "photos/anna.jpg")
    write(tmp_path, b"bo's photo", "photos/bo.jpg")
    digest = hashlib.sha256(b"anna's photo").hexdigest()

    anna, bo = items_of(write(tmp_path, PHOTO))

    assert anna.params["113"] == {"url": UPLOAD_MARK + digest}
    assert [file.sha256 for file in anna.files] == [digest]
    assert anna.files[0].path == tmp_path / "photos/anna.jpg"
    assert bo.files != anna.files


def test_input_content_changes_key_but_path_does_not(tmp_path: Path) -> None:
    for name in ("anna", "bo"):
        write(tmp_path, b"one photo", f"photos/{name}.jpg")
    before = keys(tmp_path, PHOTO)

    write(tmp_path, b"another", "photos/anna.jpg")
    after = keys(tmp_path, PHOTO)

    assert after["a"] != before["a"]
    assert after["b"] == before["b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "the input file photos/bo.jpg does not exist", id="missing"),
        pytest.param(b"", "photos/bo.jpg is empty", id="empty"),
    ],
)
def test_unusable_input_file_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    write(tmp_path, b"anna's photo", "photos/anna.jpg")
    if content is not None:
        write(tmp_path, content, "photos/bo.jpg")

    problem = the_problem(tmp_path, PHOTO)

    assert location(problem) == (3, 16)
    assert message in problem.message


def test_folder_as_input_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, b"anna's photo", "photos/anna.jpg")
    (tmp_path / "photos/bo.jpg").mkdir()

    assert (
        "the input file photos/bo.jpg is not a regular file" in the_problem(tmp_path, PHOTO).message
    )
