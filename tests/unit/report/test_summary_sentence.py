from __future__ import annotations

import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.report import summary_sentence
from batch_runner.util.locale import Language, use_language

COST = "2.88 CNY"


def summary(counts: dict[str, int], language: Language = "en", cost: str | None = COST) -> str:
    by_status = {ItemStatus(word): count for word, count in counts.items()}
    with use_language(language):
        return summary_sentence(by_status, submissions=24, cost=cost, seconds=372)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        pytest.param(
            {"done": 24},
            "All 24 items are done; 24 submissions, 2.88 CNY, took 6 min 12 s.",
            id="all-done",
        ),
        pytest.param(
            {"done": 1},
            "The only item is done; 24 submissions, 2.88 CNY, took 6 min 12 s.",
            id="one-done",
        ),
        pytest.param(
            {},
            "The job has no items; 24 submissions, 2.88 CNY, took 6 min 12 s.",
            id="no-items",
        ),
        pytest.param(
            {"done": 20, "held": 2, "failed": 1, "pending": 1},
            "2 of 24 items held (may have been paid, waiting for your decision); "
            "20 done, 1 failed, 1 not finished; 24 submissions, 2.88 CNY, took 6 min 12 s.",
            id="held-leads",
        ),
        pytest.param(
            {"failed": 3},
            "3 of 3 items failed (the report has the reasons); "
            "24 submissions, 2.88 CNY, took 6 min 12 s.",
            id="everything-failed",
        ),
        pytest.param(
            {"rejected": 1},
            "The only item is rejected (by the service; nothing was paid); 24 submissions, "
            "2.88 CNY, took 6 min 12 s.",
            id="one-rejected",
        ),
        pytest.param(
            {"done": 1, "pending": 1, "submitted": 2},
            "3 of 4 items not finished (the next run continues); 1 done; "
            "24 submissions, 2.88 CNY, took 6 min 12 s.",
            id="stopped-early",
        ),
    ],
)
def test_most_urgent_outcome_comes_first(counts: dict[str, int], sentence: str) -> None:
    assert summary(counts) == sentence


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"done": 24}, "24 项全部完成；提交 24 次，2.88 CNY，用时 6 分 12 秒。"),
        (
            {"done": 20, "held": 2, "failed": 1},
            "23 项中有 2 项待定（可能已计费，等待您决定）；20 项完成，1 项失败；"
            "提交 24 次，2.88 CNY，用时 6 分 12 秒。",
        ),
    ],
)
def test_sentence_in_chinese(counts: dict[str, int], sentence: str) -> None:
    assert summary(counts, "zh") == sentence


@pytest.mark.parametrize(
    ("language", "before"),
    [
        ("en", "not finished (the next run continues); 1 done; stopped early: "),
        ("zh", "项未完成（下次运行会继续）；1 项完成；提前停止："),
    ],
)
@pytest.mark.parametrize(
    ("stopped", "en", "zh"),
    [
        ("the deadline has come", "the deadline has come; ", "截止时间已到；"),
        ("a\x1b[2J\nb.", "a [2J b; ", "a [2J b；"),
    ],
)
def test_stop_reason_is_given_while_items_are_unfinished(
    stopped: str, en: str, zh: str, language: Language, before: str
) -> None:
    def sentence(**counts: int) -> str:
        by_status = {ItemStatus(word): count for word, count in counts.items()}
        with use_language(language):
            return summary_sentence(by_status, submissions=4, cost=None, seconds=9, stopped=stopped)

    assert before + (en if language == "en" else zh) in sentence(done=1, pending=2)
    assert en not in sentence(done=1, failed=1)
    assert zh not in sentence(done=1, failed=1)


def test_unknown_price_leaves_out_the_cost() -> None:
    assert (
        summary({"done": 24}, cost=None)
        == "All 24 items are done; 24 submissions, took 6 min 12 s."
    )


@pytest.mark.parametrize("status", list(ItemStatus))
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_status_is_mentioned(status: ItemStatus, language: Language) -> None:
    assert "7" in summary({status.value: 7}, language, cost=None)
