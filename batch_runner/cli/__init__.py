"""The command line: one small module a verb, imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import click

from batch_runner import __version__
from batch_runner.errors import (
    BatchRunnerError,
    JobLocked,
    JournalError,
    JournalUnreadable,
    ManifestError,
    UsageError,
)
from batch_runner.util.locale import reader_language

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Verb → what it does, in the order of a night.
VERBS = {
    "init": "Write a first manifest that runs.",
    "run": "Carry every item of a manifest to its files; the second run goes on.",
    "plan": "Show what a run would do, and what it would cost.",
    "status": "Show where every item stands.",
    "retry": "Let failed or refused items be created again.",
    "resolve": "Decide about items that are held.",
    "report": "Write the page about a job.",
    "verify": "Check every file against what was recorded.",
    "export": "Copy chosen files with their prompts.",
    "simulate": "Act the service, for trying things out without paying.",
    "schedule": "Print a crontab line or systemd units for a manifest.",
    "schema": "Print JSON Schema of the manifest, for editors.",
}

EXIT_STATUS = """
\b
Exit status:
  0    every item is done
  1    complete, but some items failed, were refused, or are held
  2    the command or the manifest is wrong; nothing was sent
  3    stopped early (signal, deadline, cap, disk); the next run goes on
  4    the service refuses us (key, balance, outage)
  5    another run holds the job
  70   a mistake of this program
  130, 143  ended at once by a signal: nothing was being sent, or it was the second
"""


class Verbs(click.Group):
    """The verbs, each imported only when it is called or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of a night."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the verb `name`."""
        if name not in VERBS:
            return None
        module = importlib.import_module(f"batch_runner.cli.commands.{name}")
        found = module.command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n"
    "  batch-runner run jobs/year_of_the_horse.yaml --rehearse\n"
    "  batch-runner plan jobs/year_of_the_horse.yaml\n"
    "  batch-runner VERB --help\n" + EXIT_STATUS,
)
@click.version_option(__version__, prog_name="batch-runner")
def verbs() -> None:
    """Give it a list at night; in the morning every item is on disk and verified, or explained."""


def command(arguments: Sequence[str]) -> int:
    """Run one verb and return its exit code; errors are told on standard error."""
    try:
        result = verbs.main(list(arguments), prog_name="batch-runner", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except KeyboardInterrupt:
        return 130
    except BatchRunnerError as error:
        _say(f"batch-runner: {_in_short(error)}{error}")
        return exit_code_of(error)
    except BrokenPipeError:
        return 0
    except Exception:  # noqa: BLE001  the last line of defence tells all it knows
        import traceback

        _say(traceback.format_exc())
        _say("batch-runner: this is a mistake of the program; nothing already paid for is lost.")
        return 70
    return result if isinstance(result, int) else 0


def exit_code_of(error: BatchRunnerError) -> int:
    """Return the exit code for an error that ended a command."""
    if isinstance(error, JobLocked):
        return 5
    if isinstance(error, UsageError | JournalUnreadable):
        return 2
    return 3 if isinstance(error, JournalError) else 1


def _in_short(error: BatchRunnerError) -> str:
    """Return for a Chinese reader what kind of error it is; the error itself speaks English."""
    told = {ManifestError: "清单有误，没有发送任何请求", JobLocked: "另一个运行正占用这个任务"}.get(
        type(error)
    )
    return f"{told}：\n" if told and reader_language(sys.stderr) == "zh" else ""


def _say(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens; the exit code still tells
