"""Reproducible random values of an item: seed() and pick().

They are derived from the item's own variables, its given id and its repeat number, not from its
position or from other items: adding an item changes no other item's result.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from jinja2.exceptions import TemplateRuntimeError

from batch_runner.util.locale import tr

#: One more than the largest seed, which every image model accepts.
SEEDS = 2**31

canonical = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


class ItemRandom:
    """Random values of one item."""

    __slots__ = ("_own",)

    def __init__(self, own: Any) -> None:
        self._own = own

    def seed(self, name: str = "") -> int:
        """Return a number from 0 to 2**31 - 1; each `name` gives another one."""
        return self._number("seed", name) % SEEDS

    def pick(self, options: Any, name: str = "") -> Any:
        """Return one of the options.

        The option with the highest hash is picked: an option added later is picked for some items,
        and the picks of the others stay as they are.
        """
        if isinstance(options, str | dict) or not options:
            raise TemplateRuntimeError(
                tr("pick() needs a list of at least one option, such as pick(['red', 'gold'])")
            )
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
