"""The providers by name: built in, or described by the user. Nothing is connected or imported here.

A built-in provider is a description in `declarative/builtin`, or code (`_CODE`). A user's own are
descriptions `NAME.yaml` in the folder `providers` of the user's config folder, or beside a
manifest; those of a manifest are used only after the user has approved their content once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from batch_runner.errors import UsageError
from batch_runner.providers.approvals import is_approved
from batch_runner.providers.base import Provider
from batch_runner.settings import Service, Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, list_names, utf8_text
from batch_runner.util.xdg import config_folder

#: The provider of a manifest that names none.
DEFAULT_PROVIDER = "baicai"
#: The folder of descriptions in the config folder, and beside a manifest.
FOLDER = "providers"
BUILTIN = Utf8Path(__file__).parent / "declarative" / "builtin"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ENDING = ".yaml"
#: Bytes of a description that are read; a longer one is refused when it is parsed.
_MOST_BYTES = 65_000_000

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


@asynccontextmanager
async def _open_comfyui(service: Service, settings: Settings) -> AsyncIterator[Provider]:
    from batch_runner.providers.comfyui import open_comfyui

    async with open_comfyui(service, settings) as provider:
        yield provider


#: The providers that are code.
_CODE = {
    "comfyui": ProviderInfo(
        factory=_open_comfyui,
        env_prefix="COMFYUI",
        base_url="http://127.0.0.1:8188",
        task_id_pattern=re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}"),
        needs_key=False,
        own_server=True,
        simulated_as="comfyui",
        title="ComfyUI, your own server or servers",
        source="https://docs.comfy.org/development/comfyui-server/comms_routes",
        can=("upload", "cancel", "resolve"),
    )
}


class Catalog(MutableMapping[str, ProviderInfo]):
    """The providers by name. A description is read when its provider is asked for."""

    def __init__(self) -> None:
        built_in = sorted(name for name in _names_in(BUILTIN) if name != DEFAULT_PROVIDER)
        self._built_in = {name: BUILTIN / f"{name}{_ENDING}" for name in built_in}
        self._names = [DEFAULT_PROVIDER, *sorted([*built_in, *_CODE])]
        self._infos = dict(_CODE)
        self._manifest_folders: dict[str, Path] = {}

    def add_manifest(self, path: Path) -> None:
        """Add the descriptions beside the manifest at `path`."""
        folder = path.absolute().parent / FOLDER
        self._manifest_folders[utf8_text(folder)] = folder

    def built_in(self) -> Iterator[ProviderInfo]:
        """Yield the built-in providers."""
        return (self[name] for name in self._names)

    def key_variables(self) -> frozenset[str]:
        """Return the variables of the keys of all providers, also of unusable descriptions."""
        found = {name for info in self._infos.values() for name in info.secret_variables}
        for name in self:
            try:
                found |= self[name].secret_variables
            except UsageError:
                found.add(f"{_prefix(name)}_API_KEY")
        return frozenset(found)

    def __getitem__(self, name: str) -> ProviderInfo:
        """Return a provider.

        Raises:
            KeyError: there is none of that name.
            UsageError: its description is invalid, not approved, or one of two.
        """
        own = self._own_files().get(name, [])
        if name in self._names and own:
            raise UsageError(
                tr("{path}: {name} is built in; rename the file", path=own[0][0], name=name)
            )
        if name not in self._infos and name in self._names:
            path = BUILTIN / f"{name}{_ENDING}"
            self._infos[name] = _info(name, _read_plain(path), path)
        if name in self._infos:
            return self._infos[name]
        if not own:
            raise KeyError(name)
        return self._own_info(name, own)

    def __setitem__(self, name: str, info: ProviderInfo) -> None:
        self._infos[name] = info

    def __delitem__(self, name: str) -> None:
        del self._infos[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._names, *self._infos, *self._own_files()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._names or name in self._infos or name in self._own_files()

    def _own_files(self) -> dict[str, list[tuple[Path, bool]]]:
        """Return the user's descriptions by name: path, and whether it must be approved."""
        found: dict[str, list[tuple[Path, bool]]] = {}
        config = config_folder()
        folders = [] if config is None else [(config / FOLDER, False)]
        for folder, of_manifest in [
            *folders,
            *((folder, True) for folder in self._manifest_folders.values()),
        ]:
            for name in _names_in(folder):
                found.setdefault(name, []).append((folder / f"{name}{_ENDING}", of_manifest))
        return found

    def _own_info(self, name: str, files: list[tuple[Path, bool]]) -> ProviderInfo:
        from batch_runner.providers.declarative.reading import read_description

        contents = {path: _read_bytes(path) for path, _ in files}
        if len(set(contents.values())) > 1:
            paths = tr(" and ").join(utf8_text(path) for path in contents)
            raise UsageError(tr("{paths} describe one provider differently", paths=paths))
        path, _ = files[0]
        digest = hashlib.sha256(contents[path]).hexdigest()
        description = read_description(path)
        if all(of_manifest for _, of_manifest in files) and not is_approved(digest):
            raise UsageError(
                tr(
                    "{path} describes a service at {url}, to which prompts and a key would be "
                    "sent; read it, then approve it with: batch-runner providers approve {path}",
                    path=utf8_text(path),
                    url=description.base_url,
                )
            )
        info = _info(name, _read_plain(path), path)
        self._check_credential(info)
        return info

    def _check_credential(self, info: ProviderInfo) -> None:
        """Refuse a description that would send the key of a built-in provider elsewhere."""
        for known in self.built_in():
            if info.key_variable != known.key_variable:
                continue
            if _origin(info.base_url) != _origin(known.base_url):
                raise UsageError(
                    tr(
                        "{path}: {variable} is the key of {url}, and this is another service; "
                        "write environment: with another prefix",
                        path=utf8_text(info.path or ""),
                        variable=info.key_variable,
                        url=known.base_url,
                    )
                )


def _info(name: str, raw: dict[str, Any], path: Path) -> ProviderInfo:
    """Return the provider of a description, from its plain content."""
    return ProviderInfo(
        factory=lambda service, settings: _open_described(path, service, settings),
        env_prefix=raw.get("environment") or _prefix(name),
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
    path: Path, service: Service, settings: Settings
) -> AsyncIterator[Provider]:
    from batch_runner.providers.declarative.provider import DeclarativeProvider, key_placement
    from batch_runner.providers.declarative.reading import read_description
    from batch_runner.providers.http import Http

    description = read_description(path)
    async with Http(service, settings, key=key_placement(description)) as http:
        yield DeclarativeProvider(description, http, settings.retries)


def _read_plain(path: Path) -> dict[str, Any]:
    from batch_runner.manifest.diagnostics import Diagnostics
    from batch_runner.manifest.yaml.nodes import plain
    from batch_runner.manifest.yaml.reader import parse

    root = parse(path.read_text(encoding="utf-8-sig"), path.name, Diagnostics())
    content = {} if root is None else plain(root)
    assert isinstance(content, dict)  # noqa: S101  it was validated, a built-in one by the tests
    return content


def _read_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(tr("{path} is not a regular file", path=utf8_text(path)))
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        reason = error.strerror
        raise UsageError(
            tr("{path} cannot be read: {reason}", path=utf8_text(path), reason=reason)
        ) from None


def _names_in(folder: Path) -> list[str]:
    """Return the names of the descriptions in a folder; none if it cannot be read."""
    try:
        files = sorted(list_names(folder))
    except OSError:
        return []
    names = (file.removesuffix(_ENDING) for file in files if file.endswith(_ENDING))
    return [name for name in names if _NAME.fullmatch(name)]


def _prefix(name: str) -> str:
    return name.upper().replace("-", "_")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


PROVIDERS = Catalog()


def key_variable_hint() -> str:
    """Return the variable of the default provider's key, for hints if no provider is known."""
    return PROVIDERS[DEFAULT_PROVIDER].key_variable


def open_provider(service: Service, settings: Settings) -> AbstractAsyncContextManager[Provider]:
    """Return a context manager that opens the connections of the service's provider."""
    return PROVIDERS[service.provider].factory(service, settings)
