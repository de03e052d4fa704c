"""Find the files of a completed task in the responses of a described service."""

from __future__ import annotations

import logging
from typing import Any

from batch_runner.errors import ApiError, Failure
from batch_runner.manifest.templates.compiler import Compiler
from batch_runner.providers.declarative.description import Description
from batch_runner.providers.declarative.expressions import Expressions, compiled, texts
from batch_runner.providers.declarative.requests import RequestTemplate, build, quoted
from batch_runner.providers.declarative.responses import ResponseReader
from batch_runner.providers.http import Http
from batch_runner.providers.http.client import MAX_RESPONSE_BYTES
from batch_runner.providers.http.data_urls import data_url
from batch_runner.util.text import printable

log = logging.getLogger(__name__)

#: Largest response that may hold files itself, in bytes.
MAX_BYTES_WITH_FILES = 256 << 20


class ResultReader:
    """Asks for the result of a task and returns the URLs of its files."""

    def __init__(
        self, description: Description, http: Http, reader: ResponseReader, compiler: Compiler
    ) -> None:
        self._result = result = description.result
        self._http = http
        self._reader = reader
        own: Any = result if result.request is not None else description.status
        self._request = (
            None if own is None else RequestTemplate(own.request, own.json_body, compiler)
        )
        self._call = "status" if result.request is None else "result"
        self._url = None if result.url is None else compiler.compile(result.url, text=True).render
        further = result.further
        self._further = (
            None
            if further is None
            else RequestTemplate(further.request, further.json_body, compiler)
        )
        holds_files = bool(result.base64 or description.submit.base64)
        self.max_bytes = MAX_BYTES_WITH_FILES if holds_files else MAX_RESPONSE_BYTES

    async def urls(self, task_id: str) -> list[str]:
        """Return the URLs of the files, maybe relative ones; `data:` URLs of files in a response.

        Raises:
            ApiError: the request failed, the task has failed after all, or there is no file.
        """
        if self._request is None:
            message = "result: the service cannot be asked for a result again"
            raise ApiError(message, failure=Failure.NOT_FOUND)
        scope: dict[str, Any] = {"task_id": task_id}
        content = await self._ask(self._request, self._call, scope)
        self._check_failed(content)
        result = self._result
        urls = in_response(result.urls, result.base64, result.media_type, content)
        urls += await self._urls_of_files(content, scope)
        problems = [printable(one, 200) for one in texts(result.file_errors, content)]
        if problems:
            log.warning("task %s: a file is missing: %s", printable(task_id), "; ".join(problems))
        if urls:
            return list(dict.fromkeys(urls))
        why = f": {problems[0]}" if problems else ""
        raise ApiError(
            f"result: the service reported the task as completed but named no file{why}",
            failure=Failure.TASK_FAILED if problems else Failure.NO_RESPONSE,
        )

    def _check_failed(self, content: Any) -> None:
        when = self._result.failed_when
        if when is not None and (why := compiled(when)(content)):
            detail = f": {printable(why, 300)}" if isinstance(why, str) else ""
            raise ApiError(
                f"the service reported a failed task{detail}", failure=Failure.TASK_FAILED
            )

    async def _urls_of_files(self, content: Any, scope: dict[str, Any]) -> list[str]:
        files = compiled(self._result.files)(content) if self._result.files else None
        urls: list[str] = []
        for file in files if isinstance(files, list) else [files]:
            if file is None or file == "":
                continue
            with_file = {**scope, "file": file}
            if self._url is not None:
                urls.append(str(build(self._url, quoted(with_file))))
            if self._further is not None and self._result.further is not None:
                answer = await self._ask(self._further, "result", with_file)
                urls += texts(self._result.further.urls, answer)
        return urls

    async def _ask(self, request: RequestTemplate, call: str, scope: dict[str, Any]) -> Any:
        response = await self._http.query(
            request.path(scope),
            method=request.method,
            body=request.body(scope),
            max_bytes=self.max_bytes,
        )
        return self._reader.read(response, call)


def in_response(urls: Expressions, base64: Expressions, media_type: str, content: Any) -> list[str]:
    """Return the URLs in a response, and its files in base64 as `data:` URLs."""
    found = texts(urls, content) if urls else []
    return found + [data_url(one, media_type) for one in (texts(base64, content) if base64 else [])]
