"""What is not done, sorted by reason: who can do something about it, and with which command."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from batch_runner.lifecycle import ItemStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batch_runner.journal import ItemRow

#: Items named one by one in a group; the others are in the contact sheet.
MEMBERS_SHOWN = 50


class Fixer(StrEnum):
    """Who can do something about an item that is not done."""

    YOU = "you"
    SERVICE = "service"
    NETWORK = "network"
    WAIT = "wait"  #: nobody: it passes by itself, or the next run takes care of it


#: First match wins, on the reason in small letters.
_FIXERS: tuple[tuple[str, Fixer], ...] = (
    (r"429|limited|queue|busy|too-many|paus|deadline|cap\b", Fixer.WAIT),
    (r"moderat|nsfw|safety|policy|prompt|invalid|param|upload|input", Fixer.YOU),
    (r"401|402|403|forbidden|key|balance|credit|quota", Fixer.YOU),
    (r"disk|local|space|permission|dropped|missing", Fixer.YOU),
    (r"5\d\d|server|service|failed|cancel|unknown|404|410|rejected|damaged", Fixer.SERVICE),
    (r"dns|connect|network|unsent|lost|timeout|timed|tls|reset|proxy|redirect", Fixer.NETWORK),
    (r"4\d\d|refused", Fixer.YOU),
)

#: What an item's status alone says, where its reason says nothing.
_BY_STATUS: dict[ItemStatus, Fixer] = {
    ItemStatus.FAILED: Fixer.SERVICE,
    ItemStatus.REFUSED: Fixer.YOU,
    ItemStatus.UNFETCHED: Fixer.WAIT,
}

#: Statuses that the page explains, the most urgent first.
TROUBLED = (ItemStatus.HELD, ItemStatus.REFUSED, ItemStatus.FAILED, ItemStatus.UNFETCHED)


def fixer_of(status: ItemStatus, reason: str | None) -> Fixer:
    """Return who can fix an item with this status and reason."""
    if status is ItemStatus.HELD:  # whatever the reason: only a person may risk paying twice
        return Fixer.YOU
    for pattern, fixer in _FIXERS:
        if reason and re.search(pattern, reason.lower()):
            return fixer
    return _BY_STATUS.get(status, Fixer.WAIT)


@dataclass(slots=True, kw_only=True)
class Group:
    """The items that share a status and a reason."""

    status: ItemStatus
    reason: str | None
    fixer: Fixer
    command: str
    count: int = 0
    members: list[ItemRow] = field(default_factory=list)  # the first MEMBERS_SHOWN


def group_troubles(items: Iterable[ItemRow], manifest: str) -> list[Group]:
    """Return what is not done and needs a word, the most urgent group first."""
    groups: dict[tuple[ItemStatus, str | None], Group] = {}
    for item in items:
        if item.status not in TROUBLED:
            continue
        group = groups.get((item.status, item.reason))
        if group is None:
            group = groups[item.status, item.reason] = Group(
                status=item.status,
                reason=item.reason,
                fixer=fixer_of(item.status, item.reason),
                command=command_for(item.status, item.reason, manifest),
            )
        group.count += 1
        if len(group.members) < MEMBERS_SHOWN:
            group.members.append(item)
    return sorted(groups.values(), key=lambda one: (TROUBLED.index(one.status), -one.count))


def command_for(status: ItemStatus, reason: str | None, manifest: str) -> str:
    """Return the command that takes items of this status and reason further."""
    if status is ItemStatus.HELD:
        return _command("resolve", manifest)
    if status in (ItemStatus.FAILED, ItemStatus.REFUSED):
        return _command("retry", manifest, *(("--reason", reason) if reason else ()))
    return _command("run", manifest)


def next_commands(statuses: Iterable[ItemStatus], manifest: str) -> list[tuple[str, str]]:
    """Return what to type next, in this order, each with the word that explains it."""
    present = set(statuses)
    commands = []
    if ItemStatus.HELD in present:
        commands.append(("resolve", _command("resolve", manifest)))
    if present & {ItemStatus.FAILED, ItemStatus.REFUSED}:
        commands.append(("retry", _command("retry", manifest)))
    if present - {ItemStatus.DONE}:
        commands.append(("run", _command("run", manifest)))
    return commands


def _command(verb: str, manifest: str, *more: str) -> str:
    return shlex.join(["batch-runner", verb, manifest or "MANIFEST.yaml", *more])
