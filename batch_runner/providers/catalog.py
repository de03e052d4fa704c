"""The providers by name. Their HTTP code is imported when one is opened, not before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from batch_runner.providers.base import Provider
from batch_runner.settings import Service, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """A provider, without its connections."""

    factory: Callable[[Service, Settings], AbstractAsyncContextManager[Provider]]
    env_prefix: str  # of its environment variables: PREFIX_API_KEY, PREFIX_BASE_URL
    base_url: str  # the default
    docs_host: str | None = None  # of its documentation, which users mistake for the service
    task_id_pattern: re.Pattern[str]

    @property
    def key_variable(self) -> str:
        return f"{self.env_prefix}_API_KEY"

    @property
    def secret_variables(self) -> frozenset[str]:
        """Return the variables that hold credentials; no child process gets them."""
        return frozenset({self.key_variable})

    @property
    def base_url_variable(self) -> str:
        return f"{self.env_prefix}_BASE_URL"


@asynccontextmanager
async def _open_baicai(service: Service, settings: Settings) -> AsyncIterator[Provider]:
    from batch_runner.providers.baicai import Baicai
    from batch_runner.providers.http import Http

    task_id = PROVIDERS["baicai"].task_id_pattern
    async with Http(service, settings) as http:
        yield Baicai(http, settings.retries, task_id=task_id)


PROVIDERS = {
    "baicai": ProviderInfo(
        factory=_open_baicai,
        env_prefix="BAICAI",
        base_url="https://cloud.baicaiinfer.com",
        docs_host="docs.baicainfer.com",  # one i less than the service
        task_id_pattern=re.compile(r"[0-9a-f]{32}"),
    )
}


#: The variables that may hold a key, for hints if the provider is not known.
KEY_VARIABLES = " or ".join(info.key_variable for info in PROVIDERS.values())


def open_provider(service: Service, settings: Settings) -> AbstractAsyncContextManager[Provider]:
    """Return a context manager that opens the connections of the service's provider."""
    return PROVIDERS[service.provider].factory(service, settings)
