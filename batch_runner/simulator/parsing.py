"""Parsing of durations, of distributions of service times, and of rates."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)?(ms|s|min|m|h|d)(?::burst=(\d+))?")

# Two requests at once are allowed, because a network may bunch evenly sent requests.
DEFAULT_BURST = 2
# Spread of each peak of "mix", small enough to keep the peaks apart.
PEAK_SIGMA = 0.1


def parse_duration(text: str | float) -> float:
    """Return seconds for "2s", "500ms", "1.5h" or a plain number of seconds.

    Raises:
        ValueError: `text` is not a duration of zero or more.
    """
    if isinstance(text, str):
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a duration; write one such as 2s, 500ms or 10m")
        return float(match[1]) * _UNITS[match[2] or ""]
    if isinstance(text, bool) or not math.isfinite(text) or text < 0:
        raise ValueError(f"{text!r} is not a duration; write zero or more seconds")
    return float(text)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of durations in seconds, and its text."""

    text: str
    sample: Callable[[random.Random], float]


def _fixed(seconds: float) -> Callable[[random.Random], float]:
    return lambda _: seconds


def _uniform(low: float, high: float) -> Callable[[random.Random], float]:
    return lambda rng: rng.uniform(low, high)


def _exponential(mean: float) -> Callable[[random.Random], float]:
    return lambda rng: rng.expovariate(1 / mean) if mean else 0.0


def _lognormal(median: float, sigma: float) -> Callable[[random.Random], float]:
    return lambda rng: median * math.exp(rng.gauss(0.0, sigma))


def _mix(*peaks: float) -> Callable[[random.Random], float]:
    return lambda rng: rng.choice(peaks) * math.exp(rng.gauss(0.0, PEAK_SIGMA))


def parse_distribution(text: str | float) -> Distribution:
    """Return the distribution for "2s", "uniform:1,3", "exp:20", "lognormal:30,0.4", "mix:5,60".

    Raises:
        ValueError: `text` is none of these.
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
        f"{text!r} is not a service time; write one such as 2s, uniform:1,3, exp:20, "
        "lognormal:30,0.4 (median, sigma) or mix:5,60 (two peaks)"
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in `seconds`, of which `burst` may arrive at once."""

    count: float
    seconds: float
    burst: int

    @property
    def interval(self) -> float:
        """Return the seconds between two requests."""
        return self.seconds / self.count


def parse_rate(text: str) -> Rate:
    """Return the rate for "5/s", "300/min" or "100/s:burst=10".

    Raises:
        ValueError: `text` is not a rate above zero.
    """
    match = _RATE.fullmatch(text.replace(" ", ""))
    if match is None or not float(match[1]) or match[4] == "0":
        raise ValueError(f"{text!r} is not a rate; write one such as 5/s, 300/min or 9/s:burst=3")
    seconds = float(match[2] or 1) * _UNITS[match[3]]
    if not seconds:
        raise ValueError(f"{text!r} is not a rate; its period must be above zero")
    return Rate(float(match[1]), seconds, int(match[4] or DEFAULT_BURST))
