"""Locations in input files, and the list of problems found in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from batch_runner.errors import ManifestError, Problem
from batch_runner.util.locale import tr
from batch_runner.util.paths import find_existing
from batch_runner.util.text import CONTROLS, is_spreadsheet

#: Problems shown; further ones are only counted.
SHOWN = 50

#: Longest source line shown, in characters; a location further right is shown without its line.
LINE_WIDTH = 200

#: Lines that are searched for the word a message is about.
_SEARCHED = 40

_SECRET = re.compile(
    r"""^[^#]*?(?<![\w-])["']?[\w-]*(?:key|token|secret|password)["']?\s*:|\bsk-[\w-]{6,}""",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"://[^/\s]*@")
#: In a line that is not UTF-8.
_NO_TEXT = re.compile("[\0\N{REPLACEMENT CHARACTER}]")
_UNPRINTABLE = re.compile(f"[{CONTROLS}]")


class Location(NamedTuple):
    """A file as the user named it, line and column from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class _Finding:
    location: Location
    message: str
    item: str | None
    hint: str | None


class Diagnostics:
    """Collects problems, so that all of them are reported at once."""

    def __init__(self, *, key_variable: str = "PROVIDER_API_KEY") -> None:
        #: Hint for an API key where none belongs; `key_variable` may hold it.
        self.key_hint = tr(
            "remove the line; set {variable}, or {variable}_FILE to a file with the key",
            variable=key_variable,
        )
        self._findings: dict[tuple[str, int, int, str], _Finding] = {}
        self._warnings: dict[tuple[str, int, int, str], _Finding] = {}
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._findings)

    @property
    def full(self) -> bool:
        """Whether further problems are only counted."""
        return len(self._findings) >= SHOWN

    def add(
        self, location: Location, message: str, *, item: str | None = None, hint: str | None = None
    ) -> None:
        """Record a problem; the same message at the same location is recorded once."""
        known = (location.path, location.line, location.column, message)
        if known in self._findings:
            return
        if self.full:
            self._more += 1
            return
        self._findings[known] = _Finding(location, message, item, hint and tr(hint))

    def warn(self, location: Location, message: str, *, hint: str | None = None) -> None:
        """Record what may be a mistake, but is not refused; further ones are left out."""
        if len(self._warnings) < SHOWN:
            known = (location.path, location.line, location.column, message)
            self._warnings[known] = _Finding(location, message, None, hint and tr(hint))

    def locate(self, location: Location, needle: str) -> Location:
        """Return where `needle` is in the text at `location`; `location` itself if not found."""
        if not needle or self.full:  # searching reads the file once more
            return location
        wanted = range(location.line, location.line + _SEARCHED)
        for number, line in sorted(_read_lines(location.path, set(wanted)).items()):
            start = location.column - 1 if number == location.line else 0
            if (column := line.find(needle, start)) >= 0:
                return Location(location.path, number, column + 1)
        return location

    def rest_of_line(self, location: Location) -> str:
        """Return the text from `location` to the end of its line; empty inside of brackets."""
        if self.full:
            return ""
        line = _read_lines(location.path, {location.line}).get(location.line, "")
        before = line[: location.column - 1]
        return "" if "[" in before or "{" in before else line[location.column - 1 :]

    def forget(self, path: str, line: int) -> None:
        """Remove the problems and warnings of one line."""
        for findings in (self._findings, self._warnings):
            for known in [known for known in findings if known[:2] == (path, line)]:
                del findings[known]

    def raise_if_any(self) -> None:
        """Raise all problems, ordered by file and line.

        Raises:
            ManifestError: there is at least one problem.
        """
        if self._findings:
            raise ManifestError(self.problems(), more=self._more)

    def problems(self) -> list[Problem]:
        """Return all problems, by file in the order of their first problem, then by line."""
        return _in_order(self._findings.values())

    def warnings(self) -> list[Problem]:
        """Return all warnings, in the same order."""
        return _in_order(self._warnings.values())


def closest(word: str, options: Iterable[str], *, cutoff: float = 0.65) -> str | None:
    """Return the most similar option, None if no similarity reaches `cutoff` (0..1)."""
    by_folded = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def looks_secret(line: str) -> bool:
    """Return whether a line seems to contain an API key, and so must not be shown."""
    return _SECRET.search(line) is not None


def holds_password(text: str) -> bool:
    """Return whether a text contains an address with a user name or password."""
    return _PASSWORD.search(text) is not None


def did_you_mean(word: str, options: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """Return a hint with the most similar option, or `otherwise`."""
    found = closest(word, options)
    return tr("did you mean {found}?", found=found) if found else otherwise


def excerpt(value: object, *, width: int = 60) -> str:
    """Return a value for use in a message: as in YAML, short, without control characters."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _in_order(found: Iterable[_Finding]) -> list[Problem]:
    paths = dict.fromkeys(finding.location.path for finding in found)
    order = {path: rank for rank, path in enumerate(paths)}
    findings = sorted(
        found, key=lambda one: (order[one.location.path], one.location.line, one.location.column)
    )
    lines = {
        path: _read_lines(path, {f.location.line for f in findings if f.location.path == path})
        for path in order
    }
    return [_problem(finding, lines[finding.location.path]) for finding in findings]


def _problem(finding: _Finding, lines: dict[int, str]) -> Problem:
    location = finding.location
    source_line = lines.get(location.line)
    if source_line is not None and (
        location.column > LINE_WIDTH
        or looks_secret(source_line)
        or holds_password(source_line)
        or _NO_TEXT.search(source_line)
    ):
        source_line = None
    return Problem(
        path=location.path,
        line=location.line,
        column=location.column,
        message=finding.message,
        item=excerpt(finding.item) if finding.item is not None else None,
        hint=finding.hint,
        source_line=excerpt(source_line, width=LINE_WIDTH) if source_line is not None else None,
    )


def _read_lines(path: str, wanted: set[int]) -> dict[int, str]:
    """Return the wanted lines of a file by number; empty if the file cannot be read."""
    found: dict[int, str] = {}
    last = max(wanted)
    if is_spreadsheet(path):
        return found
    try:
        if not find_existing(path).is_file():  # opening a named pipe would wait for its writer
            return found
        with find_existing(path).open(encoding="utf-8-sig", errors="replace") as file:
            number = 0
            while number < last and (line := file.readline(LINE_WIDTH * 10)):
                number += 1
                if number in wanted:
                    found[number] = line.rstrip("\n").replace("\t", " ")
                while line and not line.endswith("\n"):  # the rest of a very long line
                    line = file.readline(1_000_000)
    except OSError:
        return {}
    return found
