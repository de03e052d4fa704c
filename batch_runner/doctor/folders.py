"""Checks of the output folder and of the state folder. Nothing lasting is written."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from batch_runner.doctor.checks import Check, Subject, ok, problem, warning
from batch_runner.errors import RegistryError
from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.paths import JobFolder
from batch_runner.registry import read_registry
from batch_runner.util.fs import lock_records, nearest_existing, try_to_sync_folder
from batch_runner.util.locale import tr, tr_n
from batch_runner.util.object_store import ObjectPrefix
from batch_runner.util.paths import encode_path
from batch_runner.util.system import file_system_of, open_unnamed
from batch_runner.util.text import error_reason
from batch_runner.util.xdg import state_folder

#: Beginnings of the names of file systems on another machine, and of those in memory.
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "glusterfs", "lustre", "virtiofs")
_IN_MEMORY = ("tmpfs", "ramfs")


def check_state_folder(subject: Subject) -> Iterator[Check]:
    """Check the state folder, which runs can do without, and the registry in it."""
    name, folder = "state folder", state_folder(subject.environment)
    unused = tr("without it, a run does not notice what another job or a copy has paid for")
    if folder is None:
        seen = tr("neither XDG_STATE_HOME nor HOME is set")
        yield warning(name, seen, tr("{unused}: set HOME", unused=unused))
        return
    try:
        _probe(nearest_existing(folder))
    except OSError as error:
        seen = tr("{path} cannot be written ({error})", path=folder, error=error_reason(error))
        yield warning(name, seen, unused)
    else:
        yield ok(name, tr("{path}, writable", path=folder))
    yield _check_registry(folder)


def _check_registry(folder: Path) -> Check:
    name = "registry"
    try:
        registry = read_registry(folder)
        if registry is None:
            return ok(name, tr("none yet: the first run makes one"))
        with registry:
            count = len(registry.jobs())
    except RegistryError as error:
        return problem(name, str(error), tr("unattended runs of new jobs are refused"))
    return ok(name, tr_n("{count} job", "{count} jobs", count))


def check_output_folder(root: Path, *, free_bytes: int) -> Iterator[Check]:
    """Check the output folder of a job, on whose disk `free_bytes` must be free."""
    folder = JobFolder(root)
    existing = nearest_existing(folder.root)
    name = "output folder"
    kind = file_system_of(encode_path(str(existing.resolve())))
    seen = tr("{path} on {kind}", path=folder.root, kind=kind or tr("an unknown file system"))
    try:
        synced = _probe(existing)
    except OSError as error:
        advice = tr("choose another with --output, or mend it: {error}", error=error_reason(error))
        yield problem(name, seen, advice)
        return
    if kind is not None and kind.startswith(_IN_MEMORY):
        yield warning(name, seen, tr("it is in memory, and a restart loses what was paid for"))
    elif not synced:
        yield warning(name, seen, tr("a power cut may lose the newest files; use a local disk"))
    elif kind is not None and kind.startswith(_REMOTE):
        advice = tr("locks and syncing work now; they depend on the server and on mount options")
        yield warning(name, seen, advice)
    else:
        yield ok(name, tr("{seen}; writable, locks and syncing work", seen=seen))
    yield _check_space(existing, free_bytes)
    yield from _check_job(folder)


def check_object_store(address: str) -> Check:
    """Check that results can be stored in an object store: an object is made and removed again."""
    try:
        ObjectPrefix(address).check_writable()
    except OSError as error:
        return problem("object store", address, error_reason(error))
    seen = tr("{address}; files can be stored, and none is overwritten", address=address)
    return ok("object store", seen)


def _check_space(existing: Path, free_bytes: int) -> Check:
    free, wanted = shutil.disk_usage(existing).free // 1_000_000, free_bytes // 1_000_000
    seen = tr("{free} MB free", free=free)
    if free < wanted:
        advice = tr("a run submits nothing below {wanted} MB (downloads.free_bytes)", wanted=wanted)
        return problem("disk space", seen, advice)
    return ok("disk space", seen)


def _check_job(folder: JobFolder) -> Iterator[Check]:
    name = "job"
    if folder.marker.exists() and not (folder.journal.exists() or folder.cluster.exists()):
        advice = tr("restore the newest backup of the folder; a run will not start")
        yield problem(name, tr("the journal {path} is missing", path=folder.journal), advice)
    elif (owner := lock_owner(folder)) is not None:
        yield ok(name, tr("another run is working on it: {owner}", owner=owner))
    elif folder.has_job():
        yield ok(name, tr("the next run continues it"))
    else:
        yield ok(name, tr("not run yet"))


def _probe(folder: Path) -> bool:
    """Write, lock and sync a file that is gone afterwards; return whether folders can be synced.

    Raises:
        OSError: one of these failed.
    """
    path: Path | None = None
    try:
        descriptor = open_unnamed(folder)
    except OSError:
        descriptor = None  # tried again with a name, for the reason
    if descriptor is None:
        path = folder / f".batch-runner-{secrets.token_hex(6)}.tmp"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, b"\n")
        lock_records(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return try_to_sync_folder(folder)
    finally:
        os.close(descriptor)
        if path is not None:
            path.unlink(missing_ok=True)
