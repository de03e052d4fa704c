"""Before the first submission: take over what another job of this user has submitted.

An item's key says what would be sent, so a result that was paid for serves every job with that
key. In the journal each item goes from `pending` to the status that follows from the other job; see
`jobdir.reuse`. What stays pending because that job has not finished it is not submitted either: the
producer cannot claim it. A crash leaves at most files that are not in the journal; the next run
finds them under their names.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import anyio

from batch_runner.engine.context import Run
from batch_runner.engine.result_files import files_of
from batch_runner.engine.selection import is_selected
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import (
    DiskFailed,
    FileRejected,
    FolderRefused,
    JournalError,
    RegistryError,
)
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.jobdir.reuse import USING, Action, PriorSubmission, ReuseRules
from batch_runner.journal.base import Change, TaskIdTaken
from batch_runner.journal.records import ReusableItem
from batch_runner.lifecycle import (
    FAILED_BEFORE,
    PAID_BEFORE,
    UNFINISHED_ELSEWHERE,
    Event,
    ItemStatus,
)
from batch_runner.models import PlacedFile
from batch_runner.setting_types import Reuse
from batch_runner.util.locale import items_text
from batch_runner.util.paths import Utf8Path

log = logging.getLogger(__name__)

#: Items read from the journal and looked up in the registry at a time.
PAGE = 500
#: Items whose files are copied at the same time: their syncs overlap.
COPIES = 16


class ResultReuse:
    """Takes over the results of other jobs."""

    def __init__(self, run: Run) -> None:
        context = run.context
        self._mode = context.settings.reuse
        self._selected = context.selected
        self._journal = context.journal
        self._claims = context.claims
        self._files = context.files
        self._offload = context.offload
        self._asks = context.provider.capabilities.asks
        self._stats = run.state.stats
        self._control = run.state.control
        self._recorder = run.recorder
        self._rules = ReuseRules()
        self._copies = anyio.CapacityLimiter(COPIES)
        self._waiting: Counter[str] = Counter()  # by output folder

    async def take_over(self) -> None:
        """Take over every selected item that another job has submitted, until the run stops."""
        after = -1
        with self._control.cancel_on_stop():
            while page := await self._recorder.read(self._journal.reusable_items(after, PAGE)):
                after = page[-1].position
                await self._take_over(
                    [item for item in page if is_selected(item.position, self._selected)]
                )
        self._stats.waiting = self._waiting.total()
        for folder, count in self._waiting.items():
            text = "left pending: %s that the job in %s has submitted; run that job first"
            log.warning(text, items_text(count), folder)

    async def _take_over(self, page: Sequence[ReusableItem]) -> None:
        keys = [item.key for item in page]
        try:
            claims = await self._offload(self._claims.claims_of_others, keys)
            if not claims:
                return
            if self._mode is Reuse.NEVER:
                await self._offload(self._claims.approve, {claim.key for claim in claims})
                return
        except RegistryError as error:
            self._control.stop_without_registry(error)
            return
        found: Mapping[str, PriorSubmission] = await self._offload(self._rules.decide, claims)
        try:
            async with anyio.create_task_group() as copies:
                for item in page:
                    if item.key in found:
                        copies.start_soon(self._take_over_item, item, found[item.key])
        except* JournalError as group:
            self._recorder.journal_failed(group.exceptions[0])

    async def _take_over_item(self, item: ReusableItem, prior: PriorSubmission) -> None:
        async with self._copies:
            if item.status is ItemStatus.HELD and prior.action is not Action.COPY:
                return  # as at the last run
            if self._mode is Reuse.ASK and prior.action in USING:
                await self._hold(
                    item, prior, "its result was not used, because `reuse: ask` needs a terminal"
                )
            elif prior.action is Action.COPY:
                await self._copy(item, prior)
            elif prior.action is Action.DOWNLOAD:
                await self._download(item, prior)
            elif prior.action is Action.WAIT:
                await self._wait(item, prior)
            elif prior.action is Action.FAIL:
                message = f"failed in the job in {prior.source.folder}"
                await self._record(item, prior, Event.FAILED_BEFORE, FAILED_BEFORE, message)
            else:
                await self._hold(item, prior, _why_held(prior))

    async def _copy(self, item: ReusableItem, prior: PriorSubmission) -> None:
        """Copy the files; if one is not as the other job placed it, download its task again."""
        placed: list[PlacedFile] = []
        try:
            results = results_of(JobFolder(Utf8Path(prior.source.folder)))
            for file, target in zip(
                prior.files, files_of(item.name, len(prior.files)), strict=True
            ):
                copied = await self._files.copy(results, file, target.name)
                if copied is None:
                    return await self._download(item, prior)
                placed.append(copied)
        except FolderRefused:
            return await self._download(item, prior)
        except DiskFailed as error:
            self._control.stop_submitting(StopReason("disk", str(error), ExitCode.STOPPED))
            return None
        except FileRejected as error:  # this job's settings do not accept it
            log.info("%s: %s", item.name, error)
            return await self._download(item, prior)
        with anyio.CancelScope(shield=True):  # what is stored is recorded
            await self._record(item, prior, Event.REUSED, files=placed)
        return None

    async def _download(self, item: ReusableItem, prior: PriorSubmission) -> None:
        if item.status is ItemStatus.HELD:
            return
        if prior.task_id is None:
            await self._hold(item, prior, _why_held(prior))
        elif not self._asks:
            why = "its files are gone, and the service cannot be asked for them again"
            await self._hold(item, prior, why)
        else:
            await self._record(item, prior, Event.TASK_REUSED)

    async def _wait(self, item: ReusableItem, prior: PriorSubmission) -> None:
        self._waiting[prior.source.folder] += 1
        if item.reason != UNFINISHED_ELSEWHERE:
            message = f"the job in {prior.source.folder} has submitted it and not finished"
            await self._record(
                item, prior, Event.UNFINISHED_ELSEWHERE, UNFINISHED_ELSEWHERE, message
            )

    async def _hold(self, item: ReusableItem, prior: PriorSubmission, why: str) -> None:
        if item.status is not ItemStatus.HELD:
            message = f"the job in {prior.source.folder} has submitted it: {why}"
            await self._record(item, prior, Event.PAID_BEFORE, PAID_BEFORE, message)

    async def _record(
        self,
        item: ReusableItem,
        prior: PriorSubmission,
        event: Event,
        reason: str | None = None,
        message: str | None = None,
        *,
        files: Sequence[PlacedFile] = (),
    ) -> None:
        uses_task = event in (Event.REUSED, Event.TASK_REUSED)
        change = Change(
            key=item.key,
            event=event,
            task_id=prior.task_id if uses_task else None,
            reason=reason,
            message=message,
            files=tuple(files),
            reused_from=prior.source,
            origin=item.status,
        )
        try:
            await self._recorder.record(change)
        except TaskIdTaken as error:
            await self._hold(item, prior, str(error))


def _why_held(prior: PriorSubmission) -> str:
    if prior.status in (ItemStatus.HELD, ItemStatus.DROPPED):
        return f"there it is {prior.status}"
    if prior.status == ItemStatus.DONE:
        return "its files and its task id are gone"
    return "that job is gone, and whether it was paid is unknown"
