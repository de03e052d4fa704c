"""The reader's language, Chinese or English, and messages in it.

English messages are in the code, the Chinese ones in the gettext catalogue under
`locales/zh/LC_MESSAGES`. Only what people read is translated: never `--json`, log files, exit codes
or anything that is stored. The report has both languages (`report/words.py`).
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from gettext import NullTranslations  # slow to import, and needed for Chinese only

Language = Literal["en", "zh"]

DOMAIN = "batch_runner"
CATALOGUES = Path(__file__).parent.parent / "locales"

_language: ContextVar[Language] = ContextVar("language", default="en")


def tr(message: str, /, **values: object) -> str:
    """Return `message` in the current language with `{name}` fields replaced by `values`.

    Without values the text is returned as it is, braces included. `message` is a literal, so that
    `make catalogues` finds it; mark a literal that is translated elsewhere with `mark_tr`.
    """
    if message and _language.get() == "zh":
        message = _chinese().gettext(message)
    return message.format(**values) if values else message


def tr_n(singular: str, plural: str, /, count: int, **values: object) -> str:
    """Return the message for `count` things in the current language; `{count}` is a field, too."""
    if _language.get() == "zh":
        message = _chinese().ngettext(singular, plural, count)
    else:
        message = singular if count == 1 else plural
    return message.format(count=count, **values)


def mark_tr(message: str, /) -> str:
    """Return `message` unchanged; marks a literal for the catalogue that `tr` translates later."""
    return message


@contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Let `tr` answer in this language; without it, as in a library, it answers in English."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def current_language() -> Language:
    return _language.get()


@cache
def _chinese() -> NullTranslations:
    import gettext

    return gettext.translation(DOMAIN, CATALOGUES, ["zh"], fallback=True)


#: Item statuses are shown in English as they are stored.
STATUSES = (
    mark_tr("pending"),
    mark_tr("submitting"),
    mark_tr("submitted"),
    mark_tr("downloading"),
    mark_tr("done"),
    mark_tr("failed"),
    mark_tr("rejected"),
    mark_tr("held"),
    mark_tr("download_pending"),
    mark_tr("dropped"),
)
#: Why a run stops early, by `StopReason.reason`.
_STOPS = {
    "signal": mark_tr("stop signal"),
    "cancelled": mark_tr("cancelled by the calling program"),
    "deadline": mark_tr("deadline reached"),
    "cap": mark_tr("spending cap reached"),
    "disk": mark_tr("files cannot be stored"),
    "journal": mark_tr("journal not writable"),
    "forbidden": mark_tr("access denied by the service (key or balance)"),
    "redirected": mark_tr("the service redirects to another address"),
    "proxy": mark_tr("the proxy refuses requests"),
    "outage": mark_tr("no response from the service"),
    "limited": mark_tr("the service asks to come back later"),
    "breaker": mark_tr("repeated errors of the service"),
    "local": mark_tr("out of local resources"),
    "cluster_stop": mark_tr("`batch-runner cluster stop` was used"),
    "restored": mark_tr("the database is older than it was"),
}

#: Replacements for our own symbols where an encoding lacks them.
_PLAIN = str.maketrans({"·": "-", "…": "...", "━": "#", "─": "-", "–": "-"})


def reader_language(
    stream: TextIO | None = None, environment: Mapping[str, str] | None = None
) -> Language:
    """Return the language for readers of `stream` (default: standard output).

    Chosen as gettext does: the first of LC_ALL, LC_MESSAGES and LANG that is set names the locale;
    unless that is C, the list in LANGUAGE takes precedence. English if the stream's encoding has no
    Chinese characters.
    """
    environment = os.environ if environment is None else environment
    locale = _first(environment, "LC_ALL", "LC_MESSAGES", "LANG")
    if locale.partition(".")[0] in ("", "C", "POSIX"):
        return "en"
    for wanted in (*environment.get("LANGUAGE", "").split(":"), locale):
        language = wanted.lower().replace("-", "_").partition(".")[0].partition("_")[0]
        if language == "zh":
            return "zh" if _shows_chinese(stream or sys.stdout, _codeset(environment)) else "en"
        if language == "en":
            return "en"
    return "en"


def status_word(status: str) -> str:
    """Return the status of an item in the current language."""
    return tr(str(status))


def items_text(count: int) -> str:
    """Return a number of items, such as "2 items"."""
    return tr_n("{count} item", "{count} items", count)


def submissions_text(count: int) -> str:
    """Return a number of submissions, such as "2 submissions"."""
    return tr_n("{count} submission", "{count} submissions", count)


def stop_word(reason: str) -> str:
    """Return why a run stops, in a few words of the current language."""
    return tr(_STOPS.get(reason, reason))


def encodable(text: str, stream: TextIO | None = None) -> str:
    """Return `text` with characters that `stream` (default: stdout) cannot encode replaced."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((text for name in names if (text := environment.get(name))), "")


def _codeset(environment: Mapping[str, str]) -> str:
    """Return the terminal's codeset according to the environment.

    LC_CTYPE=C.UTF-8 is ignored: Python sets it itself when the locale is not installed.
    """
    of_type = environment.get("LC_CTYPE", "")
    names = ("LC_ALL", "LANG") if of_type.startswith("C.") else ("LC_ALL", "LC_CTYPE", "LANG")
    return _first(environment, *names).partition(".")[2]


def _shows_chinese(stream: TextIO, codeset: str) -> bool:
    """Return whether `stream` can encode Chinese, in the codeset that the terminal reads.

    The two differ when the locale is not installed: Python then writes UTF-8 to a terminal that may
    read GBK.
    """
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        "简体中文".encode(encoding)
        named = codeset.partition("@")[0]
        return not named or codecs.lookup(named).name == codecs.lookup(encoding).name
    except (UnicodeEncodeError, LookupError):
        return False
