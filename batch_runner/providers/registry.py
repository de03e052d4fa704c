"""Providers by name. What speaks HTTP is imported when one is opened: most commands never do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from batch_runner.providers.base import Provider
from batch_runner.settings import Service, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What must be known of a provider before it is spoken to."""

    prefix: str  # of its environment variables: PREFIX_API_KEY, PREFIX_BASE_URL
    base_url: str  # the default
    mixed_up_with: str  # a host that is taken for the service by mistake
    task_id: re.Pattern[str]  # the form of its task ids, for those that a person types


PROVIDERS = {
    "baicai": Known(
        prefix="BAICAI",
        base_url="https://cloud.baicaiinfer.com",
        mixed_up_with="docs.baicainfer.com",  # the documents; one i less
        task_id=re.compile(r"[0-9a-f]{32}"),
    )
}


@asynccontextmanager
async def open_provider(service: Service, settings: Settings) -> AsyncIterator[Provider]:
    """Open the connections of a provider for the length of a block."""
    from batch_runner.providers.baicai import Baicai
    from batch_runner.providers.http import Http

    known = PROVIDERS[service.provider]
    async with Http(service, settings) as http:
        yield Baicai(http, settings.retries, task_id=known.task_id)
