"""Parse values of settings: durations, rates, prices, sizes, times of day, networks."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from batch_runner.util.fullwidth import ascii_form
from batch_runner.util.locale import tr

#: Largest size in bytes; more is a mistake.
_LARGEST_SIZE = 10**15
#: Name of the price of all workflows that have none of their own.
DEFAULT_PRICE = "default"
#: Most characters of an amount; more is a mistake, and would be rounded.
_MOST_DIGITS = 20
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = r"[0-9]+(?:\.[0-9]+)?\s*(?:ms|s|min|m|h|d)"
DURATION_PATTERN = rf"^\s*(?:{_DURATION_PART}\s*)+$"
RATE_PATTERN = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*([0-9]+(?:\.[0-9]+)?)?\s*(ms|s|min|m|h|d)\s*$"
PRICE_PATTERN = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]{3})\s*$"
SIZE_PATTERN = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*((?:[kKmMgGtT]i?)?)[bB]\s*$"
#: Roughly: `parse_network` knows which numbers are one.
NETWORK_PATTERN = r"^\s*[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?\s*$"
CLOCK_PATTERN = r"^([01][0-9]|2[0-3]):([0-5][0-9])$"

#: This machine, its link (where clouds answer with credentials), and no machine at all. A download
#: from there could read what only this machine may read. As text: Python 3.13 writes ::ffff:0:0/96
#: in another way than earlier versions.
LOCAL_NETWORKS = (
    *("127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/3"),
    *("::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8"),
)


def _unreadable(wanted: str, value: Any, pattern: str) -> ValueError:
    """Return the error for text that does not match `pattern`, with what to type if it would."""
    if isinstance(value, str):
        typed = ascii_form(value).strip("\"' ")
        if typed != value and re.match(pattern, typed):
            wanted = tr("{wanted}; type {typed} (half-width, in ASCII)", wanted=wanted, typed=typed)
    return ValueError(wanted)


def _as_float(value: int | float) -> float:
    """Return `value` as a float; infinity for an integer that is too large."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def parse_duration(value: Any) -> float:
    """Return seconds for "90s", "1h 30m", "500ms" or a plain number of seconds.

    Raises:
        ValueError: it is not a duration, or not a finite number above zero.
    """
    if isinstance(value, bool):
        raise ValueError(tr("wanted a duration such as 90s, 10m or 8h"))
    if isinstance(value, int | float):
        seconds = _as_float(value)
    elif isinstance(value, str) and re.fullmatch(DURATION_PATTERN, value):
        parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d)", value)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        raise _unreadable(tr("wanted a duration such as 90s, 10m or 8h"), value, DURATION_PATTERN)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(tr("wanted a duration above zero"))
    return seconds


_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def parse_flag(value: Any) -> bool:
    """Return the flag for true, "yes", "off", "0" and the like.

    Raises:
        ValueError: it is neither yes nor no.
    """
    flag = value if isinstance(value, bool) else _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ValueError(tr("wanted yes or no"))
    return flag


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` requests in any period of `seconds`."""

    count: float
    seconds: float

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}.get(self.seconds)
        return f"{self.count:g}/{unit or f'{self.seconds:g}s'}"

    @property
    def exact_text(self) -> str:
        """Return text from which `parse_rate` makes the same rate."""
        count, seconds = (format(Decimal(repr(one)), "f") for one in (self.count, self.seconds))
        return f"{count}/{seconds}s"


def parse_rate(value: Any) -> Rate:
    """Return the rate for "5/s", "300/min", "1/2s" or a plain number per second.

    Raises:
        ValueError: it is not a rate, or not a finite number above zero.
    """
    if isinstance(value, Rate):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        count, seconds = _as_float(value), 1.0
    elif isinstance(value, str) and (match := re.match(RATE_PATTERN, value, re.ASCII)):
        count = float(match[1])
        seconds = float(match[2] or 1) * _UNITS[match[3]]
    else:
        raise _unreadable(tr("wanted a rate such as 5/s, 300/min or 100/h"), value, RATE_PATTERN)
    if not (math.isfinite(count) and math.isfinite(seconds) and count > 0 and seconds > 0):
        raise ValueError(tr("wanted a rate above zero"))
    return Rate(count, seconds)


@dataclass(frozen=True, slots=True)
class Price:
    """Price of one submission, or the cost of several; the service is never asked."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"

    @property
    def rounded(self) -> str:
        """Return it with two decimals, as costs are shown."""
        return f"{self.amount:.2f} {self.currency}"

    def times(self, count: int) -> str:
        """Return the cost of `count` submissions as text."""
        return Price(self.amount * count, self.currency).rounded


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of a submission of each workflow, all in one currency."""

    default: Price | None  # of the workflows that are not named; None: unknown
    by_workflow: Mapping[str, Price] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.by_workflow:
            return str(self.default or "")
        return json.dumps({name: str(price) for name, price in self._named()}, ensure_ascii=False)

    def _named(self) -> Iterable[tuple[str, Price]]:
        default = {} if self.default is None else {DEFAULT_PRICE: self.default}
        return ({**default, **self.by_workflow}).items()

    @property
    def currency(self) -> str:
        return next((price.currency for _, price in self._named()), "")

    def of(self, workflow: str) -> Price | None:
        """Return the price of a submission of the workflow, None if it is unknown."""
        return self.by_workflow.get(workflow, self.default)

    def cost(self, submissions: Mapping[str, int]) -> Price | None:
        """Return the cost of so many submissions of each workflow.

        None: one of the workflows has no price.
        """
        total = Decimal(0)
        for workflow, count in submissions.items():
            if count:
                if (price := self.of(workflow)) is None:
                    return None
                total += price.amount * count
        return Price(total, self.currency)


def parse_price(value: Any) -> Price:
    """Return the price for "0.12 CNY".

    Raises:
        ValueError: it is not an amount and a three-letter currency.
    """
    if isinstance(value, Price):
        return value
    match = re.match(PRICE_PATTERN, value, re.ASCII) if isinstance(value, str) else None
    if match is not None and len(match[1]) <= _MOST_DIGITS:
        return Price(Decimal(match[1]), match[2].upper())
    raise _unreadable(tr("wanted an amount and a currency such as 0.12 CNY"), value, PRICE_PATTERN)


def parse_prices(value: Any) -> Prices:
    """Return the prices for "0.12 CNY", or for a mapping of workflows to prices, also as JSON.

    Raises:
        ValueError: it is neither, or the prices are in several currencies.
    """
    if isinstance(value, Prices):
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError):
            value = json.loads(value)
    if not isinstance(value, Mapping):
        return Prices(parse_price(value))
    prices = {}
    for workflow, price in value.items():
        try:
            prices[str(workflow)] = parse_price(price)
        except ValueError as error:
            raise ValueError(f"{workflow}: {error}") from None
    if not prices:
        raise ValueError(tr("wanted a price, or a price for each workflow"))
    if len(currencies := sorted({price.currency for price in prices.values()})) > 1:
        found = ", ".join(currencies)
        raise ValueError(tr("wanted prices in one currency, not in {found}", found=found))
    return Prices(prices.pop(DEFAULT_PRICE, None), prices)


class _CostLimits(Protocol):
    @property
    def max_cost(self) -> Price | None: ...
    @property
    def price(self) -> Prices | None: ...


CostLimits = TypeVar("CostLimits", bound=_CostLimits)


def with_one_currency(limits: CostLimits) -> CostLimits:
    """Return the limits, whose cap on the cost must be in the currency of the prices.

    Raises:
        ValueError: it is not.
    """
    cap, prices = limits.max_cost, limits.price
    if cap is not None and prices is not None and cap.currency != prices.currency:
        raise ValueError(
            tr(
                "limits.max_cost is in {cap}, and limits.price in {price}: give both in one "
                "currency",
                cap=cap.currency,
                price=prices.currency,
            )
        )
    return limits


def parse_threshold(value: Any) -> Price | int:
    """Return the amount for "50 CNY", or the count for a plain number.

    Raises:
        ValueError: it is neither an amount and a currency nor a whole number of submissions.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return parse_price(value)
    except ValueError:
        wanted = tr("wanted a cost such as 50 CNY, or a number of submissions")
        raise _unreadable(wanted, value, PRICE_PATTERN) from None


def parse_size(value: Any) -> int:
    """Return bytes for "200 MB", "2 GiB" or a plain number of bytes.

    Raises:
        ValueError: it is not a size, or less than one byte.
    """
    size: float = 0
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := re.match(SIZE_PATTERN, value, re.ASCII)):
        unit = match[2].lower()
        step = 1024 if unit.endswith("i") else 1000
        size = float(match[1]) * step ** " kmgt".index(unit[:1] or " ")
    if not 1 <= size <= _LARGEST_SIZE:
        wanted = tr("wanted a size such as 200 MB, or a whole number of bytes above 0")
        raise _unreadable(wanted, value, SIZE_PATTERN)
    return int(size)


def parse_clock(value: Any) -> str:
    """Return a time of day such as "06:30" unchanged.

    Raises:
        ValueError: it is not HH:MM.
    """
    if isinstance(value, str) and re.match(CLOCK_PATTERN, value, re.ASCII):
        return value
    wanted = tr('wanted a time of day such as "06:30", in quotes')
    raise _unreadable(wanted, value, CLOCK_PATTERN)


def parse_network(value: Any) -> str:
    """Return a network such as "198.18.0.0/15" in its usual form; an address is one of its own.

    Raises:
        ValueError: it is not a network, or has an address of this machine or of its link.
    """
    if not isinstance(value, str):
        raise ValueError(tr("wanted a network such as 198.18.0.0/15"))
    try:
        given = ipaddress.ip_interface(value.strip())
    except ValueError:
        raise ValueError(tr("wanted a network such as 198.18.0.0/15")) from None
    network = given.network
    if given.ip != network.network_address:
        raise ValueError(tr("the network of this address is {network}", network=network))
    for local in LOCAL_NETWORKS:
        unreachable = ipaddress.ip_network(local)
        if unreachable.version == network.version and unreachable.overlaps(network):
            raise ValueError(
                tr(
                    "it includes addresses in {local}, from which nothing is downloaded",
                    local=local,
                )
            )
    return str(network)
