"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"  #: a run works, but not as one may expect
    PROBLEM = "problem"  #: a run would be refused, or would fail


@dataclass(frozen=True, slots=True)
class Check:
    """A finding: what was looked at, what was seen there, and what to do about it (may be "")."""

    name: str
    level: Level
    seen: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is examined. Without a manifest, only the installation and the service are."""

    environment: Mapping[str, str]
    manifest: Path | None = None
    output: Path | None = None
    offline: bool = False
    base_urls: tuple[str, ...] = ()  # of the manifest's own servers


def ok(name: str, seen: str, advice: str = "") -> Check:
    return Check(name, Level.OK, seen, advice)


def warning(name: str, seen: str, advice: str) -> Check:
    return Check(name, Level.WARNING, seen, advice)


def problem(name: str, seen: str, advice: str = "") -> Check:
    return Check(name, Level.PROBLEM, seen, advice)
