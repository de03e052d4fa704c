"""Resolve unquoted YAML values by the 1.2 core schema; refuse what YAML 1.1 reads otherwise."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from batch_runner.util.fullwidth import ascii_form
from batch_runner.util.locale import mark_tr, tr

#: Longest number, in characters; more is a mistake or an attack.
MAX_DIGITS = 300

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TRUTH_1_1 = frozenset(
    spelling
    for word in ("y", "n", "yes", "no", "on", "off")
    for spelling in (word, word.capitalize(), word.upper())
)

#: A value that starts with none of these is text.
_STARTERS = frozenset("+-.0123456789~nNyYtTfFoO=")

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+][0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_AMBIGUOUS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"[-+]?0[0-9_]+"),
        mark_tr("an octal number to some YAML programs, a decimal to others"),
    ),
    (
        re.compile(r"[-+]?0b[01_]+"),
        mark_tr("a binary number to some YAML programs, text to others"),
    ),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"),
        mark_tr("a number in base 60 to some YAML programs, text to others"),
    ),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9].*)?"),
        mark_tr("a date to some YAML programs, text to others"),
    ),
    (
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+"),
        mark_tr("text to some YAML programs, a number to others"),
    ),
    (
        re.compile(r"[-+]?(?:0x[0-9a-fA-F]+_[0-9a-fA-F_]*|\.?[0-9]+(?:_[0-9]*)+(?:\.[0-9_]*)?)"),
        mark_tr("a number to some YAML programs, text to others"),
    ),
    (re.compile(r"="), mark_tr("a special value to some YAML programs, text to others")),
)


@dataclass(frozen=True, slots=True)
class AmbiguousScalar:
    """Problem of a value that YAML programs read differently, and what to write instead."""

    message: str
    hint: str


def resolve_scalar(text: str) -> str | int | float | bool | AmbiguousScalar | None:
    """Return the value of an unquoted scalar, or why it is refused."""
    if not text.isascii():
        return _full_width_number(text) or text
    if text and text[0] not in _STARTERS:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text in _TRUTH_1_1:
        truth = "true" if text.lower() in ("y", "yes", "on") else "false"
        why = tr("{text} is {truth} to some YAML programs, text to others", text=text, truth=truth)
        return AmbiguousScalar(
            why, tr('write "{text}" in quotes for the text, or {truth}', text=text, truth=truth)
        )
    if _INFINITE.fullmatch(text):
        return AmbiguousScalar(
            tr("{text} is not a number that can be sent", text=text), _in_quotes(text)
        )
    for pattern, why in _AMBIGUOUS:
        # YAML 1.1 and 1.2 agree on a decimal with a signed exponent.
        if pattern.fullmatch(text) and not _DECIMAL.fullmatch(text):
            return AmbiguousScalar(tr("{text} is {why}", text=text, why=tr(why)), _otherwise(text))
    return _number(text)


def _full_width_number(text: str) -> AmbiguousScalar | None:
    """Return the problem of a number, true or false in full-width signs; None if it is none."""
    typed = ascii_form(text).rstrip(",; ")
    if not typed.isascii() or isinstance(resolve_scalar(typed), str | AmbiguousScalar | None):
        return None
    return AmbiguousScalar(
        tr("{text} is a text, because it has full-width signs", text=text),
        tr('type {typed} in ASCII for the value, or "{text}" in quotes', typed=typed, text=text),
    )


def _number(text: str) -> str | int | float | AmbiguousScalar:
    integer = _INTEGER.fullmatch(text)
    if not (integer or _BASED.fullmatch(text) or _DECIMAL.fullmatch(text)):
        return text
    if len(text) > MAX_DIGITS:
        return AmbiguousScalar(
            tr("this number has too many digits"), tr("write it in quotes if it is text")
        )
    if integer:
        return int(text)
    if text[:2] in ("0x", "0o"):
        return int(text, 0)
    value = float(text)
    if math.isinf(value):
        return AmbiguousScalar(tr("the number {text} is too large", text=text), _in_quotes(text))
    return value


def _in_quotes(text: str) -> str:
    return tr('write "{text}" in quotes for the text', text=text)


def _otherwise(text: str) -> str:
    """Return the hint: quotes for the text, and the number if there is one."""
    quoted = _in_quotes(text)
    try:
        number = float(text)
    except ValueError:
        return quoted
    return (
        tr("{quoted}, or {number:.15g} for the number", quoted=quoted, number=number)
        if math.isfinite(number)
        else quoted
    )
