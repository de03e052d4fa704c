"""Keeps the computer from going to sleep during a run, with the system's own program.

The program ends with the run, also after kill -9: `cat` when its standard input is closed,
`caffeinate` with the process that it is told.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import anyio

from batch_runner.engine.context import Run
from batch_runner.integrations.child_environment import child_environment
from batch_runner.util.locale import tr

log = logging.getLogger(__name__)

#: Seconds between two looks whether a task is in flight.
TICK = 0.5
#: Seconds after which the program counts as working: without a session bus it ends at once.
TRIAL = 1.0


async def keep_awake(run: Run, *, say: Callable[[str], None]) -> None:
    """Keep the computer awake from the first task in flight until the run ends.

    `say` prints a line if it works. If it does not, the log file says so, and the run goes on.
    """
    command = inhibitor()
    if command is None:
        return
    while not run.state.stats.in_flight:  # noqa: ASYNC110  a look costs nothing
        await anyio.sleep(TICK)
    try:
        process = _start(command)
    except OSError as error:
        log.info("keep_awake: %s cannot be started: %s", command[0], error.strerror)
        return
    try:
        await anyio.sleep(TRIAL)
        name = os.path.basename(command[0])  # noqa: PTH119  for a message
        if process.poll() is None:
            text = tr("keeping this computer awake with {program} (--no-keep-awake)", program=name)
            say(text)
            log.info("keep_awake: by %s", name)
            await anyio.sleep_forever()
        log.info("keep_awake: %s ended with status %s", name, process.returncode)
    finally:
        _end(process)


def inhibitor() -> list[str] | None:
    """Return the command that keeps this computer awake, None if there is none."""
    if sys.platform == "darwin":
        program = shutil.which("caffeinate")
        return None if program is None else [program, "-i", "-w", str(os.getpid())]
    program = shutil.which("systemd-inhibit")
    if program is None:
        return None
    why = "batch-runner waits for results"
    return [program, "--what=sleep:idle", "--who=batch-runner", f"--why={why}", "cat"]


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  a program of the system
        command,
        env=child_environment(),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # nor does it ask for a password on the terminal
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        process.terminate()
    process.communicate()
