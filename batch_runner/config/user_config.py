"""The user's own settings, `~/.config/batch-runner/config.yaml`.

They apply unless the manifest gives the setting. The file is YAML with the same blocks of settings
as a manifest. An API key in it is refused first, so that no error message can show a line of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Mapping as Variables
from dataclasses import dataclass
from pathlib import Path

from batch_runner.errors import ManifestError, Problem
from batch_runner.manifest.diagnostics import Diagnostics, looks_secret
from batch_runner.manifest.validate import check
from batch_runner.manifest.yaml.nodes import Mapping
from batch_runner.manifest.yaml.reader import parse
from batch_runner.manifest.yaml.text_file import read_text
from batch_runner.providers import key_variable_hint
from batch_runner.settings import Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.xdg import config_folder

NAME = "config.yaml"


@dataclass(frozen=True, slots=True)
class UserConfig:
    """The settings of the file; `locations` maps the dotted name of each to "file:line"."""

    settings: Settings
    locations: dict[str, str]


def user_config_path(environment: Variables[str, str] | None = None) -> Path | None:
    """Return the file's path; None if neither XDG_CONFIG_HOME nor HOME is set."""
    folder = config_folder(environment)
    return None if folder is None else folder / NAME


def read_user_config(path: Path | None) -> UserConfig:
    """Return the settings of the file at `path`; the defaults if there is no file.

    Raises:
        ManifestError: the file is invalid; holds every problem that was found.
    """
    if path is None or not os.path.lexists(path):
        return UserConfig(Settings(), {})
    diagnostics, label = Diagnostics(key_variable=key_variable_hint()), utf8_text(path)
    text = read_text(path, label, diagnostics)
    diagnostics.raise_if_any()
    _refuse_key(text or "", label, diagnostics.key_hint)
    root = parse(text, label, diagnostics) if text and text.strip() else None
    if root is not None and not isinstance(root, Mapping):
        location = root.location(label)
        diagnostics.add(
            location,
            tr("wanted blocks of settings"),
            hint=tr("write for example limits: {rate: 2/s}"),
        )
    if not isinstance(root, Mapping):  # nothing but comments, or invalid
        diagnostics.raise_if_any()
        return UserConfig(Settings(), {})
    settings, _ = check(Settings, root, label, diagnostics)
    diagnostics.raise_if_any()
    return UserConfig(settings, dict(_locations(root, label)))


def _locations(root: Mapping, label: str) -> Iterator[tuple[str, str]]:
    for block, node in root.items.items():
        if not isinstance(node, Mapping):
            yield block, f"{label}:{root.keys[block].line}"
            continue
        for name, key in node.keys.items():
            yield f"{block}.{name}", f"{label}:{key.line}"


def _refuse_key(text: str, label: str, hint: str) -> None:
    problems = [
        Problem(
            path=label,
            line=number,
            column=1,
            message="this looks like a key, which must not be stored in this file",
            hint=hint,
        )
        for number, line in enumerate(text.split("\n"), 1)
        if looks_secret(line)
    ]
    if problems:
        raise ManifestError(problems)
