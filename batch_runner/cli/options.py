"""What several verbs share: options, the job they mean, the service, and printing."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from batch_runner.errors import UsageError
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import REHEARSAL
from batch_runner.providers import PROVIDERS
from batch_runner.util.locale import encodable, reader_language, wording
from batch_runner.util.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service


class FolderType(click.Path):
    """The path of a folder: "", from a variable that is not set, is not the one one stands in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


manifest_argument = click.argument(
    "manifest", type=click.Path(path_type=Path, dir_okay=False), metavar="MANIFEST"
)
output_option = click.option(
    "--output",
    type=FolderType(path_type=Path, file_okay=True),
    metavar="FOLDER",
    help="Output folder (default: the manifest's, or out/JOB beside it; env BATCH_RUNNER_OUTPUT).",
    envvar="BATCH_RUNNER_OUTPUT",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines on stdout.")
rehearsal_option = click.option(
    "--rehearse",
    is_flag=True,
    help="Mean the rehearsal's own folder and simulator; free, needs no key.",
)


def examples(*lines: str) -> Callable[[Any], Any]:
    """Return a decorator that ends a verb's help with examples and the exit codes."""
    from batch_runner.cli import EXIT_STATUS

    text = "\b\nExamples:\n" + "".join(f"  {line}\n" for line in lines) + EXIT_STATUS

    def decorate(command: Any) -> Any:
        command.epilog = text
        return command

    return decorate


def load_manifest(path: Path) -> Manifest:
    """Return the manifest at `path`, checked in everything but its items.

    Raises:
        ManifestError: with every problem that was found.
    """
    from batch_runner.manifest import load

    return load(path, providers=PROVIDERS)


def output_folder(manifest: Manifest, output: Path | None, *, rehearse: bool = False) -> Path:
    """Return the absolute folder that is meant; a rehearsal has one of its own beside it.

    Raises:
        UsageError: the path of the folder, or of the manifest, cannot be written down as text.
        FolderRefused: it cannot be looked into.
    """
    folder = (output or manifest.output_folder).absolute()
    for path in (folder, manifest.path.absolute()):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UsageError(f"{printable(str(path))}: a path must be UTF-8") from None
    folder = folder.with_name(f"{folder.name}.{REHEARSAL}") if rehearse else folder
    _look_into(JobFolder(folder))
    return folder


def _look_into(folder: JobFolder) -> None:
    for path in (folder.marker, folder.journal):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise folder.output_folder_error(error) from error


def job_folder(manifest_path: Path, output: Path | None, *, rehearse: bool = False) -> JobFolder:
    """Return the folder of the job in `manifest_path`, which must exist.

    Raises:
        UsageError: no run has been made there yet.
    """
    return folder_of(load_manifest(manifest_path), output, rehearse=rehearse)


def folder_of(manifest: Manifest, output: Path | None, *, rehearse: bool = False) -> JobFolder:
    """Return the folder of the job in `manifest`, which must exist.

    Raises:
        UsageError: no run has been made there yet.
    """
    folder = JobFolder(output_folder(manifest, output, rehearse=rehearse))
    if not folder.journal.exists() and not folder.marker.exists():
        raise UsageError(
            wording(
                reader_language(sys.stderr),
                f"no run has been made in {folder.root} yet",
                f"{folder.root} 中还没有运行过",
            )
        )
    return folder


def identity_of(manifest: Manifest, service: Service | None) -> JobIdentity:
    """Return whose folder a run needs; without a service it is a rehearsal's."""
    origin = REHEARSAL
    if service is not None:
        parts = urlsplit(service.base_url)
        origin = f"{parts.scheme}://{parts.netloc}"
    return JobIdentity(job=manifest.job, provider=manifest.provider, origin=origin)


def say(text: str, *, error: bool = False) -> None:
    """Print a line; a reader that has gone is not our failure."""
    stream = sys.stderr if error else sys.stdout
    with contextlib.suppress(OSError, ValueError):
        stream.write(encodable(text, stream) + "\n")
        stream.flush()


def say_either(en: str, zh: str, *, error: bool = False) -> None:
    """Print a line in the reader's language."""
    language = reader_language(sys.stderr if error else sys.stdout)
    say(wording(language, en, zh), error=error)


def say_json(value: Any) -> None:
    """Print one JSON object on a line."""
    say(json.dumps(value, ensure_ascii=True, default=str))
