"""`simulate`: act the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from batch_runner.cli.options import examples, say
from batch_runner.errors import UsageError


@examples(
    "batch-runner simulate --port 8765",
    "batch-runner simulate --port 8765 --service-time lognormal:30,0.4 --workers 16",
    "batch-runner simulate --create-limit 5/s --fault lose_answer:create:every=10",
    "batch-runner simulate --faults list",
)
@click.command("simulate", short_help="Act the service, for trying things out without paying.")
@click.option("--host", default="127.0.0.1", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", default=8765, help="Port of the API; 0: any (default 8765).")
@click.option("--files-port", default=0, help="Port of the files, another origin (default any).")
@click.option("--seed", default=0, help="What chance and pictures are drawn from (default 0).")
@click.option("--service-time", default="2s", help="2s, uniform:1,3, exp:20, lognormal:30,0.4.")
@click.option("--workers", default=0, help="Tasks worked on at once; 0: all (default 0).")
@click.option("--order", default="fifo", help="Which waiting task is next: fifo or random.")
@click.option("--create-limit", help="Creates above this get 429, such as 5/s:burst=2.")
@click.option("--variant", "variants", multiple=True, help="A documented reading of the answers.")
@click.option("--url-life", type=float, help="Seconds until a result URL expires.")
@click.option("--progress", default="honest", help="honest, none, lying or stuck.")
@click.option("--outputs", default=1, help="Pictures of one task (default 1).")
@click.option("--image-bytes", type=int, help="Serve one noise picture of about this size.")
@click.option("--latency", default="0s", help="How long every answer takes.")
@click.option("--fault", "faults_one", multiple=True, help="What goes wrong; may be repeated.")
@click.option("--faults", "faults_text", help="The same, separated by commas; `list` lists them.")
@click.option("--key", "keys", multiple=True, help="A key that is accepted (default any sk-…).")
@click.option(
    "--workflow", "workflows", multiple=True, help="A workflow id it knows (default all)."
)
@click.option(
    "--state", type=click.Path(path_type=Path), help="File in which tasks survive a restart."
)
def command(*, faults_one: tuple[str, ...], faults_text: str | None, **options: Any) -> int:
    """Act the service on this machine, with real pictures, a ledger, and faults on request."""
    from batch_runner import simulator

    if faults_text == "list":
        for name, line in simulator.FAULTS.items():
            say(f"{name:28} {line}")
        return 0
    faults = (*faults_one, *(faults_text.split(",") if faults_text else ()))
    try:
        settings = simulator.SimulatorSettings(faults=faults, **options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return _serve(settings, options["host"], options["port"])


def _serve(settings: Any, host: str, port: int) -> int:
    import asyncio

    from batch_runner.simulator import serve

    try:
        asyncio.run(serve(settings))
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port"
        ) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    return 0
