"""Providers by name."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from batch_runner.providers.baicai import DEFAULT_BASE_URL, Baicai
from batch_runner.providers.http import Http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_runner.providers.protocol import Provider
    from batch_runner.settings import Service, Settings

#: Provider name → (environment variable prefix, default address).
PROVIDERS = {"baicai": ("BAICAI", DEFAULT_BASE_URL)}


@asynccontextmanager
async def open_provider(service: Service, settings: Settings) -> AsyncIterator[Provider]:
    """Open the connections of a provider for the length of a block."""
    async with Http(service, settings) as http:
        yield Baicai(http, settings.retries)
