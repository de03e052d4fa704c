"""Open the registry for a job; check its folder against the jobs that are known."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch_runner.errors import FolderRefused, RegistryError
from batch_runner.jobdir.claims import warn
from batch_runner.jobdir.old_records import import_old_records
from batch_runner.registry import (
    Claim,
    JobRecord,
    Registry,
    may_exist,
    open_registry,
    read_registry,
)
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, find_existing, same_name, utf8_text

#: Errors of a disk on which a registry may be that cannot be used now.
_BROKEN_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def usable_state(state: Path | None) -> Path | None:
    """Return the state folder, which is created; None, with a warning, if it cannot be.

    On a full or read-only disk it is returned all the same: it may have held a registry.
    """
    if state is None or may_exist(state):
        return state
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(state, os.W_OK | os.X_OK):
            return state
        reason = os.strerror(errno.EACCES)
    except OSError as error:
        if error.errno in _BROKEN_DISK:
            return state
        reason = str(error.strerror)
    warn(f"the state folder {state} cannot be used: {reason}")
    return None


@contextmanager
def usable_registry(state: Path | None, *, required: bool) -> Iterator[Registry | None]:
    """Open the registry in the state folder; None if it cannot be used, or there is no home.

    Raises:
        FolderRefused: it cannot be used, and is `required`.
    """
    if state is None:
        yield None
        return
    try:
        registry = _open(state)
    except RegistryError as error:
        if required:
            raise FolderRefused(
                tr(
                    "{error}. A new job could pay again for items that another job has paid for. "
                    "Nothing was sent",
                    error=error,
                )
            ) from error
        warn(error)
        yield None
        return
    with registry:
        yield registry


def _open(state: Path) -> Registry:
    registry = open_registry(state)
    try:
        import_old_records(registry, state)
    except BaseException:
        registry.close()
        raise
    return registry


def check_mounted(state: Path, root: Path) -> None:
    """Check that no known job is in `root` on a disk of this machine that is not mounted.

    Raises:
        FolderRefused: there is one.
    """
    with suppress(RegistryError):
        registry = read_registry(state)
        if registry is None:
            return
        with registry:
            job = find_unmounted(registry, root)
        if job is not None:
            raise FolderRefused(
                tr(
                    "the job in {root} is on {mount}, which is not mounted. Nothing was sent. "
                    "Mount it, or choose another folder with --output",
                    root=root,
                    mount=job.mount,
                )
            )


def find_unmounted(registry: Registry, root: Path) -> JobRecord | None:
    """Return the known job in `root` on a disk of this machine that is not mounted, if any."""
    here, machine = utf8_text(Utf8Path(root).resolve()), socket.gethostname()
    jobs = (job for job in registry.jobs() if job.machine == machine)
    return next((job for job in jobs if same_name(job.folder, here) and not is_mounted(job)), None)


def is_mounted(place: JobRecord | Claim) -> bool:
    """Return whether the disk of a job's folder is mounted."""
    return os.path.ismount(find_existing(place.mount))
