"""The bodies of requests to the API and of their responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from batch_runner.providers.http.errors import TooLarge
from batch_runner.util.text import json_text


def encoded_body(
    body: bytes | Mapping[str, Any] | aiohttp.FormData | None, key_fields: Mapping[str, str]
) -> tuple[Any, dict[str, str]]:
    """Return what aiohttp sends as `body` with the key's fields, and the headers of it."""
    if body is None:
        return None, {}
    if isinstance(body, aiohttp.FormData):
        for name, value in key_fields.items():
            body.add_field(name, value)
        return body, {}
    if not isinstance(body, bytes):
        body = json_text({**body, **key_fields}).encode()
    return body, {"Content-Type": "application/json"}


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body of a response.

    Raises:
        TooLarge: it has more than `limit` bytes.
    """
    chunks = bytearray()
    while not response.content.at_eof():
        chunks += await response.content.readany()
        if len(chunks) > limit:
            raise TooLarge
    return bytes(chunks)
