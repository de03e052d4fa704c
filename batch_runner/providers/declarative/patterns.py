"""Regular expressions of a description: those that could run for hours on a response are refused.

Python's `re` tries every way in which a pattern can match part of a text. `(a+)+` has 2 to the
power of its length of them.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from batch_runner.util.locale import tr

#: Longest text that a pattern is applied to, in characters.
MAX_TEXT = 512
#: Most ways in which a pattern may match part of such a text.
_MAX_WAYS = 1_000_000
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")

_parser: Any = importlib.import_module("re._parser")


def check_pattern(pattern: str) -> str:
    """Return a regular expression that is valid and quick.

    Raises:
        ValueError: it is not.
    """
    try:
        re.compile(pattern)
        ways = _ways(_parser.parse(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(tr("not a regular expression: {reason}", reason=error)) from None
    if ways > _MAX_WAYS:
        raise ValueError(
            tr("this regular expression could take hours: it repeats what repeats something itself")
        )
    return pattern


def _ways(parsed: Any) -> int:
    """Return an upper bound of the ways in which a parsed pattern can match part of a text."""
    total = 1
    for operation, argument in parsed:
        if str(operation) in _REPEATS:
            least, most, repeated = argument
            most = min(int(most), MAX_TEXT)
            inner = _ways(repeated)
            total *= (max(most - least, 0) + 1) * (inner if inner == 1 else inner**most)
        elif str(operation) == "BRANCH":
            total *= sum(map(_ways, argument[1]))
        else:
            for part in argument if isinstance(argument, tuple) else (argument,):
                total *= _ways(part) if isinstance(part, _parser.SubPattern) else 1
        if total > _MAX_WAYS:
            return _MAX_WAYS + 1
    return total
