"""Forks processes that have imported the program already: see `tests.harness.commands`.

    python -m tests.harness.command_server NUMBER      of the socket with the requests

A request is JSON (arguments, environment, folder and umask) with the descriptors of standard input,
output and error, and of a socket that gets the process id and, at the end, the exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import selectors
import socket
import sys
import time
from contextlib import suppress
from typing import Any

import batch_runner
import batch_runner.__main__

#: Bytes of one request.
REQUEST_SIZE = 1 << 20


def main() -> None:
    """Serve until the socket is closed; run the command in each forked process."""
    _import_program()
    requests = socket.socket(fileno=int(sys.argv[1]))
    if (arguments := serve(requests)) is not None:
        sys.argv = [str(batch_runner.__main__.__file__), *arguments]
        batch_runner.__main__.main()


def _import_program() -> None:
    for module in pkgutil.walk_packages(batch_runner.__path__, "batch_runner."):
        importlib.import_module(module.name)
    with suppress(ImportError):
        importlib.import_module("uvloop")
    gc.collect()
    gc.freeze()  # collections in the forked processes leave the shared pages alone


def serve(requests: socket.socket) -> list[str] | None:
    """Fork a process for each request.

    Return its arguments in the process, and None in the server when the socket is closed.
    """
    running: dict[int, tuple[int, socket.socket]] = {}
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not requests:
                selector.unregister(key.fd)
                _report_end(key.fd, *running.pop(key.fd))
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, REQUEST_SIZE, 4)
            if not message:
                return None
            answers = socket.socket(fileno=descriptors.pop())
            if (pid := os.fork()) == 0:
                selector.close()
                for one in (requests, answers, *(each for _, each in running.values())):
                    one.close()
                for descriptor in running:
                    os.close(descriptor)
                return _prepare(json.loads(message), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            answers.send(str(pid).encode())
            ended = os.pidfd_open(pid)
            running[ended] = pid, answers
            selector.register(ended, selectors.EVENT_READ)


def _prepare(request: dict[str, Any], descriptors: list[int]) -> list[str]:
    """Make this process what a new interpreter would be; return the arguments."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # Set by an interpreter that is started without a locale (PEP 538).
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update(coerced | request["environment"])
    time.tzset()
    os.umask(request["umask"])
    os.chdir(request["folder"])
    arguments: list[str] = request["arguments"]
    return arguments


def _report_end(descriptor: int, pid: int, answers: socket.socket) -> None:
    os.close(descriptor)
    _, status = os.waitpid(pid, 0)
    with answers, suppress(OSError):  # the test may have ended
        answers.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    main()
