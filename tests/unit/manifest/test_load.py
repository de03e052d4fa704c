"""Keys and values that are refused before any item is expanded."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from batch_runner.errors import ManifestError
from batch_runner.manifest import load
from batch_runner.manifest.renamed import RENAMED_SETTINGS
from batch_runner.settings import Limits
from batch_runner.units import Price, Prices, Rate
from tests.unit.manifest.helpers import HEAD, location, problems_of, the_problem, write

GOOD = HEAD + "prompts: [a horse]\n"


@pytest.mark.parametrize(
    ("line", "column", "message", "hint"),
    [
        pytest.param("limts: {}", 1, "no key limts", "did you mean limits?", id="unknown-key"),
        pytest.param("limits: {rtae: 1}", 10, "no key rtae", "mean rate?", id="unknown-setting"),
        pytest.param("zzz: 1", 1, "no key zzz", "belongs under defaults", id="far-key"),
        pytest.param("limits: {rate: 0/s}", 16, "above zero, this is 0/s", None, id="zero-rate"),
        pytest.param("limits: {rate: -1}", 16, "above zero, this is -1", None, id="negative-rate"),
        pytest.param("limits: {rate: .inf}", 16, "can be sent", "for the text", id="inf-rate"),
        pytest.param("limits: {rate: .nan}", 16, "can be sent", "for the text", id="nan-rate"),
        pytest.param("limits: {rate: 5 a day}", 16, "such as 5/s", None, id="no-rate"),
        pytest.param("limits: {price: 12}", 17, "such as 0.12 CNY, this is 12", None, id="price"),
        pytest.param("limits: {in_flight: 0}", 21, "at least 1, this is 0", None, id="zero"),
        pytest.param("limits: {in_flight: 2.5}", 21, "a whole number", None, id="fraction"),
        pytest.param("limits: {in_flight: '3'}", 21, "whole number", "without quotes", id="quoted"),
        pytest.param("limits: {until: 25:00}", 17, "base 60", "quotes", id="bare-time"),
        pytest.param("limits: {until: '25:00'}", 17, 'such as "06:30"', None, id="no-time"),
        pytest.param("limits: fast", 9, "limits: wanted a mapping", None, id="no-mapping"),
        pytest.param("timeouts: {submit: soon}", 20, "such as 90s", None, id="no-duration"),
        pytest.param("timeouts: {submit: 0}", 20, "above zero", None, id="no-time-at-all"),
        pytest.param("repeat: 0", 9, "at least 1", None, id="no-repeat"),
        pytest.param("repeat: yes", 9, "yes is true", 'write "yes"', id="truth-as-number"),
        pytest.param("attempts: 101", 11, "at most 100", None, id="too-many-attempts"),
        pytest.param("job: a/b", 6, "it contains a slash", None, id="job-with-slash"),
        pytest.param("job: 12", 6, "wanted text, this is 12", 'write "12"', id="job-as-number"),
        pytest.param("provider: baicia", 11, "no provider baicia", "mean baicai?", id="provider"),
        pytest.param("output: {folder: ~/x}", 18, "use an absolute path", None, id="home-folder"),
        pytest.param("output: {folder: gs://b/x}", 18, "s3://BUCKET/PREFIX", None, id="scheme"),
        pytest.param("output: {folder: s3:/cards}", 18, "AWS_ENDPOINT_URL", None, id="one-slash"),
        pytest.param("output: {folder: ''}", 18, "this is empty", None, id="no-folder"),
        pytest.param("output: {name: '{{ id }'}", 17, "invalid template", None, id="open-template"),
        pytest.param("items_from: rows.ods", 13, "save the table as .xlsx", None, id="spreadsheet"),
        pytest.param("on_finish: {when: never}", 19, "always or problems", None, id="when"),
        pytest.param("on_finish: {when: [x]}", 19, "this is a list", None, id="when-list"),
        pytest.param("repeat: true", 9, "a whole number, this is true", None, id="true"),
        pytest.param("limits: {rate: true}", 16, "100/h, this is true", None, id="true-rate"),
        pytest.param("on_finish: {when: trouble}", 19, "trouble", "renamed to problems", id="old"),
        pytest.param("output: {kinds: [vidoe]}", 18, "wanted image, video, audio", None, id="kind"),
        pytest.param("output: {kinds: image}", 17, "wanted a list", None, id="kinds"),
        pytest.param("output: {kinds: []}", 17, "wanted at least one", None, id="no-kinds"),
        pytest.param(
            "downloads: {allow_networks: [10.0.0.0/8, 127.0.0.1]}", 42, "in 127", None, id="local"
        ),
        pytest.param(
            "downloads: {allow_networks: 10.0.0.0/8}", 29, "wanted a list", None, id="networks"
        ),
        pytest.param("matrix:", 8, "this key has no value", None, id="empty-block"),
        pytest.param(
            "defaults: {if: 1}", 16, "a variable cannot be named if", "rename", id="keyword"
        ),
        pytest.param(
            "defaults: {a b: 1}", 17, "a variable cannot be named a b", "rename", id="spaces"
        ),
        pytest.param("files: {f: a.jpg}", 12, "no template uses the file f", "{{ f }}", id="file"),
    ],
)
def test_invalid_key_or_value_is_refused_at_its_location(
    tmp_path: Path, line: str, column: int, message: str, hint: str | None
) -> None:
    path = write(tmp_path, GOOD + line + "\n")

    with pytest.raises(ManifestError) as caught:
        load(path, providers=["baicai", "comfyui"])

    (problem,) = caught.value.problems
    assert location(problem) == (4, column)
    assert message in problem.message
    assert problem.hint is None if hint is None else hint in (problem.hint or "")
    assert problem.source_line == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("params: {'6': {}}\nprompts: [a]", "workflow is missing", id="workflow"),
        pytest.param("workflow: w\nprompts: [a]", "params is missing", id="params"),
        pytest.param("workflow: w\nparams: {'6': {}}", "there are no items", id="items"),
    ],
)
def test_missing_required_key_is_reported(tmp_path: Path, text: str, message: str) -> None:
    found = problems_of(write(tmp_path, text))

    assert any(message in problem.message and problem.hint for problem in found)


def test_misspelt_key_is_not_also_reported_missing(tmp_path: Path) -> None:
    text = "workflw: w\nparams: {'6': {t: '{{ prompt }}'}}\nprompts: [a]"

    problem = the_problem(tmp_path, text)

    assert problem.hint == "did you mean workflow?"


@pytest.mark.parametrize(("old", "new"), RENAMED_SETTINGS.items())
def test_renamed_setting_is_refused_with_its_new_name(tmp_path: Path, old: str, new: str) -> None:
    block, name = old.split(".")

    problem = the_problem(tmp_path, GOOD + f"{block}:\n  {name}: 3\n")

    assert location(problem) == (GOOD.count("\n") + 2, 3)
    assert name in problem.message
    assert problem.hint == f"renamed to {new}"


@pytest.mark.parametrize("line", ["api_key: sk-not-for-the-log", "baicai: {token: abcdefgh}"])
def test_api_key_in_manifest_is_refused_and_hidden(tmp_path: Path, line: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(write(tmp_path, GOOD + line + "\n"))

    assert "sk-not" not in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_api_key_in_manifest_hint_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load(write(tmp_path, GOOD + "api_key: sk-not-for-the-log\n"), key_variable="BAICAI_API_KEY")

    (problem,) = caught.value.problems
    assert "looks like a key" in problem.message
    assert "BAICAI_API_KEY" in (problem.hint or "")
    assert problem.source_line is None


def test_ten_errors_give_ten_messages(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
workflow: year_of_the_horse_greeting_card
provider: baicia
params: {"6": {text: "{{ promt }}", style: "{{ prompt }}"}}
limits: {rate: 0/s, in_flght: 3}
timeouts: {submit: 12:30}
repeet: 2
prompts:
  - no
  - Dark: a horse
  - {prompt: a horse, id: CON}
  - {prompt: a dog, workflow: year_of_the_hrose_greeting_card}
  - 'two: colons' # fine
""",
    )

    with pytest.raises(ManifestError) as caught:
        load(path, providers=["baicai"])

    assert [location(problem) for problem in caught.value.problems] == [
        (2, 11),
        (3, 26),
        (4, 16),
        (4, 21),
        (5, 20),
        (6, 1),
        (8, 5),
        (9, 5),
        (10, 5),
        (11, 31),
    ]
    assert all(problem.hint for problem in caught.value.problems if problem.line != 4)
    assert all(problem.path == str(path) for problem in caught.value.problems)


def test_manifest_settings_override_defaults(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        GOOD
        + "limits: {rate: 300/min, price: 0.12 cny,\n  run_for: 8h}\nretries: {max_tries: 2}\n",
    )

    manifest = load(path)

    assert manifest.settings.limits.rate == Rate(300, 60)
    assert manifest.settings.limits.price == Prices(Price(Decimal("0.12"), "CNY"))
    assert manifest.settings.limits.run_for == 8 * 3600
    assert manifest.settings.limits.in_flight == Limits().in_flight
    assert manifest.settings.retries.max_tries == 2


def test_explicit_settings_have_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "limits: {rate: 5/s,\n  max_submissions: 3}\n")

    assert load(path).explicit == {
        "limits.rate": f"{path}:4",
        "limits.max_submissions": f"{path}:5",
    }


def test_output_folder_is_relative_to_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    path = write(tmp_path / "jobs", GOOD, "cards.yaml")
    named = write(tmp_path / "jobs", GOOD + "output: {folder: ../made}\n", "named.yaml")
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert load(path).output_folder == tmp_path / "jobs/out/cards"
    assert load(named).output_folder.resolve() == tmp_path / "made"


def test_address_with_credentials_is_refused_without_showing_them(tmp_path: Path) -> None:
    (problem,) = problems_of(write(tmp_path, GOOD + "output: {folder: s3://id:word@cards}\n"))

    assert "AWS_SECRET_ACCESS_KEY" in problem.message
    assert "word" not in str(problem)


def test_job_in_an_object_store_has_the_default_folder(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "output: {folder: s3://cards/year of the horse/}\n", "cards.yaml")

    manifest = load(path)

    assert manifest.objects == "s3://cards/year of the horse"
    assert manifest.output_folder == tmp_path / "out/cards"


def test_relative_manifest_has_absolute_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)

    manifest = load(path.relative_to(tmp_path))

    assert manifest.output_folder == tmp_path / "out/job"
    assert next(manifest.items()).source == "job.yaml:3"


@pytest.mark.parametrize("name", [".hidden.yaml", "con.yaml", "-x.yaml"])
def test_manifest_with_unsafe_name_needs_a_job_name(tmp_path: Path, name: str) -> None:
    (problem,) = problems_of(write(tmp_path, GOOD, name))
    named = load(write(tmp_path, GOOD + "job: cards\n", name))

    assert problem.hint == "add a line job: with another name"
    assert named.job == "cards"


@pytest.mark.parametrize(
    ("own", "refused"),
    [("horse_crad", True), ("hose_card", True), ("horse_card2", False), ("dog_card", False)],
)
def test_only_misspelt_workflow_is_refused(tmp_path: Path, own: str, refused: bool) -> None:
    prompts = f"prompts: [a, {{prompt: b, workflow: {own}}}]\n"
    path = write(tmp_path, HEAD.replace("cards", "horse_card") + prompts)

    found = problems_of(path)

    assert bool(found) is refused
    assert all(problem.hint == "did you mean horse_card?" for problem in found)


def test_misspelt_prompt_key_is_no_variable(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, HEAD + "prompts: [{prompt: a, atempts: 2}]\n")

    assert location(problem) == (3, 23)
    assert problem.hint == "did you mean attempts?"


def test_output_kinds_are_a_setting_and_names_lose_media_endings(tmp_path: Path) -> None:
    text = GOOD.replace("[a horse]", "[{prompt: a, id: song.MP3}, {prompt: b, id: notes.v2}]")
    manifest = load(write(tmp_path, f"{text}output: {{kinds: [image, svg], folder: here}}\n"))

    assert manifest.settings.output.kinds == ("image", "svg")
    assert list(manifest.settings.output.model_dump()) == ["kinds", "sidecar", "keep"]
    assert manifest.output_folder == tmp_path / "here"
    assert [item.name for item in manifest.items()] == ["song", "notes.v2"]


def test_names_that_differ_only_in_the_ending_are_refused(tmp_path: Path) -> None:
    text = GOOD.replace("[a horse]", "[{prompt: a, name: a.png}, {prompt: b, name: a.webm}]")

    problem = the_problem(tmp_path, text)

    assert "a" in problem.message
