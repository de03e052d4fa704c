"""`help`: the pages of `batch_runner/docs` and the help of commands, on the terminal."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from batch_runner.cli.options import help_epilog
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr

#: Topic → what its page is about, in the order in which a user meets them. The page of a topic is
#: `batch_runner/docs/TOPIC.md`.
TOPICS = {
    "getting-started": "From an empty folder to a job that runs every day.",
    "manifest": "The file that describes a job: how it works, and every key.",
    "settings": "Flags, variables and files, and which of them counts.",
    "commands": "The help of every command; exit statuses.",
    "costs": "Prices, spending caps, your jobs, several runs on one key.",
    "review": "The report: choose images, see it elsewhere, share them.",
    "templates": "Variables, functions and filters in prompts and params.",
    "recipes": "To copy: matrix, CSV, photos, cron, systemd, containers.",
    "outputs": "Which files are results: kinds, names, sizes, networks.",
    "network": "Proxies, TLS, redirects, rate limits and errors.",
    "services": "The services, and how to add one without code.",
    "comfyui": "Your own ComfyUI server, or several.",
    "reuse": "One result for several jobs; deleted folders.",
    "many-hosts": "One job on several hosts: workers, PostgreSQL, `cluster`.",
    "scale": "How many items one, ten and a hundred hosts carry.",
    "notifications": "Commands for items and runs, heartbeat, staying awake.",
    "promise": "What is promised about money and files; held items.",
    "systems": "Linux, macOS, Windows, file systems; what `doctor` checks.",
    "simulator": "Try things out without paying, also failures.",
    "library": "Use batch-runner from a Python program, Prefect or Airflow.",
    "architecture": "How it works inside: for those who change it.",
    "glossary": "The terms, and the statuses of an item.",
    "changelog": "What has changed; what stays compatible.",
}


class HelpCommand(click.Command):
    """Shows the topics below its options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        write_topics(formatter)


def write_topics(formatter: click.HelpFormatter) -> None:
    """Write every topic with what its page is about."""
    with formatter.section("Topics"):
        formatter.write_dl(list(TOPICS.items()))


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the topics and commands that begin with what was typed, for shells."""
    from batch_runner.cli.main import COMMANDS

    known = TOPICS | COMMANDS
    return [
        CompletionItem(name, help=text)
        for name, text in known.items()
        if name.startswith(incomplete)
    ]


@help_epilog(
    "batch-runner help",
    "batch-runner help glossary",
    "batch-runner help run",
    exit_status={"0": "The page was shown.", "2": "There is no such topic or command."},
)
@click.command("help", cls=HelpCommand)
@click.argument("topic", required=False, shell_complete=complete)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> int:
    """Show the page of TOPIC, the help of the command TOPIC, or without TOPIC the topics.

    On a terminal a page is shown in the pager that PAGER names (default: less; "cat" or empty: no
    pager), in colour unless NO_COLOR is set. Otherwise it is printed as Markdown.
    """
    from batch_runner.cli import pages

    if topic is None:
        formatter = ctx.make_formatter()
        write_topics(formatter)
        pages.show_text(formatter.getvalue() + "\n" + tr("Show one: batch-runner help TOPIC"))
    elif topic in TOPICS:
        pages.show_page(topic)
    else:
        pages.show_text(_command_help(ctx, topic))
    return 0


def _command_help(ctx: click.Context, name: str) -> str:
    """Return the help of a command, as `batch-runner NAME --help` prints it.

    Raises:
        UsageError: there is no such command, and no such topic.
    """
    from batch_runner.cli.main import COMMANDS, commands
    from batch_runner.manifest.diagnostics import did_you_mean

    root = ctx.find_root()
    found = commands.get_command(root, name)
    if found is None:
        hint = did_you_mean(name, [*TOPICS, *COMMANDS])
        hint = hint or tr("the topics: batch-runner help")
        raise UsageError(tr("no topic or command {name}; {hint}", name=name, hint=hint))
    with click.Context(found, root, info_name=name) as context:
        return found.get_help(context)
