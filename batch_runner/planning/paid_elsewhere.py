"""Find items that another job of this user has paid for, or may have.

This happens when a manifest is renamed, or copied and edited, or when its output folder was
deleted. The items would be paid for again, so the user is asked first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_runner.jobdir.identity import JobIdentity, service_host
from batch_runner.journal import journal_exists, open_reader
from batch_runner.planning.blockers import Blocker
from batch_runner.registry import KEYS, Claim, read_registry
from batch_runner.util.locale import items_text, tr
from batch_runner.util.paths import Utf8Path, same_name, utf8_text
from batch_runner.util.xdg import state_folder

#: Returns the claims of other jobs for at most KEYS items.
LookUp = Callable[[list[str]], list[Claim]]


class PaidElsewhere:
    """The items of a job that another one has submitted, found by their keys."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._waiting: list[str] = []
        self.keys: list[str] = []
        self._folders: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return len(self.keys)

    @property
    def folder(self) -> str:
        """Return the output folder of the job that has most of the items, "" if there is none."""
        return next((folder for folder, _ in self._folders.most_common(1)), "")

    def text(self, root: Path) -> str:
        """Return as a sentence which job has submitted the items of the job in `root`."""
        values = {"folder": self.folder, "items": items_text(self.count)}
        if same_name(self.folder, utf8_text(Utf8Path(root).resolve())):
            return tr(
                "an earlier job in this folder, which was deleted or moved, has already submitted "
                "{items} of this one, which would be paid for again",
                **values,
            )
        return tr(
            "the job in {folder} has already submitted {items} of this one, which would be paid "
            "for again",
            **values,
        )

    def add(self, key: str) -> None:
        """Look up an item that would be submitted; `finish` after the last one."""
        self._waiting.append(key)
        if len(self._waiting) == KEYS:
            self.finish()

    def finish(self) -> None:
        """Look up the items that were added last."""
        claims = self._look_up(self._waiting) if self._waiting else []
        found = {claim.key: claim.folder for claim in reversed(claims)}
        self.keys += found
        self._folders.update(found.values())
        self._waiting.clear()


def prior_payment_warnings(paid: PaidElsewhere, root: Path) -> list[Blocker]:
    """Return a warning about items of the job in `root` that would be paid for again."""
    if not paid.count:
        return []
    values = {"message": paid.text(root), "count": paid.count, "folder": paid.folder}
    return [Blocker("prior_payment", values)]


@contextmanager
def paid_elsewhere(identity: JobIdentity | None, journal: Path) -> Iterator[PaidElsewhere]:
    """Look items up in the registry; `journal` is that of the job, if it exists.

    Nothing is found for a rehearsal (`identity` None), without a home, or without a registry.

    Raises:
        RegistryError: the registry cannot be read.
        JournalUnreadable: the journal cannot be read.
    """
    state = state_folder()
    registry = None if state is None or identity is None else read_registry(state)
    if registry is None or identity is None:
        yield PaidElsewhere(lambda keys: [])
        return
    job_id, origin = None, identity.origin
    if journal_exists(journal):
        with open_reader(journal, oldest=1) as reader:
            job_id, origin = reader.job().id, reader.job().origin
    provider, host = identity.provider, service_host(origin)
    with registry:
        yield PaidElsewhere(lambda keys: registry.claims_of_others(provider, host, job_id, keys))


def find_paid_elsewhere(identity: JobIdentity | None, journal: Path) -> PaidElsewhere:
    """Return the pending items of the job with this journal that another job has submitted.

    Raises:
        RegistryError: the registry cannot be read.
        JournalUnreadable: the journal cannot be read.
    """
    with paid_elsewhere(identity, journal) as found, open_reader(journal) as reader:
        for key in reader.pending_keys():
            found.add(key)
        found.finish()
    return found
