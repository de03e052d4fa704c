"""Signals during a run. The first one ends submissions and stops the run; the second aborts it.

Whoever follows the workers of a cluster only ends: the workers go on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from batch_runner.cli.output import print_line
from batch_runner.engine.summary import SIGNALLED, ExitCode, StopReason
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.engine.context import Run

#: Seconds that submissions being sent still get after the second signal.
GRACE = 1.0


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Collect the signals that arrive before and after `watch_signals` runs.

    At the end the handlers are restored, and signals that nobody has handled are sent again.
    """
    noted: list[signal.Signals] = []
    before = {name: signal.getsignal(name) for name in _handled()}
    _note(noted)
    try:
        yield noted
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    for number in noted:
        os.kill(os.getpid(), number)


def _note(noted: list[signal.Signals]) -> None:
    for name in _handled():
        signal.signal(name, lambda number, _: noted.append(signal.Signals(number)))


async def watch_signals(
    run: Run, noted: list[signal.Signals], *, follows_workers: bool = False
) -> None:
    """Stop at the first SIGINT, SIGTERM or SIGHUP, abort at the second.

    `noted` holds the signals that arrived earlier. SIGHUP is left alone if it was ignored at the
    start, as under `nohup`.
    """
    try:
        await _stop_or_abort(run, noted, follows_workers=follows_workers)
    finally:
        _note(noted)  # the event loop has left the default handlers


async def _stop_or_abort(run: Run, noted: list[signal.Signals], *, follows_workers: bool) -> None:
    with anyio.open_signal_receiver(*_handled()) as signals:
        first = True
        while True:
            number = noted.pop(0) if noted else await anext(signals)
            if first:
                first = False
                text = tr("stopping: waiting for requests being sent; signal again to abort")
                if follows_workers:
                    text = tr(
                        "the workers go on. The same command follows them again, `batch-runner "
                        "cluster stop` stops them"
                    )
                print_line(text, error=True)
                name = "Ctrl-C" if number is signal.SIGINT else f"a signal ({number.name})"
                run.state.control.shut_down(
                    StopReason("signal", SIGNALLED + name, ExitCode.STOPPED)
                )
            else:
                code = ExitCode.INTERRUPTED if number is signal.SIGINT else ExitCode.TERMINATED
                text = tr("aborting; what is being sent now may have to be decided about")
                print_line(tr("aborting") if follows_workers else text, error=True)
                # Like kill -9, which the journal survives at any step: submissions still being
                # sent will be held.
                asyncio.get_running_loop().call_later(GRACE, os._exit, int(code))


def _handled() -> list[signal.Signals]:
    names = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        names.append(signal.SIGHUP)
    return names
