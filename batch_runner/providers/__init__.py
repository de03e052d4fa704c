"""The services, as descriptions or code; no other package knows their URLs or formats."""

from batch_runner.providers.base import Provider
from batch_runner.providers.catalog import (
    DEFAULT_PROVIDER,
    PROVIDERS,
    key_variable_hint,
    open_provider,
)
from batch_runner.providers.info import ProviderInfo

__all__ = [
    "DEFAULT_PROVIDER",
    "PROVIDERS",
    "Provider",
    "ProviderInfo",
    "key_variable_hint",
    "open_provider",
]
