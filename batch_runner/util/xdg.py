"""The user's config and state folders, as in the XDG base directory specification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batch_runner.util.paths import Utf8Path, utf8_environment

NAME = "batch-runner"


def config_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return our config folder, or None if neither XDG_CONFIG_HOME nor HOME is usable."""
    return _folder("XDG_CONFIG_HOME", ".config", environment)


def state_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return our state folder, or None if neither XDG_STATE_HOME nor HOME is usable."""
    return _folder("XDG_STATE_HOME", ".local/state", environment)


def _folder(variable: str, default: str, environment: Mapping[str, str] | None) -> Path | None:
    environment = utf8_environment() if environment is None else environment
    base = environment.get(variable, "")
    if not Utf8Path(base).is_absolute():  # unset, or to be ignored, as the specification says
        home = environment.get("HOME", "")
        base = f"{home}/{default}" if Utf8Path(home).is_absolute() else ""
    return Utf8Path(base) / NAME if base else None
