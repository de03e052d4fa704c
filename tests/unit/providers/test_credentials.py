"""Where a service's URL and key come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.errors import UsageError
from batch_runner.providers import PROVIDERS
from batch_runner.providers.credentials import read_service

KEY = "sk-a-key"


def key_from(environment: dict[str, str]) -> str:
    return read_service("baicai", environment).key.get_secret_value()


def test_service_is_the_default_one_without_a_proxy() -> None:
    service = read_service("baicai", {"BAICAI_API_KEY": KEY, "BAICAI_BASE_URL": " "})

    assert service.base_url == PROVIDERS["baicai"].base_url
    assert not service.trust_env


def test_service_url_and_proxy_come_from_the_environment() -> None:
    environment = {"BAICAI_API_KEY": KEY, "BATCH_RUNNER_TRUST_ENV": "1"}
    service = read_service("baicai", environment | {"BAICAI_BASE_URL": " http://[::1]:8765 "})

    assert service.base_url == "http://[::1]:8765"
    assert service.trust_env


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
        ({"BAICAI_API_KEY": "sk-ключ"}, "BAICAI_API_KEY contains whitespace or non-ASCII"),
    ],
)
def test_missing_or_invalid_key_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_service("baicai", environment)

    assert "sk-" not in str(caught.value)
