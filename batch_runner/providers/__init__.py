"""What knows one service. The rest of the program knows items, tasks and money."""

from batch_runner.providers.protocol import Provider, Receiver
from batch_runner.providers.registry import PROVIDERS, open_provider

__all__ = ["PROVIDERS", "Provider", "Receiver", "open_provider"]
