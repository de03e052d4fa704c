"""What a scheduled command gets: settings of this shell, and the files that hold its secrets.

The contents of these files are never shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from batch_runner.cli.output import print_line
from batch_runner.config.environment import (
    NETWORK,
    OUTPUT_VARIABLE,
    PROXY_VARIABLE,
    VARIABLES,
    limit_variable,
)
from batch_runner.config.user_config import user_config_path
from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import Secret, home_of_user
from batch_runner.journal.cluster_dsn import VARIABLE as CLUSTER_VARIABLE
from batch_runner.journal.cluster_dsn import dsn_file
from batch_runner.providers import DEFAULT_PROVIDER, PROVIDERS, ProviderInfo
from batch_runner.providers.credentials import base_urls_of, check_base_url
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_environment
from batch_runner.util.text import printable
from batch_runner.util.xdg import config_folder

#: Where the files of this user are that a run or a worker needs.
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
#: The settings of this shell that a run takes along; the output folder becomes --output.
_SETTINGS = tuple(name for name in VARIABLES if name != OUTPUT_VARIABLE)


def environment_of_run(provider: str) -> dict[str, str]:
    """Return the variables that a scheduled run gets.

    cron and systemd do not see those of this shell, and the spending cap is among them.

    Raises:
        UsageError: one holds a secret.
    """
    return _taken_along((*_SETTINGS, *_FOLDERS), [PROVIDERS[provider]])


def environment_of_worker() -> dict[str, str]:
    """Return the variables of this host that a worker gets; the rest is in its jobs.

    Raises:
        UsageError: one holds a secret.
    """
    return _taken_along((*map(limit_variable, NETWORK), *_FOLDERS), _usable_providers().values())


def _usable_providers() -> dict[str, ProviderInfo]:
    found = {}
    for name in PROVIDERS:
        with suppress(UsageError):  # a description of the user's own that is not approved
            found[name] = PROVIDERS[name]
    return found


def _taken_along(names: Iterable[str], providers: Iterable[ProviderInfo]) -> dict[str, str]:
    """Return those of these variables that are set, and the addresses of these providers."""
    given = utf8_environment()
    found = {name: text for name in names if (text := given.get(name))}
    if "@" in found.get(PROXY_VARIABLE, ""):
        raise UsageError(
            tr(
                "{variable} holds a password, which the schedule would show; write it as "
                "network.proxy into {path}",
                variable=PROXY_VARIABLE,
                path=user_config_path(given) or "config.yaml",
            )
        )
    for provider in providers:
        variable = provider.base_url_variable
        if address := given.get(variable, "").strip():
            for url in base_urls_of(provider, given):
                check_base_url(url, variable)  # refuses one that holds a secret
            found[variable] = address
    return found


def print_environment(environment: dict[str, str]) -> None:
    """Print what a scheduled command takes along of this shell."""
    for name, text in environment.items():
        print_line(
            tr(
                "scheduled runs have {name}={value}, as this shell",
                name=name,
                value=printable(text),
            ),
            error=True,
        )


def key_of(provider: str, given: Path | None) -> Secret | None:
    """Return the key of a provider; None: it needs none, and there is none.

    `given` is the file that the user names.
    """
    info = PROVIDERS[provider]
    path = given.expanduser().absolute() if given is not None else _key_path(provider)
    if given is None and not info.needs_key and not _is_filled(path):
        return None
    return Secret(info.key_variable, path)


def keys_of_worker(provider: str | None, given: Path | None) -> list[Secret]:
    """Return the keys of a worker: that of `provider`, or else each one that has a file."""
    if provider is None and given is None:
        names = [name for name in _usable_providers() if _is_filled(_key_path(name))]
    else:
        names = [provider or DEFAULT_PROVIDER]
    found = [key_of(name, given) for name in names or [DEFAULT_PROVIDER]]
    return list({one.variable: one for one in found if one is not None}.values())


def _key_path(provider: str) -> Path:
    return home_of_user() / f".config/batch-runner/{provider}-key"


def cluster_secret() -> Secret:
    """Return the file with the connection string of the user's cluster, or where it should be."""
    environment = {
        name: text for name, text in utf8_environment().items() if name != CLUSTER_VARIABLE
    }
    folder = config_folder(environment) or home_of_user() / ".config/batch-runner"
    return Secret(CLUSTER_VARIABLE, (dsn_file(environment) or folder / "cluster").absolute())


def _is_filled(path: Path) -> bool:
    """Return whether there is text in a file."""
    try:
        return bool(path.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False


def check_secrets(secrets: list[Secret], *, install: bool) -> None:
    """Print which of the files is missing or empty.

    Raises:
        UsageError: one is, and the command is to be installed.
    """
    for secret in secrets:
        if _is_filled(secret.path):
            continue
        if secret.variable == CLUSTER_VARIABLE:
            text = tr(
                "{path} holds no connection string of a cluster: put it there, and protect the "
                "file with chmod 600",
                path=secret.path,
            )
        else:
            text = tr(
                "{path} contains no key: put it there, or name another file with --key-file",
                path=secret.path,
            )
        if install:
            raise UsageError(text)
        print_line(text, error=True)
