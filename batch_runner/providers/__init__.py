"""One module per service. The rest of the program knows items, tasks and money."""

from batch_runner.providers.base import Provider
from batch_runner.providers.catalog import KEY_VARIABLES, PROVIDERS, ProviderInfo, open_provider

__all__ = ["KEY_VARIABLES", "PROVIDERS", "Provider", "ProviderInfo", "open_provider"]
