"""The registry of faults, filled by the decorator `fault`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

#: Every call that a client can make.
CALLS = ("submit", "status", "result", "upload", "download", "cancel")
#: The calls whose response is JSON.
JSON_CALLS = ("submit", "status", "result", "upload", "cancel")

Response = web.StreamResponse
FaultFunction = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault with the calls it can affect and its options with their defaults."""

    name: str
    description: str
    calls: tuple[str, ...]
    options: dict[str, Any]
    function: FaultFunction


_KINDS: dict[str, FaultKind] = {}


def registered() -> dict[str, FaultKind]:
    """Return every fault by name."""
    return _KINDS


def fault(*calls: str) -> Callable[[FaultFunction], FaultFunction]:
    """Register a function as a fault of these calls."""

    def register(function: FaultFunction) -> FaultFunction:
        name = function.__name__
        description = (inspect.getdoc(function) or "").partition("\n")[0]
        parameters = inspect.signature(function).parameters.values()
        options = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
        _KINDS[name] = FaultKind(name, description, calls, options, function)
        return function

    return register
