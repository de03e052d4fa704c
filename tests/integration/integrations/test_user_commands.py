"""Commands of the user as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batch_runner.integrations.child_environment import child_environment
from batch_runner.integrations.user_commands import OUTPUT_BYTES, EndedCommand, UserCommands


def run(folder: Path, command: str, stdin: bytes = b"", seconds: float = 100) -> EndedCommand:
    commands = UserCommands(folder, child_environment())
    try:
        return commands.run(command, stdin, seconds)
    finally:
        commands.close()


def pipe_end(folder: Path) -> int:
    """Make the named pipe `pipe`; return an end that reads "" when no process has it open."""
    os.mkfifo(folder / "pipe")
    return os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)


def is_abandoned(end: int) -> bool:
    """Wait until no process writes to the pipe any more."""
    os.set_blocking(end, True)
    found = os.read(end, 1)
    os.close(end)
    return found == b""


def test_command_reads_its_input_and_its_output_is_kept(tmp_path: Path) -> None:
    done = run(tmp_path, "cat; echo 马 >&2; exit 3", b"{}\n")

    assert done == EndedCommand(exit_status=3, output="{}\n马\n")
    assert done.problem == "exit status 3"


@pytest.mark.parametrize("command", ["true", "exec <&-", "read -r line"])
def test_large_input_that_is_not_read_does_no_harm(tmp_path: Path, command: str) -> None:
    assert run(tmp_path, command, b"x" * 3_000_000 + b"\n").problem is None


def test_endless_output_is_cut(tmp_path: Path) -> None:
    done = run(tmp_path, "yes | head -c 5000000")

    assert (done.exit_status, len(done.output)) == (0, OUTPUT_BYTES)


def test_closed_output_does_not_end_the_wait(tmp_path: Path) -> None:
    run(tmp_path, "exec >&- 2>&-; sleep 0.3; touch end")

    assert (tmp_path / "end").exists()


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    end = pipe_end(tmp_path)

    done = run(tmp_path, "sleep 1000 > pipe & echo started")

    assert done == EndedCommand(exit_status=0, output="started\n")
    assert is_abandoned(end)


@pytest.mark.slow
def test_hanging_command_ends_with_its_children(tmp_path: Path) -> None:
    end = pipe_end(tmp_path)

    done = run(tmp_path, "(sleep 1000; true) > pipe & sleep 1000; true", seconds=0.5)

    assert done.timed_out
    assert done.problem == "it did not end in time"
    assert is_abandoned(end)


def test_stopped_command_can_clean_up(tmp_path: Path) -> None:
    commands = UserCommands(tmp_path, child_environment())
    os.mkfifo(tmp_path / "pipe")

    def stop_when_started() -> None:
        with (tmp_path / "pipe").open() as pipe:
            pipe.read()
        commands.stop()

    thread = threading.Thread(target=stop_when_started)
    thread.start()
    text = "trap 'touch cleaned; exit 9' TERM; echo > pipe; while :; do sleep 0.05; done"
    done = commands.run(text, b"", 100)
    thread.join()
    commands.close()

    assert done.stopped
    assert done.exit_status == 9
    assert (tmp_path / "cleaned").exists()


@pytest.mark.slow
def test_commands_end_when_the_run_is_killed(tmp_path: Path) -> None:
    """As by kill -9, or by a second Ctrl-C: nobody is left who could end them."""
    end = pipe_end(tmp_path)
    program = (
        "from batch_runner.integrations.user_commands import UserCommands\n"
        "from pathlib import Path\nimport os\n"
        "UserCommands(Path('.'), dict(os.environb)).run("
        "'sleep 1000 > pipe & sleep 0.2; echo > started; sleep 1000', b'', 1000)"
    )
    os.mkfifo(tmp_path / "started")
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    with (tmp_path / "started").open() as pipe:
        pipe.read()

    process.send_signal(signal.SIGKILL)
    process.wait()

    assert is_abandoned(end)


def test_environment_of_children_holds_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAICAI_API_KEY", "sk-one")
    monkeypatch.setenv("BAICAI_API_KEY_FILE", "/run/key")
    monkeypatch.setenv("A_COPY", "Bearer sk-one")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pa/ss@proxy:3128/")
    monkeypatch.setenv("all_proxy", "me:p@ss@proxy:3128")
    monkeypatch.setenv("BATCH_RUNNER_PROXY", "socks5h://me:hush@proxy:1080")
    monkeypatch.setenv("DATABASE_URL", "postgres://me:mine@db/own")
    monkeypatch.setenv("BATCH_RUNNER_CLUSTER", "host=db password=mine")

    found = child_environment(secrets={"sk-one", ""})

    assert b"BATCH_RUNNER_CLUSTER" not in found
    assert b"BAICAI_API_KEY" not in found
    assert b"A_COPY" not in found
    assert found[b"BAICAI_API_KEY_FILE"] == b"/run/key"
    assert found[b"all_proxy"] == b"proxy:3128"
    assert found[b"BATCH_RUNNER_PROXY"] == b"socks5h://proxy:1080"
    assert found[b"DATABASE_URL"] == b"postgres://me:mine@db/own"  # the user's own
    assert found[b"HTTPS_PROXY"] == b"http://proxy:3128/"
