"""Shell completion of manifests: folders and YAML files."""

from __future__ import annotations

import re

from click.shell_completion import CompletionItem

from batch_runner.util.paths import Utf8Path

#: Paths that no shell needs to quote, and that stand for themselves.
_PLAIN = re.compile(r"(?!~)[\w./+@%-]+")


def complete_manifest(start: str) -> list[CompletionItem]:
    """Return the paths of folders and YAML files that begin with `start`.

    The shell's own completion of files is asked for if there are none, or if one needs quotes.
    """
    found = _candidates(start)
    # A shell puts a space after the only candidate, so show what is in that folder instead.
    while len(found) == 1 and found[0].endswith("/") and (inside := _candidates(found[0])):
        found = inside
    if not found or not all(map(_PLAIN.fullmatch, found)):
        return [CompletionItem(start, type="file")]
    return [CompletionItem(path) for path in sorted(found)]


def _candidates(start: str) -> list[str]:
    """Return folders, with a slash, and YAML files; hidden ones only if `start` has the dot."""
    above, slash, name = start.rpartition("/")
    folder, found = Utf8Path(above + slash), []
    for path in folder.glob("*"):
        hidden = path.name.startswith(".") and not name.startswith(".")
        if path.name.startswith(name) and not hidden:
            if path.is_dir():
                found.append(f"{above}{slash}{path.name}/")
            elif path.suffix in (".yaml", ".yml"):
                found.append(f"{above}{slash}{path.name}")
    return found
