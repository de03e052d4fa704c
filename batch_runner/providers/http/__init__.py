"""The HTTP client that all providers use."""

from batch_runner.providers.http.client import Http, Response

__all__ = ["Http", "Response"]
