"""What is not done, sorted by reason: who can do something about it, and with which command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batch_runner.journal import ItemRow
from batch_runner.lifecycle import TASK_UNKNOWN, ItemStatus
from batch_runner.util.shell import command_line

#: Items named one by one in a group; the others are in the contact sheet.
MEMBERS_SHOWN = 50


class Owner(StrEnum):
    """Who can do something about an item that is not done."""

    YOU = "you"
    SERVICE = "service"
    NETWORK = "network"
    WAIT = "wait"  #: nobody: it passes by itself, or the next run takes care of it


#: First match wins, on the reason in small letters.
_FIXERS: tuple[tuple[str, Owner], ...] = (
    (r"http-429|limited|queue|busy|too-many|deadline", Owner.WAIT),
    (r"moderat|nsfw|safety|policy|prompt|invalid|param|upload|input", Owner.YOU),
    (r"http-40[123]|forbidden|key|balance|credit|quota", Owner.YOU),
    (r"disk|local|space|permission", Owner.YOU),
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

#: What an item's status alone says, where its reason says nothing.
_BY_STATUS: dict[ItemStatus, Owner] = {
    ItemStatus.FAILED: Owner.SERVICE,
    ItemStatus.REJECTED: Owner.YOU,
    ItemStatus.DOWNLOAD_PENDING: Owner.WAIT,
    ItemStatus.DROPPED: Owner.YOU,
}

_RETRIABLE = (ItemStatus.FAILED, ItemStatus.REJECTED)

#: Statuses that the page explains, the most urgent first.
TROUBLED = (
    ItemStatus.HELD,
    ItemStatus.REJECTED,
    ItemStatus.FAILED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
)


def fixer_of(status: ItemStatus, reason: str | None) -> Owner:
    """Return who can fix an item with this status and reason."""
    if status in (ItemStatus.HELD, ItemStatus.DROPPED):  # only a person may risk paying twice
        return Owner.YOU
    for pattern, fixer in _FIXERS:
        if reason and re.search(pattern, reason.lower()):
            return fixer
    return _BY_STATUS.get(status, Owner.WAIT)


@dataclass(slots=True, kw_only=True)
class Group:
    """The items that share a status and a reason."""

    status: ItemStatus
    reason: str | None
    fixer: Owner
    count: int = 0
    members: list[ItemRow] = field(default_factory=list)  # the first MEMBERS_SHOWN


class ProblemGroups:
    """What is not done and needs a word, in groups."""

    def __init__(self) -> None:
        self._groups: dict[tuple[ItemStatus, str | None], Group] = {}

    def add(self, item: ItemRow) -> None:
        """Put an item to its group, if it needs a word."""
        status, reason = item.status, item.reason
        if status not in TROUBLED:
            return
        if (group := self._groups.get((status, reason))) is None:
            group = Group(status=status, reason=reason, fixer=fixer_of(status, reason))
            self._groups[status, reason] = group
        group.count += 1
        if len(group.members) < MEMBERS_SHOWN:
            group.members.append(item)

    def groups(self) -> list[Group]:
        """Return the groups, the most urgent first."""
        groups = self._groups.values()
        return sorted(groups, key=lambda one: (TROUBLED.index(one.status), -one.count))


def command_for(
    status: ItemStatus, reason: str | None, target: Sequence[str], names: Sequence[str] = ()
) -> str:
    """Return the command that takes items of this status and reason further.

    `names` are the items' ids: dropped items are retried only by name.
    """
    if status is ItemStatus.DROPPED:
        return command_line("retry", target, *names)
    if status is ItemStatus.HELD or reason == TASK_UNKNOWN:
        return command_line("resolve", target)
    if status in _RETRIABLE:
        return command_line("retry", target, *(("--reason", reason) if reason else ("--all",)))
    return command_line("run", target)


def next_commands(
    statuses: Iterable[ItemStatus], troubles: Iterable[Group], target: Sequence[str]
) -> list[tuple[str, str]]:
    """Return what to type next, in this order, each with the word that explains it."""
    present = set(statuses)
    commands = []
    if ItemStatus.HELD in present:
        commands.append(("resolve", command_line("resolve", target)))
    if any(group.status in _RETRIABLE for group in troubles):
        commands.append(("retry", command_line("retry", target, "--all")))
    if present - {ItemStatus.DONE}:
        commands.append(("run", command_line("run", target)))
    return commands
