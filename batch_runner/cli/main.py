"""The command group, and which exit status an error ends with."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import click

from batch_runner import __version__
from batch_runner.cli.help_formatter import translate_click
from batch_runner.errors import (
    BatchRunnerError,
    JobLocked,
    JournalError,
    JournalUnreadable,
    UsageError,
)
from batch_runner.util.locale import reader_language, tr, use_language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

#: Command → what it does, in the order in which a user meets them.
COMMANDS = {
    "init": "Write a first manifest that runs.",
    "run": "Run a manifest, or continue it: submit, poll, download.",
    "plan": "Show what a run would do and what it would cost.",
    "status": "Show the status of every item.",
    "retry": "Let the next run submit failed or rejected items again.",
    "redo": "Let the next run make one more try of done items.",
    "resolve": "Decide about items that are held.",
    "report": "Write the report (a static page) of a job.",
    "verify": "Check every file against what the journal recorded.",
    "jobs": "List your jobs and what they cost; forget, move or rescan them.",
    "cluster": "Set up the database by which several hosts share jobs.",
    "worker": "Process items of the cluster's jobs on this host.",
    "export": "Copy chosen files with their prompts.",
    "providers": "List the services; show, check or approve one.",
    "simulate": "Run the service simulator: try things out without paying.",
    "schedule": "Schedule runs with cron, systemd or launchd.",
    "doctor": "Check the installation, the key and a coming run.",
    "schema": "Print the JSON Schema of the manifest, for editors.",
    "help": "Show the documentation: a topic, or the help of a command.",
    "completion": "Print the script that completes commands in bash, zsh or fish.",
}

#: Flags of earlier versions → their names now.
RENAMED_FLAGS = {
    "--pace": "--rate",
    "--polls": "--poll-rate",
    "--tasks": "--max-submissions",
    "--fetch": "--redownload",
}

EXIT_STATUS = """\
\b
Exit status (each command's help lists those it uses and what they mean there):
  0    Done. For run, status and verify: every item is done.
  1    Finished, but some items are not done or need a decision.
  2    The command, a setting or the manifest is wrong. Nothing was sent.
  3    Stopped early (signal, deadline, cap, disk, or you answered no). The next run continues.
  4    The service rejects all requests (key, balance), redirects, or cannot be reached.
  5    Another run is working on the job.
  6    Only plan --detailed-exitcode: a run would submit items.
  70   A bug in this program.
  130, 143  Ended at once by a signal.
"""


class CommandGroup(click.Group):
    """The commands. Each is imported only when it is called or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"batch_runner.cli.commands.{name}")
        found = module.command
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest one if there is none of that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from batch_runner.manifest.diagnostics import closest

            if (meant := closest(args[0], COMMANDS)) is None:
                raise
            hint = tr("Did you mean {name}?", name=meant)
            raise click.UsageError(f"{error.format_message()} {hint}", error.ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command without importing any."""
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=tr(COMMANDS[name])) for name in names]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n"
    "  batch-runner run jobs/year_of_the_horse.yaml --rehearse\n"
    "  batch-runner plan jobs/year_of_the_horse.yaml\n"
    "  batch-runner help\n"
    "  batch-runner COMMAND --help\n\n" + EXIT_STATUS,
)
@click.version_option(__version__, prog_name="batch-runner")
def commands() -> None:
    """Run a list of prompts through a paid image API, unattended and crash-safe.

    Every item ends as a verified file on disk or with a stated reason. A request that may have been
    paid for is never sent again without your approval.
    """


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Errors are printed on standard error.

    Everything a person reads is in the language of the reader of standard output.
    """
    language = reader_language()
    if language != "en":
        translate_click()
    with use_language(language):
        return _run_command(arguments)


def _run_command(arguments: Sequence[str]) -> int:
    try:
        result = commands.main(list(arguments), prog_name="batch-runner", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort as ended:
        if isinstance(ended.__context__, EOFError):  # Ctrl-D at a question
            _print_error("\n" + tr("batch-runner: the input ended; nothing was changed"))
            return 3
        return 130
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and error.option_name in RENAMED_FLAGS:
            new = tr("was renamed to {renamed}", renamed=RENAMED_FLAGS[error.option_name])
            error = click.UsageError(f"{error.option_name} {new}", error.ctx)
        error.show()
        return 2
    except KeyboardInterrupt:
        return 130
    except BatchRunnerError as error:
        _print_error(f"batch-runner: {error}")
        return exit_code_of(error)
    except BrokenPipeError:
        return 0
    except Exception:  # noqa: BLE001  a bug: print all that is known about it
        import traceback

        _print_error(traceback.format_exc())
        _print_error(tr("batch-runner: this is a bug in batch-runner; nothing paid for is lost"))
        return 70
    return result if isinstance(result, int) else 0


def exit_code_of(error: BatchRunnerError) -> int:
    """Return the exit status for an error that ended a command."""
    if isinstance(error, JobLocked):
        return 5
    if isinstance(error, UsageError | JournalUnreadable):
        return 2
    return 3 if isinstance(error, JournalError) else 1


def _print_error(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads it; the exit status still shows it
