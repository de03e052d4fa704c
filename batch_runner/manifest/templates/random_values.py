"""Chance that is the same every night: numbers and picks that belong to an item.

They are made from what the item says of itself (its own variables, its id if it has one, which try
it is), not from its place or from the other items: an item added elsewhere changes no picture.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

#: One more than the largest seed: what every image model accepts.
SEEDS = 2**31

canonical = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


class ItemRandom:
    """The source of chance of one item."""

    __slots__ = ("_own",)

    def __init__(self, own: Any) -> None:
        self._own = own

    def seed(self, name: str = "") -> int:
        """Return the item's number from 0 to 2**31 - 1; each name gives another one."""
        return self._number("seed", name) % SEEDS

    def pick(self, options: Any, name: str = "") -> Any:
        """Return one of the options.

        Each option draws a number and the highest wins: an option added later wins some items
        and leaves all the others as they are.
        """
        if isinstance(options, str | dict) or not options:
            raise ValueError("pick wants a list with something in it: pick(['red', 'gold'])")
        seen: dict[str, int] = {}
        best, winner = -1, None
        for option in options:
            text = canonical(option)
            seen[text] = seen.get(text, 0) + 1
            number = self._number("pick", name, text, seen[text])
            if number > best:
                best, winner = number, option
        return winner

    def _number(self, *what: Any) -> int:
        digest = hashlib.sha256(canonical([self._own, *what]).encode()).digest()
        return int.from_bytes(digest[:8])
