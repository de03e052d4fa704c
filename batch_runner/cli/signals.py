"""First signal: no new creates, then stop. Second: abort."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import anyio

from batch_runner.cli.options import say_either
from batch_runner.engine.control import ExitCode, StopReason

if TYPE_CHECKING:
    from batch_runner.engine.context import Shift

#: Seconds that creates on the wire still have after the second signal.
GRACE = 1.0


async def watch_signals(shift: Shift) -> None:
    """Leave at the first SIGINT or SIGTERM, abort at the second.

    At SIGHUP, too: the terminal has gone. Not if it was ignored when we came, as under `nohup`.
    """
    names = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        names.append(signal.SIGHUP)
    with anyio.open_signal_receiver(*names) as signals:
        first = True
        async for number in signals:
            if first:
                first = False
                say_either(
                    "stopping: what is on the wire is waited for; again to abort",
                    "正在停止：等待已发出的请求；再按一次立即中止",
                    error=True,
                )
                shift.control.leave(
                    StopReason("signal", f"stopped by {number.name}", ExitCode.STOPPED)
                )
            else:
                code = ExitCode.INTERRUPTED if number is signal.SIGINT else ExitCode.TERMINATED
                # Like kill -9, which every step of the journal is made for: creates still on the
                # wire will be held.
                asyncio.get_running_loop().call_later(GRACE, os._exit, int(code))
