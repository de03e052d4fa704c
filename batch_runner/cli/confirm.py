"""The cost preview that `run` prints before it sends anything, and the question it asks."""

from __future__ import annotations

import logging
import os
import select
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.api.steps import (
    approve_paid_elsewhere,
    find_paid_elsewhere,
    may_have_been_paid_elsewhere,
    origin_warnings,
)
from batch_runner.cli.output import print_line
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from batch_runner.cli.commands.run import RunOptions
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported
    from batch_runner.planning.estimate import Estimate
    from batch_runner.planning.paid_elsewhere import PaidElsewhere
    from batch_runner.planning.plan import RunPreview

log = logging.getLogger(__name__)

#: Seconds to wait for an answer; silence is no. A question left open overnight must not be answered
#: by the first key typed in the morning.
ANSWER_SECONDS = 600.0


class Approval(NamedTuple):
    """What the user has approved: this many submissions, of a job of this many items."""

    submissions: int
    items: int
    paid_elsewhere: int  # of them, those that another job has submitted, too

    @classmethod
    def to(cls, question: Question, imported: Imported) -> Approval:
        """Return the approval of a question."""
        return cls(
            question.estimate.submissions, _items_ever(imported), question.paid_elsewhere.count
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask about before a run."""

    estimate: Estimate
    paid_elsewhere: PaidElsewhere


def is_attended(options: RunOptions) -> bool:
    """Return whether there is a person to ask."""
    return not options.quiet and not options.as_json and is_interactive()


def print_warnings(options: RunOptions) -> None:
    """Print what in the manifest may be a mistake; with --quiet, only what costs money."""
    if options.as_json:
        return  # it is in the summary
    from batch_runner.cli.plan_text import warning_lines

    equal = options.manifest.expansion.equal_requests
    quiet = [equal.problem()] if equal is not None else []
    for line in warning_lines(quiet if options.quiet else options.manifest.warnings()):
        print_line(line, error=True)


def preview_run(
    job: OpenJob, options: RunOptions, imported: Imported, approval: Approval | None
) -> Question | None:
    """Print what the run is about to do; return what to ask about, None to go ahead.

    What has been approved is neither printed nor asked about again, unless this run or another one
    has added items since.

    Raises:
        UsageError: another job has, or may have, submitted items of this one, and there is nobody
            to ask.
    """
    from batch_runner.planning.paid_elsewhere import prior_payment_warnings
    from batch_runner.planning.plan import make_preview

    if approval is not None and approval.items != _items_ever(imported):
        approval = None
    paid = find_paid_elsewhere(job, options.manifest, options.service)
    pay_again = options.yes or (approval is not None and paid.count <= approval.paid_elsewhere)
    attended = is_attended(options)
    if pay_again or not attended:
        approve_paid_elsewhere(job, paid, pay_again=pay_again)
    origin = origin_warnings(job, options.manifest, options.service)
    if options.quiet or options.as_json:
        for warning in origin:
            log.warning("%s", warning.message)
        return None
    limits = options.settings.limits
    preview = make_preview(job.journal, imported, options.manifest.workflows, limits)
    preview.warnings.extend([*prior_payment_warnings(paid, options.root), *origin])
    question = Question(preview.estimate, paid)
    if approval is not None and approval == Approval.to(question, imported):
        return None
    _print_preview(preview, options)
    return question if attended and _must_ask(job, options, question, approval) else None


def _print_preview(preview: RunPreview, options: RunOptions) -> None:
    from batch_runner.cli.plan_text import preview_lines

    for line in preview_lines(preview, options.manifest.job, options.settings.limits):
        print_line(line, error=True)


def _must_ask(
    job: OpenJob, options: RunOptions, question: Question, approval: Approval | None
) -> bool:
    """Return whether the run needs an answer: it is expensive, or may pay for something again."""
    from batch_runner.planning.estimate import must_confirm

    if options.yes or options.service is None or not question.estimate.submissions:
        return False
    if approval is not None and question.estimate.submissions <= approval.submissions:
        return False
    unknown = may_have_been_paid_elsewhere(job)
    limits = options.settings.limits
    return bool(question.paid_elsewhere.count) or unknown or must_confirm(question.estimate, limits)


def _items_ever(imported: Imported) -> int:
    """Return how many items the journal has ever held."""
    return imported.new + imported.known + imported.unlisted


def is_approved(question: Question) -> bool:
    """Ask on the terminal whether to send the submissions."""
    from batch_runner.cli.plan_text import question_text

    if ask(question_text(question.estimate)):
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
