"""Groups problems by reason: who can do something about them, and with which command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batch_runner.journal import ItemRow
from batch_runner.lifecycle import TASK_UNKNOWN, ItemStatus
from batch_runner.util.shell import command_line

#: Items listed in a group; the others are in the contact sheet only.
MAX_MEMBERS = 50


class Owner(StrEnum):
    """Who can do something about an item that is not done."""

    YOU = "you"
    SERVICE = "service"
    NETWORK = "network"
    WAIT = "wait"  #: nobody: it ends by itself, or the next run handles it


#: The first pattern that matches the reason in lower case wins.
_OWNERS: tuple[tuple[str, Owner], ...] = (
    (r"http-429|limited|queue|busy|too-many|deadline", Owner.WAIT),
    (r"moderat|nsfw|safety|policy|prompt|invalid|param|upload|input", Owner.YOU),
    (r"http-40[123]|forbidden|key|balance|credit|quota", Owner.YOU),
    (r"disk|local|space|permission|too-large|not-accepted|private-address", Owner.YOU),
    (
        r"http-(5|404|410)|ambiguous|server|service|cancel|unknown|not-found|bad-file",
        Owner.SERVICE,
    ),
    (
        r"dns|connect|network|unsent|no-response|timeout|timed|tls|reset|proxy|redirect",
        Owner.NETWORK,
    ),
    (r"http-4|rejected", Owner.YOU),
)

#: By status, where the reason matches no pattern.
_BY_STATUS: dict[ItemStatus, Owner] = {
    ItemStatus.FAILED: Owner.SERVICE,
    ItemStatus.REJECTED: Owner.YOU,
    ItemStatus.DOWNLOAD_PENDING: Owner.WAIT,
    ItemStatus.DROPPED: Owner.YOU,
}

_RETRIABLE = (ItemStatus.FAILED, ItemStatus.REJECTED)

#: Statuses that the report explains, the most urgent first.
PROBLEM_STATUSES = (
    ItemStatus.HELD,
    ItemStatus.REJECTED,
    ItemStatus.FAILED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
    ItemStatus.DONE,  # only those that TAKEN_BACK concerns
)

#: The reason shown of a done item whose result comes from a job that has taken it back.
TAKEN_BACK = "taken-back"


def owner_of(status: ItemStatus, reason: str | None) -> Owner:
    """Return who can fix an item with this status and reason."""
    if status in (
        ItemStatus.HELD,
        ItemStatus.DROPPED,
        ItemStatus.DONE,
    ):  # only the user may risk paying twice
        return Owner.YOU
    for pattern, owner in _OWNERS:
        if reason and re.search(pattern, reason.lower()):
            return owner
    return _BY_STATUS.get(status, Owner.WAIT)


@dataclass(slots=True, kw_only=True)
class ProblemGroup:
    """The items that share a status and a reason."""

    status: ItemStatus
    reason: str | None
    owner: Owner
    count: int = 0
    members: list[ItemRow] = field(default_factory=list)  # at most MAX_MEMBERS


class ProblemGroups:
    """Collects items with problems by status and reason."""

    def __init__(self) -> None:
        self._groups: dict[tuple[ItemStatus, str | None], ProblemGroup] = {}

    def add(self, item: ItemRow, *, taken_back: bool = False) -> None:
        """Add an item to its group if its status is a problem, or another job took it back."""
        status, reason = item.status, TAKEN_BACK if taken_back else item.reason
        if status not in PROBLEM_STATUSES or (status is ItemStatus.DONE and not taken_back):
            return
        group = self._group(status, reason)
        group.count += 1
        if len(group.members) < MAX_MEMBERS:
            group.members.append(item)

    def _group(self, status: ItemStatus, reason: str | None) -> ProblemGroup:
        if (group := self._groups.get((status, reason))) is None:
            group = ProblemGroup(status=status, reason=reason, owner=owner_of(status, reason))
            self._groups[status, reason] = group
        return group

    def set_counts(self, counts: Mapping[tuple[ItemStatus, str | None], int]) -> None:
        """Set the number of items of each status and reason, of which only some were added."""
        for (status, reason), count in counts.items():
            if status in PROBLEM_STATUSES and status is not ItemStatus.DONE:
                self._group(status, reason).count = count

    def groups(self) -> list[ProblemGroup]:
        """Return the groups, the most urgent first."""
        groups = self._groups.values()
        return sorted(groups, key=lambda one: (PROBLEM_STATUSES.index(one.status), -one.count))


def command_for(
    status: ItemStatus, reason: str | None, target: Sequence[str], names: Sequence[str] = ()
) -> str:
    """Return the command that deals with items of this status and reason.

    `names` are the ids of the items: dropped items are retried only by name.
    """
    if status is ItemStatus.DROPPED:
        return command_line("retry", target, *names)
    if status is ItemStatus.DONE:
        return command_line("resolve", target, *names[:1], "hold")
    if status is ItemStatus.HELD or reason == TASK_UNKNOWN:
        return command_line("resolve", target)
    if status in _RETRIABLE:
        return command_line("retry", target, *(("--reason", reason) if reason else ("--all",)))
    return command_line("run", target)


def next_commands(
    statuses: Iterable[ItemStatus], problems: Iterable[ProblemGroup], target: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the commands to run next, in this order, each after its name."""
    present = set(statuses)
    commands = []
    if ItemStatus.HELD in present:
        commands.append(("resolve", command_line("resolve", target)))
    if any(group.status in _RETRIABLE for group in problems):
        commands.append(("retry", command_line("retry", target, "--all")))
    if present - {ItemStatus.DONE}:
        commands.append(("run", command_line("run", target)))
    return commands
