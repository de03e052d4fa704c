"""`simulate`: run the service simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from batch_runner.cli.options import PathType, help_epilog
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path


@help_epilog(
    "batch-runner simulate --port 8765",
    "batch-runner simulate --service-time lognormal:30,0.4 --workers 16",
    "batch-runner simulate --submit-limit 5/s --fault lose_answer:submit:every=10",
    "batch-runner simulate --as comfyui --port 8188 --workflow cards_api.json",
    "batch-runner simulate --faults list",
    exit_status={
        "0": "Stopped by SIGINT (Ctrl-C) or SIGTERM, or the faults were listed.",
        "2": "An option is invalid, or the port is in use.",
        "130, 143": "Ended by a signal before it was ready.",
    },
)
@click.command("simulate")
@click.option(
    "--as",
    "personality",
    default="baicai",
    metavar="NAME",
    help="Service to act as (default: baicai). `--as list` lists them, with their variants.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on (default: 127.0.0.1).")
@click.option(
    "--port", default=8765, help="TCP port of the API; 0 takes a free one (default: 8765)."
)
@click.option(
    "--files-port",
    default=0,
    help="TCP port of the result files; 0 takes a free one (default: 0).",
)
@click.option("--seed", default=0, help="Seed of pictures and random choices (default: 0).")
@click.option(
    "--service-time",
    default="2s",
    metavar="TIME",
    help="Duration of a task: 2s, or random seconds such as uniform:1,3, exp:20 or "
    "lognormal:30,0.4 (default: 2s).",
)
@click.option(
    "--workers", default=0, help="Tasks worked on at the same time; 0 for all (default: 0)."
)
@click.option(
    "--order", default="fifo", help="Which waiting task is next, fifo or random (default: fifo)."
)
@click.option(
    "--submit-limit",
    metavar="RATE",
    help="Answer 429 to submissions above this rate, such as 5/s:burst=2 (default: no limit).",
)
@click.option(
    "--variant",
    "variants",
    metavar="NAME",
    multiple=True,
    help="Variant of the service, such as list_urls of baicai or no_jobs of comfyui; may be "
    "repeated (default: none). `--as list` lists them.",
)
@click.option(
    "--url-life",
    type=float,
    help="Seconds until a result URL expires (default: never; of bfl: 600).",
)
@click.option(
    "--idempotency-life",
    default=86400.0,
    help="Seconds in which an idempotency key stands for the same submission (default: 86400).",
)
@click.option(
    "--progress",
    default="honest",
    help="Progress of a running task: honest, none, lying or stuck (default: honest).",
)
@click.option("--outputs", default=1, help="Pictures per task (default: 1).")
@click.option(
    "--image-bytes",
    type=int,
    help="Serve one noise picture of about this many bytes (default: a drawn card per task).",
)
@click.option(
    "--latency",
    default="0s",
    metavar="TIME",
    help="Delay of every response, as in --service-time (default: 0s).",
)
@click.option(
    "--fault",
    "faults_one",
    multiple=True,
    metavar="FAULT",
    help="Inject a fault, such as http:status:status=500:times=3; may be repeated (default: none).",
)
@click.option(
    "--faults",
    "faults_text",
    metavar="FAULTS",
    help="Several faults, separated by commas. `--faults list` lists them.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="API key to accept; may be repeated (default: any that begins with sk-; of other services "
    "than baicai any; comfyui needs none).",
)
@click.option(
    "--workflow",
    "workflows",
    multiple=True,
    help="Workflow id or model to accept; may be repeated (default: any). Of comfyui: a workflow "
    "file in API format, whose node classes the server has besides the core ones.",
)
@click.option(
    "--state",
    type=PathType(),
    metavar="FILE",
    help="File that keeps the tasks over a restart (default: memory only).",
)
def command(*, faults_one: tuple[str, ...], faults_text: str | None, **options: Any) -> int:
    """Run the service simulator on this machine until it is interrupted. Nothing is paid.

    It acts as one of several services: baicai, comfyui, runninghub, bfl, or idempotent (a made-up
    service with idempotency keys). It serves real pictures, records every request, and injects
    faults on request.

    A fault is NAME[:CALLS][:OPTION=VALUE...]. CALLS are submit, status, result, download, upload
    and cancel, joined with +. The options match=TEXT, after=N, every=N, rate=SHARE, each=N and
    times=N select the affected requests.

    GET /_sim/ledger returns as JSON: the submissions (each of them paid; with params, state,
    response, and the numbers of polls, results and downloads), the rejected requests, the uploads,
    leaked keys, followed redirects, and totals. /_sim/ shows the latest pictures.
    """
    from batch_runner import simulator

    if faults_text == "list":
        for name, line in simulator.FAULTS.items():
            print_line(f"{name:28} {line}")
        return 0
    if options["personality"] == "list":
        _list_personalities()
        return 0
    faults = (*faults_one, *(faults_text.split(",") if faults_text else ()))
    if options["personality"] == "comfyui":
        options["graphs"] = tuple(_read_graph(Utf8Path(name)) for name in options["workflows"])
    try:
        settings = simulator.SimulatorSettings(faults=faults, **options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return _serve(settings, options["host"], options["port"])


def _list_personalities() -> None:
    from batch_runner.simulator import PERSONALITIES

    for name, info in PERSONALITIES.items():
        print_line(f"{name:28} {info.description}")
        for variant, description in info.variants.items():
            print_line(f"  --variant {variant:16} {description}")


def _read_graph(path: Path) -> Any:
    """Return a workflow file in API format.

    Raises:
        UsageError: it cannot be read, or is no workflow.
    """
    try:
        graph = json.loads(path.read_bytes())
    except OSError as error:
        said = error.strerror or error
        raise UsageError(tr("{path}: {strerror}", path=path, strerror=said)) from None
    except ValueError:
        graph = None
    if not isinstance(graph, dict) or not all(
        isinstance(node, dict) and "class_type" in node for node in graph.values()
    ):
        raise UsageError(
            tr("{path}: this is no workflow in API format (JSON, nodes by id)", path=path)
        )
    return graph


def _serve(settings: Any, host: str, port: int) -> int:
    import asyncio

    from batch_runner.simulator import serve

    try:
        asyncio.run(serve(settings))
    except OSError as error:
        raise UsageError(
            tr(
                "cannot listen on {host}:{port}: {strerror}; choose another --port",
                host=host,
                port=port,
                strerror=error.strerror or error,
            )
        ) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    return 0
