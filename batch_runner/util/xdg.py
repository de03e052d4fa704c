"""The user's own folders, as the XDG base directory specification places them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

NAME = "batch-runner"


def config_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return where settings are looked for, None for somebody without a home."""
    return _ours("XDG_CONFIG_HOME", ".config", environment)


def state_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return where is kept what outlasts a run, None for somebody without a home."""
    return _ours("XDG_STATE_HOME", ".local/state", environment)


def _ours(variable: str, usual: str, environment: Mapping[str, str] | None) -> Path | None:
    environment = os.environ if environment is None else environment
    base = environment.get(variable, "")
    if not Path(base).is_absolute():  # also when unset; the standard says to ignore such a path
        home = environment.get("HOME", "")
        base = f"{home}/{usual}" if Path(home).is_absolute() else ""
    return Path(base) / NAME if base else None
