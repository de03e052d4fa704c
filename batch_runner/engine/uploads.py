"""Input files: each content is uploaded once, and what the service returns is kept for later runs.

Files are uploaded one after the other, in the order of the items: two items with the same photo
must not upload it twice. A content that the service rejects is tried once in a run, and rejects all
of its items. An upload costs nothing, so the producer cancels it when submitting stops.

How long the service keeps an upload is not documented, so what is older than `uploads.reuse_for` is
uploaded again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import anyio

from batch_runner.engine.context import Run
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.errors import ApiError, JournalError
from batch_runner.journal.base import Change
from batch_runner.journal.records import PendingItem
from batch_runner.lifecycle import Event
from batch_runner.models import UPLOAD_MARK, InputFile
from batch_runner.util.paths import utf8_text


class Uploader:
    """Uploads the input files of items before they are submitted."""

    def __init__(self, run: Run) -> None:
        context = run.context
        self._settings = context.settings
        self._journal = context.journal
        self._provider = context.provider
        self._gate = context.gate
        self._clock = context.clock
        self._read_input = context.read_input
        self._control = run.state.control
        self._breaker = run.state.breaker
        self._recorder = run.recorder
        self._failures = run.failures
        self._rejected: dict[str, str] = {}  # SHA-256 of a rejected content → why

    async def resolve_params(self, item: PendingItem) -> dict[str, Any] | None:
        """Return the params with what the service returned for each input file.

        None if a file cannot be uploaded: the item is rejected, or stays pending for a later run.
        """
        if not item.inputs:
            return item.params
        try:
            return await self._with_uploads(item)
        except JournalError as error:
            self._recorder.journal_failed(error)
            return None

    async def known_params(self, item: PendingItem) -> dict[str, Any] | None:
        """Return the params as they were sent, however long ago; None if an upload is not known."""
        text = json.dumps(item.params, ensure_ascii=False)
        for file in item.inputs:
            value = await self._journal.upload_value(file.sha256, 0.0)
            if value is None:
                return None
            text = _with_value(text, file, value)
        params: dict[str, Any] = json.loads(text)
        return params

    async def _with_uploads(self, item: PendingItem) -> dict[str, Any] | None:
        text = json.dumps(item.params, ensure_ascii=False)
        for file in item.inputs:
            value = await self._uploaded(item, file)
            if value is None:
                return None
            text = _with_value(text, file, value)
        params: dict[str, Any] = json.loads(text)
        return params

    async def _uploaded(self, item: PendingItem, file: InputFile) -> str | None:
        since = self._clock.wall() - self._settings.uploads.reuse_for
        if (known := await self._journal.upload_value(file.sha256, since)) is not None:
            return known
        if (why := self._rejected.get(file.sha256)) is not None:
            await self.reject(item, why)
            return None
        content = await self.read(item, file)
        return None if content is None else await self._upload(item, file, content)

    async def read(self, item: PendingItem, file: InputFile) -> bytes | None:
        """Return the content of an input file; None: its item is rejected, or stays pending."""
        try:
            content = await self._read_input(file)
        except OSError as error:
            message = f"{file.path} cannot be read: {error.strerror}"
            # Any other error, such as too many open files, is not the fault of the item.
            if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
                await self.reject(item, message)
            else:
                await self._leave_pending(item, message)
            return None
        if hashlib.sha256(content).hexdigest() != file.sha256:
            # With other content it is another item, which may have been paid for already.
            await self.reject(item, f"{file.path} has changed since the manifest was read")
            return None
        return content

    async def _upload(self, item: PendingItem, file: InputFile, content: bytes) -> str | None:
        tries = failures = 0
        while self._control.submitting:
            await self._gate.wait()
            tries += 1
            try:
                value = await self._provider.upload(utf8_text(file.path.name), content)
            except ApiError as error:
                decision, delay = self._failures.handle(error, Call.UPLOAD, tries)
                if decision is RetryDecision.PAUSE:  # does not count as a try
                    continue
                if decision.stops:
                    break
                failures += 1
                if decision is RetryDecision.FAIL_ITEM:
                    self._rejected[file.sha256] = str(error)
                if await self._given_up(item, error, decision, failures):
                    break
                await anyio.sleep(delay)
            else:
                self._failures.call_succeeded()
                self._breaker.upload_accepted()
                await self._journal.remember_upload(file.sha256, value)
                return value
        return None

    async def _given_up(
        self, item: PendingItem, error: ApiError, decision: RetryDecision, failures: int
    ) -> bool:
        """Record why the item is not submitted, if its file is not uploaded again in this run."""
        if decision is RetryDecision.FAIL_ITEM:
            await self.reject(item, str(error))
            self._breaker.rejected()
            self._failures.check_breaker(str(error))
        elif failures >= self._settings.retries.max_tries:
            await self._leave_pending(item, str(error))
        else:
            return False
        return True

    async def _leave_pending(self, item: PendingItem, message: str) -> None:
        await self._record(item, Event.UPLOAD_FAILED, message)
        self._breaker.upload_failed()
        self._failures.check_breaker(message)

    async def reject(self, item: PendingItem, message: str) -> None:
        """Record that an item cannot be submitted because of its input file."""
        await self._record(item, Event.UPLOAD_REJECTED, message)

    async def _record(self, item: PendingItem, event: Event, message: str) -> None:
        await self._recorder.record(
            Change(key=item.key, event=event, reason="upload", message=message)
        )


def _with_value(text: str, file: InputFile, value: str) -> str:
    """Return params as JSON with the value of an uploaded file in place of its mark."""
    literal = json.dumps(value, ensure_ascii=False)[1:-1]
    return text.replace(UPLOAD_MARK + file.sha256, literal)
