"""The command `batch-runner`: signal handlers and standard streams, then the command line."""

from __future__ import annotations

import io
import os
import signal
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    _handle_signals()
    _open_closed_streams()
    _escape_unencodable()
    from batch_runner.cli.main import run_command
    from batch_runner.util.paths import command_arguments

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run_command(command_arguments())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Nobody reads any more, and the interpreter must not fail at its own flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _handle_signals() -> None:
    """End at SIGTERM and SIGHUP, and at SIGINT during the first imports. `run` adds its handlers.

    PID 1 of a container has no default action: without a handler these signals are lost. A signal
    that is ignored, as SIGHUP under `nohup`, stays ignored.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    name = signal.Signals(number).name
    try:  # noqa: SIM105  nothing more is imported before the handlers are set
        os.write(2, f"batch-runner: ended by {name}\n".encode())
    except OSError:
        pass  # nobody reads it; the exit status still shows it
    # Not an exception: imports and callbacks swallow some.
    os._exit(130 if number == signal.SIGINT else 143)


def _open_closed_streams() -> None:
    """Open closed standard streams on the null device, so that no other file gets their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _escape_unencodable() -> None:
    """Let the standard streams escape characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
