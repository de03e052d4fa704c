"""Decide what a run does with items that another job of this user has submitted.

A run and `plan` decide alike. `taken_back` finds reused results that turned out to be wrong. Both
read only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from batch_runner.errors import FolderRefused, JournalError, RegistryError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.registration import is_mounted
from batch_runner.jobdir.results import Results, results_of
from batch_runner.journal import ItemRow, JournalReader, journal_exists, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import PlacedFile, ReusedFrom, placed_files
from batch_runner.registry import KEYS, Claim, Registry, read_registry
from batch_runner.util.paths import Utf8Path, find_existing


class Action(StrEnum):
    """What is done with an item that another job has submitted, the best first."""

    COPY = "copy"  #: its files are copied
    DOWNLOAD = "download"  #: its task is polled, and its files are downloaded again
    WAIT = "wait"  #: it stays pending: the other job has not finished it
    FAIL = "fail"  #: it is failed, as in the other job
    HOLD = "hold"  #: it is held: it may have been paid, and its result cannot be had


#: The actions that use a result; with `reuse: ask` they need an answer.
USING = (Action.COPY, Action.DOWNLOAD)
_RANK = {action: rank for rank, action in enumerate(Action)}


class _Place(StrEnum):
    """Where the folder of another job is."""

    HERE = "here"
    AWAY = "away"  # on a disk that is not mounted
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSubmission:
    """An item that another job has submitted, and what to do with it."""

    action: Action
    source: ReusedFrom
    status: str  # of the item in that job, or of its claim
    task_id: str | None
    files: tuple[PlacedFile, ...]  # in the folder of that job; empty unless the item is done


class ReuseRules:
    """The decisions of one run; what is known of other jobs' folders is kept."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}  # by job id
        self._results: dict[str, Results] = {}  # by folder

    def decide(self, claims: Sequence[Claim]) -> dict[str, PriorSubmission]:
        """Return what to do with each item that is claimed, by its key."""
        found: dict[str, PriorSubmission] = {}
        for claim in claims:
            prior = self._decide(claim)
            known = found.get(claim.key)
            if known is None or _RANK[prior.action] < _RANK[known.action]:
                found[claim.key] = prior
        return found

    def _decide(self, claim: Claim) -> PriorSubmission:
        files: tuple[PlacedFile, ...] = ()
        if claim.status == ItemStatus.DONE:
            files = placed_files(claim.files)
        return PriorSubmission(
            action=self._action(claim, files),
            source=ReusedFrom(job=claim.job, folder=claim.folder),
            status=claim.status,
            task_id=claim.task_id,
            files=files,
        )

    def _action(self, claim: Claim, files: Sequence[PlacedFile]) -> Action:
        if claim.status in (ItemStatus.FAILED, ItemStatus.REJECTED):
            return Action.FAIL
        if claim.status in (ItemStatus.HELD, ItemStatus.DROPPED):
            return Action.HOLD
        if claim.status == ItemStatus.DONE:
            if files and self._has_all(claim.folder, files):
                return Action.COPY
        elif self._place_of(claim) is not _Place.GONE:
            return Action.WAIT
        if claim.status in _HAVE_TASK and claim.task_id is not None:
            return Action.DOWNLOAD
        return Action.HOLD

    def _has_all(self, folder: str, files: Sequence[PlacedFile]) -> bool:
        """Return whether files of another job are there; the content is compared when used."""
        try:
            if folder not in self._results:
                self._results[folder] = results_of(JobFolder(Utf8Path(folder)))
            results = self._results[folder]
            return all(results.size(file) == file.size for file in files)
        except (OSError, FolderRefused):
            return False

    def _place_of(self, claim: Claim) -> _Place:
        if claim.job not in self._places:
            self._places[claim.job] = _find(claim)
        return self._places[claim.job]


#: Statuses of claims whose task has, or may have, a result.
_HAVE_TASK = (
    ItemStatus.SUBMITTED,
    ItemStatus.DOWNLOADING,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DONE,
)


def _find(claim: Claim) -> _Place:
    folder = JobFolder(find_existing(claim.folder))
    try:
        if journal_exists(folder.journal):
            with open_reader(folder.journal, oldest=1) as reader:
                return _Place.HERE if reader.job().id == claim.job else _Place.GONE
    except (JournalError, OSError):
        return _Place.HERE  # whatever it is, its job may continue
    return _Place.GONE if is_mounted(claim) else _Place.AWAY


def taken_back(reader: JournalReader, state: Path | None) -> list[ItemRow]:
    """Return the reused items that their own job has taken back to held since.

    The list is empty if the registry cannot be read.

    Raises:
        JournalUnreadable: the journal cannot be read.
    """
    found: list[ItemRow] = []
    items = reader.reused_items()
    part = list(islice(items, KEYS))
    if state is None or not part:
        return found
    with suppress(RegistryError):
        registry = read_registry(state)
        if registry is None:
            return found
        with registry:
            while part:
                found += _taken_back(part, registry)
                part = list(islice(items, KEYS))
    return found


def _taken_back(items: Sequence[ItemRow], registry: Registry) -> Iterator[ItemRow]:
    for job in {item.reused_from.job for item in items if item.reused_from}:
        own = [item for item in items if item.reused_from and item.reused_from.job == job]
        statuses = registry.statuses(job, [item.key for item in own])
        yield from (item for item in own if statuses.get(item.key) == ItemStatus.HELD)
