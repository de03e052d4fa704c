"""Rules: which fault applies to which requests."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import FaultKind, registered

#: The conditions that a rule may have, in the order in which they are checked.
CONDITIONS: dict[str, str] = {
    "match": "only requests about an item whose body or task id contains this text",
    "after": "not the first N of these requests",
    "every": "only each Nth of the rest",
    "rate": "only this share of them (0 to 1), by seed",
    "each": "at most N requests of each task (of each body, for submissions)",
    "times": "at most N requests altogether",
}
RENAMED_CALLS = {"create": "submit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """A fault and its conditions; None stands for no condition."""

    kind: FaultKind
    calls: tuple[str, ...]
    options: dict[str, Any]
    match: str | None = None
    after: int = 0
    every: int = 1
    rate: float = 1.0
    each: int | None = None
    times: int | None = None
    text: str = ""

    def __str__(self) -> str:
        return self.text


def parse_fault(text: str) -> FaultRule:
    """Return the rule for ``name[:calls][:option=value…]``, such as ``http:submit:status=503``.

    Calls are joined with ``+``; without calls the fault applies to every call that it can affect.

    Raises:
        ValueError: A name, call, option or value is invalid.
    """
    name, *parts = text.split(":")
    kind = registered().get(name)
    if kind is None:
        known = ", ".join(registered())
        raise ValueError(f"fault {text!r}: no fault is named {name!r}; choose one of {known}")
    calls = kind.calls
    if parts and "=" not in parts[0]:
        calls = tuple(parts.pop(0).split("+"))
        for call in calls:
            _check_call(kind, call, text)
    given = [_read_option(kind, part, text) for part in _join_values(parts)]
    conditions = {key: value for key, value in given if key in CONDITIONS}
    options = {key: value for key, value in given if key not in CONDITIONS}
    return FaultRule(kind=kind, calls=calls, options=options, text=text, **conditions)


def _check_call(kind: FaultKind, call: str, text: str) -> None:
    if call in kind.calls:
        return
    renamed = RENAMED_CALLS.get(call)
    if renamed in kind.calls:
        raise ValueError(f"fault {text!r}: call {call!r} was renamed to {renamed}")
    known = ", ".join(kind.calls)
    raise ValueError(f"fault {text!r}: {kind.name} does not affect {call!r}; choose from {known}")


def _join_values(parts: list[str]) -> list[str]:
    """Rejoin values that contain a colon, such as match=a:b."""
    joined: list[str] = []
    for part in parts:
        if joined and "=" not in part:
            joined[-1] += ":" + part
        else:
            joined.append(part)
    return joined


def _read_option(kind: FaultKind, part: str, text: str) -> tuple[str, Any]:
    key, equals, value = part.partition("=")
    readers: dict[str, type] = {"match": str, "rate": float}
    readers |= dict.fromkeys(("after", "every", "each", "times"), int)
    readers |= {name: type(default) for name, default in kind.options.items()}
    if not equals or key not in readers:
        known = ", ".join(readers)
        raise ValueError(f"fault {text!r}: {kind.name} has no option {part!r}; choose from {known}")
    try:
        read = readers[key](value)
    except ValueError:
        kind_of_number = {int: "a whole number", float: "a number"}[readers[key]]
        raise ValueError(f"fault {text!r}: {key} must be {kind_of_number}") from None
    if (
        key in CONDITIONS
        and isinstance(read, int | float)
        and (read < 0 or (read == 0 and key == "every"))
    ):
        least = 1 if key == "every" else 0
        raise ValueError(f"fault {text!r}: {key} must be at least {least}")
    return key, read


@dataclass(slots=True)
class _ActiveRule:
    """A rule with the numbers of requests that it matched and affected."""

    rule: FaultRule
    rng: random.Random
    matched: int = 0
    applied: int = 0
    subjects: Counter[str] = field(default_factory=Counter)

    def applies(self, exchange: Exchange) -> bool:
        """Return whether the fault applies to this request, and count the request."""
        rule = self.rule
        if not set(exchange.calls) & set(rule.calls) or (
            rule.match and rule.match not in exchange.text
        ):
            return False
        self.matched += 1
        past = self.matched - rule.after
        if past <= 0 or past % rule.every or self.rng.random() >= rule.rate:
            return False
        if rule.times is not None and self.applied >= rule.times:
            return False
        if rule.each is not None and self.subjects[exchange.subject] >= rule.each:
            return False
        self.subjects[exchange.subject] += 1
        self.applied += 1
        return True


class FaultPlan:
    """The active rules; the first one that applies to a request is used."""

    def __init__(self, rules: list[FaultRule], seed: int) -> None:
        self._active = [
            _ActiveRule(rule, random.Random(f"{seed}:{place}:{rule}"))
            for place, rule in enumerate(rules)
        ]

    @property
    def texts(self) -> list[str]:
        """Return the rules as they were written."""
        return [str(active.rule) for active in self._active]

    def choose(self, exchange: Exchange) -> FaultRule | None:
        """Return the rule that applies to this request, None for a normal response. Counts it."""
        return next((active.rule for active in self._active if active.applies(exchange)), None)
