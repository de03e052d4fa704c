"""Checks of the service's address and of the key, which is never shown."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from batch_runner.doctor.checks import Check, Subject, ok, problem, warning
from batch_runner.errors import UsageError
from batch_runner.providers import PROVIDERS, ProviderInfo
from batch_runner.providers.credentials import base_urls_of, check_base_url, read_service
from batch_runner.util.locale import tr
from batch_runner.util.paths import find_existing, utf8_text
from batch_runner.util.text import error_reason, printable

_KEY = "key"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_address(provider: str, subject: Subject) -> Iterator[Check]:
    """Check each URL of the service."""
    info = PROVIDERS[provider]
    for url in base_urls_of(info, subject.environment, subject.base_urls):
        try:
            check_base_url(url, info.base_url_variable)
        except UsageError as error:  # it may hold a secret, so it is not shown
            yield problem("address", str(error))
            continue
        default = url == info.base_url
        source = tr("default") if default else info.base_url_variable
        if url in subject.base_urls and not subject.environment.get(info.base_url_variable):
            source = tr("manifest")
        seen = f"{printable(url)} ({source})"
        parts = urlsplit(url)
        insecure = parts.scheme == "http" and parts.hostname not in _LOOPBACK
        if insecure and (info.needs_key or has_key(info, subject.environment)):
            yield warning("address", seen, tr("use https: http sends the key unencrypted"))
        else:
            yield ok("address", seen)


def has_key(info: ProviderInfo, environment: Mapping[str, str]) -> bool:
    """Return whether a key is given, in whichever way."""
    variable = info.key_variable
    return bool(environment.get(variable)) or _key_path(variable, environment) is not None


def check_key(provider: str, subject: Subject) -> Iterator[Check]:
    """Check where the key is, who can read it, and whether it is written as it should be."""
    info = PROVIDERS[provider]
    variable, environment = info.key_variable, subject.environment
    if not info.needs_key and not has_key(info, environment):
        yield ok(_KEY, tr("none, and none is needed"))
        return
    if environment.get(variable):
        source, raw = variable, environment[variable].encode("utf-8", "surrogateescape")
        if environment.get(f"{variable}_FILE"):
            source = tr(
                "{variable} (and not {variable}_FILE, which is set, too)", variable=variable
            )
        fault: str | None = None
    else:
        path = _key_path(variable, environment)
        if path is None:
            yield problem(
                _KEY,
                tr("none"),
                tr(
                    "set {variable}, or {variable}_FILE to a file that holds it; a rehearsal needs "
                    "none",
                    variable=variable,
                ),
            )
            return
        source = utf8_text(path)
        try:
            raw, fault = path.read_bytes(), _access_fault(path)
        except OSError as error:
            advice = tr("it cannot be read: {error}", error=error_reason(error))
            yield problem(_KEY, source, advice)
            return
    if (wrong := _form_fault(raw, variable)) or (wrong := _refusal(provider, environment)):
        yield problem(_KEY, source, wrong)
    elif fault is not None:
        yield warning(_KEY, source, fault)
    else:
        yield ok(_KEY, source)


def _key_path(variable: str, environment: Mapping[str, str]) -> Path | None:
    """Return the key file, else the systemd credential; None without either."""
    if path := environment.get(f"{variable}_FILE"):
        return find_existing(path)
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        credential = find_existing(folder) / variable
        return credential if os.path.lexists(credential) else None
    return None


def _access_fault(path: Path) -> str | None:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 and stat.S_ISREG(found.st_mode):
        return tr("its mode is {mode:03o}, so other users can read it: chmod 600", mode=mode)
    return None


def _form_fault(raw: bytes, variable: str) -> str | None:
    """Return what is wrong with the key's text; None if nothing is."""
    if raw.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return tr("it begins with a byte order mark: save it as UTF-8 without one")
    text = raw.decode("utf-8", "replace").strip()
    if not text:
        return tr("it is empty")
    if text[0] in "\"'“”‘’`" or text[-1] in "\"'“”‘’`":
        return tr("the key is in quotes: remove them")
    if text.startswith(f"{variable}=") or text.startswith("export "):
        return tr("it holds an assignment: keep only what is after the =")
    if text.lower().startswith("bearer "):
        return tr("it begins with Bearer: keep only the key")
    if len(text.splitlines()) > 1:
        return tr("it has several lines: keep only the key")
    return None


def _refusal(provider: str, environment: Mapping[str, str]) -> str | None:
    """Return why a run would refuse the key; None if it would not."""
    try:
        read_service(provider, {**environment, PROVIDERS[provider].base_url_variable: ""})
    except UsageError as error:
        return str(error)
    return None
