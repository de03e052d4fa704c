"""Descriptions that are refused, and where the problem is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from batch_runner.errors import ManifestError, UsageError
from batch_runner.providers.catalog import BUILTIN, PROVIDERS
from batch_runner.providers.declarative.description import Description
from batch_runner.providers.declarative.playing import play
from batch_runner.providers.declarative.reading import read_description

SMALL: dict[str, Any] = {
    "description": 1,
    "title": "A small service",
    "source": "https://docs.small.example",
    "base_url": "https://api.small.example",
    "key": {"header": "Authorization", "before": "Bearer "},
    "submit": {
        "request": "POST /v1/tasks",
        "json": {"model": "{{ workflow }}", "input": "{{ params }}"},
        "task_id": "id",
    },
    "status": {
        "request": "GET /v1/tasks/{{ task_id }}",
        "word": "status",
        "words": {"completed": ["done"], "failed": ["failed"]},
    },
    "result": {"urls": "files[].url"},
}


def written(folder: Path, **changed: Any) -> Path:
    """Return a description that differs from `SMALL`; a value None removes the key."""
    content = {key: value for key, value in (SMALL | changed).items() if value is not None}
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def problems(folder: Path, **changed: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_description(written(folder, **changed))
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


def test_small_description_is_valid(tmp_path: Path) -> None:
    assert isinstance(read_description(written(tmp_path)), Description)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"submit": None}, "the key submit is missing"),
        ({"status": None}, "the key status is missing"),
        ({"description": 2}, "description: wanted 1, this is 2"),
        ({"base_url": "api.small.example"}, "wanted an address, such as https://api.example.com"),
        ({"base_url": "https://user@small.example"}, "wanted an address"),
        ({"base_url": "http://api.small.example"}, "http would send the key unencrypted"),
        ({"key": {}}, "key: wanted exactly one of header, query and body"),
        ({"key": {"header": "a", "query": "b"}}, "key: wanted exactly one of header"),
        ({"hosts": ["*"]}, "wanted a host name, such as *.example.com"),
        ({"task_id": "["}, "not a regular expression"),
        ({"responses": {"code": "a..b"}}, "not a valid JMESPath expression"),
        ({"responses": {"code": "nonsense(a)"}}, "there is no function nonsense"),
        ({"responses": {"code": "|".join(["[@, @][]"] * 22)}}, "much larger than the response"),
        ({"responses": {"code": "|".join(["[to_string(@)]"] * 22)}}, "much larger"),
        ({"task_id": "(a+)+"}, "this regular expression could take hours"),
        ({"task_id": "(?:a|a.*)*"}, "this regular expression could take hours"),
        ({"task_id": ".*.*.*x"}, "this regular expression could take hours"),
        ({"base_url": "https://[::1"}, "wanted an address"),
        ({"base_url": "https://api.small.example:99999"}, "wanted an address"),
        ({"key": {"header": "a b"}}, "wanted the name of a header"),
        ({"key": {"header": "a", "before": "b\n"}}, "wanted text without line breaks"),
        ({"key": {"body": "k"}}, "the key is in the body, and this request has none"),
        ({"upload": {"request": "PUT /files", "value": "url"}}, "upload: wanted POST"),
        ({"responses": {"errors": {"key": {"wait": "3s"}}}}, "only busy can have a wait"),
        ({"responses": {"errors": {"bussy": {}}}}, "there is no key bussy"),
        ({"result": {}}, "result: nothing says where the files are"),
        ({"result": {"files": "a"}}, "files and one of url and further belong together"),
        ({"environment": "small"}, "wanted capital letters, such as EXAMPLE"),
    ],
)
def test_invalid_description_is_refused(tmp_path: Path, changed: Any, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, **changed))


@pytest.mark.parametrize(
    ("submit", "said"),
    [
        ({"task_id": None}, "nothing says where the task's id is"),
        ({"request": "GET /v1/tasks"}, "submit: wanted POST or PUT"),
        ({"request": "v1/tasks"}, "wanted a method and a path, such as GET /v1/tasks"),
        ({"request": "POST https://evil.example/"}, "wanted a method and a path"),
        ({"form": {"a": "b"}}, "submit: wanted json or form, not both"),
        ({"json": {"k": "{{ key }}"}}, "no template has the key"),
        ({"json": {"k": "{{ self }}"}}, "there is no variable self"),
        ({"headers": {"Host": "evil.example"}}, "wanted the name of a header"),
        ({"headers": {"authorization": "x"}}, "this header is that of the key"),
        ({"json": {"k": "{{ promt }}"}}, "there is no variable promt"),
        ({"json": {"k": "{{ workflow.__class__ }}"}}, ""),
        ({"json": {"k": "{% include 'x' %}"}}, "include is not allowed in templates"),
        ({"json": {"k": "{{ lipsum() }}"}}, "there is no function lipsum"),
        ({"json": {"k": "{{ workflow"}}, "invalid template"),
        ({"own_task_id": True}, "submit: own_task_id needs {{ request_id }} in the request"),
        ({"own_task_id": True}, "own_task_id needs the call exists"),
        ({"idempotency": {"valid_for": "1h"}}, "idempotency needs {{ request_id }}"),
        ({"idempotency": {"header": "K"}}, "the key valid_for is missing"),
    ],
)
def test_invalid_submission_is_refused(tmp_path: Path, submit: Any, said: str) -> None:
    changed = {key: value for key, value in (SMALL["submit"] | submit).items() if value is not None}
    if not said:  # attributes are never read: it has no value
        read_description(written(tmp_path, submit=changed))
        return
    assert said in "\n".join(problems(tmp_path, submit=changed))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"completed": ["done"]}, "nothing says that a task has failed"),
        ({"failed": ["failed"]}, "the key completed is missing"),
        ({"completed": [], "failed": ["f"]}, "wanted something in it"),
        ({"completed": ["done"], "failed": ["Done"]}, "Done is both completed and failed"),
    ],
)
def test_status_words_without_an_end_are_refused(tmp_path: Path, words: Any, said: str) -> None:
    status = SMALL["status"] | {"words": words}

    assert said in "\n".join(problems(tmp_path, status=status))


def test_every_problem_is_reported_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path, key={}, submit=SMALL["submit"] | {"json": {"a": "{{ key }}", "b": "{{ x }}"}}
    )

    assert [one.partition(": ")[0] for one in found] == ["5", "9", "10"]


def test_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- a\n", encoding="utf-8")

    with pytest.raises(ManifestError, match="a description is a mapping of keys to values"):
        read_description(path)


BUILT_IN = [info.path for info in PROVIDERS.built_in() if info.path is not None]


@pytest.mark.parametrize("path", BUILT_IN, ids=lambda path: path.stem)
def test_built_in_description_reads_its_examples(path: Path) -> None:
    findings = anyio.run(play, path)

    assert [one for one in findings if not one.good] == []
    names = {one.name for one in findings}
    assert names >= {"submit", "status", "result", "error key", "error busy", "key"}


def test_description_without_examples_is_not_played(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no examples"):
        anyio.run(play, written(tmp_path))


@pytest.mark.parametrize(
    ("examples", "wrong"),
    [
        ({"submit": {"ID": "7"}}, "submit"),
        ({"submit": {"id": "7"}, "status": [{"status": "maybe"}]}, "status"),
        ({"submit": {"id": "7"}, "status": [{"status": "done"}]}, "result"),
        (
            {
                "submit": {"id": "7"},
                "status": [{"status": "done", "files": [{"url": "https://a.example/1"}]}],
                "errors": [{"status": 500, "means": "busy"}],
            },
            "error busy",
        ),
    ],
)
def test_example_that_is_not_read_is_found(tmp_path: Path, examples: Any, wrong: str) -> None:
    findings = anyio.run(play, written(tmp_path, examples=examples))

    assert wrong in [one.name for one in findings if not one.good]


def test_description_that_takes_any_code_for_success_is_found(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        submit=SMALL["submit"] | {"task_id": ["id", "`0`"]},
        task_id="0|7",
        examples={"submit": {"id": "7"}},
    )

    wrong = [one.name for one in anyio.run(play, path) if not one.good]

    assert "submission answered by an empty object" in wrong


def test_builtin_folder_holds_descriptions_only() -> None:
    assert {path.suffix for path in BUILTIN.iterdir()} == {".yaml"}
