"""The values of the registry, and what a run uses of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Statuses of a claim before its item is submitted: this run is about to submit it; the user has
#: agreed to pay for it although another job may have paid.
CLAIMED, APPROVED = "claimed", "approved"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job, as the registry knows it. Paths are absolute, as `utf8_text` returns them."""

    id: str
    name: str
    manifest: str  # "" if unknown
    folder: str
    mount: str  # mount point of its disk
    machine: str  # host name
    last_event: int = 0  # of its journal
    #: Last use, in seconds since the epoch; the registry sets it.
    updated_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An item that a job has submitted or is about to submit."""

    key: str
    job: str  # its id
    folder: str  # of the job
    mount: str  # of the job
    status: str
    task_id: str | None
    files: str  # JSON


class ClaimStore(Protocol):
    """The claims of one job during a run. Calls block for some milliseconds.

    If there is no registry, or it could not be used when the job was opened, calls do nothing.
    """

    def claims_of_others(self, keys: Sequence[str]) -> list[Claim]:
        """Return the claims of other jobs for items of this one; not if the user will pay again.

        Raises:
            RegistryError: the registry cannot be used any more.
        """
        ...

    def approve(self, keys: Iterable[str]) -> None:
        """Note that the user agrees to pay for these items although another job may have paid.

        Raises:
            RegistryError: the registry cannot be used any more.
        """
        ...

    def claim(self, keys: Sequence[str]) -> frozenset[str]:
        """Claim items before their first submission; the claims are on the disk on return.

        Returns the keys that another job has claimed, which must not be submitted.

        Raises:
            RegistryError: the registry cannot be used any more.
        """
        ...

    def sync(self) -> None:
        """Copy what has changed in the journal since the last call; later, if it fails."""
        ...
