"""What workers need for a run beside its items: settings, provider, and the graphs of workflows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch_runner.config.resolve import network_of
from batch_runner.manifest import Manifest
from batch_runner.providers.credentials import read_service
from batch_runner.settings import Service, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The same for all workers; keys, URLs and proxies are those of each worker's host."""

    settings: Settings
    provider: str
    base_urls: tuple[str, ...]  # that the manifest names
    workflows: Mapping[str, Any]

    @classmethod
    def of(cls, manifest: Manifest, settings: Settings, service: Service) -> Order:
        return cls(
            settings=settings,
            provider=manifest.provider,
            base_urls=tuple(manifest.base_urls),
            workflows=service.workflows,
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "settings": self.settings.model_dump(mode="json", exclude={"network"}),
                "provider": self.provider,
                "base_urls": list(self.base_urls),
                "workflows": dict(self.workflows),
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str, environment: Mapping[str, str]) -> Order:
        """Return the order with the network settings of this host.

        Raises:
            UsageError: they are invalid.
        """
        values = json.loads(text)
        settings = Settings.model_validate(values["settings"])
        network = network_of(environment)
        return cls(
            settings=settings.model_copy(update={"network": network}),
            provider=values["provider"],
            base_urls=tuple(values["base_urls"]),
            workflows=values["workflows"],
        )

    def service(self, environment: Mapping[str, str]) -> Service:
        """Return the service with the key of this host.

        Raises:
            UsageError: there is none, or another mistake in the environment.
        """
        network = self.settings.network
        found = read_service(self.provider, environment, network, base_urls=self.base_urls)
        return found.model_copy(update={"workflows": self.workflows})
