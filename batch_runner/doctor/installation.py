"""Checks of the installation: versions, dependencies, locale, environment, open files."""

from __future__ import annotations

import locale
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from importlib import metadata

from batch_runner import __version__
from batch_runner.config.environment import check_environment
from batch_runner.config.user_config import read_user_config, user_config_path
from batch_runner.doctor.checks import Check, Subject, ok, problem, warning
from batch_runner.engine.fd_limits import check_open_files
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import printable

_DISTRIBUTION = "batch-runner"
#: Distributions that are optional, and what they are for.
_EXTRAS = {"uvloop": "fast", "apprise": "notify", "obstore": "s3", "openpyxl": "xlsx"}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:>=([0-9.]+))?")


def check_installation(subject: Subject) -> Iterator[Check]:
    """Check what does not depend on a job."""
    yield ok(
        "version",
        f"batch-runner {__version__}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release()}",
    )
    yield _check_dependencies()
    yield _check_extras()
    yield _check_locale(subject)
    yield _check_open_files()
    yield _check_variables(subject)
    yield _check_user_config(subject)


def _check_dependencies() -> Check:
    name = "dependencies"
    try:
        required = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        advice = tr("install it with pip, in a virtual environment")
        return warning(name, tr("batch-runner is not installed as a package"), advice)
    found, wrong = [], []
    for line in required:
        match = _REQUIREMENT.match(line)
        if match is None or "extra" in line.partition(";")[2]:
            continue
        version = _version(match[1])
        found.append(f"{match[1]} {version}")
        if version is None:
            wrong.append(tr("{name} is missing", name=match[1]))
        elif match[2] and _numbers(version) < _numbers(match[2]):
            wrong.append(
                tr(
                    "{name} {version} is older than {wanted}",
                    name=match[1],
                    version=version,
                    wanted=match[2],
                )
            )
    if wrong:
        return problem(name, ", ".join(wrong), tr("install the package again with pip"))
    return ok(name, ", ".join(found))


def _check_extras() -> Check:
    found = []
    for name, extra in _EXTRAS.items():
        version = _version(name)
        missing = tr("{name} not installed (extra `{extra}`)", name=name, extra=extra)
        found.append(missing if version is None else f"{name} {version}")
    return ok("extras", ", ".join(found))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def _check_locale(subject: Subject) -> Check:
    names = ("LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANG")
    given = {name: text for name in names if (text := subject.environment.get(name))}
    shown = ", ".join(f"{name}={printable(text, 40)}" for name, text in given.items())
    shown = shown or tr("no locale is set")
    encoding = getattr(sys.stdout, "encoding", None) or "?"
    seen = tr(
        "{locale}; output in {encoding}; file names in UTF-8", locale=shown, encoding=encoding
    )
    # Not LC_CTYPE: Python sets it to C.UTF-8 itself when the locale is not installed.
    before = locale.setlocale(locale.LC_TIME)
    try:
        locale.setlocale(locale.LC_TIME, "")
    except locale.Error:
        advice = tr("this locale is not installed: install it, or set LC_ALL=C.UTF-8")
        return warning("locale", seen, advice)
    finally:
        locale.setlocale(locale.LC_TIME, before)
    return ok("locale", seen)


def _check_open_files() -> Check:
    try:
        allowed = check_open_files()
    except UsageError as error:
        return problem("open files", str(error))
    seen = tr("no limit") if allowed is None else tr("at most {allowed}", allowed=allowed)
    return ok("open files", seen)


def _check_variables(subject: Subject) -> Check:
    try:
        check_environment(subject.environment)
    except UsageError as error:
        return problem("environment", str(error))
    ours = sorted(name for name in subject.environment if name.startswith("BATCH_RUNNER_"))
    return ok("environment", ", ".join(ours) or tr("no BATCH_RUNNER_ variable is set"))


def _check_user_config(subject: Subject) -> Check:
    name, path = "user config", user_config_path(subject.environment)
    if path is None:
        return warning(name, tr("HOME is not set"), tr("set HOME, or give settings elsewhere"))
    try:
        config = read_user_config(path)
    except (UsageError, OSError) as error:
        return problem(name, str(error))
    if not config.locations:
        return ok(name, tr("no settings in {path}", path=path))
    return ok(name, f"{utf8_text(path)}: {', '.join(config.locations)}")
