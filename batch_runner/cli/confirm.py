"""The cost preview that `run` prints before it sends anything, and the question it asks."""

from __future__ import annotations

import os
import select
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.api.steps import find_prior_payment
from batch_runner.cli.output import print_line
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from batch_runner.cli.commands.run import RunOptions
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported
    from batch_runner.planning.estimate import Estimate

#: Seconds to wait for an answer; silence is no. A question left open overnight must not be answered
#: by the first key typed in the morning.
ANSWER_SECONDS = 600.0


class Approval(NamedTuple):
    """What the user has approved: this many submissions, of a job of this many items."""

    submissions: int
    items: int

    @classmethod
    def to(cls, estimate: Estimate, imported: Imported) -> Approval:
        """Return the approval of an estimate."""
        return cls(estimate.submissions, _items_ever(imported))


def warn_if_paid_elsewhere(options: RunOptions) -> None:
    """Warn if another job on this host paid for these items, e.g. before the manifest was renamed.

    Meant for a new job only.
    """
    if options.quiet or options.as_json:
        return
    from batch_runner.cli.plan_text import blocker_line
    from batch_runner.planning.blockers import Blocker

    found = find_prior_payment(options.manifest, options.root, options.service)
    if found is not None:
        blocker = Blocker("prior_payment", asdict(found))
        print_line(blocker_line(blocker), error=True)


def preview_run(
    job: OpenJob, options: RunOptions, imported: Imported, approval: Approval | None
) -> Estimate | None:
    """Print what the run is about to do; return the estimate to ask about, None to go ahead.

    What has been approved is neither printed nor asked about again, unless this run or another one
    has added items since.
    """
    if options.quiet or options.as_json:
        return None
    from batch_runner.cli.plan_text import preview_lines
    from batch_runner.planning.estimate import must_confirm
    from batch_runner.planning.plan import make_preview

    limits = options.settings.limits
    preview = make_preview(job.journal, imported, options.manifest.workflows, limits)
    same_items = approval is not None and approval.items == _items_ever(imported)
    approved = approval.submissions if approval is not None and same_items else 0
    if same_items and preview.estimate.submissions == approved:
        return None
    for line in preview_lines(preview, options.manifest.job, limits):
        print_line(line, error=True)
    free = options.service is None or preview.estimate.submissions <= approved
    if free or options.yes or not must_confirm(preview.estimate, limits) or not is_interactive():
        return None
    return preview.estimate


def _items_ever(imported: Imported) -> int:
    """Return how many items the journal has ever held."""
    return imported.new + imported.known + imported.unlisted


def is_approved(estimate: Estimate) -> bool:
    """Ask on the terminal whether to send the submissions."""
    from batch_runner.cli.plan_text import question_text

    if ask(question_text(estimate)):
        return True
    print_line(
        tr("nothing was sent; run again to be asked again, or use --yes"),
        error=True,
    )
    return False


def is_interactive() -> bool:
    """Return whether there is a terminal to ask and answer on."""
    if not (sys.stdin and sys.stderr and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        # A background process would be suspended when it reads.
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal, but not the controlling one
        return True


def ask(question: str, *, seconds: float = ANSWER_SECONDS) -> bool:
    """Ask on standard error; return whether the answer is yes. Silence is no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answered, _, _ = select.select([sys.stdin], [], [], seconds)
    answer = sys.stdin.readline() if answered else ""
    if not answer.endswith("\n"):
        sys.stderr.write("\n")
    return answer.strip().lower() in ("y", "yes", "是", "好")
