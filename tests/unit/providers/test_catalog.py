"""The catalog of providers."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_runner.errors import ManifestError, UsageError
from batch_runner.providers import PROVIDERS, Provider, ProviderInfo, open_provider
from batch_runner.providers.approvals import approve, is_approved
from batch_runner.providers.catalog import BUILTIN, Catalog
from batch_runner.providers.declarative.provider import DeclarativeProvider, version_of
from batch_runner.providers.declarative.reading import read_description
from batch_runner.settings import Service, Settings


async def opened(name: str) -> Provider:
    service = Service(provider=name, base_url="https://service.example", key=SecretStr("sk-key"))
    async with open_provider(service, Settings()) as provider:
        return provider


def test_default_provider_is_opened_by_its_name() -> None:
    assert isinstance(asyncio.run(opened("baicai")), DeclarativeProvider)


def test_another_provider_is_opened_by_its_own_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    other = DeclarativeProvider.__new__(DeclarativeProvider)

    @asynccontextmanager
    async def open_other(service: Service, settings: Settings) -> AsyncIterator[Provider]:
        yield other

    info = dataclasses.replace(PROVIDERS["baicai"], factory=open_other, env_prefix="OTHER")
    monkeypatch.setitem(PROVIDERS, "other", info)

    assert asyncio.run(opened("other")) is other
    assert (info.key_variable, info.base_url_variable) == ("OTHER_API_KEY", "OTHER_BASE_URL")


DESCRIPTION = (BUILTIN / "bfl.yaml").read_text(encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home folder of a user without descriptions."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def described(folder: Path, name: str = "mine", text: str = DESCRIPTION) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_description_in_the_config_folder_is_a_provider(home: Path) -> None:
    described(home / ".config/batch-runner/providers")

    catalog = Catalog()

    assert "mine" in list(catalog)
    assert (catalog["mine"].key_variable, catalog["mine"].params_shape) == ("MINE_API_KEY", "flat")
    assert "MINE_API_KEY" in catalog.key_variables()


def test_description_beside_a_manifest_needs_approval_once(home: Path) -> None:
    path = described(home / "job/providers")
    catalog = Catalog()
    catalog.add_manifest(home / "job/cards.yaml")

    assert "mine" in catalog
    with pytest.raises(UsageError, match=r"approve it with: batch-runner providers approve .*mine"):
        catalog["mine"]
    approve(path.read_bytes(), path.name)
    assert catalog["mine"].path == path
    described(home / "job/providers", text=DESCRIPTION + "# changed\n")
    with pytest.raises(UsageError, match="approve it with"):
        catalog["mine"]


def test_copy_from_another_host_needs_approval_of_its_content(home: Path) -> None:
    path = described(home / "received")
    own = described(home / ".config/batch-runner/providers", text=DESCRIPTION + "# another\n")
    catalog = Catalog()

    with pytest.raises(UsageError, match=rf"approve it with: .* approve {path}"):
        catalog.add_copy("mine", path)
    approve(path.read_bytes(), path.name)
    copied = catalog[catalog.add_copy("mine", path)]

    assert (copied.path, catalog["mine"].path) == (path, own)


def test_copy_of_what_is_in_the_config_folder_is_approved(home: Path) -> None:
    described(home / ".config/batch-runner/providers")
    catalog = Catalog()

    name = catalog.add_copy("mine", described(home / "received"))

    assert catalog[name].key_variable == "MINE_API_KEY"
    assert catalog.own_description("mine") == DESCRIPTION.encode()
    assert catalog.own_description("baicai") is None


@pytest.mark.parametrize("name", ["baicai", "../mine", "comfyui"])
def test_copy_cannot_have_every_name(home: Path, name: str) -> None:
    path = described(home / "received")
    approve(path.read_bytes(), path.name)

    with pytest.raises(UsageError, match=f"{name} cannot be described"):
        Catalog().add_copy(name, path)


def test_damaged_approvals_can_be_added_to(home: Path) -> None:
    folder = home / ".local" / "state" / "batch-runner"
    folder.mkdir(parents=True)
    (folder / "approved-providers").write_bytes(b"\xff\xfe half a li")

    other = hashlib.sha256(b"another description").hexdigest()
    approve(b"a description", f"x\n{other} y")

    assert is_approved(b"a description")
    assert not is_approved(b"another description")


def test_description_that_is_no_file_is_refused(home: Path) -> None:
    folder = home / ".config" / "batch-runner" / "providers"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "mine.yaml")

    with pytest.raises(UsageError, match="is not a regular file"):
        Catalog()["mine"]


def test_provider_is_opened_as_it_was_approved(home: Path) -> None:
    """A file that is changed later could send the key to other hosts."""
    path = described(home / "job/providers")
    catalog = Catalog()
    catalog.add_manifest(home / "job/cards.yaml")
    approve(path.read_bytes(), path.name)
    info = catalog["mine"]
    approved = version_of(read_description(path))

    path.write_text(DESCRIPTION.replace("*.bfl.ml", "*.elsewhere.example"), encoding="utf-8")

    assert asyncio.run(version_opened(info)) == approved
    assert version_of(read_description(path)) != approved


async def version_opened(info: ProviderInfo) -> str:
    service = Service(provider="mine", base_url=info.base_url, key=SecretStr("sk-key"))
    async with info.factory(service, Settings()) as provider:
        return provider.capabilities.version


@pytest.mark.parametrize("name", ["../mine", "Mine", "mine/", "", "."])
def test_name_that_leads_to_another_folder_is_no_provider(home: Path, name: str) -> None:
    described(home / ".config/batch-runner/providers")
    described(home / ".config/batch-runner")

    assert name not in Catalog()


def test_description_with_a_built_in_name_is_refused(home: Path) -> None:
    described(home / ".config/batch-runner/providers", "baicai")

    with pytest.raises(UsageError, match="baicai is built in; rename the file"):
        Catalog()["baicai"]


def test_description_that_would_take_another_key_is_refused(home: Path) -> None:
    text = DESCRIPTION.replace("base_url: https://api.bfl.ai", "base_url: https://evil.example")
    described(home / ".config/batch-runner/providers", text=text + "environment: BAICAI\n")

    with pytest.raises(UsageError, match=r"BAICAI_API_KEY is the key of https://cloud\.baicai"):
        Catalog()["mine"]


def test_two_descriptions_of_one_name_must_be_equal(home: Path) -> None:
    described(home / ".config/batch-runner/providers")
    described(home / "job/providers")
    catalog = Catalog()
    catalog.add_manifest(home / "job/cards.yaml")

    assert catalog["mine"].title.startswith("Black Forest Labs")
    described(home / "job/providers", text=DESCRIPTION + "# other\n")
    with pytest.raises(UsageError, match="describe one provider differently"):
        catalog["mine"]


def test_invalid_description_keeps_its_key_from_children(home: Path) -> None:
    described(home / ".config/batch-runner/providers", text="title: nothing else\n")

    catalog = Catalog()

    assert "MINE_API_KEY" in catalog.key_variables()
    with pytest.raises(ManifestError):
        catalog["mine"]


def test_built_in_info_is_that_of_its_validated_description() -> None:
    for name, info in PROVIDERS.items():
        if info.path is not None:
            description = read_description(info.path)
            assert (info.title, info.base_url, info.needs_key) == (
                description.title,
                description.base_url,
                description.key is not None,
            ), name
            assert info.params_shape == description.params
            assert info.task_id_pattern.pattern == description.task_id
