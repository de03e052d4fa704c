"""Build the submission of a described service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from batch_runner.manifest.templates.compiler import Compiler
from batch_runner.providers.declarative.description import Submit
from batch_runner.providers.declarative.requests import (
    RequestTemplate,
    build,
    cannot_build,
    node_fields,
    value_builder,
)
from batch_runner.util.text import json_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One submission as it is sent; `sent` is its content without the key, for comparison."""

    method: str
    path: str
    body: Mapping[str, Any] | aiohttp.FormData
    headers: dict[str, str]
    sent: Any


class SubmissionTemplate:
    """Builds submissions; the same arguments make the same request, byte for byte."""

    def __init__(self, submit: Submit, compiler: Compiler) -> None:
        self._request = RequestTemplate(submit.request, submit.json_body, compiler)
        self._form = None if submit.form is None else value_builder(submit.form, compiler)
        self._headers = value_builder(submit.headers, compiler)
        self._key_header = submit.idempotency.header if submit.idempotency else None

    def build(self, workflow: str, params: dict[str, Any], request_id: str | None) -> Submission:
        """Return the submission of an item.

        Raises:
            ApiError: a template has no value for it; nothing was sent.
        """
        scope = {
            "workflow": workflow,
            "params": params,
            "nodes": node_fields(params),
            "request_id": request_id or "",
        }
        headers = {name: str(text) for name, text in build(self._headers, scope).items()}
        for name, text in headers.items():
            if not text.isprintable():
                raise cannot_build(f"the header {name} would hold a control character")
        if self._key_header is not None and request_id is not None:
            headers[self._key_header] = request_id
        sent: Any
        body: Mapping[str, Any] | aiohttp.FormData
        if self._form is not None:
            sent = build(self._form, scope)
            body = aiohttp.FormData()
            for name, value in sent.items():
                body.add_field(name, value if isinstance(value, str) else json_text(value))
        else:
            sent = body = self._request.body(scope) or {}
        return Submission(
            method=self._request.method,
            path=self._request.path(scope),
            body=body,
            headers=headers,
            sent=sent,
        )
