"""Items of a job that another job of this user has submitted, and what a run will do with them.

This happens when a manifest is renamed, or copied and edited, when its output folder was deleted,
or when two jobs share prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from batch_runner.engine.selection import SelectedItems, is_selected
from batch_runner.jobdir.identity import JobIdentity, service_host
from batch_runner.jobdir.reuse import USING, Action, ReuseRules
from batch_runner.journal import journal_exists, open_reader
from batch_runner.planning.blockers import Blocker
from batch_runner.registry import KEYS, Claim, read_registry
from batch_runner.setting_types import Reuse
from batch_runner.units import Prices
from batch_runner.util.xdg import state_folder

#: Returns the claims of other jobs for at most KEYS items.
LookUp = Callable[[list[str]], list[Claim]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseGroup:
    """Items with which a run does the same, because the job in `folder` has submitted them."""

    action: Action
    folder: str
    count: int


class PriorSubmissions:
    """Items that other jobs have submitted, found by their keys."""

    def __init__(self, look_up: LookUp, mode: Reuse) -> None:
        self.mode = mode
        self._look_up = look_up
        self._rules = ReuseRules()
        self._counts: Counter[tuple[Action, str]] = Counter()
        self.left_out = set[str]()  # keys of the items that are not submitted

    @property
    def groups(self) -> list[ReuseGroup]:
        """Return the items by action and folder, the best actions first, then the most items."""
        order, counts = list(Action), self._counts.most_common()
        groups = [ReuseGroup(action=act, folder=path, count=count) for (act, path), count in counts]
        return sorted(groups, key=lambda group: order.index(group.action))

    @property
    def count(self) -> int:
        return self._counts.total()

    @property
    def usable(self) -> int:
        """Return how many items have a result that can be used."""
        return sum(group.count for group in self.groups if group.action in USING)

    def find(self, keys: list[str]) -> Collection[str]:
        """Look up at most KEYS items that would be submitted; return those that are not, then."""
        found = self._rules.decide(self._look_up(keys)) if keys else {}
        self._counts.update((prior.action, prior.source.folder) for prior in found.values())
        if self.mode is Reuse.NEVER:
            return ()
        self.left_out |= found.keys()
        return found.keys()

    def warnings(self, prices: Prices | None) -> list[Blocker]:
        """Return a warning about items that are paid for again."""
        if self.mode is not Reuse.NEVER or not self.count:
            return []
        folder = max(self.groups, key=lambda group: group.count).folder
        values = {"count": self.count, "folder": folder}
        if prices is None or prices.by_workflow or prices.default is None:
            return [Blocker("paid_again", values)]
        return [Blocker("paid_again_for", {**values, "cost": prices.default.times(self.count)})]


def nothing_submitted() -> PriorSubmissions:
    """Return the result of a search that finds nothing."""
    return PriorSubmissions(lambda keys: [], Reuse.ALWAYS)


@contextmanager
def prior_submissions(
    identity: JobIdentity | None, journal: Path, mode: Reuse
) -> Iterator[PriorSubmissions]:
    """Look items up in the registry; `journal` is that of the job, if it exists.

    Nothing is found for a rehearsal (`identity` None), without a home, or without a registry.

    Raises:
        RegistryError: the registry cannot be read.
        JournalUnreadable: the journal cannot be read.
    """
    state = state_folder()
    registry = None if state is None or identity is None else read_registry(state)
    if registry is None or identity is None:
        yield nothing_submitted()
        return
    job_id, origin = None, identity.origin
    if journal_exists(journal):
        with open_reader(journal, oldest=1) as reader:
            job_id, origin = reader.job().id, reader.job().origin
    provider, host = identity.provider, service_host(origin)
    with registry:
        yield PriorSubmissions(
            lambda keys: registry.claims_of_others(provider, host, job_id, keys), mode
        )


def find_prior_submissions(
    identity: JobIdentity | None,
    journal: Path,
    mode: Reuse,
    selected: SelectedItems | None = None,
) -> PriorSubmissions:
    """Return what other jobs have submitted of the pending items of the job with this journal.

    `selected` are those that are looked up, None: all.

    Raises:
        RegistryError: the registry cannot be read.
        JournalUnreadable: the journal cannot be read.
    """
    with prior_submissions(identity, journal, mode) as found, open_reader(journal) as reader:
        rows = reader.pending_keys()
        pending = (key for key, position in rows if is_selected(position, selected))
        while keys := list(islice(pending, KEYS)):
            found.find(keys)
    return found
