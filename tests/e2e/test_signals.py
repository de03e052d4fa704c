"""Early signals: before and during the imports, and while a run starts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.commands import PATIENCE
from tests.harness.sweeps import some_of

pytestmark = pytest.mark.slow

#: Starts the command line, and sends a signal to itself when it first imports a module.
_SIGNAL_AT_IMPORT = """
import os, sys
number, module = int(sys.argv[1]), sys.argv[2]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module and self in sys.meta_path:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Finder())
sys.argv[1:] = sys.argv[3:]
from batch_runner.__main__ import main
main()
"""
#: Modules that a run imports, from the first to one that needs the event loop.
MODULES = [
    "batch_runner.cli.main",
    "click",
    "pydantic",
    "yaml",
    "batch_runner.journal.sqlite.connection",
    "aiohttp",
]

#: Runs a command as the first process of its own PID namespace, as in a container.
AS_PID_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def _has_namespaces() -> bool:
    if os.geteuid() or not shutil.which("unshare"):
        return False
    return subprocess.run([*AS_PID_1, "true"], capture_output=True).returncode == 0


needs_namespaces = pytest.mark.skipif(not _has_namespaces(), reason="needs root and unshare")
in_both_ways = pytest.mark.parametrize(
    "prefix",
    [
        pytest.param([], id="plain"),
        pytest.param(AS_PID_1, id="pid-1", marks=needs_namespaces),
    ],
)


def run_until_import(
    command: Command, prefix: list[str], number: int, module: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that gets a signal when it first imports `module`."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", _SIGNAL_AT_IMPORT, str(number), module, *arguments],
        env=command.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@in_both_ways
@pytest.mark.parametrize("module", some_of(MODULES, each=3))
def test_sigterm_during_the_start_of_a_run_submits_nothing(
    command: Command, service: Service, prefix: list[str], module: str
) -> None:
    words = ("run", str(command.manifest), "--output", str(command.out))

    ended = run_until_import(command, prefix, signal.SIGTERM, module, *words)

    assert ended.returncode in (143, 3)
    word = "ended by a signal (SIGTERM)" if ended.returncode == 143 else "stopping"
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert service.paid() == {}


@in_both_ways
@pytest.mark.parametrize("subcommand", ["plan", "verify"])
@pytest.mark.parametrize(
    ("name", "module", "code"),
    [("SIGTERM", "yaml", 143), ("SIGHUP", "yaml", 143), ("SIGINT", "click", 130)],
)
def test_signal_during_the_start_of_a_command_ends_it(
    command: Command, prefix: list[str], name: str, module: str, code: int, subcommand: str
) -> None:
    words = (subcommand, str(command.manifest), "--output", str(command.out))

    ended = run_until_import(command, prefix, signal.Signals[name], module, *words)

    assert (ended.returncode, ended.stdout) == (code, "")
    word = "Ctrl-C" if name == "SIGINT" else f"a signal ({name})"
    assert ended.stderr == f"batch-runner: ended by {word}\n"


@in_both_ways
@pytest.mark.parametrize(
    ("start", "delay"), [("module", 0.0), ("module", 0.3), ("module", 1.0), ("script", 0.0)]
)
def test_sigterm_soon_after_the_start_ends_submissions(
    command: Command, service: Service, prefix: list[str], start: str, delay: float
) -> None:
    write_manifest(command.manifest, 20)
    command.manifest.write_text(command.manifest.read_text().replace("rate: 50/s", "rate: 2/s"))
    program = [sys.executable, "-m", "batch_runner"]
    if start == "script":
        program = [str(Path(sysconfig.get_path("scripts"), "batch-runner"))]
    process = subprocess.Popen(
        [*prefix, *program, "run", str(command.manifest), "--output", str(command.out)],
        env=command.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    number = _wait_for_handler(process.pid, inside=bool(prefix))
    time.sleep(delay)

    os.kill(number, signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode in (143, 3)
    assert "Traceback" not in err
    assert len(service.paid()) < 20
    assert set(service.paid().values()) <= {1}
    assert "held" not in command.statuses().values()


def _wait_for_handler(pid: int, *, inside: bool) -> int:
    """Return the process id of the command once it has a handler for SIGTERM."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            number = int(children[0]) if inside else pid
            status = Path(f"/proc/{number}/status").read_text()
        except (IndexError, FileNotFoundError, ProcessLookupError):
            continue
        caught = int(status.split("SigCgt:")[1].split()[0], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return number
    raise AssertionError("no handler")


def test_sighup_ignored_at_the_start_stays_ignored(command: Command, service: Service) -> None:
    words = ("run", str(command.manifest), "--output", str(command.out))

    ended = run_until_import(
        command, ["nohup"], signal.SIGHUP, "batch_runner.cli.commands.run", *words
    )

    assert ended.returncode == 0
    assert len(service.paid()) == 8


#: Gets SIGINT when the interpreter has removed its handlers, after the command is done.
_SIGINT_AT_EXIT = """
import os, signal, sys

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
        kill(pid, number)

sys.late = Late()
from batch_runner.__main__ import main
main()
"""


def test_sigint_after_a_command_keeps_its_exit_status(command: Command) -> None:
    ended = _run_python(_SIGINT_AT_EXIT, command, "plan", "no-such-manifest.yaml")

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


#: Gets SIGINT while a command works and again while it removes its temporary files.
_SIGINT_TWICE = """
import os, signal, sys
from batch_runner import __main__
import batch_runner.cli.main as cli

def work(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        if twice:
            os.kill(os.getpid(), signal.SIGINT)

twice = sys.argv.pop(1) == "2"
cli.commands.main = work
__main__.main()
"""


@pytest.mark.parametrize("times", [1, 2])
def test_sigint_in_a_command_ends_it_with_one_line_each(command: Command, times: int) -> None:
    ended = _run_python(_SIGINT_TWICE, command, str(times))

    assert ended.returncode == 130
    assert ended.stderr == "batch-runner: ended by Ctrl-C\n" * times


def _run_python(
    program: str, command: Command, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=command.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


#: Runs the command line, and sends a signal to itself once or twice when it calls a function.
_SIGNAL_IN_CALL = """
import importlib, os, sys, time
number, times, module, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.argv[1:] = sys.argv[5:]

def patch():
    holder = importlib.import_module(module)
    real = getattr(holder, name)

    def call(*positional, **named):
        for _ in range(times):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        return real(*positional, **named)

    setattr(holder, name, call)

import batch_runner.__main__ as program
import batch_runner.cli.main as cli
real_run = cli.run_command

def run_command(arguments):
    patch()
    return real_run(arguments)

cli.run_command = run_command
program.main()
"""
#: Functions of a run from its start to its end, and whether every item is done by then.
CALLS = [
    ("batch_runner.api.steps", "load_manifest", False),
    ("batch_runner.api.steps", "import_items", False),
    ("batch_runner.cli.commands.run", "preview_run", False),
    ("batch_runner.engine.run", "resume_in_flight", False),
    ("batch_runner.engine.run", "finish", True),
    ("batch_runner.api.steps", "write_run_report", True),
    ("batch_runner.cli.run_end", "_print_summary", True),
    ("batch_runner.integrations.notify", "send_notifications", True),
]


@pytest.mark.parametrize(("module", "name", "done"), some_of(CALLS, each=3), ids=str)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_at_any_moment_of_a_run_ends_it_with_a_line(
    command: Command,
    service: Service,
    module: str,
    name: str,
    done: bool,
    times: int,
    number: signal.Signals,
) -> None:
    words = ("run", str(command.manifest), "--output", str(command.out))

    ended = _run_python(
        _SIGNAL_IN_CALL, command, str(number.value), str(times), module, name, *words
    )

    at_once = 130 if number is signal.SIGINT else 143
    assert ended.returncode in (3, at_once), ended.stderr
    assert "Traceback" not in ended.stderr
    word = "Ctrl-C" if number is signal.SIGINT else f"a signal ({number.name})"
    lines = [line for line in ended.stderr.splitlines() if "stopping" in line or "ended" in line]
    assert lines[0].startswith(f"batch-runner: ended by {word}") or "stopping:" in lines[0]
    if ended.returncode == at_once:
        assert f"batch-runner: ended by {word}" in ended.stderr or "aborting;" in ended.stderr
    assert set(service.paid().values()) <= {1}
    again = command("run")
    assert again.returncode == 0, again.stderr
    assert sum(service.paid().values()) == 8
    assert not done or "held" not in ended.stdout
