"""The environment of child processes: that of the run, without its credentials."""

from __future__ import annotations

from collections.abc import Collection

from batch_runner.config.environment import PROXY_VARIABLE
from batch_runner.journal.cluster_dsn import VARIABLE
from batch_runner.providers import PROVIDERS
from batch_runner.util.paths import encode_path, utf8_environment
from batch_runner.util.proxies import PROXY_VARIABLES

_PROXIES = {PROXY_VARIABLE, *PROXY_VARIABLES}


def child_environment(secrets: Collection[str] = ()) -> dict[bytes, bytes]:
    """Return the environment variables of a child process.

    What a provider declares as secret is left out, the connection string of the cluster, and every
    variable that contains one of the `secrets` of the run. Addresses of proxies lose user name and
    password. The path of a key file is no secret and stays.
    """
    declared = {*PROVIDERS.key_variables(), VARIABLE}
    secrets = [secret for secret in secrets if secret]
    found = {}
    for name, text in utf8_environment().items():
        value = _without_password(text) if name.upper() in _PROXIES and "@" in text else text
        if name not in declared and not any(secret in value for secret in secrets):
            found[encode_path(name)] = encode_path(value)
    return found


def encoded(variables: dict[str, str]) -> dict[bytes, bytes]:
    """Return variables of ours as `child_environment` returns them."""
    return {encode_path(name): encode_path(text) for name, text in variables.items()}


def _without_password(url: str) -> str:
    """Return the address of a proxy without user name and password, with or without a scheme."""
    scheme, separator, _ = url.rpartition("@")[0].partition("://")
    return (scheme + separator if separator else "") + url.rpartition("@")[2]
