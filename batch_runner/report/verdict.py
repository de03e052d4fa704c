"""One sentence on how a job stands: what came of the items, what it cost, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from batch_runner.lifecycle import UNFINISHED, ItemStatus
from batch_runner.units import Price
from batch_runner.util.text import duration, printable


class _Trouble(NamedTuple):
    """What can be said of items that are not done; `one` and `many` are English predicates."""

    statuses: tuple[ItemStatus, ...]
    one: str
    many: str
    meaning: str
    zh: str
    zh_meaning: str


#: The most urgent first: the first that applies leads the sentence and is explained.
_TROUBLES = (
    _Trouble(
        (ItemStatus.HELD,),
        "is held",
        "are held",
        "may have been paid, waiting for your decision",
        "待定",
        "可能已计费，等待您决定",
    ),
    _Trouble(
        (ItemStatus.DOWNLOAD_PENDING,),
        "is not fetched",
        "are not fetched",
        "paid, and the next run fetches for free",
        "未取回",
        "已计费，下次运行会免费取回",
    ),
    _Trouble((ItemStatus.FAILED,), "failed", "failed", "the report says why", "失败", "原因见报告"),
    _Trouble(
        (ItemStatus.REJECTED,),
        "was refused",
        "were refused",
        "the service said no, nothing was paid",
        "被拒绝",
        "服务端拒绝，未计费",
    ),
    _Trouble(
        UNFINISHED,
        "is not finished",
        "are not finished",
        "the next run goes on from here",
        "未完成",
        "下次运行会从这里继续",
    ),
    _Trouble(
        (ItemStatus.DROPPED,),
        "was dropped",
        "were dropped",
        "given up by you, counted as paid",
        "已放弃",
        "由您放弃，按已计费计算",
    ),
)


def verdict_sentence(
    counts: Mapping[ItemStatus, int],
    *,
    submissions: int,
    price: Price | None,
    seconds: float,
    stopped: str | None = None,
    language: str = "en",
) -> str:
    """Return how the job stands, in one sentence.

    `submissions` are those assumed paid, `price` is that of one create (None: unknown, no cost is
    told), `seconds` the time spent, `stopped` why the last run ended early if it did: told while
    something is not finished. `language` is a tag such as "zh-CN"; what is not Chinese is told in
    English.
    """
    chinese = is_chinese(language)
    parts = [_outcome_zh(counts) if chinese else _outcome_en(counts)]
    if stopped and any(counts.get(status) for status in UNFINISHED):
        parts.append(_stopped_zh(stopped) if chinese else f"stopped early: {_clause(stopped)}")
    parts.append(_effort(submissions, price, seconds, chinese=chinese))
    return "；".join(parts) + "。" if chinese else "; ".join(parts) + "."


def is_chinese(language: str) -> bool:
    """Say whether a language tag or locale name (zh, zh-CN, zh_CN.UTF-8) means Chinese."""
    return language.lower().replace("_", "-").split("-")[0].split(".")[0] == "zh"


def _present(counts: Mapping[ItemStatus, int]) -> list[tuple[int, _Trouble]]:
    numbers = ((sum(counts.get(one, 0) for one in two.statuses), two) for two in _TROUBLES)
    return [(number, trouble) for number, trouble in numbers if number]


def _outcome_en(counts: Mapping[ItemStatus, int]) -> str:
    total, done = sum(counts.values()), counts.get(ItemStatus.DONE, 0)
    if total == 0:
        return "The job lists no items"
    if done == total:
        return f"All {total} items are done" if total > 1 else "The one item is done"
    (number, first), *others = _present(counts)
    of = f"{number} of {total} items" if total > 1 else "The one item"
    lead = f"{of} {first.one if number == 1 else first.many} ({first.meaning})"
    rest = [f"{n} {trouble.one if n == 1 else trouble.many}" for n, trouble in others]
    if done:
        rest.insert(0, f"{done} {'is' if done == 1 else 'are'} done")
    return "; ".join([lead, ", ".join(rest)]) if rest else lead


def _outcome_zh(counts: Mapping[ItemStatus, int]) -> str:
    total, done = sum(counts.values()), counts.get(ItemStatus.DONE, 0)
    if total == 0:
        return "清单为空"
    if done == total:
        return f"{total} 项全部完成"
    (number, first), *others = _present(counts)
    lead = f"{total} 项中有 {number} 项{first.zh}（{first.zh_meaning}）"
    rest = [f"{n} 项{trouble.zh}" for n, trouble in others]
    if done:
        rest.insert(0, f"{done} 项完成")
    return "，".join([lead, *rest])


def _stopped_zh(why: str) -> str:
    # A plan that came to its end is told in Chinese; anything else in the words it came with.
    planned = {"deadline": "截止时间已到", "spend cap": "达到创建次数上限"}
    told = next((zh for word, zh in planned.items() if word in why), _clause(why))
    return f"提前停止：{told}"


def _clause(text: str) -> str:
    return printable(text, 200).rstrip(".")


def _effort(submissions: int, price: Price | None, seconds: float, *, chinese: bool) -> str:
    plural = "" if submissions == 1 else "s"
    parts = [f"创建 {submissions} 次" if chinese else f"{submissions} create{plural}"]
    if price is not None:
        parts.append(price.times(submissions))
    took = duration(seconds, language="zh" if chinese else "en")
    parts.append(f"用时 {took}" if chinese else took)
    return ("，" if chinese else ", ").join(parts)
