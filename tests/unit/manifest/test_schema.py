"""The JSON Schema and the loader accept the same manifests, as far as a schema can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from batch_runner.errors import ManifestError
from batch_runner.manifest import load, python_schema
from batch_runner.providers import PROVIDERS
from tests.unit.manifest.helpers import HEAD, problems_of, write

JOBS = sorted(Path(__file__).parents[3].glob("jobs/*.yaml"))
VALIDATOR = Draft202012Validator(python_schema())

RIGHT = {
    "everything": """\
job: horse-cards
provider: baicai
workflow: year_of_the_horse_greeting_card
params: {"6": {text: "{{ scene }} in {{ style }}. Lettering: {{ greeting.text }}"}}
matrix:
  scene:    [a horse under lanterns, a horse in snow]
  style:    [paper-cut, ink wash, 3D clay, 3, true, 1.5]
  greeting: [{id: en, text: Happy New Year 2026}, {id: 2, text: 马年大吉}]
  exclude:  [{style: ink wash, greeting: en}]
  include:  [{scene: a horse in snow, style: oil, greeting: {id: de, text: Frohes Neues}}]
repeat: 2
limits: {rate: 5/s, in_flight: 40, poll_rate: 10, max_submissions: 500, price: 0.12 CNY,
  run_for: 8h}
timeouts: {submit: 90s, download: 1h 30m, idle: 3.5}
polling: {concurrency: 4}
retries: {not_accepted_statuses: [503]}
downloads: {concurrency: 2}
attempts: 2
output: {folder: out/horse-cards, name: "{{ scene.id }}-{{ style.id }}-{{ greeting.id }}"}
on_finish: {notify: ["mailto://me@example.org"], command: ./publish.sh, when: problems}
on_item: {command: ./each.py, when: [done, held], concurrency: 2, timeout: 5m}
notify: {heartbeat: "https://hc-ping.com/key/slug?create=1"}
keep_awake: false
""",
    "own-way": HEAD
    + """\
prompts:
  - a horse
  - {prompt: b, id: 3, workflow: other, params: {"1": {t: "{{ prompt }}{{ 城市 }}"}}, 城市: Rome}
  - {prompt: c, name: own, attempts: 3, repeat: 2}
defaults: {style: ink, 城市: X}
""",
    "clock": HEAD + 'prompts: [a]\nlimits: {until: "06:30", max_submissions: null}\n',
    "duplicates": HEAD + "prompts: [a, a]\non_duplicate: skip\n",
}

WRONG = {
    "no-items": HEAD,
    "no-workflow": 'params: {"6": {text: "{{ prompt }}"}}\nprompts: [a]\n',
    "no-params": "workflow: w\nprompts: [a]\n",
    "unknown-key": HEAD + "prompts: [a]\nlimts: {}\n",
    "unknown-setting": HEAD + "prompts: [a]\nlimits: {pase: 1}\n",
    "empty-prompts": HEAD + "prompts: []\n",
    "null-prompts": HEAD + "prompts:\n",
    "blank-prompt": HEAD + 'prompts: [" "]\n',
    "number-prompt": HEAD + "prompts: [3]\n",
    "list-prompt": HEAD + "prompts: [[a]]\n",
    "promptless": HEAD + "prompts: [{id: a}]\n",
    "null-id": HEAD + "prompts: [{prompt: a, id: }]\n",
    "list-id": HEAD + "prompts: [{prompt: a, id: [b]}]\n",
    "spaced-variable": HEAD + "prompts: [{prompt: a, b c: d}]\n",
    "params-of-text": 'workflow: w\nparams: {"6": x}\nprompts: [a]\n',
    "empty-params": "workflow: w\nparams: {}\nprompts: [a]\n",
    "number-workflow": "workflow: 3\nparams: {'6': {t: '{{ prompt }}'}}\nprompts: [a]\n",
    "matrix-of-text": HEAD + "prompts: [a]\nmatrix: {style: ink}\n",
    "matrix-of-nothing": HEAD + "prompts: [a]\nmatrix: {style: []}\n",
    "matrix-null": HEAD + "prompts: [a]\nmatrix:\n",
    "matrix-null-value": HEAD + "prompts: [a]\nmatrix: {style: [~]}\n",
    "matrix-without-id": HEAD + "prompts: [a]\nmatrix: {style: [{text: a}]}\n",
    "matrix-list": HEAD + "prompts: [a]\nmatrix: {style: [[a]]}\n",
    "exclude-of-text": HEAD + "prompts: [a]\nmatrix: {style: [a], exclude: [a]}\n",
    "repeat-zero": HEAD + "prompts: [a]\nrepeat: 0\n",
    "repeat-text": HEAD + 'prompts: [a]\nrepeat: "2"\n',
    "attempts-many": HEAD + "prompts: [a]\nattempts: 101\n",
    "rate": HEAD + "prompts: [a]\nlimits: {rate: fast}\n",
    "rate-negative": HEAD + "prompts: [a]\nlimits: {rate: -1}\n",
    "price": HEAD + "prompts: [a]\nlimits: {price: 12}\n",
    "until": HEAD + 'prompts: [a]\nlimits: {until: "25:00"}\n',
    "duration": HEAD + "prompts: [a]\ntimeouts: {submit: soon}\n",
    "job-with-slash": HEAD + "prompts: [a]\njob: a/b\n",
    "job-hidden": HEAD + "prompts: [a]\njob: .a\n",
    "home-folder": HEAD + "prompts: [a]\noutput: {folder: ~/x}\n",
    "folder-scheme": HEAD + "prompts: [a]\noutput: {folder: gs://cards}\n",
    "folder-address": HEAD + "prompts: [a]\noutput: {folder: s3://cards//a}\n",
    "folder-template": HEAD + 'prompts: [a]\noutput: {folder: "{{ id }}"}\n',
    "data-file": HEAD + "items_from: rows.xls\n",
    "files-from-two": HEAD + "prompts: [a]\nfiles_from: {a: '*', b: '*'}\n",
    "on-duplicate": HEAD + "prompts: [a]\non_duplicate: drop\n",
    "files-list": HEAD + "prompts: [a]\nfiles: {f: [a]}\n",
    "defaults-name": HEAD + "prompts: [a]\ndefaults: {a-b: 1}\n",
    "on-item-when": HEAD + "prompts: [a]\non_item: {command: x, when: done}\n",
    "on-item-without-command": HEAD + "prompts: [a]\non_item: {when: [done]}\n",
    "on-item-never": HEAD + "prompts: [a]\non_item: {command: x, when: []}\n",
    "on-item-many": HEAD + "prompts: [a]\non_item: {command: x, concurrency: 65}\n",
    "heartbeat": HEAD + "prompts: [a]\nnotify: {heartbeat: hc-ping.com/x}\n",
    "keep-awake": HEAD + "prompts: [a]\nkeep_awake: perhaps\n",
    "when": HEAD + "prompts: [a]\non_finish: {when: never}\n",
    "notify-text": HEAD + "prompts: [a]\non_finish: {notify: a}\n",
}


def complaints(text: str) -> list[str]:
    """Return what an editor with the schema would underline; keys are text to YAML editors."""
    data = _with_text_keys(yaml.safe_load(text))
    return [error.message for error in VALIDATOR.iter_errors(data)]


@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "a.csv", "a.xlsx", "a.jsonl", "a.ndjson"])
@pytest.mark.parametrize("key", ["prompts_from", "items_from"])
def test_schema_accepts_each_kind_of_file(key: str, name: str) -> None:
    assert complaints(f"{HEAD}{key}: {name}\n") == []


@pytest.mark.parametrize("folder", ["/srv/cards", "out: 1", "s3://my.cards/a b/c/", "s3://cards"])
def test_schema_accepts_folder_and_address(folder: str) -> None:
    assert complaints(f'{HEAD}prompts: [a]\noutput: {{folder: "{folder}"}}\n') == []


def test_schema_accepts_pattern_of_files() -> None:
    assert complaints(HEAD + 'files_from: {photo: "photos/**/*.jpg"}\nsheet: Cards\n') == []


def _with_text_keys(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _with_text_keys(value) for key, value in data.items()}
    return [_with_text_keys(value) for value in data] if isinstance(data, list) else data


def test_json_schema_is_valid() -> None:
    Draft202012Validator.check_schema(python_schema())

    assert python_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_example_jobs_are_valid(path: Path) -> None:
    assert complaints(path.read_text()) == []
    assert len(list(load(path, providers=PROVIDERS).items())) > 1


@pytest.mark.parametrize("name", RIGHT)
def test_valid_manifest_passes_loader_and_schema(tmp_path: Path, name: str) -> None:
    assert complaints(RIGHT[name]) == []
    assert problems_of(write(tmp_path, RIGHT[name])) == []


@pytest.mark.parametrize("name", WRONG)
def test_invalid_manifest_fails_loader_and_schema(tmp_path: Path, name: str) -> None:
    assert complaints(WRONG[name]) != []
    with pytest.raises(ManifestError):
        load(write(tmp_path, WRONG[name]))


def keys_without(wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Return the keys of a manifest whose description in the schema lacks something."""
    schema = python_schema()
    blocks = schema["$defs"]
    return [
        f"{block.get('title')}.{name}"
        for block in (schema, *blocks.values())
        for name, value in block.get("properties", {}).items()
        if not wanted(blocks.get(value.get("$ref", "").rpartition("/")[2], {}) | value)
    ]


def test_every_schema_key_has_a_description() -> None:
    assert keys_without(lambda key: str(key.get("description", "")).endswith(".")) == []


def test_every_schema_key_has_a_default_an_example_or_keys() -> None:
    assert keys_without(lambda key: bool({"default", "examples", "properties"} & key.keys())) == []


def test_schema_defaults_are_written_as_in_a_manifest() -> None:
    limits = python_schema()["$defs"]["Limits"]["properties"]

    assert limits["rate"]["default"] == "1/s"
    assert "default" not in limits["price"]


def test_schema_defaults_are_valid() -> None:
    """An editor may insert them."""
    schema = python_schema()
    wrong = [
        name
        for block in (schema, *schema["$defs"].values())
        for name, value in block.get("properties", {}).items()
        if "default" in value
        and not VALIDATOR.evolve(schema=value | {"$defs": schema["$defs"]}).is_valid(
            value["default"]
        )
    ]

    assert wrong == []
