"""`notify.heartbeat`: pings of a monitoring service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.conftest import Command, kill, write_manifest

pytestmark = pytest.mark.slow


@dataclass
class Monitor:
    """What a monitoring service has been sent: paths and bodies."""

    url: str = ""
    pings: list[tuple[str, str]] = field(default_factory=list)
    refuse: int = 0  # this many pings

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.pings]


@contextmanager
def listening() -> Iterator[Monitor]:
    monitor = Monitor()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            monitor.pings.append((self.path, body.decode()))
            monitor.refuse -= 1
            self.send_response(200 if monitor.refuse < 0 else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        monitor.url = f"http://127.0.0.1:{server.server_port}/secret-uuid?create=1&m=a%2Fb"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield monitor
        server.shutdown()
        thread.join()


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with listening() as found:
        yield found


START, FAIL = "/secret-uuid/start?create=1&m=a%2Fb", "/secret-uuid/fail?create=1&m=a%2Fb"
SUCCESS = "/secret-uuid?create=1&m=a%2Fb"


def use(command: Command, monitor: Monitor) -> None:
    more = f"notify: {{heartbeat: '{monitor.url}'}}\n"
    write_manifest(command.manifest, 2, more=more)


def test_start_and_success_are_pinged_in_order(command: Command, monitor: Monitor) -> None:
    use(command, monitor)

    done = command("run")

    assert done.returncode == 0, done.stderr
    assert monitor.paths == [START, SUCCESS]
    assert "2 items" in monitor.pings[1][1]
    texts = [path.read_bytes() for path in command.out.rglob("*") if path.is_file()]
    assert not any(b"secret-uuid" in text for text in texts)
    assert "secret-uuid" not in done.stdout + done.stderr


def test_incomplete_run_pings_failure_with_its_summary(command: Command, monitor: Monitor) -> None:
    use(command, monitor)

    assert command("run", "--max-submissions", "1").returncode == 3

    assert monitor.paths == [START, FAIL]
    assert "1 of 2" in monitor.pings[1][1]


def test_refused_run_pings_failure(command: Command, monitor: Monitor) -> None:
    use(command, monitor)
    del command.environment["BAICAI_API_KEY"]

    assert command("run").returncode == 2

    assert monitor.paths == [FAIL]
    assert "BAICAI_API_KEY" in monitor.pings[0][1]


def test_locked_job_pings_failure_unless_skipped(command: Command, monitor: Monitor) -> None:
    use(command, monitor)
    process = command.start("run", "--rate", "1/h")
    while START not in monitor.paths:
        assert process.poll() is None
    monitor.pings.clear()

    assert command("run", "--if-locked", "skip").returncode == 0
    assert monitor.pings == []
    assert command("run").returncode == 5
    assert monitor.paths == [FAIL]
    kill(process)


def test_failing_ping_is_logged_and_tried_twice(command: Command, monitor: Monitor) -> None:
    use(command, monitor)
    monitor.refuse = 3

    done = command("run", "--quiet")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert monitor.paths == [START, START, SUCCESS, SUCCESS]
    (log,) = (command.out / ".batch" / "logs").glob("run-*.log")
    text = log.read_text("utf-8")
    assert "notify.heartbeat: the ping of the start failed: HTTP 503" in text
    assert "the success failed" not in text
    assert "secret-uuid" not in text


def test_unreachable_monitor_changes_nothing(command: Command) -> None:
    write_manifest(command.manifest, 1, more="notify: {heartbeat: 'http://127.0.0.1:9/uuid'}\n")

    done = command("run")

    assert done.returncode == 0
    assert "no connection" in done.stderr
    assert "uuid" not in done.stdout + done.stderr


def test_rehearsal_and_show_config_ping_nothing(command: Command, monitor: Monitor) -> None:
    use(command, monitor)

    assert "secret-uuid" not in command("run", "--show-config").stdout
    command("run", "--rehearse", "--quiet")

    assert monitor.pings == []


@pytest.mark.parametrize("block", ["{heartbeat: 'ftp://secret-uuid/'}", "['mailto://secret-uuid']"])
def test_invalid_heartbeat_is_refused_without_its_value(command: Command, block: str) -> None:
    write_manifest(command.manifest, 1, more=f"notify: {block}\n")

    done = command("plan")

    assert done.returncode == 2
    assert "notify" in done.stderr
    assert "on_finish" in done.stderr or "wanted a URL" in done.stderr
