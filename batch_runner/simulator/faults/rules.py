"""Rules: which fault, on which call, when. Read from text, counted while the service runs."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batch_runner.simulator.faults.registry import registered

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import FaultKind

#: What every rule may say about when it applies.
WHEN: dict[str, str] = {
    "match": "only requests about an item whose body or task id contains this",
    "after": "not the first N such requests",
    "every": "only each Nth of the rest",
    "rate": "only this share of them, by seed",
    "each": "at most the first N of each task (of each body, for creates)",
    "times": "at most N altogether",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault and when it happens; None means no such condition."""

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
    """Return the rule for ``name[:calls][:option=value…]``, such as ``http:create:status=503``.

    Several calls are joined with ``+``; without them the fault happens on every call it can.

    Raises:
        ValueError: a name, call, option or value is not known; the text says what was wanted.
    """
    name, *parts = text.split(":")
    kind = registered().get(name)
    if kind is None:
        raise ValueError(f"fault {name!r}: wanted one of {', '.join(registered())}")
    calls = kind.calls
    if parts and "=" not in parts[0]:
        calls = tuple(parts.pop(0).split("+"))
        for call in calls:
            if call not in kind.calls:
                raise ValueError(f"fault {name!r} on {call!r}: wanted {', '.join(kind.calls)}")
    given = [_read_option(kind, part) for part in _join_values(parts)]
    when = {key: value for key, value in given if key in WHEN}
    options = {key: value for key, value in given if key not in WHEN}
    return FaultRule(kind=kind, calls=calls, options=options, text=text, **when)


def _join_values(parts: list[str]) -> list[str]:
    """Put back together values that hold a colon themselves, such as match=a:b."""
    joined: list[str] = []
    for part in parts:
        if joined and "=" not in part:
            joined[-1] += ":" + part
        else:
            joined.append(part)
    return joined


def _read_option(kind: FaultKind, part: str) -> tuple[str, Any]:
    key, equals, value = part.partition("=")
    readers: dict[str, type] = {"match": str, "rate": float}
    readers |= dict.fromkeys(("after", "every", "each", "times"), int)
    readers |= {name: type(default) for name, default in kind.options.items()}
    if not equals or key not in readers:
        raise ValueError(f"fault {kind.name!r}, option {part!r}: wanted {', '.join(readers)}")
    try:
        read = readers[key](value)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[readers[key]]
        raise ValueError(f"fault {kind.name!r}, {key}={value!r}: wanted {wanted}") from None
    if (
        key in WHEN
        and isinstance(read, int | float)
        and (read < 0 or (read == 0 and key == "every"))
    ):
        raise ValueError(f"fault {kind.name!r}, {key}={value!r}: wanted a number above zero")
    return key, read


@dataclass(slots=True)
class _Armed:
    """A rule and what it has seen so far."""

    rule: FaultRule
    draw: random.Random
    seen: int = 0
    fired: int = 0
    subjects: Counter[str] = field(default_factory=Counter)

    def fires(self, exchange: Exchange) -> bool:
        rule = self.rule
        if exchange.call not in rule.calls or (rule.match and rule.match not in exchange.text):
            return False
        self.seen += 1
        past = self.seen - rule.after
        if past <= 0 or past % rule.every or self.draw.random() >= rule.rate:
            return False
        if rule.times is not None and self.fired >= rule.times:
            return False
        if rule.each is not None and self.subjects[exchange.subject] >= rule.each:
            return False
        self.subjects[exchange.subject] += 1
        self.fired += 1
        return True


class FaultPlan:
    """The rules in force, in order: the first that applies to a request is taken."""

    def __init__(self, rules: list[FaultRule], seed: int) -> None:
        self._armed = [
            _Armed(rule, random.Random(f"{seed}:{place}:{rule}"))
            for place, rule in enumerate(rules)
        ]

    @property
    def texts(self) -> list[str]:
        """Return the rules as they were written."""
        return [str(armed.rule) for armed in self._armed]

    def choose(self, exchange: Exchange) -> FaultRule | None:
        """Return the rule that takes this exchange, None for an honest answer. Counts."""
        return next((armed.rule for armed in self._armed if armed.fires(exchange)), None)
