"""Cancel the tasks of items at their service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from batch_runner.errors import ApiError, UsageError
from batch_runner.providers import Provider, open_provider
from batch_runner.providers.base import RequestIds
from batch_runner.util.locale import tr
from batch_runner.util.text import printable

if TYPE_CHECKING:
    from batch_runner.journal import ItemRow
    from batch_runner.settings import Service, Settings

#: Called with an item, its task id and what went wrong, None if the service cancelled the task.
OnCancel = Callable[["ItemRow", str | None, str | None], None]


def cancel_tasks(
    service: Service, settings: Settings, items: Sequence[ItemRow], on_cancel: OnCancel
) -> None:
    """Cancel the task of each item; `on_cancel` is called after each one, and may raise.

    Raises:
        UsageError: the service cannot cancel tasks.
    """

    async def cancel() -> None:
        async with open_provider(service, settings) as provider:
            if not provider.capabilities.cancel:
                raise UsageError(
                    tr(
                        "{provider} cannot cancel tasks; nothing was changed. Without --cancel, "
                        "items are given up here only, and their tasks run on",
                        provider=service.provider,
                    )
                )
            async for item, task_id, problem in cancelled(provider, items):
                on_cancel(item, task_id, problem)

    anyio.run(cancel)


async def cancelled(
    provider: Provider, items: Sequence[ItemRow]
) -> AsyncIterator[tuple[ItemRow, str | None, str | None]]:
    """Cancel one task after the other; yield each item, its task id, and what went wrong."""
    for item in items:
        task_id, problem = task_id_of(provider, item), None
        if task_id is None:
            yield item, None, tr("its task id is not known")
            continue
        try:
            await provider.cancel(task_id)
        except ApiError as error:
            problem = printable(str(error), 300)
        yield item, task_id, problem


def task_id_of(provider: Provider, item: ItemRow) -> str | None:
    """Return the id of an item's task; of a held one, the one that it was sent with, if any."""
    if item.task_id is None and provider.capabilities.request_ids is RequestIds.TASK_ID:
        return item.request_id
    return item.task_id
