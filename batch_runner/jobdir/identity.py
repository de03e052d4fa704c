"""Check which job and which service a folder belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from batch_runner.errors import FolderRefused
from batch_runner.jobdir.paths import JobFolder
from batch_runner.util import urls
from batch_runner.util.locale import tr
from batch_runner.util.paths import same_name
from batch_runner.util.text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """A job's name, its provider, and the address of the service."""

    job: str
    provider: str
    origin: str  # scheme://host[:port], or models.REHEARSAL


def check_owner(job: Mapping[str, Any], folder: JobFolder, identity: JobIdentity) -> None:
    """Check that `job`, the row in the folder's journal, is the job that `identity` names.

    Raises:
        FolderRefused: it is another job, or a job for another service.
    """
    if not same_name(job["name"], identity.job) or job["provider"] != identity.provider:
        raise FolderRefused(
            tr(
                '{root} belongs to the job "{name}" ({provider}), not to "{job}" '
                "({identity_provider}); choose another folder with --output",
                root=folder.root,
                name=printable(job["name"]),
                provider=job["provider"],
                job=identity.job,
                identity_provider=identity.provider,
            )
        )
    if _host(job["origin"]) != _host(identity.origin):
        raise FolderRefused(
            tr(
                "{root} contains a job for {origin}, but the configured service is "
                "{identity_origin}; choose another folder with --output",
                root=folder.root,
                origin=job["origin"],
                identity_origin=identity.origin,
            )
        )


def service_host(origin: str) -> str:
    """Return the host of a service, as the registry has it; that of this machine with its port."""
    host = _host(origin)
    return f"{host}:{urlsplit(origin).port or ''}" if host == _LOCAL else host


def same_origin(first: str, second: str) -> bool:
    """Return whether two origins have the same scheme, host and port."""
    return _origin_parts(first) == _origin_parts(second)


def _origin_parts(origin: str) -> tuple[str, str, int | None]:
    scheme, _, port = urls.origin(origin)
    return scheme, _host(origin), port


_LOCAL = "localhost"


def _host(origin: str) -> str:
    """Return the host without its port, and one name for all local addresses."""
    host = urlsplit(origin).hostname or origin
    return _LOCAL if host in ("127.0.0.1", _LOCAL, "::1") else host
