"""Where a service's URL and key come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.errors import UsageError
from batch_runner.providers import PROVIDERS
from batch_runner.providers.credentials import (
    ignored_proxy_warning,
    key_file_warning,
    read_service,
)
from batch_runner.settings import Network
from batch_runner.util.proxies import Proxies

KEY = "sk-a-key"


def key_from(environment: dict[str, str]) -> str:
    return read_service("baicai", environment).key.get_secret_value()


def test_service_is_the_default_one_without_a_proxy() -> None:
    service = read_service("baicai", {"BAICAI_API_KEY": KEY, "BAICAI_BASE_URL": " "})

    assert service.base_url == PROVIDERS["baicai"].base_url
    assert service.proxies == Proxies()


def test_service_url_and_proxy_come_from_the_environment() -> None:
    environment = {"BAICAI_API_KEY": KEY, "HTTP_PROXY": "proxy.example:3128"}
    environment |= {"BAICAI_BASE_URL": " http://[::1]:8765 "}
    service = read_service("baicai", environment, Network(trust_env=True))

    assert service.base_url == "http://[::1]:8765"
    assert service.proxies is not None
    assert str(service.proxies.for_url(service.base_url)) == "http://proxy.example:3128"


def test_key_comes_from_variable_then_file_then_credential(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("sk-file\n")
    (tmp_path / "BAICAI_API_KEY").write_text("sk-credential\n")
    credential = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    file = credential | {"BAICAI_API_KEY_FILE": str(tmp_path / "file")}

    assert key_from(file | {"BAICAI_API_KEY": f" {KEY} "}) == KEY
    assert key_from(file | {"BAICAI_API_KEY": ""}) == "sk-file"
    assert key_from(credential) == "sk-credential"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "no key: set BAICAI_API_KEY"),
        ({"CREDENTIALS_DIRECTORY": "/nowhere"}, "no key: set BAICAI_API_KEY"),
        ({"BAICAI_API_KEY_FILE": "/nowhere/key"}, "cannot read the key from /nowhere/key"),
        ({"BAICAI_API_KEY": "sk-a b"}, "BAICAI_API_KEY contains whitespace"),
        ({"BAICAI_API_KEY": "sk-ключ"}, "BAICAI_API_KEY contains whitespace, quotes or non-ASCII"),
        ({"BAICAI_API_KEY": " "}, "BAICAI_API_KEY holds no key"),
        ({"BAICAI_API_KEY": "sk-a\nsk-b"}, "BAICAI_API_KEY holds more than one line"),
    ],
)
def test_missing_or_invalid_key_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_service("baicai", environment)

    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"sk-a-key",
        b"\xef\xbb\xbfsk-a-key\r\n",
        b"  sk-a-key \n\n",
        b'"sk-a-key"\n',
        b"'sk-a-key'",
        b"BAICAI_API_KEY=sk-a-key\n",
        b'export BAICAI_API_KEY="sk-a-key"\n',
        "sk-a-key\r\n".encode("utf-16"),
    ],
)
def test_key_file_is_read_as_editors_and_shells_write_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)

    service = read_service("baicai", {"BAICAI_API_KEY_FILE": str(path)})

    assert service.key.get_secret_value() == KEY
    assert service.key_source == str(path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "holds no key: it is empty"),
        (b'""\n', "holds no key: it is empty"),
        (b"\xef\xbb\xbf\r\n", "holds no key: it is empty"),
        (b"sk-a\nsk-b\n", "holds more than one line"),
        (b"sk-a sk-b", "contains whitespace"),
        (b'"sk-a', "contains whitespace, quotes"),
        ("sk-\uff11".encode(), "non-ASCII"),
        (b"sk-\xff\xfe", "cannot read the key from"),
    ],
)
def test_unusable_key_file_is_named_with_its_fault(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=fault) as caught:
        read_service("baicai", {"BAICAI_API_KEY_FILE": str(path)})

    assert str(path) in str(caught.value)
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True)])
def test_key_file_that_others_may_read_gets_a_warning(
    tmp_path: Path, mode: int, *, warned: bool
) -> None:
    path = tmp_path / "my key"
    path.write_text(KEY)
    path.chmod(mode)

    warning = key_file_warning("baicai", {"BAICAI_API_KEY_FILE": str(path)})

    assert (warning is not None) == warned
    assert warning is None or f"chmod 600 '{path}'" in warning


def test_key_file_that_is_not_used_gets_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o644)
    environment = {"BAICAI_API_KEY_FILE": str(path), "BAICAI_API_KEY": KEY}

    assert key_file_warning("baicai", environment) is None
    assert key_file_warning("baicai", {"BAICAI_API_KEY_FILE": "/nowhere"}) is None
    assert key_file_warning("baicai", {}) is None


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "https_proxy"),
        ({"ALL_PROXY": "garbage://"}, "ALL_PROXY"),
        ({"HTTP_PROXY": "http://p:1"}, None),  # for http only
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".baicaiinfer.com"}, None),
        ({"HTTPS_PROXY": " "}, None),
        ({}, None),
    ],
)
def test_ignored_proxy_variable_is_named(environment: dict[str, str], name: str | None) -> None:
    warning = ignored_proxy_warning("baicai", environment, Network())

    assert (warning or "").partition(" ")[0] == (name or "")
    assert ignored_proxy_warning("baicai", environment, Network(trust_env=True)) is None


def test_invalid_proxy_variable_is_refused_only_if_it_is_used() -> None:
    environment = {"BAICAI_API_KEY": KEY, "HTTPS_PROXY": "http://me:pw-123@"}

    read_service("baicai", environment)
    with pytest.raises(UsageError, match="HTTPS_PROXY: wanted the address of a proxy") as caught:
        read_service("baicai", environment, Network(trust_env=True))

    assert "pw-123" not in str(caught.value)


def test_own_server_needs_no_key_and_may_be_several() -> None:
    urls = " http://gpu-1:8188/, http://gpu-2:8188,http://gpu-1:8188, "
    service = read_service("comfyui", {"COMFYUI_BASE_URL": urls})

    assert service.base_urls == ("http://gpu-1:8188", "http://gpu-2:8188")
    assert service.base_url == "http://gpu-1:8188"
    assert service.key.get_secret_value() == ""
    assert service.secrets == set()
    assert read_service("comfyui", {}).base_urls == ("http://127.0.0.1:8188",)
    assert read_service("comfyui", {"COMFYUI_API_KEY": KEY}).key.get_secret_value() == KEY


@pytest.mark.parametrize(
    "urls", ["http://gpu-1:8188,ftp://gpu-2", "http://gpu-1,gpu-2", "http://a,http://u:p@b"]
)
def test_each_url_of_own_servers_is_checked(urls: str) -> None:
    with pytest.raises(UsageError, match="COMFYUI_BASE_URL"):
        read_service("comfyui", {"COMFYUI_BASE_URL": urls})


@pytest.mark.parametrize(
    ("url", "gets_it"),
    [
        ("http://127.0.0.1:8188", True),
        ("http://localhost:8188", True),
        ("http://192.168.1.20:8188", True),
        ("https://comfy.example", False),
        ("https://203.0.113.0.example", False),
        ("http://8.8.8.8:8188", False),
    ],
)
def test_key_goes_to_a_public_server_only_if_the_user_names_it(url: str, gets_it: bool) -> None:
    with_key = {"COMFYUI_API_KEY": KEY}
    if gets_it:
        assert read_service("comfyui", with_key, base_urls=(url,)).base_url == url
    else:
        with pytest.raises(UsageError, match="if it is yours, set COMFYUI_BASE_URL to it"):
            read_service("comfyui", with_key, base_urls=(url,))
    named = read_service("comfyui", with_key | {"COMFYUI_BASE_URL": url}, base_urls=(url,))
    assert named.key.get_secret_value() == KEY
    assert read_service("comfyui", {}, base_urls=(url,)).base_url == url
