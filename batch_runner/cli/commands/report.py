"""`report`: write the report of a job, open it, serve it, or write a page for somebody else."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.garbage_collector import collection_disabled
from batch_runner.cli.given_job import job_folder
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    USAGE_ERROR,
    PathType,
    help_epilog,
    job_argument,
    job_output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr, tr_n
from batch_runner.util.paths import encode_path, utf8_text

if TYPE_CHECKING:
    from pathlib import Path

#: Fixed, because a browser keeps favourites by address and port.
DEFAULT_PORT = 8766
MAX_PORT = 65535


class PortType(click.types.IntParamType):
    """TCP port of `--serve`, which takes the next word even if that is MANIFEST."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not re.fullmatch("[0-9]{1,5}", str(value)) or int(value) > MAX_PORT:
            self.fail(
                tr(
                    "{value} is not a port (0 to 65535); write MANIFEST before --serve",
                    value=value,
                ),
                param,
                ctx,
            )
        return int(value)


@help_epilog(
    "batch-runner report jobs/year_of_the_horse.yaml --open",
    "batch-runner report jobs/year_of_the_horse.yaml --serve",
    "batch-runner report jobs/year_of_the_horse.yaml --share cards.html --title 'Our cards'",
    exit_status={
        "0": "The page was written, also if no browser was found for --open; or --serve was ended "
        "by SIGINT (Ctrl-C) or SIGTERM.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
    },
)
@click.command("report")
@job_argument
@job_output_option
@rehearsal_option
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--serve",
    "port",
    type=PortType(),
    is_flag=False,
    flag_value=str(DEFAULT_PORT),
    metavar="[PORT]",
    help="Serve the report and the files to browsers on this machine (127.0.0.1) until Ctrl-C, and "
    "print the ssh line for another machine. Everybody who is logged in here can read them "
    f"meanwhile. 0 takes a free port (default: {DEFAULT_PORT}).",
)
@click.option(
    "--share",
    type=PathType(dir_okay=False),
    metavar="FILE",
    help="Instead of the report, write one page to send to somebody: a title and the numbered "
    "images, scaled down; no prompts, parameters, task ids or file names (default: no such page).",
)
@click.option(
    "--title", metavar="TEXT", help="Title of the shared page (default: the name of the job)."
)
def command(
    manifest: Path | None,
    output: Path | None,
    *,
    rehearse: bool,
    show: bool,
    port: int | None,
    share: Path | None,
    title: str | None,
) -> int:
    """Write the report of MANIFEST's job, index.html in the output folder.

    It is made from the journal, also while a run is working. A run writes it by itself at its end.
    """
    from batch_runner.report import write_report

    if share is None and title is not None:
        raise UsageError(tr("--title is the title of a shared page; add --share FILE"))
    if share is not None and port is not None:
        raise UsageError(tr("--serve and --share exclude each other"))
    folder = job_folder(manifest, output, rehearse=rehearse)
    try:
        with collection_disabled():
            page = write_report(folder.root) if share is None else _share(folder.root, share, title)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            tr("cannot write the report: {strerror}", strerror=reason)
            if share is None
            else tr("cannot write {path}: {strerror}", path=share, strerror=reason)
        ) from None
    if port is not None:
        return _serve(page, port, show=show)
    print_line(utf8_text(page))
    if show:
        _open(_file_url(page), page)
    return 0


def _share(folder: Path, target: Path, title: str | None) -> Path:
    from batch_runner.report.share import write_shared_page

    shared = write_shared_page(folder, target, title=title)
    size = f"{shared.size / 1e6:.1f} MB"
    print_line(
        tr_n("{count} image, {size}", "{count} images, {size}", shared.images, size=size),
        error=True,
    )
    if shared.left_out:
        print_line(
            tr_n(
                "{count} file is left out: it is not an image, or is missing or damaged",
                "{count} files are left out: they are not images, or are missing or damaged",
                shared.left_out,
            ),
            error=True,
        )
    return target.absolute()


def _serve(page: Path, port: int, *, show: bool) -> int:
    import asyncio
    import getpass
    import socket
    import threading

    from batch_runner.cli.report_server import ADDRESS, serve_report

    def announce(url: str, port: int) -> None:
        print_line(url)
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a user without a name, as in a container
            user = "USER"
        tunnel = f"ssh -L {port}:{ADDRESS}:{port} {user}@{socket.gethostname()}"
        print_line(
            tr("from another machine: {tunnel}, then open the same address", tunnel=tunnel),
            error=True,
        )
        print_line(tr("Ctrl-C ends it"), error=True)
        if show:  # in a thread, because some browsers return only when they are closed
            threading.Thread(target=_open, args=(url, page), daemon=True).start()

    try:
        asyncio.run(serve_report(page, port, announce))
    except OSError as error:
        raise UsageError(
            tr(
                "cannot listen on {host}:{port}: {strerror}; choose another port: --serve PORT",
                host=ADDRESS,
                port=port,
                strerror=error.strerror or error,
            )
        ) from None
    return 0


def _open(url: str, page: Path) -> None:
    """Open a URL in the user's browser, or say what to do if there is none."""
    import webbrowser

    # Without a display, webbrowser would start a text browser in this terminal.
    display = sys.platform == "darwin" or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    )
    if not display or not webbrowser.open(url):
        print_line(
            tr(
                "no browser here: copy {folder} to a machine that has one, or use --serve and ssh",
                folder=page.parent,
            ),
            error=True,
        )


def _file_url(page: Path) -> str:
    from urllib.parse import quote

    return "file://" + quote(encode_path(str(page.absolute())))
