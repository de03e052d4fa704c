"""First signal: no new creates, then stop. Second: abort."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from batch_runner.cli.options import say_either
from batch_runner.engine.summary import ExitCode, StopReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.engine.context import Run

#: Seconds that creates on the wire still have after the second signal.
GRACE = 1.0


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Note the signals that come before `watch_signals` can; restore the handlers afterwards."""
    noted: list[signal.Signals] = []
    before = {name: signal.getsignal(name) for name in _heeded()}
    for name in before:
        signal.signal(name, lambda number, _: noted.append(signal.Signals(number)))
    try:
        yield noted
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


async def watch_signals(run: Run, noted: list[signal.Signals]) -> None:
    """Leave at the first SIGINT or SIGTERM, abort at the second; `noted` are those of before.

    At SIGHUP, too: the terminal has gone. Not if it was ignored when we came, as under `nohup`.
    """
    with anyio.open_signal_receiver(*_heeded()) as signals:
        first = True
        while True:
            number = noted.pop(0) if noted else await anext(signals)
            if first:
                first = False
                say_either(
                    "stopping: what is on the wire is waited for; again to abort",
                    "正在停止：等待已发出的请求；再按一次立即中止",
                    error=True,
                )
                run.state.control.shut_down(
                    StopReason("signal", f"stopped by {number.name}", ExitCode.STOPPED)
                )
            else:
                code = ExitCode.INTERRUPTED if number is signal.SIGINT else ExitCode.TERMINATED
                # Like kill -9, which every step of the journal is made for: creates still on the
                # wire will be held.
                asyncio.get_running_loop().call_later(GRACE, os._exit, int(code))


def _heeded() -> list[signal.Signals]:
    names = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        names.append(signal.SIGHUP)
    return names
