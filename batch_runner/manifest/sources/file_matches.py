"""Find the files of `files_from`: each is combined with every prompt or row, as a matrix value is.

Patterns are those of shells: `*`, `?` and `[…]` within a name, `**` for any folders, `{a,b}` for
either. Names match in any Unicode form. Hidden files and folders match only a part that starts with
a dot.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.filenames import sent_slug, slug
from batch_runner.manifest.input_files import find_input
from batch_runner.manifest.sources.matrix import Combination, id_of
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, is_utf8, list_names, utf8_text

#: What is added to the variable's name for the name of its file without extension.
STEM = "_stem"
#: Longest id of a file, in characters.
_ID_LENGTH = 100

_WILD = re.compile(r"[*?\[]")
_EITHER = re.compile(r"\{([^{}]*,[^{}]*)\}")
_DIGITS = re.compile("([0-9]+)")


class FileMatch(NamedTuple):
    """A file that matches: its path as in the manifest, and the text of its id."""

    path: str
    id: str


class FileMatches:
    """The variable and the pattern of `files_from`."""

    def __init__(self, variable: str, pattern: str, folder: Path, location: Location) -> None:
        self.variable = variable
        self.names = (variable, variable + STEM)
        self.location = location
        self._pattern = pattern
        self._folder = folder
        self._found: list[FileMatch] = []

    def find(self, diagnostics: Diagnostics) -> bool:
        """Find the files for `combined`; return whether there are some, and report if not."""
        try:
            self._found = find_matches(self._folder, self._pattern)
        except OSError as error:
            message = tr("the files cannot be listed: {strerror}", strerror=error.strerror)
            diagnostics.add(self.location, message)
            return False
        if not self._found:
            message = tr("no file matches {pattern}", pattern=excerpt(self._pattern))
            diagnostics.add(self.location, message, hint=self._hint())
            return False
        return self._check(diagnostics)

    def combined(self, combinations: list[Combination]) -> Iterator[Combination]:
        """Yield each file that was found with each combination of the matrix."""
        for path, text in self._found:
            stem = PurePosixPath(path).stem
            values = {self.variable: path, self.variable + STEM: stem}
            own, sent = (
                id_of(text, functools.partial(one, length=_ID_LENGTH)) for one in (slug, sent_slug)
            )
            for one in combinations:
                yield Combination(
                    values | one.values,
                    {self.variable: own} | one.ids,
                    f"{own}-{one.label}" if one.label else own,
                    {self.variable: sent} | one.sent_ids,
                    f"{sent}-{one.sent_label}" if one.sent_label else sent,
                )

    def _check(self, diagnostics: Diagnostics) -> bool:
        """Report names that are not UTF-8, and files that would give items of the same id."""
        good, seen = True, dict[str, str]()
        for path, text in self._found:
            own = id_of(text, functools.partial(slug, length=_ID_LENGTH))
            if not is_utf8(path):
                message = tr("the name of {path} is not UTF-8", path=excerpt(utf8_text(path)))
                hint = tr("rename it")
            elif own in seen:
                message = tr(
                    "{path} and {other} would both give the item {id}",
                    path=excerpt(path),
                    other=excerpt(seen[own]),
                    id=excerpt(own),
                )
                hint = tr("rename one of them, or write a pattern that matches one of them")
            else:
                seen[own] = path
                continue
            good = False
            diagnostics.add(self.location, message, hint=hint)
        return good

    def _hint(self) -> str:
        """Return what may be wrong with a pattern that matches nothing."""
        others = find_matches(self._folder, self._pattern, any_case=True)
        if others:
            return (
                tr("did you mean {found}?", found=excerpt(others[0].path))
                + tr("; ")
                + tr("upper and lower case differ")
            )
        if "\\" in self._pattern:
            return tr("folders are separated by /, not by \\")
        fixed = _fixed(self._pattern)
        if fixed and not find_input(self._folder, fixed).is_dir():
            return tr("there is no folder {folder} beside this manifest", folder=excerpt(fixed))
        return tr("paths are relative to the folder of this manifest")


def find_matches(folder: Path, pattern: str, *, any_case: bool = False) -> list[FileMatch]:
    """Return the files that match, `img2` before `img10`; paths are relative to `folder`.

    Raises:
        OSError: a folder cannot be listed.
    """
    found: dict[str, FileMatch] = {}
    for one in _alternatives(unicodedata.normalize("NFC", pattern)):
        fixed = _fixed(one)
        start = f"{fixed.rstrip('/')}/" if fixed else ""
        parts = [part for part in one[len(fixed) :].split("/") if part not in ("", ".")]
        if parts[-1:] == ["**"]:
            parts.append("*")
        base = find_input(folder, fixed) if fixed else Utf8Path(folder)
        for below in _walk(base, parts, any_case=any_case) if base.is_dir() else ():
            # Files of one folder have the id of their name; else that of their folders, too.
            text = below if len(parts) > 1 else PurePosixPath(below).name
            found[start + below] = FileMatch(
                start + below, str(PurePosixPath(text).with_suffix(""))
            )
    return sorted(found.values(), key=_natural)


def _walk(folder: Path, parts: list[str], *, any_case: bool) -> Iterator[str]:
    """Yield the files below `folder` whose path matches `parts`, in Unicode form NFC."""
    if not parts:
        return
    part, *rest = parts
    wanted = part.casefold() if any_case else part
    if part == "**":
        yield from _walk(folder, rest, any_case=any_case)
        wanted, rest = "*", parts
    for name in list_names(folder):
        text = unicodedata.normalize("NFC", name)
        if text.startswith(".") and not part.startswith("."):
            continue
        if not fnmatchcase(text.casefold() if any_case else text, wanted):
            continue
        path = Utf8Path(folder) / name
        if rest and path.is_dir() and not (part == "**" and path.is_symlink()):
            yield from (f"{text}/{below}" for below in _walk(path, rest, any_case=any_case))
        elif not rest and not path.is_dir():
            yield text


def _fixed(pattern: str) -> str:
    """Return the folders in front of the first part with a wildcard."""
    parts = pattern.split("/")
    first = next((at for at, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    return "/".join(parts[:first]) + ("/" if parts[:first] == [""] else "")


def _alternatives(pattern: str) -> Iterator[str]:
    """Yield a pattern for each choice in `{a,b}`."""
    if not (either := _EITHER.search(pattern)):
        yield pattern
        return
    for choice in either[1].split(","):
        yield from _alternatives(pattern[: either.start()] + choice + pattern[either.end() :])


def _natural(match: FileMatch) -> tuple[list[str | int], str]:
    parts = enumerate(_DIGITS.split(match.path.casefold()))
    return [int(part) if at % 2 else part for at, part in parts], match.path
