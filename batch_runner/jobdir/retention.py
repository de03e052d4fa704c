"""Remove what `output.keep` says is old: run logs, and files that were set aside or moved away."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from batch_runner.errors import JournalError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import JournalReader, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.util.paths import child_bytes

log = logging.getLogger(__name__)

#: Statuses of items that need nothing any more of what was set aside or moved away of theirs.
_SETTLED = (ItemStatus.DONE, ItemStatus.FAILED, ItemStatus.REJECTED, ItemStatus.DROPPED)
#: Ending of a file that `removed.move_out` has moved: the start of the item's key, and a number.
_MOVED = re.compile(r"\.([0-9a-f]{8})(\.[0-9]+)?$")


def remove_old(folder: JobFolder, *, keep: float, now: float) -> int:
    """Remove what is older than `keep` seconds and not needed; return how many files or folders.

    `now` is wall clock. Kept are the files of items that are neither done nor given up. Blocks;
    never raises.
    """
    count = 0
    try:
        for path in _logs(folder, now - keep):
            path.unlink(missing_ok=True)
            count += 1
        old = [path for path in _set_aside(folder) if _newest(path) < now - keep]
        if not old:
            return count
        with open_reader(folder.journal) as reader:
            tasks, keys = _needed(reader)
        for path in old:
            moved = _MOVED.search(path.name)
            if path.name in tasks or (moved and moved[1] in keys):
                continue
            if path.is_dir():
                shutil.rmtree(child_bytes(path.parent, path.name))
            else:
                path.unlink(missing_ok=True)
            count += 1
    except (OSError, JournalError) as error:
        log.warning("old files in %s could not be removed: %s", folder.batch, error)
    return count


def _logs(folder: JobFolder, before: float) -> list[Path]:
    """Return the logs last written before a time; the newest is kept."""
    logs = sorted(folder.logs.glob("run-*.log"))[:-1]
    return [path for path in logs if path.lstat().st_mtime < before]


def _set_aside(folder: JobFolder) -> Iterator[Path]:
    """Yield the folders of tasks in `aside`, and the files in the other folders."""
    for parent in (folder.aside, folder.batch / "removed", folder.batch / "damaged"):
        if parent.is_dir() and not parent.is_symlink():
            yield from parent.iterdir()


def _newest(path: Path) -> float:
    """Return when a file, or something in a folder, was written last; or moved, as ctime says."""
    inner = path.iterdir() if path.is_dir() and not path.is_symlink() else ()
    states = [one.lstat() for one in (path, *inner)]
    return float(max(max(state.st_mtime, state.st_ctime) for state in states))


def _needed(reader: JournalReader) -> tuple[set[str | None], set[str]]:
    """Return the task ids, and the starts of the keys, of the items that are not settled."""
    items = list(reader.items(*(status for status in ItemStatus if status not in _SETTLED)))
    return {item.task_id for item in items}, {item.key[:8] for item in items}
