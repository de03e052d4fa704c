"""The texts of `plan` and of the preview of `run`, in English and Chinese."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.lifecycle import UNDERWAY, ItemStatus
from batch_runner.util.locale import status_word, wording
from batch_runner.util.text import counted, duration, json_text, printable

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.journal import ItemSummary
    from batch_runner.models import ItemSpec
    from batch_runner.planning.blockers import Blocker
    from batch_runner.planning.estimate import Estimate
    from batch_runner.planning.plan import Plan, RunPreview
    from batch_runner.settings import Limits
    from batch_runner.util.locale import Language

#: Items of a kind that a line names.
NAMES = 3

#: Statuses in the order of the lines; those in flight count as one.
_ORDER = (
    ItemStatus.DONE,
    ItemStatus.SUBMITTED,
    ItemStatus.HELD,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
    ItemStatus.PENDING,
)

#: Text of each kind of blocker: English, Chinese.
_BLOCKERS = {
    "cap": (
        "the spend cap of {cap} creates leaves out {left_out}",
        "花费上限为 {cap} 次创建，有 {left_out} 项不会创建",
    ),
    "cap_reached": (
        "the cap of {cap} submissions is reached; none is sent (raise limits.max_submissions)",
        "已达到花费上限 {cap} 次创建，不会再创建（可调高 limits.max_submissions）",
    ),
    "deadline": (
        "a run ends after {left}, and this takes about {seconds}; the next run goes on",
        "本次运行将在 {left} 后结束，而全部完成约需 {seconds}；剩余部分由下次运行继续",
    ),
    "held": (
        "{held} held, may have been paid: see `batch-runner resolve`",
        "{held} 项待定，可能已付费：请用 `batch-runner resolve` 决定",
    ),
    "locked": ("another run is at work: {owner}", "另一个运行正在进行：{owner}"),
    "journal_missing": (
        "the journal {journal} is gone, so a run refuses to create anything",
        "日志文件 {journal} 已不存在，运行会拒绝创建任何内容",
    ),
    "not_writable": (
        "the output folder {folder} cannot be written",
        "输出文件夹 {folder} 无法写入",
    ),
    "disk_full": (
        "only {free} MB of the disk are free; below {wanted} MB nothing is created",
        "磁盘仅剩 {free} MB；低于 {wanted} MB 时不会创建任何内容",
    ),
    "prior_payment": (
        "of the first {of} items, {count} were created already in {folder}; here they are created "
        "and paid for anew",
        "前 {of} 项中有 {count} 项已在 {folder} 中创建过；在这里会重新创建并再次计费",
    ),
    "folder": ("{message}", "{message}"),
    "service": ("{message}", "{message}"),
}


def blocker_text(blocker: Blocker, language: Language) -> str:
    """Return a blocker as a sentence."""
    english, chinese = _BLOCKERS[blocker.kind]
    values = {
        name: duration(value, language=language) if isinstance(value, float) else value
        for name, value in blocker.values.items()
    }
    return printable(wording(language, english, chinese).format(**values), 400)


def plan_lines(plan: Plan, job: str, folder: Path, limits: Limits, language: Language) -> list[str]:
    """Return the lines that `plan` prints."""
    return [
        wording(
            language,
            f"{job}: {counted(plan.items, 'item')}; files go to {folder}",
            f"{job}：共 {plan.items} 项；文件存放在 {folder}",
        ),
        *_new_lines(plan, language),
        *_standing_lines(plan, language),
        *_missing_lines(plan, language),
        outlook_text(plan.estimate, limits, language),
        *(_blocker_line(blocker_text(each, language), language) for each in plan.blockers),
        *_first_lines(plan.first, language),
    ]


def head_lines(head: RunPreview, job: str, limits: Limits, language: Language) -> list[str]:
    """Return the preview of a run, in two or three lines."""
    standing = {**head.counts, ItemStatus.PENDING: head.counts[ItemStatus.PENDING] - head.new}
    parts = [wording(language, f"{head.new} new", f"{head.new} 项新增")] if head.new else []
    parts += [f"{count} {word}" for _, word, count in _grouped(standing, language)]
    told = wording(language, ", ", "，").join(parts)
    total, gone = sum(head.counts.values()), head.unlisted
    line = wording(
        language, f"{job}: {counted(total, 'item')}: {told}", f"{job}：共 {total} 项：{told}"
    )
    if gone:
        line += wording(language, f"; {gone} no longer listed", f"；{gone} 项已不在列表中")
    lines = [line, outlook_text(head.estimate, limits, language)]
    if head.blockers:
        told = "; ".join(blocker_text(each, language) for each in head.blockers)
        lines.append(_blocker_line(told, language))
    return lines


def outlook_text(outlook: Estimate, limits: Limits, language: Language) -> str:
    """Return cost and duration of the submissions, as one line."""
    if not outlook.submissions:
        return wording(language, "nothing to create", "无需创建")
    cost, cost_zh = (f"{comma}{outlook.cost}" if outlook.cost else "" for comma in (", ", "，"))
    rates = wording(
        language,
        f"at {limits.rate} with {limits.in_flight} in flight",
        f"速率 {limits.rate}，同时最多 {limits.in_flight} 个任务",
    )
    took = duration(outlook.seconds, language=language)
    if outlook.task is None:
        return wording(
            language,
            f"{counted(outlook.submissions, 'create')}{cost}, at least {took} {rates}",
            f"{outlook.submissions} 次创建{cost_zh}，至少需 {took}（{rates}）",
        )
    task = duration(outlook.task, language=language)
    return wording(
        language,
        f"{counted(outlook.submissions, 'create')}{cost}, about {took} {rates}, "
        f"{task} a task as in earlier runs",
        f"{outlook.submissions} 次创建{cost_zh}，约需 {took}（{rates}，据以往运行每个任务 {task}）",
    )


def question_text(outlook: Estimate, language: Language) -> str:
    """Return the question that a run asks above `limits.confirm_above`."""
    cost, cost_zh = (f"{comma}{outlook.cost}" if outlook.cost else "" for comma in (", ", "，"))
    return wording(
        language,
        f"Send {counted(outlook.submissions, 'create')}{cost}? [y/N] ",
        f"发送 {outlook.submissions} 次创建{cost_zh}？[y/N] ",
    )


def answered_no_text(language: Language) -> str:
    """Return the line printed when the answer is no."""
    return wording(
        language,
        "nothing was sent; run again to be asked again, or with --yes",
        "没有发送任何请求；再次运行会再次询问，或使用 --yes",
    )


def _new_lines(plan: Plan, language: Language) -> list[str]:
    lines = []
    if plan.new:
        lines.append(_row(plan.new, wording(language, "new", "新增")))
    if plan.changed:
        named = [printable(spec.id, 60) + _was(spec, old, language) for spec, old in plan.replacing]
        told = _named(named, plan.changed, language)
        text = wording(
            language,
            f"changed: {told}; each is a new create",
            f"已更改：{told}；均为新的创建",
        )
        lines.append(_row(plan.changed, text))
    return lines


def _was(spec: ItemSpec, old: ItemSummary, language: Language) -> str:
    """Return the status of the replaced item and what happens to its files, in brackets."""
    status, name = status_word(old.status, language), printable(old.id, 60)
    files = ", ".join(printable(file.name, 80) for file in old.files)
    if old.id == spec.id:
        name = ""
    return wording(
        language,
        f" (was {f'{name}, ' if name else ''}{status}{f': {files} stays' if files else ''})",
        f"（原{f' {name} ' if name else ''}为{status}{f'，{files} 保留' if files else ''}）",
    )


def _standing_lines(plan: Plan, language: Language) -> list[str]:
    lines = []
    for status, word, count in _grouped(plan.statuses, language):
        named = [printable(one.id, 60) for one in plan.named.get(status.value, ())]
        text = word
        if named:
            text += wording(language, ": ", "：") + _named(named, count, language)
        lines.append(_row(count, text))
    return lines


def _missing_lines(plan: Plan, language: Language) -> list[str]:
    lines = []
    if plan.missing:
        names = _ids(plan, "missing", plan.missing, language)
        text = wording(
            language,
            f"of those done, missing on disk: {names}; fetched again, not paid again",
            f"已完成但磁盘上缺失：{names}；将重新取回，不再付费",
        )
        lines.append(_row(plan.missing, text))
    if plan.unlisted:
        names = _ids(plan, "unlisted", plan.unlisted, language)
        text = wording(
            language,
            f"no longer listed: {names}; nothing new is created for them",
            f"已不在列表中：{names}；不会为其重新创建",
        )
        lines.append(_row(plan.unlisted, text))
    return lines


def _first_lines(first: list[ItemSpec], language: Language) -> list[str]:
    if not first:
        return []
    return [
        wording(language, "first requests:", "最先发送的请求："),
        *(
            f"  {printable(spec.name, 60)}: {printable(spec.workflow, 60)} "
            f"{printable(json_text(spec.params), 160)}"
            for spec in first
        ),
    ]


def _grouped(
    counts: dict[ItemStatus, int], language: Language
) -> list[tuple[ItemStatus, str, int]]:
    """Return status, word and count of each group that is not empty."""
    groups = []
    for status in _ORDER:
        count, word = counts.get(status, 0), status_word(status, language)
        if status is ItemStatus.SUBMITTED:
            count = sum(counts.get(each, 0) for each in UNDERWAY)
            word = wording(language, "in flight", "进行中")
        if count:
            groups.append((status, word, count))
    return groups


def _ids(plan: Plan, kind: str, count: int, language: Language) -> str:
    return _named([printable(one.id, 60) for one in plan.named.get(kind, ())], count, language)


def _named(names: list[str], count: int, language: Language) -> str:
    """Return the first few of `count` names, and how many more there are."""
    told = wording(language, ", ", "、").join(names[:NAMES])
    more = count - min(len(names), NAMES)
    return told + wording(language, f" and {more} more", f" 等另外 {more} 项") if more else told


def _row(count: int, text: str) -> str:
    return f"  {count:6} {text}"


def _blocker_line(text: str, language: Language) -> str:
    return wording(language, f"in the way: {text}", f"阻碍：{text}")
