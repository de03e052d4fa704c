"""The reader's language, Chinese or English, and saying a sentence in it.

Only what people read on a terminal is translated: never `--json`, log files, or the words that are
stored. The page has its own words (`report/static/words.js`); the terms are the same.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

Language = Literal["en", "zh"]

#: The item statuses in Chinese; in English they are called what they are stored as.
_STATUSES = {
    "pending": "等待中",
    "submitting": "创建中",
    "submitted": "生成中",
    "downloading": "取回中",
    "done": "完成",
    "failed": "失败",
    "rejected": "被拒绝",
    "held": "待定",
    "download_pending": "未取回",
    "dropped": "已放弃",
}
#: Why a run stopped early, by the short word that `StopReason.reason` holds.
_STOPS = {
    "signal": "收到停止信号",
    "deadline": "截止时间已到",
    "cap": "达到创建次数上限",
    "disk": "磁盘空间不足",
    "journal": "记录无法写入",
    "forbidden": "服务端拒绝访问（密钥或余额）",
    "outage": "服务端长时间没有答复",
    "limited": "服务端要求过后再来",
    "breaker": "服务端连续出错",
    "local": "本机资源不足",
}

#: Our own signs, for terminals that lack them.
_PLAIN = str.maketrans({"·": "-", "…": "...", "━": "#", "─": "-", "–": "-"})


def reader_language(
    stream: TextIO | None = None, environment: Mapping[str, str] | None = None
) -> Language:
    """Return the language of who reads `stream` (default: standard output).

    Chosen as gettext does: LC_ALL, LC_MESSAGES or LANG, the first that is set, names the locale;
    unless that is C, the list in LANGUAGE goes before it. A stream whose encoding cannot show
    Chinese is read in English.
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


def wording(language: Language, en: str, zh: str) -> str:
    """Return one of two wordings of the same sentence."""
    return zh if language == "zh" else en


def status_word(status: str, language: Language) -> str:
    """Return what an item's status is called."""
    return _STATUSES[status] if language == "zh" else str(status)


def stop_word(reason: str, language: Language) -> str:
    """Return why a run stops, in a few words."""
    return _STOPS.get(reason, reason) if language == "zh" else reason


def encodable(text: str, stream: TextIO | None = None) -> str:
    """Return `text` with what the encoding of `stream` (default: stdout) lacks replaced."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((text for name in names if (text := environment.get(name))), "")


def _codeset(environment: Mapping[str, str]) -> str:
    """Return the codeset that the terminal is said to have.

    LC_CTYPE=C.UTF-8 says nothing of it: Python sets that itself where a locale is not installed.
    """
    of_type = environment.get("LC_CTYPE", "")
    names = ("LC_ALL", "LANG") if of_type.startswith("C.") else ("LC_ALL", "LC_CTYPE", "LANG")
    return _first(environment, *names).partition(".")[2]


def _shows_chinese(stream: TextIO, codeset: str) -> bool:
    """Say whether Chinese written to `stream` arrives at a terminal that reads `codeset`.

    The two differ when the locale is not installed: then Python writes UTF-8 to, say, a GBK
    terminal.
    """
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        "".join(_STATUSES.values()).encode(encoding)
        named = codeset.partition("@")[0]
        return not named or codecs.lookup(named).name == codecs.lookup(encoding).name
    except (UnicodeEncodeError, LookupError):
        return False
