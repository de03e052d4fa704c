"""The simulator as a separate process: ready line, kill -9, exit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SERVE = """
import asyncio, pathlib, sys
from batch_runner.simulator import SimulatorSettings, serve
asyncio.run(serve(SimulatorSettings(service_time=0, state=pathlib.Path(sys.argv[1]))))
"""


@contextmanager
def a_simulator(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a simulator in a process; yield the process and its URL."""
    command = [sys.executable, "-c", SERVE, str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[2]
        finally:
            process.kill()


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer sk-x", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310  the simulator's URL
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return json.load(response)


def test_confirmed_submission_survives_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    content = {"workflowId": "w", "params": {"6": {"text": "a horse"}}}

    with a_simulator(state) as (process, url):
        task_id = ask(f"{url}/v1/comfyui/create", content)["data"]["taskId"]
        process.kill()
    with a_simulator(state) as (_, url):
        ledger = ask(f"{url}/_sim/ledger")

    assert [entry["task_id"] for entry in ledger["submissions"]] == [task_id]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signal_ends_it_with_status_0(tmp_path: Path, name: str) -> None:
    with a_simulator(tmp_path / "state.jsonl") as (process, _):
        process.send_signal(getattr(signal, name))

        assert process.wait() == 0
