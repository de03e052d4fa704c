"""A host with a network of its own, which can be cut off from the database, or from the service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """A network namespace with two links to this machine, each with an address at its end."""

    name: str
    database: str  # addresses
    service: str

    @property
    def inside(self) -> tuple[str, ...]:
        """Return the beginning of a command that runs in it."""
        return ("ip", "netns", "exec", self.name)

    def cut(self, link: str) -> None:
        """Cut the link to the `database` or the `service`: packets are lost."""
        _ip("-n", self.name, "link", "set", link, "down")

    def mend(self, link: str) -> None:
        _ip("-n", self.name, "link", "set", link, "up")


def can_have_networks() -> bool:
    """Return whether there can be network namespaces: it takes root, and Linux."""
    if os.geteuid() or not shutil.which("ip"):
        return False
    name = f"batch-runner-try-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    _ip("netns", "delete", name)
    return True


@contextmanager
def new_network() -> Iterator[Network]:
    """Yield a network, which is removed at the end."""
    number = os.getpid() % 60_000
    subnet = f"10.{100 + number // 256 % 100}.{number % 256}"
    network = Network(f"batch-runner-{os.getpid()}", f"{subnet}.1", f"{subnet}.5")
    _ip("netns", "add", network.name)
    try:
        for link, last in (("database", 1), ("service", 5)):
            outside = f"br{link[0]}{number}"
            _ip("link", "add", outside, "type", "veth", "peer", "name", link, "netns", network.name)
            _ip("address", "add", f"{subnet}.{last}/30", "dev", outside)
            _ip("link", "set", outside, "up")
            _ip("-n", network.name, "address", "add", f"{subnet}.{last + 1}/30", "dev", link)
            _ip("-n", network.name, "link", "set", link, "up")
        _ip("-n", network.name, "link", "set", "lo", "up")
        yield network
    finally:
        _ip("netns", "delete", network.name)  # its links, too, once no process is in it


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
