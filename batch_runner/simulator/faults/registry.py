"""The list of faults, filled by the decorator."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

#: Every call a client can make.
CALLS = ("create", "status", "result", "upload", "download")
#: The calls that are answered with JSON.
JSON_CALLS = ("create", "status", "result", "upload")

Response = web.StreamResponse
FaultFunction = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: what it is called, what it does, to which calls, with which options."""

    name: str
    description: str
    calls: tuple[str, ...]
    options: dict[str, Any]
    answer: FaultFunction


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
