"""The cost preview that `run` prints before it sends anything, and the question it asks."""

from __future__ import annotations

import logging
import os
import select
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.api.prior import (
    find_prior_submissions,
    origin_warnings,
    prior_submissions_unknown,
    refuse_unknown_submissions,
)
from batch_runner.cli.output import print_line
from batch_runner.setting_types import Reuse
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from batch_runner.cli.commands.run import RunOptions
    from batch_runner.engine.selection import SelectedItems
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported
    from batch_runner.planning.estimate import Estimate
    from batch_runner.planning.plan import RunPreview

log = logging.getLogger(__name__)

#: Seconds to wait for an answer; silence is no. A question left open overnight must not be answered
#: by the first key typed in the morning.
ANSWER_SECONDS = 600.0


class Approval(NamedTuple):
    """What the user has approved: this many submissions, of a job of this many items."""

    submissions: int
    items: int

    @classmethod
    def to(cls, question: Question, imported: Imported) -> Approval:
        """Return the approval of a question."""
        return cls(question.estimate.submissions, _items_ever(imported))


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask about before a run: its cost, or whether to use the results of other jobs."""

    estimate: Estimate
    usable: int = 0  # items with a result in another job; 0: ask about the cost


def may_ask(options: RunOptions) -> bool:
    """Return whether there is a person to ask, who has not answered with --yes."""
    return _is_attended(options) and not options.yes


def _is_attended(options: RunOptions) -> bool:
    return not options.quiet and not options.as_json and is_interactive()


def print_warnings(options: RunOptions) -> None:
    """Print what in the manifest may be a mistake; with --quiet, only what costs money."""
    if options.as_json:
        return  # it is in the summary
    from batch_runner.cli.plan_text import warning_lines

    duplicates = options.manifest.expansion.duplicates
    equal = None if duplicates is None else duplicates.equal_requests
    quiet = [] if equal is None else [equal.problem()]
    for line in warning_lines(quiet if options.quiet else options.manifest.warnings()):
        print_line(line, error=True)


def preview_run(
    job: OpenJob,
    options: RunOptions,
    imported: Imported,
    approval: Approval | None,
    selected: SelectedItems | None,
) -> Question | None:
    """Print what the run is about to do; return what to ask about, None to go ahead.

    What has been approved is neither printed nor asked about again, unless this run or another one
    has added items since. `selected` are the items that may be submitted, None: all.

    Raises:
        UsageError: it is not known what other jobs have submitted, and there is nobody to ask.
    """
    from batch_runner.planning.plan import make_preview

    if approval is not None and approval.items != _items_ever(imported):
        approval = None
    settings = options.settings
    origin = origin_warnings(job, options.manifest, options.service)
    if options.quiet or options.as_json:
        refuse_unknown_submissions(job, settings)
        for warning in origin:
            log.warning("%s", warning.message)
        return None
    prior = find_prior_submissions(job, options.manifest, settings, options.service, selected)
    if not may_ask(options):
        refuse_unknown_submissions(job, settings)
    preview = make_preview(
        job.journal, imported, options.manifest.workflows, settings.limits, prior, selected
    )
    preview.warnings.extend(origin)
    question = Question(preview.estimate)
    if approval is not None and approval == Approval.to(question, imported):
        return None
    _print_preview(preview, options)
    if not may_ask(options):
        return None
    if settings.reuse is Reuse.ASK and prior.usable:
        return Question(preview.estimate, prior.usable)
    return question if _must_ask(job, options, question, approval) else None


def _print_preview(preview: RunPreview, options: RunOptions) -> None:
    from batch_runner.cli.plan_text import preview_lines

    limits, mode = options.settings.limits, options.settings.reuse
    for line in preview_lines(preview, options.manifest.job, limits, mode):
        print_line(line, error=True)


def _must_ask(
    job: OpenJob, options: RunOptions, question: Question, approval: Approval | None
) -> bool:
    """Return whether the run needs an answer: it is expensive, or may pay for something again."""
    from batch_runner.planning.estimate import must_confirm

    if options.service is None or not question.estimate.submissions:
        return False
    if approval is not None and question.estimate.submissions <= approval.submissions:
        return False
    unknown = prior_submissions_unknown(job, options.settings)
    return unknown or must_confirm(question.estimate, options.settings.limits)


def _items_ever(imported: Imported) -> int:
    """Return how many items the journal has ever held."""
    return imported.new + imported.known + imported.unlisted


def answer(question: Question, options: RunOptions) -> RunOptions | None:
    """Ask on the terminal; return the options that follow from the answer, None to send nothing."""
    from batch_runner.cli.plan_text import question_text, reuse_question_text

    if question.usable:
        if mode := _REUSE_ANSWERS.get(_read_answer(reuse_question_text(question.usable))):
            return replace(options, settings=options.settings.model_copy(update={"reuse": mode}))
        text = tr("nothing was sent; run again to be asked again, or use --reuse")
    else:
        if ask(question_text(question.estimate)):
            return options
        text = tr("nothing was sent; run again to be asked again, or use --yes")
    print_line(text, error=True)
    return None


#: Answers to the question whether to use the results of other jobs; anything else is no answer.
_REUSE_ANSWERS = {
    **dict.fromkeys(("u", "use", "用"), Reuse.ALWAYS),
    **dict.fromkeys(("p", "pay", "付"), Reuse.NEVER),
}


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
    return _read_answer(question, seconds) in ("y", "yes", "是", "好")


def _read_answer(question: str, seconds: float = ANSWER_SECONDS) -> str:
    """Ask on standard error; return the answer in lower case, "" for silence."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answered, _, _ = select.select([sys.stdin], [], [], seconds)
    text = sys.stdin.readline() if answered else ""
    if not text.endswith("\n"):
        sys.stderr.write("\n")
    return text.strip().lower()
