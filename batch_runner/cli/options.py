"""What several commands share: options, help, the manifest and the folder they work on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batch_runner.config.environment import OUTPUT_VARIABLE
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import (
    Utf8Path,
    decode_argument,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from click.shell_completion import CompletionItem

    from batch_runner.planning.selection import Selection


CommandT = TypeVar("CommandT", bound=click.Command)


class PathType(click.Path):
    """Path option that keeps the bytes that were typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(Utf8Path(value), param, ctx)


class ManifestType(PathType):
    """Path of a manifest; shells complete it to folders and YAML files."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from batch_runner.cli.completion import complete_manifest

        return complete_manifest(incomplete)


class FolderType(PathType):
    """Folder path option that rejects "" (an unset shell variable), not the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


class PathOption(click.Option):
    """Option for a path, whose environment variable is decoded as an argument is."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        value = super().resolve_envvar_value(ctx)
        return None if value is None else decode_argument(os.fsencode(value))


manifest_argument = click.argument("manifest", type=ManifestType(), metavar="MANIFEST")
#: For commands that need only the job's folder: see `given_job.find_job`.
job_argument = click.argument(
    "manifest", type=ManifestType(), metavar="[MANIFEST]", required=False, default=None
)
_OUTPUT = (
    "Output folder (default: output.folder of the manifest, else out/JOB beside it; "
    f"env {OUTPUT_VARIABLE})."
)


def _output_option(text: str) -> Callable[..., Any]:
    return click.option(
        "--output",
        cls=PathOption,
        type=FolderType(),
        metavar="FOLDER",
        help=text,
        envvar=OUTPUT_VARIABLE,
    )


output_option = _output_option(_OUTPUT)
#: For commands that need only the job's folder.
job_output_option = _output_option(
    f"{_OUTPUT} If it has a job, MANIFEST may be left out, missing or invalid."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON lines on standard output (default: text)."
)
rehearsal_option = click.option(
    "--rehearse",
    is_flag=True,
    help="Use the rehearsal: the built-in simulator and a folder of its own, FOLDER.rehearsal. "
    "It is free and needs no key.",
)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select items; see `take_selection`."""
    for option in reversed(_SELECTION):
        command = option(command)
    return command


def take_selection(flags: dict[str, Any]) -> Selection:
    """Return the selection that the options of `selection_options` give; remove them from `flags`.

    Raises:
        UsageError: they cannot be combined.
    """
    from batch_runner.planning.selection import Selection

    only, first, sample, seed = (flags.pop(name) for name in _SELECTION_FLAGS)
    if seed is not None and sample is None:
        raise UsageError(tr("--seed belongs to --sample, which is missing"))
    return Selection(only=only, first=first, sample=sample, seed=seed or 0)


_SELECTION_FLAGS = ("only", "first", "sample", "seed")
_SELECTION = (
    click.option(
        "--only",
        multiple=True,
        metavar="NAME",
        help="Submit only the items with this id, key or file name, or that match it as a pattern "
        "such as 'card-*'; may be repeated (default: all items).",
    ),
    click.option(
        "--first",
        type=int,
        metavar="N",
        help="Submit only the first N items of the manifest (default: all).",
    ),
    click.option(
        "--sample",
        type=int,
        metavar="N",
        help="Submit only N items drawn by --seed, the same ones each time (default: all).",
    ),
    click.option(
        "--seed", type=int, metavar="S", help="Whole number that decides --sample (default: 0)."
    ),
)

#: Exit statuses that mean the same for several commands.
USAGE_ERROR = {"2": "The command, a setting or the manifest is wrong. Nothing was sent or changed."}
JOURNAL_ERROR = {"3": "The journal could not be read or written (missing or damaged: 2)."}
LOCKED = {"5": "Another run is working on the job. Nothing was changed."}
_ALWAYS = {
    "70": "A bug in this program.",
    "130, 143": "Ended by Ctrl-C (130), or by SIGTERM or SIGHUP (143).",
}


def help_epilog(*examples: str, exit_status: Mapping[str, str]) -> Callable[[CommandT], CommandT]:
    """Return a decorator that ends a command's help with examples and its exit statuses."""
    rows = sorted((_ALWAYS | dict(exit_status)).items(), key=lambda row: int(row[0].split(",")[0]))
    parts = [
        "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples),
        "\b\nExit status:\n" + "\n".join(f"  {code:<8}  {text}" for code, text in rows),
    ]

    def decorate(command: CommandT) -> CommandT:
        command.epilog = "\n\n".join(parts)
        return command

    return decorate
