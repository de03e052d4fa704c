"""The catalog of providers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from batch_runner.providers import PROVIDERS, Provider, open_provider
from batch_runner.providers.declarative.provider import DeclarativeProvider
from batch_runner.settings import Service, Settings


async def opened(name: str) -> Provider:
    service = Service(provider=name, base_url="https://service.example", key=SecretStr("sk-key"))
    async with open_provider(service, Settings()) as provider:
        return provider


def test_default_provider_is_opened_by_its_name() -> None:
    assert isinstance(asyncio.run(opened("baicai")), DeclarativeProvider)


def test_another_provider_is_opened_by_its_own_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    other = DeclarativeProvider.__new__(DeclarativeProvider)

    @asynccontextmanager
    async def open_other(service: Service, settings: Settings) -> AsyncIterator[Provider]:
        yield other

    info = dataclasses.replace(PROVIDERS["baicai"], factory=open_other, env_prefix="OTHER")
    monkeypatch.setitem(PROVIDERS, "other", info)

    assert asyncio.run(opened("other")) is other
    assert (info.key_variable, info.base_url_variable) == ("OTHER_API_KEY", "OTHER_BASE_URL")
