"""What `run` says before it sends anything, and what it asks whoever sits at the terminal."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.cli.options import identity_of, say
from batch_runner.util.locale import reader_language
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from batch_runner.cli.commands.run import RunOptions
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported
    from batch_runner.planning.plan import Estimate


class Approval(NamedTuple):
    """What somebody has said yes to: so many creates, of a job of so many items."""

    submissions: int
    items: int

    @classmethod
    def to(cls, outlook: Estimate, imported: Imported) -> Approval:
        """Return the yes to what was asked about."""
        return cls(outlook.submissions, _size(imported))


def say_if_elsewhere(night: RunOptions) -> None:
    """Say of a new job that another one has paid for its items, as after a manifest is renamed."""
    state = state_folder()
    if night.service is None or state is None or night.quiet or night.as_json:
        return
    from batch_runner.cli.plan_text import obstacle_text
    from batch_runner.planning.plan import Blocker
    from batch_runner.planning.prior_jobs import paid_elsewhere

    identity = identity_of(night.manifest, night.service)
    found = paid_elsewhere(night.manifest.items(), night.root, state, identity)
    if found is not None:
        obstacle = Blocker("elsewhere", asdict(found))
        say(obstacle_text(obstacle, reader_language(sys.stderr)), error=True)


def to_be_asked(
    job: OpenJob, night: RunOptions, imported: Imported, agreed: Approval | None
) -> Estimate | None:
    """Say what the run is about to do; return what somebody is to be asked about, if anything.

    Whoever has `agreed` to so many creates is not told of them again, nor asked about fewer, unless
    other items have come in, by this run or another.
    """
    if night.quiet or night.as_json:
        return None
    from batch_runner.cli.plan_text import head_lines
    from batch_runner.cli.prompt import is_interactive
    from batch_runner.planning.plan import make_head, must_confirm

    limits, language = night.settings.limits, reader_language(sys.stderr)
    head = make_head(job.journal, imported, night.manifest.workflows, limits)
    known = agreed is not None and agreed.items == _size(imported)
    allowed = agreed.submissions if agreed is not None and known else 0
    if known and head.outlook.submissions == allowed:
        return None
    for line in head_lines(head, night.manifest.job, limits, language):
        say(line, error=True)
    free = night.service is None or head.outlook.submissions <= allowed
    if free or night.yes or not must_confirm(head.outlook, limits) or not is_interactive():
        return None
    return head.outlook


def _size(imported: Imported) -> int:
    """Return how many items the journal has ever been told of."""
    return imported.new + imported.known + imported.unlisted


def consented(outlook: Estimate) -> bool:
    """Ask whoever sits at the terminal."""
    from batch_runner.cli.plan_text import answered_no_text, question_text
    from batch_runner.cli.prompt import agreed

    language = reader_language(sys.stderr)
    if agreed(question_text(outlook, language)):
        return True
    say(answered_no_text(language), error=True)
    return False
