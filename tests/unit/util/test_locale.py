"""Choice of the language, and messages in it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.report.words import page_words
from batch_runner.util.locale import (
    current_language,
    encodable,
    reader_language,
    status_word,
    stop_word,
    tr,
    tr_n,
    use_language,
)

PACKAGE = Path(__file__).parents[3] / "batch_runner"


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
def test_language_is_chosen_as_gettext_does(environment: dict[str, str], language: str) -> None:
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
def test_stream_without_chinese_gets_english(locale: str, encoding: str, language: str) -> None:
    assert reader_language(a_stream(encoding), {"LANG": locale}) == language


def test_terminal_and_report_use_the_same_status_words() -> None:
    words = page_words()["zh"]

    for status in ItemStatus:
        assert status_word(status) == status.value
        with use_language("zh"):
            assert status_word(status) == words[f"status_{status}"]


def test_tr_uses_the_current_language() -> None:
    assert tr("held") == "held"
    with use_language("zh"):
        assert tr("held") == "待定"
        assert tr("sent {time}", time="{a}") == "发出于 {a}"
        assert tr("not in the catalogue: {a}", a=1) == "not in the catalogue: 1"
        assert tr("") == ""
    assert current_language() == "en"


def test_tr_without_values_keeps_braces() -> None:
    assert tr("{{ prompt }}") == "{{ prompt }}"


@pytest.mark.parametrize(("count", "en"), [(1, "1 submission"), (2, "2 submissions")])
def test_tr_n_counts_in_both_languages(count: int, en: str) -> None:
    assert tr_n("{count} submission", "{count} submissions", count) == en
    with use_language("zh"):
        assert tr_n("{count} submission", "{count} submissions", count) == f"提交 {count} 次"


@pytest.mark.anyio
async def test_language_reaches_tasks_and_worker_threads() -> None:
    answers = []

    async def ask() -> None:
        answers.append(tr("held"))
        answers.append(await anyio.to_thread.run_sync(tr, "held"))

    with use_language("zh"):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)

    assert answers == ["待定", "待定"]


def test_english_readers_import_no_gettext() -> None:
    code = (
        "import sys; before = set(sys.modules); import batch_runner.util.locale as one;"
        "one.reader_language(); one.tr('held'); print(set(sys.modules) - before)"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert "'locale'" not in loaded
    assert "'gettext'" not in loaded


def test_every_stop_reason_is_translated() -> None:
    sources = (path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    reasons = {
        reason for text in sources for reason in re.findall(r'\bStopReason\(\s*"(\w+)"', text)
    }

    assert len(reasons) > 5
    with use_language("zh"):
        assert [reason for reason in reasons if stop_word(reason).isascii()] == []


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("3 done · 待定…", "utf-8", "3 done · 待定…"),
        ("3 done · 待定…", "gbk", "3 done · 待定…"),
        ("3 done · 待定…", "ascii", "3 done - \\u5f85\\u5b9a..."),
        ("待定 🐎", "gbk", "待定 \\U0001f40e"),
    ],
)
def test_encodable_replaces_unencodable_characters(text: str, encoding: str, expected: str) -> None:
    assert encodable(text, a_stream(encoding)) == expected


def test_terminal_codeset_differs_from_the_stream_encoding() -> None:
    coerced = {"LANG": "zh_CN.GBK", "LC_CTYPE": "C.UTF-8"}  # the latter by Python itself

    assert reader_language(a_stream(), coerced) == "en"
    assert reader_language(a_stream(), {**coerced, "LANG": "zh_CN.UTF-8"}) == "zh"
