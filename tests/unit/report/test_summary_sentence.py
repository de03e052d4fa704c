from __future__ import annotations

import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.report import verdict_sentence
from batch_runner.units import Price

PRICE = Price(0.12, "CNY")


def verdict(counts: dict[str, int], language: str = "en", price: Price | None = PRICE) -> str:
    by_status = {ItemStatus(word): count for word, count in counts.items()}
    return verdict_sentence(by_status, submissions=24, price=price, seconds=372, language=language)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        pytest.param(
            {"done": 24}, "All 24 items are done; 24 creates, 2.88 CNY, 6 min 12 s.", id="all-done"
        ),
        pytest.param(
            {"done": 1}, "The one item is done; 24 creates, 2.88 CNY, 6 min 12 s.", id="one-done"
        ),
        pytest.param(
            {}, "The job lists no items; 24 creates, 2.88 CNY, 6 min 12 s.", id="nothing-listed"
        ),
        pytest.param(
            {"done": 20, "held": 2, "failed": 1, "pending": 1},
            "2 of 24 items are held (may have been paid, waiting for your decision); "
            "20 are done, 1 failed, 1 is not finished; 24 creates, 2.88 CNY, 6 min 12 s.",
            id="held-leads",
        ),
        pytest.param(
            {"failed": 3},
            "3 of 3 items failed (the report says why); 24 creates, 2.88 CNY, 6 min 12 s.",
            id="everything-failed",
        ),
        pytest.param(
            {"done": 1, "pending": 1, "submitted": 2},
            "3 of 4 items are not finished (the next run goes on from here); 1 is done; "
            "24 creates, 2.88 CNY, 6 min 12 s.",
            id="stopped-early",
        ),
    ],
)
def test_the_most_urgent_comes_first(counts: dict[str, int], sentence: str) -> None:
    assert verdict(counts) == sentence


def test_chinese_is_told_in_chinese() -> None:
    assert (
        verdict({"done": 24}, "zh_CN.UTF-8")
        == "24 项全部完成；创建 24 次，2.88 CNY，用时 6 分 12 秒。"
    )


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "are not finished (the next run goes on from here); 1 is done; stopped early: "),
        ("zh", "项未完成（下次运行会从这里继续），1 项完成；提前停止："),
    ],
)
@pytest.mark.parametrize(
    ("stopped", "en", "zh"),
    [
        ("the deadline has come", "the deadline has come; ", "截止时间已到；"),
        ("a\x1b[2J\nb.", "a [2J b; ", "a [2J b；"),
    ],
)
def test_why_it_stopped_is_told_while_something_is_not_finished(
    stopped: str, en: str, zh: str, language: str, told: str
) -> None:
    def said(**counts: int) -> str:
        by_status = {ItemStatus(word): count for word, count in counts.items()}
        words = {"language": language, "stopped": stopped}
        return verdict_sentence(by_status, submissions=4, price=None, seconds=9, **words)

    assert told + (en if language == "en" else zh) in said(done=1, pending=2)
    assert en not in said(done=1, failed=1)
    assert zh not in said(done=1, failed=1)


def test_an_unknown_price_is_not_guessed() -> None:
    assert verdict({"done": 24}, price=None) == "All 24 items are done; 24 creates, 6 min 12 s."


@pytest.mark.parametrize("status", list(ItemStatus))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_status_goes_unmentioned(status: ItemStatus, language: str) -> None:
    assert "7" in verdict({status.value: 7}, language, price=None)
