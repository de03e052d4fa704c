"""The validated manifest of one job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batch_runner.errors import Problem
from batch_runner.manifest.diagnostics import Diagnostics
from batch_runner.manifest.duplicates import Duplicates
from batch_runner.manifest.expand import Items
from batch_runner.manifest.fingerprint import fingerprint
from batch_runner.manifest.schema import Notify, OnFinish, OnItem
from batch_runner.manifest.workflow_files import WorkflowFiles
from batch_runner.models import ItemSpec, JobFacts
from batch_runner.settings import Settings
from batch_runner.util.paths import utf8_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Contents of a manifest, with defaults for what it does not give.

    `explicit` maps the dotted name of every setting that the manifest itself gives to "file:line".
    `output_folder` is absolute. A relative one starts at the manifest's folder, not the current
    folder: a job started by cron would otherwise find an empty folder and pay for everything again.
    `objects` is the s3:// address of the results if they are in an object store; `output_folder` is
    then the default one. `base_urls` are those of the user's own servers; without any, the
    environment or the provider says. `workflows` are those known without expanding the items.
    `workflow_files` are the graphs if workflows are files: those read so far, and others when asked
    for.
    """

    path: Path
    job: str
    provider: str
    settings: Settings
    explicit: dict[str, str]
    output_folder: Path
    on_finish: OnFinish
    on_item: OnItem
    notify: Notify
    workflows: frozenset[str]
    expansion: Items
    facts: JobFacts  # those of a new job, or the ones given to `of_job`
    read_as: str | None  # fingerprint of the file when it was read
    data: tuple[Path, ...] | None  # other files that decide the items; None if items name some
    base_urls: tuple[str, ...] = ()
    objects: str | None = None
    workflow_files: WorkflowFiles | None = None
    doubts: tuple[Problem, ...] = ()  # what may be a mistake, but is not refused

    def of_job(self, facts: JobFacts) -> Manifest:
        """Return the manifest with the items that it has in a job of these facts."""
        if facts == self.facts:
            return self
        return replace(self, facts=facts, expansion=self.expansion.of_job(facts))

    def items(self) -> Iterator[ItemSpec]:
        """Yield every valid item, always in the same order, without keeping them in memory.

        Raises:
            ManifestError: after the last item, if any item is invalid; holds every problem.
        """
        diagnostics = Diagnostics()
        yield from self.expansion.checked(diagnostics)
        diagnostics.raise_if_any()

    def warnings(self) -> list[Problem]:
        """Return what should be looked at before money is spent.

        Equal requests, and duplicates that were skipped, are among it as soon as `items` has
        yielded all items, or after `take_duplicates`.
        """
        found = self.expansion.duplicates or ()
        return [*self.doubts, *(one.problem() for one in found if one is not None)]

    def duplicates(self) -> str | None:
        """Return as JSON which duplicates there are; None: not all items were expanded."""
        found = self.expansion.duplicates
        return None if found is None else found.to_text()

    def take_duplicates(self, text: str) -> None:
        """Take the duplicates from a journal that has imported the same items."""
        self.expansion.duplicates = Duplicates.from_text(text)

    def fingerprint(self) -> str | None:
        """Return a hash that changes when the items may have changed; None if that is unknown."""
        if self.data is None or fingerprint(utf8_text(self.path), [self.path]) != self.read_as:
            return None
        if self.workflow_files is not None and not self.workflow_files.unchanged():
            return None
        return fingerprint(f"{utf8_text(self.path)} {self.facts}", [self.path, *self.data])
