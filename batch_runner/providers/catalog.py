"""The providers by name: built in, or described by the user. Nothing is connected or imported here.

A built-in provider is a description in `declarative/builtin`, or code (`_CODE`). A user's own are
descriptions `NAME.yaml` in the folder `providers` of the user's config folder, or beside a
manifest; those of a manifest are used only after the user has approved their content once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.providers.approvals import is_approved
from batch_runner.providers.base import Provider
from batch_runner.providers.info import ProviderInfo, built_in_info, default_prefix, own_info
from batch_runner.settings import Service, Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, list_names, utf8_text
from batch_runner.util.text import printable
from batch_runner.util.urls import origin
from batch_runner.util.xdg import config_folder

#: The provider of a manifest that names none.
DEFAULT_PROVIDER = "baicai"
#: The folder of descriptions in the config folder, and beside a manifest.
FOLDER = "providers"
BUILTIN = Utf8Path(__file__).parent / "declarative" / "builtin"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ENDING = ".yaml"


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
        others = {*_names_in(BUILTIN), *_CODE} - {DEFAULT_PROVIDER}
        self._names = [DEFAULT_PROVIDER, *sorted(others)]
        self._infos = dict(_CODE)
        self._own_infos: dict[tuple[str, bytes], ProviderInfo] = {}  # by name and content
        self._manifest_folders: dict[str, Path] = {}

    def add_manifest(self, path: Path) -> None:
        """Add the descriptions beside the manifest at `path`."""
        folder = path.absolute().parent / FOLDER
        self._manifest_folders[utf8_text(folder)] = folder

    def own_description(self, name: str) -> bytes | None:
        """Return the user's description of a provider; None: it is built in.

        Raises:
            UsageError: it cannot be used.
        """
        path = self[name].path
        return None if name in self._names or path is None else _content_of(path)

    def add_copy(self, name: str, path: Path) -> str:
        """Add another host's description of `name`, a copy of which is at `path`.

        Return what it is called here, where `name` may be described otherwise. The user must have
        approved this content, or have the same in the config folder.

        Raises:
            UsageError: the user has not; or it is invalid, or of a built-in provider.
        """
        if not self.may_be_described(name):
            raise UsageError(tr("{name} cannot be described", name=printable(name)))
        content = _content_of(path)
        trusted = any(
            _content_of(own) == content for own, must in self._own_files(name) if not must
        )
        own_name = f"{name}@{hashlib.sha256(content).hexdigest()}"
        self._infos[own_name] = self._usable(name, content, path, trusted=trusted)
        return own_name

    def may_be_described(self, name: str) -> bool:
        """Return whether a description may have this name, which is that of its file."""
        return name not in self._names and _NAME.fullmatch(name) is not None

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
                found.add(f"{default_prefix(name)}_API_KEY")
        return frozenset(found)

    def __getitem__(self, name: str) -> ProviderInfo:
        """Return a provider.

        Raises:
            KeyError: there is none of that name.
            UsageError: its description is invalid, not approved, or one of two.
        """
        own = self._own_files(name)
        if name in self._names and own:
            raise UsageError(
                tr("{path}: {name} is built in; rename the file", path=own[0][0], name=name)
            )
        if name not in self._infos and name in self._names:
            path = BUILTIN / f"{name}{_ENDING}"
            self._infos[name] = built_in_info(name, path)
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
        own = (name for folder, _ in self._own_folders() for name in _names_in(folder))
        return iter(dict.fromkeys([*self._names, *self._infos, *own]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        if name in self._names or name in self._infos:
            return True
        return isinstance(name, str) and bool(self._own_files(name))

    def _own_folders(self) -> list[tuple[Path, bool]]:
        """Return the folders of the user's descriptions, and whether those must be approved."""
        config = config_folder()
        own = [] if config is None else [(config / FOLDER, False)]
        return own + [(folder, True) for folder in self._manifest_folders.values()]

    def _own_files(self, name: str) -> list[tuple[Path, bool]]:
        """Return the user's descriptions of this name, and whether each must be approved."""
        if not _NAME.fullmatch(name):
            return []
        paths = ((folder / f"{name}{_ENDING}", must) for folder, must in self._own_folders())
        return [(path, must) for path, must in paths if os.path.lexists(path)]

    def _own_info(self, name: str, files: list[tuple[Path, bool]]) -> ProviderInfo:
        contents = {path: _content_of(path) for path, _ in files}
        if len(set(contents.values())) > 1:
            paths = tr(" and ").join(utf8_text(path) for path in contents)
            raise UsageError(tr("{paths} describe one provider differently", paths=paths))
        path, _ = files[0]
        return self._usable(name, contents[path], path, trusted=not all(must for _, must in files))

    def _usable(self, name: str, content: bytes, path: Path, *, trusted: bool) -> ProviderInfo:
        """Return the provider that `content` describes if the user trusts it."""
        info = self._own_infos.get((name, content)) or own_info(name, content, path)
        self._own_infos[name, content] = info
        if not trusted and not is_approved(content):
            raise UsageError(
                tr(
                    "{path} describes a service at {url}, to which prompts and a key would be "
                    "sent; read it, then approve it with: batch-runner providers approve {path}",
                    path=utf8_text(path),
                    url=info.base_url,
                )
            )
        self._check_credential(info)
        return info

    def _check_credential(self, info: ProviderInfo) -> None:
        """Refuse a description that would send the key of a built-in provider elsewhere."""
        for known in self.built_in():
            if info.key_variable != known.key_variable:
                continue
            if origin(info.base_url) != origin(known.base_url):
                raise UsageError(
                    tr(
                        "{path}: {variable} is the key of {url}, and this is another service; "
                        "write environment: with another prefix",
                        path=utf8_text(info.path or ""),
                        variable=info.key_variable,
                        url=known.base_url,
                    )
                )


def _names_in(folder: Path) -> list[str]:
    """Return the names of the descriptions in a folder; none if it cannot be read."""
    try:
        files = sorted(list_names(folder))
    except OSError:
        return []
    names = (file.removesuffix(_ENDING) for file in files if file.endswith(_ENDING))
    return [name for name in names if _NAME.fullmatch(name)]


def _content_of(path: Path) -> bytes:
    from batch_runner.providers.declarative.reading import content_of  # a slow import

    return content_of(path)


PROVIDERS = Catalog()


def key_variable_hint() -> str:
    """Return the variable of the default provider's key, for hints if no provider is known."""
    return PROVIDERS[DEFAULT_PROVIDER].key_variable


def open_provider(service: Service, settings: Settings) -> AbstractAsyncContextManager[Provider]:
    """Return a context manager that opens the connections of the service's provider."""
    return PROVIDERS[service.provider].factory(service, settings)
