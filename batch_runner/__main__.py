"""The command `batch-runner`: signal handlers and standard streams, then the command line."""

from __future__ import annotations

import io
import os
import signal
import sys

from batch_runner.util.system import unsupported_system

#: Those of this system: Windows, which is refused, has no SIGHUP.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)


def main() -> None:
    """Run the command line and exit with its status."""
    _refuse_unsupported_system()
    _handle_signals()
    _open_closed_streams()
    _escape_unencodable()
    from batch_runner.cli.main import run_command
    from batch_runner.util.paths import command_arguments

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _interrupt)
    code = run_command(command_arguments())
    _handle_signals()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Nobody reads any more, and the interpreter must not fail at its own flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    for number in _SIGNALS:
        # The interpreter removes handlers when it ends; the signal would replace the exit status.
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _refuse_unsupported_system() -> None:
    """End with status 2 where modules that this program needs cannot be imported."""
    if unsupported_system() is None:
        return
    from batch_runner.util.locale import reader_language, use_language

    _escape_unencodable()
    with use_language(reader_language(sys.stderr)):
        sys.stderr.write(f"batch-runner: {unsupported_system()}\n")
    sys.exit(2)


def _handle_signals() -> None:
    """End at SIGTERM and SIGHUP, and at SIGINT during the first imports. `run` adds its handlers.

    PID 1 of a container has no default action: without a handler these signals are lost. A signal
    that is ignored, as SIGHUP under `nohup`, stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    _print_end(number)
    # Not an exception: imports and callbacks swallow some.
    os._exit(130 if number == signal.SIGINT else 143)


def _interrupt(number: int, _: object) -> None:
    """Let the command remove its temporary files; a second SIGINT ends it at once."""
    signal.signal(number, _end)
    _print_end(number)
    raise KeyboardInterrupt


def _print_end(number: int) -> None:
    name = "Ctrl-C" if number == signal.SIGINT else f"a signal ({signal.Signals(number).name})"
    try:  # noqa: SIM105  nothing more is imported before the handlers are set
        os.write(2, f"batch-runner: ended by {name}\n".encode())
    except OSError:
        pass  # nobody reads it; the exit status still shows it


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
