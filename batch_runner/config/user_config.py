"""The operator's own settings: under every manifest, over the defaults.

A YAML file with the manifest's blocks of settings and nothing else, checked like a manifest. It is
no place for a key, which is refused before a line of the file could be shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping as Variables
from dataclasses import dataclass
from pathlib import Path

from batch_runner.errors import ManifestError, Problem
from batch_runner.manifest.diagnostics import KEY_HINT, Diagnostics, Location, looks_secret
from batch_runner.manifest.validate import check
from batch_runner.manifest.yaml.nodes import Mapping
from batch_runner.manifest.yaml.reader import parse, read_text
from batch_runner.settings import Settings
from batch_runner.util.xdg import config_folder

NAME = "config.yaml"


@dataclass(frozen=True, slots=True)
class UserConfig:
    """What the file says; `places` maps each dotted name that it gives to "file:line"."""

    settings: Settings
    places: dict[str, str]


def user_config_path(environment: Variables[str, str] | None = None) -> Path | None:
    """Return where the file would be, None for somebody without a home."""
    folder = config_folder(environment)
    return None if folder is None else folder / NAME


def read_user_config(path: Path | None) -> UserConfig:
    """Return what the file at `path` says; nothing when there is none.

    Raises:
        ManifestError: with every problem that was found.
    """
    if path is None or not os.path.lexists(path):
        return UserConfig(Settings(), {})
    report, label = Diagnostics(), str(path)
    text = read_text(path, label, report)
    report.raise_if_any()
    _refuse_key(text or "", label)
    root = parse(text, label, report) if text and text.strip() else None
    if root is not None and not isinstance(root, Mapping):
        place = Location(label, root.line, root.column)
        report.add(place, "wanted blocks of settings", hint="write for example limits: {rate: 2/s}")
    if not isinstance(root, Mapping):  # nothing but comments, or wrong
        report.raise_if_any()
        return UserConfig(Settings(), {})
    settings, _ = check(Settings, root, label, report)
    report.raise_if_any()
    places = {
        f"{block}.{name}": f"{label}:{key.line}"
        for block, node in root.items.items()
        if isinstance(node, Mapping)
        for name, key in node.keys.items()
    }
    return UserConfig(settings, places)


def _refuse_key(text: str, label: str) -> None:
    problems = [
        Problem(
            path=label,
            line=number,
            column=1,
            message="this looks like a key, which no file of settings may hold",
            hint=KEY_HINT,
        )
        for number, line in enumerate(text.split("\n"), 1)
        if looks_secret(line)
    ]
    if problems:
        raise ManifestError(problems)
