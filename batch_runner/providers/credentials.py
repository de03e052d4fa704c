"""A service's URL and key: from the environment, a key file or a systemd credential."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from batch_runner.errors import UsageError
from batch_runner.providers.catalog import PROVIDERS
from batch_runner.settings import Service
from batch_runner.util.locale import tr
from batch_runner.util.paths import find_existing
from batch_runner.util.text import error_reason, printable

#: If 1, requests use the proxy that the environment names.
TRUST_ENV_VARIABLE = "BATCH_RUNNER_TRUST_ENV"

_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def read_service(provider: str, environment: Mapping[str, str]) -> Service:
    """Return the URL and the key of a provider's service.

    Raises:
        UsageError: there is no key, or the URL is not one of a service.
    """
    info = PROVIDERS[provider]
    base_url = environment.get(info.base_url_variable, "").strip() or info.base_url
    check_base_url(base_url, info.base_url_variable)
    return Service(
        provider=provider,
        base_url=base_url,
        key=SecretStr(_read_key(info.key_variable, environment)),
        trust_env=environment.get(TRUST_ENV_VARIABLE) == "1",
    )


def check_base_url(base_url: str, variable: str) -> None:
    """Check the URL of a service, which `variable` holds.

    Raises:
        UsageError: it is not a valid URL, is on a documentation host, or may hold a secret.
    """
    try:
        parts = urlsplit(base_url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(
            tr("{variable} is not a valid URL: {error}", variable=variable, error=error)
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            tr("{variable} must begin with http:// or https:// and name a host", variable=variable)
        )
    if not _is_host(parts.hostname):
        raise UsageError(
            tr(
                "{variable}: {hostname!r} is not a valid host name",
                variable=variable,
                hostname=printable(parts.hostname, 80),
            )
        )
    if parts.username or parts.password:
        raise UsageError(tr("{variable} must not hold a user name or password", variable=variable))
    if parts.query or parts.fragment:
        raise UsageError(tr("{variable} must not hold a query or fragment", variable=variable))
    for info in PROVIDERS.values():
        if parts.hostname == info.docs_host:
            raise UsageError(
                tr(
                    "{variable} points to the documentation host {docs_host}; did you "
                    "mean {base_url}?",
                    variable=variable,
                    docs_host=info.docs_host,
                    base_url=info.base_url,
                )
            )


def _is_host(name: str) -> bool:
    """Return whether the connection would accept this host name or IP address."""
    if ":" in name or name.rpartition(".")[2].isdigit():  # only an IP address ends like this
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return False
        return True
    try:
        labels = name.encode("idna").decode().removesuffix(".").split(".")
    except UnicodeError:
        return False
    return all(_HOST_LABEL.fullmatch(label) for label in labels)


def _read_key(variable: str, environment: Mapping[str, str]) -> str:
    key = environment.get(variable) or _read_key_file(variable, environment)
    if not key:
        raise UsageError(
            tr(
                "no key: set {variable}, or {variable}_FILE to a file that holds "
                "it (or try `run --rehearse`, which needs none)",
                variable=variable,
            )
        )
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            tr("{variable} contains whitespace or non-ASCII characters", variable=variable)
        )
    return key


def _read_key_file(variable: str, environment: Mapping[str, str]) -> str | None:
    """Return the content of the key file or of the systemd credential; None without either."""
    if path := environment.get(f"{variable}_FILE"):
        return _read_text(find_existing(path))
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        credential = find_existing(folder) / variable
        return _read_text(credential) if credential.exists() else None
    return None


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            tr("cannot read the key from {path}: {error}", path=path, error=error_reason(error))
        ) from None
