"""`status --watch` beside a run, on a terminal of its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import Command, Service, wait_until
from tests.harness.commands import PATIENCE, CommandProcess

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Watch:
    """A `status --watch` on a pseudo-terminal, and what it has written."""

    process: subprocess.Popen[bytes]
    master: int
    written: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                if not (data := os.read(self.master, 65536)):
                    return
            except OSError:  # the other end is closed
                return
            self.written += data

    @property
    def raw(self) -> str:
        return self.written.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw)

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        code = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        os.close(self.master)
        return code


def watch(command: Command, *, columns: int = 100, **environment: str) -> Watch:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "batch_runner", "status", str(command.manifest)),
            *("--watch", "--output", str(command.out)),
        ],
        env={**command.environment, "TERM": "xterm-256color", **environment},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    return Watch(process, master)


@pytest.fixture
def run_at_work(command: Command, service: Service) -> CommandProcess:
    """Start a run with one item held, one rejected, and the others in flight until it ends."""
    service.set_faults(
        "lose_answer:submit:times=1", "moderation:submit:after=1:times=1", "hang:status"
    )
    process = command.start("run")
    wait_until(lambda: command.out.joinpath(".batch/journal.sqlite").exists())
    wait_until(
        lambda: sorted(command.statuses().values()) == ["held", "rejected", *["submitted"] * 6]
    )
    return process


def journal_of(command: Command) -> str:
    return hashlib.sha256(command.out.joinpath(".batch/journal.sqlite").read_bytes()).hexdigest()


def test_watch_shows_the_run_and_changes_nothing(
    command: Command, run_at_work: CommandProcess
) -> None:
    before = journal_of(command)
    names = {status: name for name, status in command.statuses().items()}
    watching = watch(command)
    wait_until(lambda: watching.raw.count("6 in flight") > 1)  # drawn again in its place

    shown = watching.text
    assert "0 of 8 done" in shown
    assert re.search(rf"held +{names['held']} +sent ", shown)
    assert re.search(rf"errors +{names['rejected']} +\d\d:\d\d:\d\d ", shown)
    assert re.search(r"in flight card-\d +[\d.]+ s", shown)
    assert "limit 50/s" in shown
    assert journal_of(command) == before

    run_at_work.send_signal(signal.SIGTERM)
    run_at_work.communicate(timeout=PATIENCE)
    assert run_at_work.returncode == 3
    assert watching.end() == 0
    assert "run 1 ended" in watching.text
    assert "exit status 3" in watching.text


def test_watch_in_chinese_and_without_colours(
    command: Command, run_at_work: CommandProcess
) -> None:
    watching = watch(command, LANG="zh_CN.UTF-8", PYTHONUTF8="1", NO_COLOR="1")
    wait_until(lambda: "进行中 6" in watching.text)
    watching.process.send_signal(signal.SIGINT)

    assert watching.end() == 130
    assert "待定 1" in watching.text
    assert "完成 0/8" in watching.text
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", watching.raw)
    run_at_work.kill()
    run_at_work.communicate(timeout=PATIENCE)


def test_watch_ends_after_the_run_is_killed(command: Command, run_at_work: CommandProcess) -> None:
    run_at_work.kill()
    run_at_work.communicate(timeout=PATIENCE)

    again = command("status", "--watch")

    assert again.returncode == 0
    assert "was killed" in again.stdout


@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_watch_of_a_killed_run_ends_though_its_pid_is_reused(
    command: Command, run_at_work: CommandProcess, host: str
) -> None:
    run_at_work.kill()
    run_at_work.communicate(timeout=PATIENCE)
    with closing(sqlite3.connect(command.out / ".batch/journal.sqlite")) as journal, journal:
        journal.execute("UPDATE runs SET pid = ?, host = ?", (os.getpid(), host))
    (command.out / ".batch/lock").write_text(
        json.dumps({"pid": os.getpid(), "host": host, "since": 0})
    )

    again = command("status", "--watch")

    assert again.returncode == 0
    assert "was killed" in again.stdout


def test_watch_without_a_terminal_prints_lines(
    command: Command, run_at_work: CommandProcess
) -> None:
    process = command.start("status", "--watch")
    assert process.stdout is not None
    first = process.stdout.readline()
    second = process.stdout.readline()
    run_at_work.send_signal(signal.SIGTERM)
    run_at_work.communicate(timeout=PATIENCE)
    rest, _ = process.communicate(timeout=PATIENCE)

    assert first.startswith("0/8 done · 6 in flight · 1 rejected · 1 held")
    assert "held card-" in second
    assert "\x1b" not in first + second + rest
    assert process.returncode == 0
    assert "exit status 3" in rest


def test_messages_are_chinese_but_json_and_logs_are_not(command: Command) -> None:
    english = command("run", "--json")
    command.environment |= {"LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1"}

    again, status = command("run"), command("status")

    assert english.returncode == again.returncode == status.returncode == 0
    assert "8 项全部完成" in again.stdout
    assert "报告：" in again.stdout
    assert "8 完成" in status.stdout
    assert set(command.statuses().values()) == {"done"}
    assert "8 项中有 8 项完好" in command("verify").stdout
    assert "0 项待定" in command("resolve").stdout
    assert "没有密钥" in without_key(command)
    command.manifest.write_text("prompts: 3\n", encoding="utf-8")
    assert "prompts：应为列表，实际是数字" in command("plan").stderr
    logs = sorted(command.out.glob(".batch/logs/*.log"))
    assert logs
    assert not any(re.search("[\u4e00-\u9fff]", log.read_text("utf-8")) for log in logs)


def without_key(command: Command) -> str:
    command.environment.pop("BAICAI_API_KEY")
    return command("run").stderr
