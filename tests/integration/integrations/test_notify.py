"""The end of a run, told: real commands, and notifications to a server of this machine."""

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
from batch_runner.integrations.notify import tell
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest import OnFinish

#: What apprise's own code is warned of is not ours.
SOMEBODY_ELSES = pytest.mark.filterwarnings("default")
SENTENCE = '1 of 3 items is held; it\'s "2" done; 3 creates, 马年.'


def finished(tmp_path: Path, code: ExitCode = ExitCode.INCOMPLETE, **on_finish: Any) -> None:
    counts = dict.fromkeys(ItemStatus, 0) | {ItemStatus.DONE: 2, ItemStatus.HELD: 1}
    figures = {"submissions": 3, "paid": 3, "spent": 3, "polls": 9, "limited": 0, "seconds": 60.0}
    summary = RunSummary(counts=counts, exit_code=code, stop=None, **figures)  # type: ignore[arg-type]
    report = tmp_path / "out/index.html"
    seconds = {"command_seconds": on_finish.pop("seconds", 50), "notify_seconds": 20}
    seconds["rehearsal"] = on_finish.pop("rehearsal", False)
    tell(OnFinish(**on_finish), summary, SENTENCE, report=report, beside=tmp_path, **seconds)


def test_a_command_is_told_everything_but_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BAICAI_API_KEY", "sk-secret")
    script = tmp_path / "publish.sh"
    script.write_text("#!/bin/sh\nenv > told\n")
    script.chmod(0o755)

    finished(tmp_path, command="./publish.sh")

    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert told["BATCH_RUNNER_VERDICT"] == SENTENCE
    assert told["BATCH_RUNNER_EXIT_CODE"] == "1"
    assert (told["BATCH_RUNNER_DONE"], told["BATCH_RUNNER_HELD"]) == ("2", "1")
    assert told["BATCH_RUNNER_REPORT"] == str(tmp_path / "out/index.html")
    assert told["BATCH_RUNNER_FOLDER"] == str(tmp_path / "out")
    assert told["BATCH_RUNNER_REHEARSAL"] == ""
    assert "sk-secret" not in str(told)
    assert caplog.messages == []


def test_a_rehearsal_is_told_as_one(tmp_path: Path) -> None:
    """A command that publishes pictures must be able to leave those of the simulator alone."""
    finished(tmp_path, command='test -n "$BATCH_RUNNER_REHEARSAL" && touch told', rehearsal=True)
    assert (tmp_path / "told").exists()


@pytest.mark.parametrize(("when", "told"), [("always", True), ("trouble", False)])
def test_it_is_told_only_on_trouble_if_so_wished(tmp_path: Path, when: str, told: bool) -> None:
    finished(tmp_path, ExitCode.DONE, command="touch good", when=when)
    finished(tmp_path, ExitCode.INCOMPLETE, command="touch bad", when=when)

    assert (tmp_path / "good").exists() is told
    assert (tmp_path / "bad").exists()


@pytest.mark.parametrize("command", ["exit 7", "./is-not-there", "kill -9 $$"])
def test_a_command_that_fails_is_a_warning(
    tmp_path: Path, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    finished(tmp_path, command=command)

    (message,) = caplog.messages
    assert message.startswith("on_finish.command failed")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    os.mkfifo(gone)
    held_open = os.open(gone, os.O_RDONLY | os.O_NONBLOCK)

    finished(tmp_path, command="(sleep 1000; true) > gone & sleep 1000; true", seconds=1)

    os.set_blocking(held_open, True)
    assert os.read(held_open, 1) == b""  # nobody is left who could write into it
    os.close(held_open)
    assert "timed out" in caplog.messages[0]


@contextmanager
def a_mailbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server that takes notifications, for the length of a block."""
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


@SOMEBODY_ELSES
def test_a_notification_says_the_verdict_and_where_the_report_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise")
    with a_mailbox() as (address, got):
        finished(tmp_path, notify=[address])

    (message,) = got
    assert message["title"] == "batch-runner"
    assert message["message"].splitlines() == [SENTENCE, str(tmp_path / "out/index.html")]
    assert [one.name for one in caplog.records if one.name.startswith("batch_runner")] == []


@SOMEBODY_ELSES
def test_notifications_that_fail_are_warnings_that_hold_no_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise")
    with a_mailbox() as (address, _):
        finished(tmp_path, notify=["no-such-thing://me:secret@x", f"{address}/broken"])

    ours = [one.getMessage() for one in caplog.records if one.name.startswith("batch_runner")]
    assert ours == [
        "on_finish.notify: entries [1] are no addresses",
        "on_finish.notify: not every notification was delivered",
    ]
    assert "secret" not in str(ours)


def test_without_apprise_one_sentence_says_what_is_missing(tmp_path: Path) -> None:
    """In a process of its own, and in one run: neither it nor a failing command fails the run."""
    manifest = tmp_path / "cards.yaml"
    manifest.write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [a horse]\n'
        "on_finish: {notify: ['json://127.0.0.1:9'], command: 'echo loud; exit 3'}\n"
    )
    # What Python does for a module that is not installed.
    program = "import sys; sys.modules['apprise'] = None; from batch_runner.__main__ import main; "
    arguments = ["run", str(manifest), "--rehearse", "--json"]

    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.argv[1:] = {arguments!r}; sys.exit(main())"],
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "on_finish" in line]
    assert len(told) == 2
    assert "exit status 3" in told[0]
    assert "pip install 'batch-runner[notify]'" in told[1]
    assert "loud" in done.stderr
    assert all(json.loads(line) for line in done.stdout.splitlines())
