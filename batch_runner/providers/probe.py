"""Requests that cost nothing, to find out whether a run would reach its service."""

from __future__ import annotations

from batch_runner.errors import ApiError
from batch_runner.providers.catalog import PROVIDERS, open_provider
from batch_runner.settings import Service, Settings

#: Task ids that no service gives; the pattern of a provider allows one of them.
NO_TASKS = ("0" * 32, "00000000-0000-0000-0000-000000000000", "0", "{base_url}/no-such-task")


async def probe_address(service: Service, settings: Settings) -> float | None:
    """Return the service's clock as Unix seconds, None if its response shows none. Sends no key.

    Raises:
        ApiError: there was no response.
    """
    from batch_runner.providers.http import Http

    async with Http(service, settings) as http:
        return await http.clock()


async def probe_key(service: Service, settings: Settings) -> ApiError | None:
    """Ask for the status of a task that does not exist; return the error, None without one."""
    pattern = PROVIDERS[service.provider].task_id_pattern
    candidates = (one.format(base_url=service.base_url.rstrip("/")) for one in NO_TASKS)
    async with open_provider(service, settings) as provider:
        try:
            await provider.status(next(filter(pattern.fullmatch, candidates), NO_TASKS[0]))
        except ApiError as error:
            return error
    return None
