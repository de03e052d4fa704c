"""The user's own descriptions of services, on the hosts of workers.

A description says to which address a key is sent, and which variable has that key. Whoever may
write to the database could give the workers one that sends keys of theirs to him. So a worker
stores what it gets as a file, and uses it only if the user of this host has approved its content,
by `providers approve` of that file or by a copy in the config folder. The account of the job is a
second obstacle: without the key nobody can tell its name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.journal.postgres import contents
from batch_runner.journal.sql.connection import Connection
from batch_runner.providers import PROVIDERS
from batch_runner.util.fs import replace_file
from batch_runner.util.locale import tr
from batch_runner.util.text import printable

#: Most bytes of a description.
MAX_BYTES = 1_000_000


def digest_of(content: bytes) -> str:
    """Return the name of a description in the database."""
    return hashlib.sha256(content).hexdigest()


def take_description(connection: Connection, state: Path, provider: str, sha256: str) -> str:
    """Store the description of a job on this host; return what its provider is called here.

    `state` is the user's state folder.

    Raises:
        UsageError: the user of this host has not approved it, or it is invalid.
        JournalError: the database cannot be used.
        OSError: it cannot be stored.
    """
    content = contents.read_part(connection, sha256, 0, MAX_BYTES)
    if content is None or digest_of(content) != sha256 or not PROVIDERS.may_be_described(provider):
        raise UsageError(
            tr("the description of {provider} cannot be used", provider=printable(provider))
        )
    path = state / "cluster" / "descriptions" / sha256 / f"{provider}.yaml"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replace_file(path) as file:
        file.write(content)
    return PROVIDERS.add_copy(provider, path)
