"""The service that a manifest uses: servers, key, and the graphs of workflow files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.util.paths import utf8_environment

if TYPE_CHECKING:  # slow imports
    from batch_runner.manifest import Manifest
    from batch_runner.settings import Network, Service


def service_of(manifest: Manifest, network: Network) -> Service:
    """Return the URL and the key of the manifest's provider, as `read_service`."""
    from batch_runner.providers.credentials import read_service

    environment, urls = utf8_environment(), manifest.base_urls
    return with_workflows(
        read_service(manifest.provider, environment, network, base_urls=urls), manifest
    )


def with_workflows(service: Service, manifest: Manifest) -> Service:
    """Return `service` with the graphs of the manifest's workflow files, unless it has some."""
    if manifest.workflow_files is None or service.workflows:
        return service
    return service.model_copy(update={"workflows": manifest.workflow_files})
