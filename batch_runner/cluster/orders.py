"""What workers need for a run beside its items: settings, provider, and the graphs of workflows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch_runner.cluster.descriptions import digest_of
from batch_runner.config.resolve import network_of
from batch_runner.errors import UsageError
from batch_runner.manifest import Manifest
from batch_runner.providers import PROVIDERS
from batch_runner.providers.credentials import read_service
from batch_runner.settings import Service, Settings
from batch_runner.util.locale import tr
from batch_runner.util.text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The same for all workers; keys, URLs and proxies are those of each worker's host."""

    settings: Settings
    provider: str
    description: str | None  # SHA-256 of the user's own, None: the provider is built in
    workflows: Mapping[str, Any]
    files: str | None  # s3:// address of the results, None: they are in the job's folder

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        settings: Settings,
        service: Service,
        *,
        description: bytes | None,
        files: str | None,
    ) -> Order:
        return cls(
            settings=settings,
            provider=manifest.provider,
            description=None if description is None else digest_of(description),
            workflows=service.workflows,
            files=files,
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "settings": self.settings.model_dump(mode="json", exclude={"network"}),
                "provider": self.provider,
                "description": self.description,
                "workflows": dict(self.workflows),
                "files": self.files,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str, environment: Mapping[str, str]) -> Order:
        """Return the order with the network settings of this host.

        Raises:
            UsageError: they are invalid, or another version of this program wrote the order.
        """
        network = network_of(environment)
        try:
            values = json.loads(text)
            settings = Settings.model_validate(values["settings"])
            return cls(
                settings=settings.model_copy(update={"network": network}),
                provider=values["provider"],
                description=values["description"],
                workflows=values["workflows"],
                files=values["files"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                tr("`run` of another version of batch-runner has given it to the workers")
            ) from error

    def service(self, environment: Mapping[str, str], provider: str) -> Service:
        """Return the service with the key of this host; an own server must be that of this host.

        `provider` is what the provider is called here.

        Raises:
            UsageError: there is none, or another mistake in the environment.
        """
        info = PROVIDERS.get(provider)
        if info is None:
            raise UsageError(tr("there is no provider {provider}", provider=printable(provider)))
        if info.own_server and not environment.get(info.base_url_variable, "").strip():
            raise UsageError(
                tr(
                    "set {variable} to the address of this host's own server",
                    variable=info.base_url_variable,
                )
            )
        found = read_service(provider, environment, self.settings.network)
        return found.model_copy(update={"workflows": self.workflows})
