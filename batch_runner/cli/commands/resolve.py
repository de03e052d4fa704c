"""`resolve`: decide about items whose create was never answered."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.options import (
    examples,
    job_folder,
    json_option,
    manifest_argument,
    output_option,
    rehearsal_option,
    say,
    say_either,
    say_json,
)
from batch_runner.errors import UsageError
from batch_runner.journal import Change, JournalReader, open_reader
from batch_runner.journal.base import TaskIdTaken
from batch_runner.lifecycle import (
    FILE_DAMAGED,
    FILE_GONE,
    TASK_FORGOTTEN,
    Event,
    ItemStatus,
)
from batch_runner.providers import PROVIDERS
from batch_runner.util.text import counted, date_time, printable
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.journal import ItemRow


@examples(
    "batch-runner resolve jobs/year_of_the_horse.yaml",
    "batch-runner resolve jobs/year_of_the_horse.yaml card-7 attach TASK_ID",
    "batch-runner resolve jobs/year_of_the_horse.yaml card-7 resubmit",
    "batch-runner resolve jobs/year_of_the_horse.yaml all drop",
)
@click.command("resolve", short_help="Decide about items that are held.")
@manifest_argument
@click.argument("item", required=False, metavar="[ITEM|all]")
@click.argument("decision", required=False, type=click.Choice(["attach", "resubmit", "drop"]))
@click.argument("task_id", required=False, metavar="[TASK_ID]")
@output_option
@rehearsal_option
@json_option
def command(
    manifest: Path,
    item: str | None,
    decision: str | None,
    task_id: str | None,
    output: Path | None,
    *,
    rehearse: bool,
    as_json: bool,
) -> int:
    """Show the held items of MANIFEST, or decide about one (or all).

    A held item's create left, and its answer was never seen: it may have been paid. Look in the
    service's own console at the time shown. Then: `attach` the task id found there (nothing is paid
    again), `resubmit` (it may be paid twice), or `drop` the item.

    By its name, an item can be decided about as well whose files a run could not have, or whose
    task id was attached and is the wrong one.
    """
    folder = job_folder(manifest, output, rehearse=rehearse)
    if item is None:
        return _show(folder, as_json=as_json)
    if decision is None:
        raise UsageError("say what to do: attach TASK_ID, resubmit, or drop")
    changed = _decide(folder, item, decision, task_id)
    zh = {"attach": "已填入任务编号", "resubmit": "将重新创建", "drop": "已放弃"}[decision]
    say_either(
        f"{counted(changed, 'item')}: {decision}; the next run goes on from there",
        f"{changed} 项：{zh}；下次运行会从这里继续",
    )
    return 0


def _show(folder: JobFolder, *, as_json: bool) -> int:
    with open_reader(folder.journal) as reader:
        held = list(reader.items(ItemStatus.HELD))
        # They are `submitted` again as soon as somebody has opened the job.
        paid = reader.items(ItemStatus.DOWNLOAD_PENDING, ItemStatus.SUBMITTED)
        forgotten = [item for item in paid if item.reason == TASK_FORGOTTEN]
        undecided = held + forgotten
        windows = {item.key: _window(reader, item) for item in undecided}
    names = Counter(item.id for item in undecided)
    for item in undecided:
        if as_json:
            say_json(_object(item, *windows[item.key]))
        else:
            name = item.id if names[item.id] == 1 else f"{item.id} ({item.key})"
            _say_one(item, name, *windows[item.key])
    if not as_json:
        say_either(
            f"{counted(len(held), 'item')} held"
            + (f", {len(forgotten)} whose task is not known any more" if forgotten else "")
            + ("; see --help for the ways out" if undecided else ""),
            f"{len(held)} 项待定"
            + (f"，{len(forgotten)} 项的任务服务已不再认识" if forgotten else "")
            + ("；处理办法见 --help" if undecided else ""),
        )
    return 1 if undecided else 0


def _object(item: ItemRow, first: float | None, last: float | None) -> dict[str, Any]:
    return {
        "id": item.id,
        "key": item.key,
        "status": item.status.value,
        "task_id": item.task_id,
        "attempt": item.attempt,
        "from": first,
        "to": last,
        "prompt": item.prompt,
        "message": item.message,
    }


def _say_one(item: ItemRow, name: str, first: float | None, last: float | None) -> None:
    sent, seen, prompt = date_time(first), date_time(last), printable(item.prompt, 120)
    say_either(
        f"{name}  attempt {item.attempt}, sent {sent} to {seen}\n    prompt: {prompt}",
        f"{name}  第 {item.attempt} 次创建，发出于 {sent} 至 {seen}\n    提示词：{prompt}",
    )
    say(f"    {printable(item.message or '', 200)}")


def _window(reader: JournalReader, item: ItemRow) -> tuple[float | None, float | None]:
    """Return when the create can have reached the service: from its start to what was seen last."""
    ends = (Event.SUBMIT_UNANSWERED.value, Event.SUBMIT_INTERRUPTED.value)
    since = item.started_at or 0.0
    events = (event for event in reader.events(item.key) if event.at >= since)
    seen = [event.at for event in events if event.event in ends]
    return item.started_at, seen[-1] if seen else item.submitted_at


def _decide(folder: JobFolder, name: str, decision: str, task_id: str | None) -> int:
    from batch_runner.jobdir.open import open_job

    if (decision == "attach") != (task_id is not None):
        raise UsageError("attach wants a TASK_ID, and nothing else does")
    with open_job(folder.root, None, state=state_folder()) as job:
        with open_reader(folder.journal) as reader:
            undecided = list(reader.items(ItemStatus.HELD))
            if name != "all":
                undecided += _in_doubt(reader, name)
            wanted = PROVIDERS[reader.job().provider].task_id_pattern
        if task_id is not None and not wanted.fullmatch(task_id):
            raise UsageError(f"{printable(task_id, 60)!r} is no task id: wanted {wanted.pattern}")
        chosen = _chosen(undecided, name, decision)
        if task_id is not None and len(chosen) > 1:
            raise UsageError("one task id belongs to one item; name the item")
        for item in chosen:
            try:
                job.journal.apply(_change(item, decision, task_id))
            except TaskIdTaken as error:
                raise UsageError(f"{error}; nothing was changed") from None
    return len(chosen)


def _in_doubt(reader: JournalReader, name: str) -> list[ItemRow]:
    """Return those of this name whose task could not be had, or was named by a person.

    They are `submitted`: opening a job makes every `download_pending` item so.
    """
    named = [one for one in reader.items(ItemStatus.SUBMITTED) if name in (one.id, one.key)]
    return [one for one in named if _cannot_be_had(one) or _was_attached(reader, one)]


def _cannot_be_had(item: ItemRow) -> bool:
    return item.reason is not None and item.reason not in (FILE_GONE, FILE_DAMAGED)


def _was_attached(reader: JournalReader, item: ItemRow) -> bool:
    by_a_person = (Event.ATTACHED.value, Event.CORRECTED.value)
    attached = (one for one in reader.events(item.key) if one.event in by_a_person)
    return any(one.task_id == item.task_id for one in attached)


def _chosen(undecided: list[ItemRow], name: str, decision: str) -> list[ItemRow]:
    """Return the items that are meant by a name, or by `all`."""
    if name == "all" and any(item.id == "all" for item in undecided):
        raise UsageError("an item of its own is called 'all'; name each by its key (--json)")
    chosen = [item for item in undecided if name in (item.id, item.key, "all")]
    if not chosen and name != "all":
        raise UsageError(f"no item that waits for a decision is called {printable(name, 60)!r}")
    if len(chosen) > 1 and name != "all":
        keys = " or ".join(one.key + ("" if one.listed else " (not listed)") for one in chosen)
        raise UsageError(f"several are called {printable(name, 60)!r}; name one by its key: {keys}")
    if decision != "resubmit":
        return chosen
    unlisted = [item.id for item in chosen if not item.listed]
    if unlisted and name != "all":
        raise UsageError(
            f"{printable(unlisted[0], 60)!r} is no longer listed in the manifest, and would not be "
            "created: put its line back as it was, or drop it"
        )
    if unlisted:
        names = printable(", ".join(unlisted), 200)
        say(f"no longer listed, and left as they are: {names}", error=True)
    return [item for item in chosen if item.listed]


def _change(item: ItemRow, decision: str, task_id: str | None) -> Change:
    if decision == "attach":
        event = Event.ATTACHED if item.status is ItemStatus.HELD else Event.CORRECTED
        return Change(key=item.key, event=event, task_id=task_id)
    if decision == "resubmit":
        return Change(key=item.key, event=Event.RESUBMITTED)
    message = "given up by the operator"
    return Change(key=item.key, event=Event.DROPPED, reason="dropped", message=message)
