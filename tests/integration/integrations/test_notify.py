"""End of a run: real commands, and notifications to a local server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from batch_runner.engine.summary import ExitCode, RunSummary
from batch_runner.integrations.notify import send_notifications
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest import OnFinish

#: Warnings about apprise's own code are not ours.
FOREIGN_WARNINGS = pytest.mark.filterwarnings("default")
SENTENCE = '1 of 3 items held; it\'s "2" done; 3 submissions, 马年.'


def finished(tmp_path: Path, code: ExitCode = ExitCode.INCOMPLETE, **on_finish: Any) -> None:
    counts = dict.fromkeys(ItemStatus, 0) | {ItemStatus.DONE: 2, ItemStatus.HELD: 1}
    summary = RunSummary(
        counts=counts,
        submissions=3,
        paid=3,
        spent=3,
        cost=None,
        cost_of_job=None,
        polls=9,
        limited=0,
        seconds=60.0,
        exit_code=code,
        stop=None,
    )
    report = tmp_path / "out/index.html"
    seconds = {"command_seconds": on_finish.pop("seconds", 50), "notify_seconds": 20}
    seconds["rehearsal"] = on_finish.pop("rehearsal", False)
    send_notifications(
        OnFinish(**on_finish), summary, SENTENCE, report=report, folder=tmp_path, **seconds
    )


def test_command_gets_everything_but_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BAICAI_API_KEY", "sk-secret")
    script = tmp_path / "publish.sh"
    script.write_text("#!/bin/sh\nenv > out.env\n")
    script.chmod(0o755)

    finished(tmp_path, command="./publish.sh")

    variables = dict(line.split("=", 1) for line in (tmp_path / "out.env").read_text().splitlines())
    assert variables["BATCH_RUNNER_SUMMARY"] == SENTENCE
    assert variables["BATCH_RUNNER_EXIT_CODE"] == "1"
    assert (variables["BATCH_RUNNER_DONE"], variables["BATCH_RUNNER_HELD"]) == ("2", "1")
    assert variables["BATCH_RUNNER_REPORT"] == str(tmp_path / "out/index.html")
    assert variables["BATCH_RUNNER_FOLDER"] == str(tmp_path / "out")
    assert variables["BATCH_RUNNER_REHEARSAL"] == ""
    assert "sk-secret" not in str(variables)
    assert caplog.messages == []


def test_command_knows_a_rehearsal(tmp_path: Path) -> None:
    """A command that publishes images must be able to skip simulated ones."""
    finished(tmp_path, command='test -n "$BATCH_RUNNER_REHEARSAL" && touch out.env', rehearsal=True)
    assert (tmp_path / "out.env").exists()


@pytest.mark.parametrize(("when", "expected"), [("always", True), ("problems", False)])
def test_when_problems_skips_successful_runs(tmp_path: Path, when: str, expected: bool) -> None:
    finished(tmp_path, ExitCode.DONE, command="touch good", when=when)
    finished(tmp_path, ExitCode.INCOMPLETE, command="touch bad", when=when)

    assert (tmp_path / "good").exists() is expected
    assert (tmp_path / "bad").exists()


@pytest.mark.parametrize("command", ["exit 7", "./is-not-there", "kill -9 $$"])
def test_failed_command_is_logged(
    tmp_path: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    finished(tmp_path, command=command)

    (message,) = caplog.messages
    assert message.startswith("on_finish.command failed")


def test_hanging_command_is_killed_with_its_children(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held_open = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    finished(tmp_path, command="(sleep 1000; true) > pipe & sleep 1000; true", seconds=1)

    os.set_blocking(held_open, True)
    assert os.read(held_open, 1) == b""  # no process is left that has it open
    os.close(held_open)
    assert "timed out" in caplog.messages[0]


@contextmanager
def notification_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server; yield its address and the notifications it got."""
    got: list[dict[str, Any]] = []

    class Mailbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Mailbox) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"json://127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


@FOREIGN_WARNINGS
def test_notification_has_summary_and_report_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise")
    with notification_server() as (address, got):
        finished(tmp_path, notify=[address])

    (message,) = got
    assert message["title"] == "batch-runner"
    assert message["message"].splitlines() == [SENTENCE, str(tmp_path / "out/index.html")]
    assert [one.name for one in caplog.records if one.name.startswith("batch_runner")] == []


@FOREIGN_WARNINGS
def test_failed_notifications_are_logged_without_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise")
    with notification_server() as (address, _):
        finished(tmp_path, notify=["no-such-thing://me:secret@x", f"{address}/broken"])

    ours = [one.getMessage() for one in caplog.records if one.name.startswith("batch_runner")]
    assert ours == [
        "on_finish.notify: not a valid address: entry 1",
        "on_finish.notify: not every notification was delivered",
    ]
    assert "secret" not in str(ours)


def test_missing_apprise_is_logged(tmp_path: Path) -> None:
    """Neither it nor a failing command fails the run."""
    manifest = tmp_path / "cards.yaml"
    manifest.write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [a horse]\n'
        "on_finish: {notify: ['json://127.0.0.1:9'], command: 'echo loud; exit 3'}\n"
    )
    # As if the module were not installed.
    program = "import sys; sys.modules['apprise'] = None; from batch_runner.__main__ import main; "
    arguments = ["run", str(manifest), "--rehearse", "--json"]

    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.argv[1:] = {arguments!r}; sys.exit(main())"],
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "on_finish" in line]
    assert len(warnings) == 2
    assert "exit status 3" in warnings[0]
    assert "pip install 'batch-runner[notify]'" in warnings[1]
    assert "loud" in done.stderr
    assert all(json.loads(line) for line in done.stdout.splitlines())
