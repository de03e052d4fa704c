"""Texts that stand for amounts: durations, distributions of service times, rates."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)?(ms|s|min|m|h|d)(?::burst=(\d+))?")

# A strict service still forgives two requests back to back: networks bunch what was sent evenly.
DEFAULT_BURST = 2
# Spread of each hump of "mix": tight enough for the humps to stay apart.
HUMP_SIGMA = 0.1


def parse_duration(text: str | float) -> float:
    """Return seconds for "2s", "500ms", "1.5h" or a plain number of seconds.

    Raises:
        ValueError: it is not a duration of zero or more.
    """
    if isinstance(text, str):
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no duration; wanted one such as 2s, 500ms or 10m")
        return float(match[1]) * _UNITS[match[2] or ""]
    if isinstance(text, bool) or not math.isfinite(text) or text < 0:
        raise ValueError(f"{text!r} is no duration; wanted zero or more seconds")
    return float(text)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Something durations are drawn from; `text` is how it was written."""

    text: str
    sample: Callable[[random.Random], float]


def _fixed(seconds: float) -> Callable[[random.Random], float]:
    return lambda _: seconds


def _uniform(low: float, high: float) -> Callable[[random.Random], float]:
    return lambda draw: draw.uniform(low, high)


def _exponential(mean: float) -> Callable[[random.Random], float]:
    return lambda draw: draw.expovariate(1 / mean) if mean else 0.0


def _lognormal(median: float, sigma: float) -> Callable[[random.Random], float]:
    return lambda draw: median * math.exp(draw.gauss(0.0, sigma))


def _mix(*humps: float) -> Callable[[random.Random], float]:
    return lambda draw: draw.choice(humps) * math.exp(draw.gauss(0.0, HUMP_SIGMA))


def parse_distribution(text: str | float) -> Distribution:
    """Return the distribution for "2s", "uniform:1,3", "exp:20", "lognormal:30,0.4", "mix:5,60".

    Raises:
        ValueError: it is none of these.
    """
    if not isinstance(text, str) or ":" not in text:
        return Distribution(str(text), _fixed(parse_duration(text)))
    name, _, rest = text.partition(":")
    try:
        numbers = [parse_duration(part) for part in rest.split(",")]
    except ValueError as error:
        raise ValueError(f"service time {text!r}: {error}") from None
    match name.strip(), numbers:
        case "uniform", [low, high] if low <= high:
            return Distribution(text, _uniform(low, high))
        case "exp", [mean]:
            return Distribution(text, _exponential(mean))
        case "lognormal", [median, sigma]:
            return Distribution(text, _lognormal(median, sigma))
        case "mix", [_, _, *_]:
            return Distribution(text, _mix(*numbers))
    raise ValueError(
        f"{text!r} is no service time; wanted 2s, uniform:1,3, exp:20, "
        "lognormal:30,0.4 (median, sigma) or mix:5,60 (two humps)"
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in `seconds`, of which `burst` may come at once."""

    count: float
    seconds: float
    burst: int

    @property
    def interval(self) -> float:
        """Return the seconds that one request uses up."""
        return self.seconds / self.count


def parse_rate(text: str) -> Rate:
    """Return the rate for "5/s", "300/min" or "100/s:burst=10".

    Raises:
        ValueError: it is not a rate above zero.
    """
    match = _RATE.fullmatch(text.replace(" ", ""))
    if match is None or not float(match[1]) or match[4] == "0":
        raise ValueError(f"{text!r} is no rate; wanted one such as 5/s, 300/min or 100/s:burst=10")
    seconds = float(match[2] or 1) * _UNITS[match[3]]
    if not seconds:
        raise ValueError(f"{text!r} is no rate; wanted a period above zero")
    return Rate(float(match[1]), seconds, int(match[4] or DEFAULT_BURST))
