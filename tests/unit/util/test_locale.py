"""Whose language is it: as the environment says, and as the terminal can show."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.util.locale import encodable, reader_language, status_word, stop_word, wording

PACKAGE = Path(__file__).parents[3] / "batch_runner"
WORDS = PACKAGE / "report" / "static" / "words.js"


def a_stream(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": ""}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zha_XX.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.utf8"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "zh_HK"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en:zh"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "fr:zh:en"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "fr"}, "zh"),
        ({"LANG": "C", "LANGUAGE": "zh"}, "en"),
        ({"LANGUAGE": "zh"}, "en"),
    ],
)
def test_the_language_is_chosen_as_gettext_does(environment: dict[str, str], language: str) -> None:
    assert reader_language(a_stream(), environment) == language


@pytest.mark.parametrize(
    ("locale", "encoding", "language"),
    [
        ("zh_CN.utf8", "utf-8", "zh"),
        ("zh_CN.UTF-8", "ascii", "en"),
        ("zh_CN.UTF-8", "latin-1", "en"),
        ("zh_CN.GBK", "gbk", "zh"),
        ("zh_CN.GB18030", "gb18030", "zh"),
        ("zh_CN.GBK", "utf-8", "en"),  # the locale is not installed, the terminal is GBK
        ("zh_CN.no-such-codeset", "utf-8", "en"),
        ("zh_CN.UTF-8@pinyin", "utf-8", "zh"),
    ],
)
def test_what_cannot_show_chinese_is_read_in_english(
    locale: str, encoding: str, language: str
) -> None:
    assert reader_language(a_stream(encoding), {"LANG": locale}) == language


def test_the_terminal_and_the_page_call_a_status_the_same() -> None:
    page = WORDS.read_text("utf-8").partition("\n  zh: {")[2]

    for status in ItemStatus:
        match = re.search(rf"status_{status}: '([^']+)'", page)
        assert match is not None
        assert status_word(status, "zh") == match[1]
        assert status_word(status, "en") == status.value


def test_a_sentence_has_two_wordings() -> None:
    assert wording("en", "held", "待定") == "held"
    assert wording("zh", "held", "待定") == "待定"


def test_asking_costs_no_import_of_weight() -> None:
    code = (
        "import sys; before = set(sys.modules); import batch_runner.util.locale as one;"
        "one.reader_language(); print(set(sys.modules) - before)"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert "'locale'" not in loaded
    assert "'gettext'" not in loaded


def test_every_reason_to_stop_has_a_word() -> None:
    sources = (path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    reasons = {
        reason for text in sources for reason in re.findall(r'\bStopReason\(\s*"(\w+)"', text)
    }

    assert len(reasons) > 5
    assert [reason for reason in reasons if stop_word(reason, "zh").isascii()] == []


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("3 done · 待定…", "utf-8", "3 done · 待定…"),
        ("3 done · 待定…", "gbk", "3 done · 待定…"),
        ("3 done · 待定…", "ascii", "3 done - \\u5f85\\u5b9a..."),
        ("待定 🐎", "gbk", "待定 \\U0001f40e"),
    ],
)
def test_what_an_encoding_lacks_is_replaced(text: str, encoding: str, expected: str) -> None:
    assert encodable(text, a_stream(encoding)) == expected


def test_a_terminal_of_another_codeset_is_known_where_its_locale_is_not_installed() -> None:
    coerced = {"LANG": "zh_CN.GBK", "LC_CTYPE": "C.UTF-8"}  # the latter by Python itself

    assert reader_language(a_stream(), coerced) == "en"
    assert reader_language(a_stream(), {**coerced, "LANG": "zh_CN.UTF-8"}) == "zh"
