"""The HTTP client that all providers use."""

from batch_runner.providers.http.client import Answer, Http

__all__ = ["Answer", "Http"]
