"""Input files: each content is sent to the service once, and its answer kept for later runs.

One after the other, in the items' order: two items with the same photo must not send it twice. An
upload costs nothing, so it is not waited for when creating stops.

How long the service knows an upload is not documented, so what is older than `uploads.reuse_for`
is sent again, which costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import anyio

from batch_runner.engine.context import Shift
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.errors import ApiError
from batch_runner.journal import Change
from batch_runner.journal.records import PendingItem
from batch_runner.lifecycle import Event
from batch_runner.models import UPLOAD_MARK, InputFile


async def with_uploads(shift: Shift, item: PendingItem) -> dict[str, Any] | None:
    """Return the params with what the service gave back for each input file.

    None when a file cannot be uploaded: the item is refused, or left waiting if creating stopped.
    """
    if not item.inputs:
        return item.params
    text = json.dumps(item.params, ensure_ascii=False)
    for file in item.inputs:
        value = await _uploaded(shift, item, file)
        if value is None:
            return None
        text = text.replace(UPLOAD_MARK + file.sha256, json.dumps(value, ensure_ascii=False)[1:-1])
    params: dict[str, Any] = json.loads(text)
    return params


async def _uploaded(shift: Shift, item: PendingItem, file: InputFile) -> str | None:
    since = shift.wall_clock() - shift.settings.uploads.reuse_for
    if (known := await shift.journal.upload_value(file.sha256, since)) is not None:
        return known
    try:
        content = await shift.offload(file.path.read_bytes)
    except OSError as error:
        await _refuse(shift, item, f"{file.path} cannot be read: {error.strerror}")
        return None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        # Sent like this, the item would not be the one that was planned and may be paid for.
        await _refuse(shift, item, f"{file.path} has changed since the manifest was read")
        return None
    return await _upload(shift, item, file, content)


async def _upload(shift: Shift, item: PendingItem, file: InputFile, content: bytes) -> str | None:
    known: str | None = None
    tries = failures = 0
    while known is None and shift.control.creating:
        with shift.control.while_creating():
            await shift.gate.wait()
        if not shift.control.creating:
            break
        tries += 1
        try:
            known = await shift.provider.upload(file.path.name, content)
        except ApiError as error:
            verdict, wait = shift.failed_call(error, Call.UPLOAD, tries)
            if verdict is RetryDecision.PAUSE:
                shift.limited_upload(error, wait)
                continue
            if verdict is RetryDecision.STOP:
                break
            failures += 1
            if verdict is RetryDecision.FAIL_ITEM:
                await _refuse(shift, item, str(error))
                shift.breaker.refused()
                shift.heed_breaker(str(error))
                return None
            if failures >= shift.settings.retries.max_tries:
                await _leave(shift, item, str(error))
                return None
            with shift.control.while_creating():
                await anyio.sleep(wait)
        else:
            shift.heard()
            shift.breaker.uploaded()
            await shift.journal.remember_upload(file.sha256, known)
    return known


async def _refuse(shift: Shift, item: PendingItem, message: str) -> None:
    """Mark the item refused: without its file it cannot be sent."""
    await _explain(shift, item, Event.SUBMIT_REJECTED, message)


async def _leave(shift: Shift, item: PendingItem, message: str) -> None:
    """Leave the item to the next run; where that comes upon one after the other, stop creating."""
    await _explain(shift, item, Event.SUBMIT_UNSENT, message)
    shift.breaker.upload_failed()
    shift.heed_breaker(message)


async def _explain(shift: Shift, item: PendingItem, event: Event, message: str) -> None:
    """Journal why an item was not sent. Nothing was created."""
    unsent = Change(key=item.key, event=event, reason="upload", message=message)
    # In one commit: between the two it would look as if it had been sent.
    await shift.commit(Change(key=item.key, event=Event.SUBMIT_STARTED), unsent)
    shift.tally.submissions -= 1  # there was no request
