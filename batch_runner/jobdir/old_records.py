"""Move the records of earlier versions into the registry: one small file per job, `jobs/ID.json`.

Each has the job's folder, the mount point of its disk, and the last event of its journal.
"""

from __future__ import annotations

import json
import logging
import socket
from contextlib import suppress
from pathlib import Path

from batch_runner.errors import JournalError
from batch_runner.jobdir.claims import job_record
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import open_reader
from batch_runner.models import REHEARSAL
from batch_runner.registry import JobRecord, Registry
from batch_runner.util.paths import find_existing, utf8_text

_logger = logging.getLogger(__name__)


def import_old_records(registry: Registry, state: Path) -> None:
    """Import every old record, with the items of its journal, and remove its file.

    May be interrupted and repeated.

    Raises:
        RegistryError: the registry cannot be written.
    """
    for path in sorted((state / "jobs").glob("*.json")):
        if (job := _read(path)) is not None:
            _import(registry, job)
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        (state / "jobs").rmdir()


def _read(path: Path) -> JobRecord | None:
    """Return an old record, None if it is damaged."""
    try:
        record = json.loads(path.read_bytes())
        return JobRecord(
            id=path.stem,
            name="",
            manifest="",
            folder=utf8_text(str(record["folder"])),
            mount=utf8_text(str(record["mount"])),
            machine=socket.gethostname(),
            last_event=int(record["events"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _import(registry: Registry, old: JobRecord) -> None:
    folder = JobFolder(find_existing(old.folder))
    try:
        with open_reader(folder.journal, oldest=1) as reader:
            job, last = reader.job(), reader.last_event
            if job.id == old.id and job.origin != REHEARSAL:
                registry.record_job(job_record(reader, folder.root))
                service = registry.service_number(job.provider, service_host(job.origin))
                last = max(last, old.last_event)
                registry.store(service, job.id, reader.outcomes(0), last_event=last)
                return
    except (JournalError, OSError) as error:
        _logger.info("the items of the job in %s are not known: %s", old.folder, error)
    registry.record_job(old)
