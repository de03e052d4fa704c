"""A provider whose calls a description defines; everything is compiled once, when it is opened."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import aiohttp
import anyio

from batch_runner.errors import ApiError, Failure
from batch_runner.models import Received, TaskReport, TaskState
from batch_runner.providers.base import Capabilities, Receiver, RequestIds, Submitted
from batch_runner.providers.declarative.description import Description
from batch_runner.providers.declarative.expressions import Expressions, found
from batch_runner.providers.declarative.patterns import MAX_TEXT
from batch_runner.providers.declarative.requests import DescriptionCompiler, RequestTemplate
from batch_runner.providers.declarative.responses import ResponseReader, fraction
from batch_runner.providers.declarative.results import ResultReader, in_response
from batch_runner.providers.declarative.submission import SubmissionTemplate
from batch_runner.providers.http import Http
from batch_runner.providers.http.key import KeyPlace, KeyPlacement
from batch_runner.settings import Retries
from batch_runner.util.text import printable

#: Seconds between the two requests by which a task is found not to exist.
_CONFIRMED_AFTER = 1.0
_LAST_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\W*$")


class DeclarativeProvider:
    """The calls of a described service; `Provider` documents them."""

    def __init__(self, description: Description, http: Http, retries: Retries) -> None:
        compiler = DescriptionCompiler()
        self.capabilities = _capabilities(description)
        self._description = description
        self._http = http
        self._task_id = re.compile(description.task_id)
        self._reader = ResponseReader(
            description.responses, http, not_accepted=frozenset(retries.not_accepted_statuses)
        )
        self._submission = SubmissionTemplate(description.submit, compiler)
        self._results = ResultReader(description, http, self._reader, compiler)
        self._candidate = _candidate_pattern(description)
        self._states = _states(description)
        self._requests = {
            name: RequestTemplate(part.request, part.json_body, compiler)
            for name in ("status", "cancel", "exists")
            if (part := getattr(description, name)) is not None
        }

    async def submit(
        self, workflow: str, params: dict[str, Any], request_id: str | None = None
    ) -> Submitted:
        """Send one submission and return the task's id, which its description's pattern matches."""
        submit = self._description.submit
        request = self._submission.build(workflow, params, request_id)
        response = await self._http.submit(
            request.path,
            request.body,
            request.headers,
            method=request.method,
            max_bytes=self._results.max_bytes,
        )
        candidate = self._find_candidate(response.body)
        content = self._reader.read(response, "submit", sent=request.sent, candidate=candidate)
        urls = in_response(submit.urls, submit.base64, submit.media_type, content)
        urls = [self._absolute(url) for url in urls]
        if submit.own_task_id and request_id is not None:
            return Submitted(task_id=request_id, urls=tuple(urls))
        if (task_id := self._task_id_in(submit.task_id, content)) is not None:
            return Submitted(task_id=task_id, urls=tuple(urls))
        if not submit.task_id and urls:
            return Submitted(task_id=request_id or str(uuid.uuid4()), urls=tuple(urls))
        raise ApiError(
            "submit: the response holds no valid task id"
            if submit.task_id
            else "submit: the response holds no file",
            failure=Failure.NO_RESPONSE,
            status=response.status,
            candidate=candidate,
        )

    async def exists(self, task_id: str) -> bool:
        """Return whether the service knows the task; no, only if it says so twice."""
        for pause in (_CONFIRMED_AFTER, 0.0):
            try:
                await self._query("exists", task_id)
            except ApiError as error:
                if error.failure is not Failure.NOT_FOUND:
                    raise
            else:
                return True
            await anyio.sleep(pause)
        return False

    async def cancel(self, task_id: str) -> None:
        """Ask the service to cancel a task."""
        await self._query("cancel", task_id, may_be_empty=True)

    async def status(self, task_id: str) -> TaskReport:
        """Return the task's status; an unknown word means that it is still running."""
        status = self._description.status
        content = await self._query("status", task_id)
        assert status is not None  # noqa: S101  else there is no such request
        word = next(_words(status.word, content), "")
        state = self._states.get(word.strip().upper(), TaskState.UNKNOWN_WORD)
        shown = printable(word, 40)
        if state is None:
            message = f"status: the service does not know task {printable(task_id)} ({shown})"
            raise ApiError(message, failure=Failure.NOT_FOUND)
        failed = state.final and state is not TaskState.COMPLETED
        progress = (fraction(one, status.progress_of) for one in found(status.progress, content))
        return TaskReport(
            state=state,
            progress=next(progress, None),
            word=shown,
            message=self._reader.message_in(status.message, content) if failed else "",
        )

    async def result(self, task_id: str) -> list[str]:
        """Return the URLs of a finished task's files."""
        return [self._absolute(url) for url in await self._results.urls(task_id)]

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return what stands for it in params."""
        upload = self._description.upload
        if upload is None:
            message = "upload: the service takes no files (its description has no upload)"
            raise ApiError(message, failure=Failure.REJECTED)
        form = aiohttp.FormData(upload.form)
        form.add_field(upload.file, content, filename=name)
        response = await self._http.upload(upload.request.split(" ", 1)[1], form)
        answer = self._reader.read(response, "upload", sent="")
        for value in found(upload.value, answer):
            if isinstance(value, str) and value:
                return value
        raise ApiError(
            f"upload: the response holds no {_last_name(upload.value)}",
            failure=Failure.NO_RESPONSE,
            status=response.status,
        )

    async def download(self, url: str, receive: Receiver) -> Received:
        """Download a file from any host, without the key."""
        return await self._http.download(url, receive)

    async def _query(self, call: str, task_id: str, *, may_be_empty: bool = False) -> Any:
        request = self._requests.get(call)
        if request is None:
            message = f"{call}: the service has no such call for task {printable(task_id)}"
            raise ApiError(message, failure=Failure.NOT_FOUND)
        scope = {"task_id": task_id}
        response = await self._http.query(
            request.path(scope),
            method=request.method,
            body=request.body(scope),
            max_bytes=self._results.max_bytes,
        )
        return self._reader.read(response, call, may_be_empty=may_be_empty)

    def _task_id_in(self, expressions: Expressions, content: Any) -> str | None:
        value = next(_words(expressions, content), "")
        return value if self._is_task_id(value) else None

    def _is_task_id(self, value: str) -> bool:
        return len(value) <= MAX_TEXT and self._task_id.fullmatch(value) is not None

    def _find_candidate(self, body: bytes) -> str | None:
        """Return a task id found anywhere in a response, for the user to try."""
        for match in self._candidate.finditer(body) if self._candidate else ():
            value = match[1].decode(errors="replace")
            if self._is_task_id(value):
                return value
        return None

    def _absolute(self, url: str) -> str:
        """Return `url` as absolute. An invalid one stays as it is; the download rejects it."""
        if url.startswith(("https://", "http://", "data:")):
            return url
        try:
            return urljoin(self._http.base_url + "/", url)
        except ValueError:
            return url


def _capabilities(description: Description) -> Capabilities:
    submit = description.submit
    kind, seconds = RequestIds.NONE, 0.0
    if submit.own_task_id:
        kind = RequestIds.TASK_ID
    elif submit.idempotency is not None:
        kind, seconds = RequestIds.IDEMPOTENCY_KEY, submit.idempotency.valid_for
    return Capabilities(
        request_ids=kind,
        repeat_within=seconds,
        free=description.free,
        cancel=description.cancel is not None,
        upload=description.upload is not None,
        asks=description.status is not None,
        version=version_of(description),
    )


def key_placement(description: Description) -> KeyPlacement:
    """Return where a description puts the key."""
    key = description.key
    if key is None:
        return KeyPlacement(hosts=description.hosts)
    place = next(place for place in KeyPlace if getattr(key, place.value) is not None)
    name = getattr(key, place.value)
    return KeyPlacement(place=place, name=name, prefix=key.before, hosts=description.hosts)


def version_of(description: Description) -> str:
    """Return a hash of a description, which changes with anything in it."""
    return hashlib.sha256(description.model_dump_json().encode()).hexdigest()[:16]


def _words(expressions: Expressions, content: Any) -> Iterator[str]:
    """Yield texts and whole numbers that are found, as text."""
    for value in found(expressions, content):
        if isinstance(value, str):
            yield value
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(value)


def _states(description: Description) -> dict[str, TaskState | None]:
    """Return the state of each word in capitals; None: the service does not know the task."""
    if description.status is None:
        return {}
    words = description.status.words
    states = {
        TaskState.PENDING: words.pending,
        TaskState.RUNNING: words.running,
        TaskState.COMPLETED: words.completed,
        TaskState.FAILED: words.failed,
        TaskState.CANCELED: words.canceled,
        None: words.unknown_task,
    }
    return {str(word).upper(): state for state, listed in states.items() for word in listed}


def _last_name(expressions: Expressions) -> str:
    """Return the last name in the first expression, for messages: "fullPath" of data.fullPath."""
    found = _LAST_NAME.search(next(iter(expressions), ""))
    return found[1] if found else "value"


def _candidate_pattern(description: Description) -> re.Pattern[bytes] | None:
    """Return a pattern of the id's name and a text in JSON, also in an incomplete response."""
    expressions = description.submit.task_id
    if not expressions:
        return None
    name = re.escape(_last_name(expressions))
    return re.compile(rf'"{name}"\s*:\s*"([^"\\]{{1,{MAX_TEXT}}})"'.encode())
