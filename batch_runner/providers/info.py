"""A provider without its connections, and what its description says of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batch_runner.providers.base import Provider
from batch_runner.settings import Service, Settings

if TYPE_CHECKING:  # a slow import
    from batch_runner.providers.declarative.description import Description

Factory = Callable[[Service, Settings], AbstractAsyncContextManager[Provider]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """A provider, without its connections."""

    factory: Factory
    env_prefix: str  # of its environment variables: PREFIX_API_KEY, PREFIX_BASE_URL
    base_url: str  # the default
    docs_host: str | None = None  # of its documentation, which users mistake for the service
    task_id_pattern: re.Pattern[str]
    needs_key: bool = True
    own_server: bool = False  # the user's: its URLs and workflow files are in the manifest
    params_shape: Literal["nodes", "flat"] = "nodes"  # params by node and field, or by field
    needs_workflow: bool = True
    title: str = ""
    source: str = ""  # the documentation that it was written from
    tried: bool = False  # with the real service
    simulated_as: str | None = None  # whom the simulator acts as; None: it cannot be rehearsed
    #: Settings that the service documents, as "block.name"; a manifest or the user overrides them.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    can: tuple[str, ...] = ()  # of: upload, cancel, resolve (a submission without a response)
    path: Path | None = None  # of its description; None: it is code

    @property
    def key_variable(self) -> str:
        return f"{self.env_prefix}_API_KEY"

    @property
    def secret_variables(self) -> frozenset[str]:
        """Return the variables that hold credentials; no child process gets them."""
        return frozenset({self.key_variable})

    @property
    def base_url_variable(self) -> str:
        return f"{self.env_prefix}_BASE_URL"


def built_in_info(name: str, path: Path) -> ProviderInfo:
    """Return a built-in provider, whose description the tests have checked."""
    from batch_runner.providers.declarative.reading import read_description

    return _info(name, path.read_text(encoding="utf-8"), path, lambda: read_description(path))


def own_info(name: str, content: bytes, path: Path) -> ProviderInfo:
    """Return the provider that `content` describes, which is what will be opened.

    Raises:
        ManifestError: the description is invalid.
    """
    from batch_runner.providers.declarative.reading import description_of

    description = description_of(content, path)
    return _info(name, content.decode("utf-8-sig"), path, lambda: description)


def _info(name: str, text: str, path: Path, read: Callable[[], Description]) -> ProviderInfo:
    """Return the provider of a valid description; `read` returns it for a run."""
    raw = _plain(text)
    return ProviderInfo(
        factory=lambda service, settings: _open_described(read(), service, settings),
        env_prefix=raw.get("environment") or default_prefix(name),
        base_url=raw["base_url"],
        docs_host=raw.get("docs_host"),
        task_id_pattern=re.compile(raw.get("task_id") or DEFAULT_TASK_ID),
        needs_key=raw.get("key") is not None,
        params_shape=raw.get("params", "flat"),
        needs_workflow=raw.get("workflow", True),
        title=raw["title"],
        source=raw["source"],
        tried=raw.get("tried", False),
        simulated_as=raw.get("simulated_as"),
        defaults=_defaults(raw.get("limits", {})),
        can=tuple(name for name, can in _abilities(raw).items() if can),
        path=path,
    )


#: What a description says of its limits → the setting of which it is the default.
_SETTINGS = {
    "rate": "limits.rate",
    "in_flight": "limits.in_flight",
    "first_poll": "polling.first",
    "poll_interval": "polling.shortest",
}


def _defaults(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {_SETTINGS[name]: value for name, value in limits.items() if name in _SETTINGS}


def _abilities(raw: dict[str, Any]) -> dict[str, bool]:
    submit = raw["submit"]
    return {
        "upload": bool(raw.get("upload")),
        "cancel": bool(raw.get("cancel")),
        "resolve": bool(submit.get("own_task_id") or submit.get("idempotency")),
    }


#: The pattern of task ids if a description gives none.
DEFAULT_TASK_ID = r"[0-9A-Za-z][0-9A-Za-z_.:-]{0,127}"


@asynccontextmanager
async def _open_described(
    description: Description, service: Service, settings: Settings
) -> AsyncIterator[Provider]:
    from batch_runner.providers.declarative.provider import DeclarativeProvider, key_placement
    from batch_runner.providers.http import Http

    async with Http(service, settings, key=key_placement(description)) as http:
        yield DeclarativeProvider(description, http, settings.retries)


def _plain(text: str) -> dict[str, Any]:
    """Return the content of a valid description, not validated again: that takes longer."""
    from batch_runner.manifest.diagnostics import Diagnostics
    from batch_runner.manifest.yaml.nodes import plain
    from batch_runner.manifest.yaml.reader import parse

    root = parse(text, "", Diagnostics())
    content = {} if root is None else plain(root)
    assert isinstance(content, dict)  # noqa: S101  it is valid
    return content


def default_prefix(name: str) -> str:
    return name.upper().replace("-", "_")
