"""How an answer failed, read from its HTTP status and the service's own code."""

from __future__ import annotations

import re
from collections.abc import Collection

from batch_runner.errors import Failure

#: Said in a message when the account is empty, whatever the code; nothing documents the code.
_BALANCE = re.compile(
    r"余额|欠费|insufficient\s+(balance|credit|fund|quota)|balance\s+(is\s+)?(not\s+enough|too\s+low)",
    re.IGNORECASE,
)
_FORBIDDEN = frozenset({401, 402, 403})
_UNKNOWN = frozenset({404, 410})
_UNSURE = frozenset({408, 409, 425})


def classify(
    status: int, code: str | None, message: str = "", *, unsent: Collection[int] = ()
) -> Failure | None:
    """Return how an answer with this HTTP status and service code failed; None: it did not.

    `code` is the service's own as text, None when the answer has none. `unsent` lists HTTP
    statuses that the operator knows to mean "this create was not accepted".
    """
    if 200 <= status < 300:
        if code in (None, "0"):
            return None
        return _refusal(int(code) if code.isdecimal() and len(code) < 10 else 0, message)
    if status in unsent:
        return Failure.LIMITED
    if 300 <= status < 400:
        return Failure.REDIRECTED
    if status in _UNSURE or status >= 500:
        return Failure.AMBIGUOUS
    if 400 <= status < 500:
        return _refusal(status, message)
    return Failure.NO_RESPONSE


def _refusal(number: int, message: str) -> Failure:
    if number in _FORBIDDEN or _BALANCE.search(message):
        return Failure.FORBIDDEN
    if number in _UNKNOWN:
        return Failure.NOT_FOUND
    return Failure.LIMITED if number == 429 else Failure.REJECTED


def without_quotes(message: str, sent: str) -> str:
    """Return what tells of our balance in an answer's message: nothing, if it quotes us.

    A refusal often repeats the prompt, and that may speak of balances, too.
    """
    return "" if any(found[0] in sent for found in _BALANCE.finditer(message)) else message
