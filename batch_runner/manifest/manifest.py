"""The manifest of one job: read once, checked, ready to be gone through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batch_runner.manifest.diagnostics import Diagnostics
from batch_runner.manifest.expand import Items
from batch_runner.manifest.fingerprint import fingerprint
from batch_runner.manifest.schema import OnFinish
from batch_runner.models import ItemSpec
from batch_runner.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says, over the defaults.

    `explicit` maps the dotted name of every setting that the manifest itself gives to its place,
    as "file:line". `output_folder` is absolute, and relative names count from the manifest's
    folder, never from the current one: a job started by cron would otherwise find an empty folder
    and pay for everything again. `workflows` are those known without going through the items.
    """

    path: Path
    job: str
    provider: str
    settings: Settings
    explicit: dict[str, str]
    output_folder: Path
    on_finish: OnFinish
    workflows: frozenset[str]
    expansion: Items
    read_as: str | None  # fingerprint of the file when it was read
    data: tuple[Path, ...] | None  # what else decides the items; None: input files too

    def items(self) -> Iterator[ItemSpec]:
        """Yield every item, always in the same order, in memory for one of them.

        Raises:
            ManifestError: after the last item, with everything that is wrong with any of them;
                items that are wrong are not yielded.
        """
        report = Diagnostics()
        yield from self.expansion.checked(report)
        report.raise_if_any()

    def fingerprint(self) -> str | None:
        """Return a hash that is the same only while the items are, None when that is unknown."""
        if self.data is None or fingerprint(str(self.path), [self.path]) != self.read_as:
            return None
        return fingerprint(str(self.path), [self.path, *self.data])
