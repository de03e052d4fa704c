"""Read a description and check it like a manifest: every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from batch_runner.manifest.diagnostics import Diagnostics, Location, did_you_mean, excerpt
from batch_runner.manifest.templates.sandbox import TemplateRefusedError
from batch_runner.manifest.validate import check
from batch_runner.manifest.yaml.nodes import Mapping, follow
from batch_runner.manifest.yaml.reader import parse
from batch_runner.manifest.yaml.text_file import decode, read_content
from batch_runner.providers.declarative.description import Description, Submit
from batch_runner.providers.declarative.requests import (
    DescriptionCompiler,
    templates_in,
    variables_in,
)
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text

Steps = tuple[int | str, ...]

_CALLS = ("cancel", "exists")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SUBMIT_NAMES = frozenset({"workflow", "params", "nodes", "request_id"})
_TASK_NAMES = frozenset({"task_id"})
_FILE_NAMES = frozenset({"task_id", "file"})


def read_description(path: Path) -> Description:
    """Return the description in the file at `path`.

    Raises:
        ManifestError: it is invalid; holds every problem that was found.
    """
    return description_of(content_of(path), path)


def content_of(path: Path) -> bytes:
    """Return the bytes of the file at `path`.

    Raises:
        ManifestError: it cannot be read, is too large, or is no regular file.
    """
    diagnostics = Diagnostics()
    content = read_content(path, utf8_text(path), diagnostics)
    diagnostics.raise_if_any()
    assert content is not None  # noqa: S101  else there was a problem
    return content


def description_of(content: bytes, path: Path) -> Description:
    """Return the description that `content` is, which was read from `path`.

    Raises:
        ManifestError: it is invalid; holds every problem that was found.
    """
    diagnostics = Diagnostics()
    label = utf8_text(path)
    root = _mapping_of(content, label, diagnostics)
    if root is None:
        diagnostics.raise_if_any()
        raise AssertionError("invalid description produced no diagnostics")
    try:
        description, _ = check(Description, root, label, diagnostics)
    except ValidationError:  # a required key is missing, which was reported
        diagnostics.raise_if_any()
        raise
    diagnostics.raise_if_any()
    _Checker(description, root, label, diagnostics).check()
    diagnostics.raise_if_any()
    return description


def _mapping_of(content: bytes, label: str, diagnostics: Diagnostics) -> Mapping | None:
    text = decode(content, label, diagnostics)
    root = None if text is None else parse(text, label, diagnostics)
    if isinstance(root, Mapping):
        return root
    if not diagnostics:
        diagnostics.add(Location(label), tr("a description is a mapping of keys to values"))
    return None


class _Checker:
    """Checks what is valid by itself, but not together."""

    def __init__(
        self, description: Description, root: Mapping, label: str, diagnostics: Diagnostics
    ) -> None:
        self._description = description
        self._root = root
        self._label = label
        self._diagnostics = diagnostics

    def check(self) -> None:
        self._check_key()
        self._check_submit()
        self._check_status()
        self._check_result()
        self._check_templates()

    def _add(self, message: str, *steps: int | str, hint: str | None = None) -> None:
        location = follow(self._root, steps).location(self._label)
        self._diagnostics.add(location, message, hint=hint)

    def _check_key(self) -> None:
        key, base = self._description.key, urlsplit(self._description.base_url)
        if key is None:
            return
        if sum(one is not None for one in (key.header, key.query, key.body)) != 1:
            self._add(tr("key: wanted exactly one of header, query and body"), "key")
        if base.scheme == "http" and base.hostname not in _LOOPBACK:
            self._add(tr("wanted https: http would send the key unencrypted"), "base_url")
        submit, result = self._description.submit, self._description.result
        if key.header and key.header.lower() in map(str.lower, submit.headers):
            self._add(tr("this header is that of the key"), "submit", "headers")
        if key.body is None:
            return
        for steps, call in (
            *(((name,), getattr(self._description, name)) for name in ("status", *_CALLS)),
            (("result",), result if result.request else None),
            (("result", "further"), result.further),
        ):
            if call is not None and call.json_body is None:
                message = tr("the key is in the body, and this request has none")
                self._add(message, *steps, hint=tr("add json: {}"))

    def _check_submit(self) -> None:
        submit = self._description.submit
        if submit.json_body is not None and submit.form is not None:
            self._add(tr("submit: wanted json or form, not both"), "submit", "form")
        if submit.request.startswith(("GET ", "DELETE ")):
            self._add(tr("submit: wanted POST or PUT"), "submit", "request")
        if submit.own_task_id and submit.idempotency is not None:
            message = tr("submit: wanted own_task_id or idempotency, not both")
            self._add(message, "submit", "idempotency")
        if not (submit.task_id or submit.own_task_id or submit.urls or submit.base64):
            hint = tr("task_id, own_task_id: true, or urls or base64 if it holds the result")
            self._add(tr("submit: nothing says where the task's id is"), "submit", hint=hint)
        own_key = submit.idempotency is not None and submit.idempotency.header is None
        if (submit.own_task_id or own_key) and not _uses_request_id(submit):
            name = "own_task_id" if submit.own_task_id else "idempotency"
            self._add(
                tr("submit: {name} needs {{{{ request_id }}}} in the request", name=name),
                "submit",
                name,
            )
        if submit.own_task_id and self._description.exists is None:
            self._add(tr("own_task_id needs the call exists"), "submit", "own_task_id")

    def _check_status(self) -> None:
        submit, status = self._description.submit, self._description.status
        if status is None:
            if submit.task_id or submit.own_task_id or not (submit.urls or submit.base64):
                self._add(tr("the key {missing} is missing", missing="status"))
            return
        words = status.words
        if not words.failed:
            message = tr("status.words: nothing says that a task has failed")
            self._add(message, "status", "words", hint=tr("add failed: [FAILED]"))
        seen: dict[str, str] = {}
        for state, listed in words:
            for word in listed:
                known = seen.setdefault(str(word).upper(), state)
                if known != state:
                    self._add(
                        tr(
                            "{word} is both {one} and {other}",
                            word=excerpt(word),
                            one=known,
                            other=state,
                        ),
                        "status",
                        "words",
                        state,
                    )

    def _check_result(self) -> None:
        result = self._description.result
        builds = result.url is not None or result.further is not None
        if (result.files is not None) != builds:
            message = tr("result: files and one of url and further belong together")
            self._add(message, "result")
        if self._description.status is not None and not (
            result.urls or result.base64 or result.files
        ):
            hint = tr("urls, base64, or files with url")
            self._add(tr("result: nothing says where the files are"), "result", hint=hint)
        upload = self._description.upload
        if upload is not None and (
            not upload.request.startswith("POST /") or "{{" in upload.request
        ):
            message = tr("upload: wanted POST and a path without variables")
            self._add(message, "upload", "request")
        for name, errors in self._description.responses.errors:
            if errors.wait is not None and name != "busy":
                message = tr("only busy can have a wait")
                self._add(message, "responses", "errors", name, "wait")

    def _check_templates(self) -> None:
        compiler = DescriptionCompiler()
        for steps, text, names in self._templates():
            try:
                template = compiler.compile(text)
            except TemplateRefusedError as error:
                self._add(str(error), *steps, hint=error.hint)
                continue
            written = set(variables_in(text))
            for name in sorted((template.uses | written) - names):
                self._add_unknown(name, steps, names)

    def _add_unknown(self, name: str, steps: Steps, names: frozenset[str]) -> None:
        if name == "key":
            message = tr("no template has the key; it goes only where the block key puts it")
            self._add(message, *steps)
            return
        known = tr("known here: {names}", names=", ".join(sorted(names)))
        message = tr("there is no variable {name}", name=excerpt(name))
        self._add(message, *steps, hint=did_you_mean(name, names, otherwise=known))

    def _templates(self) -> Iterator[tuple[Steps, str, frozenset[str]]]:
        """Yield the place of each template, its text and the variables that it may use."""
        parts: tuple[tuple[Steps, frozenset[str]], ...] = (
            (("submit",), _SUBMIT_NAMES),
            (("status",), _TASK_NAMES),
            (("cancel",), _TASK_NAMES),
            (("exists",), _TASK_NAMES),
            (("result",), _TASK_NAMES),
            (("result", "further"), _FILE_NAMES),
        )
        for steps, names in parts:
            part: Any = self._description
            for step in steps:
                part = None if part is None else getattr(part, str(step))
            if part is None:
                continue
            for field in ("request", "json", "form", "headers"):
                value = getattr(part, "json_body" if field == "json" else field, None)
                for inner, text in templates_in(value):
                    yield (*steps, field, *inner), text, names
        if self._description.result.url is not None:
            yield ("result", "url"), self._description.result.url, _FILE_NAMES


def _uses_request_id(submit: Submit) -> bool:
    compiler = DescriptionCompiler()
    parts = (submit.request, submit.json_body, submit.form, submit.headers)
    try:
        return any(
            "request_id" in compiler.compile(text).uses
            for part in parts
            for _, text in templates_in(part)
        )
    except TemplateRefusedError:
        return True  # reported with the templates
