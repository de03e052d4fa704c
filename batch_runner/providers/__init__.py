"""What knows one service. The rest of the program knows items, tasks and money."""

from batch_runner.providers.base import Provider
from batch_runner.providers.registry import PROVIDERS, open_provider

__all__ = ["PROVIDERS", "Provider", "open_provider"]
