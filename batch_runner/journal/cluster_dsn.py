"""The user's connection string of the cluster's database; it may hold a password."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_environment, utf8_text
from batch_runner.util.secret_files import read_text, secret_file, without_assignment
from batch_runner.util.text import error_reason, printable
from batch_runner.util.xdg import config_folder

VARIABLE = "BATCH_RUNNER_CLUSTER"
FILE_VARIABLE = VARIABLE + "_FILE"


def cluster_dsn(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the connection string of the user's cluster, None if there is none.

    It is never shown: the messages name only where it should be.

    Raises:
        UsageError: both variables are set, or the file is empty or unreadable.
    """
    environment = utf8_environment() if environment is None else environment
    given = environment.get(VARIABLE, "").strip()
    if given and environment.get(FILE_VARIABLE):
        raise UsageError(
            tr(
                "{variable} and {file_variable} are both set; unset one of them",
                variable=VARIABLE,
                file_variable=FILE_VARIABLE,
            )
        )
    if given:
        return given
    path = dsn_file(environment)
    return None if path is None else _read(path)


def dsn_file(environment: Mapping[str, str]) -> Path | None:
    """Return the file with the connection string, None if there is none or it is not used."""
    if path := secret_file(VARIABLE, environment):
        return path
    folder = config_folder(environment)
    if environment.get(VARIABLE) or folder is None or not (folder / "cluster").exists():
        return None
    return folder / "cluster"


def _read(path: Path) -> str:
    shown = printable(utf8_text(path))
    try:
        text = without_assignment(read_text(path), VARIABLE)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            tr(
                "cannot read the connection string of the cluster from {path}: {error}",
                path=shown,
                error=error_reason(error),
            )
        ) from None
    if not text:
        raise UsageError(
            tr("{path} holds no connection string of a cluster: it is empty", path=shown)
        )
    if len(text.splitlines()) > 1:
        raise UsageError(
            tr("{path} holds more than one line; keep only the connection string", path=shown)
        )
    return text
