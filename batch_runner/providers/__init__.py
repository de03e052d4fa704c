"""The services: one module for each; no other package knows their URLs or formats."""

from batch_runner.providers.base import Provider
from batch_runner.providers.catalog import KEY_VARIABLES, PROVIDERS, ProviderInfo, open_provider

__all__ = ["KEY_VARIABLES", "PROVIDERS", "Provider", "ProviderInfo", "open_provider"]
