"""Objects below one prefix of an S3-compatible object store; only this module imports obstore.

Endpoint, region and credentials come from the usual variables (AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …), and no message contains any of them. Every failure is
an OSError. All calls block, and may be made by several threads at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from types import ModuleType
from typing import IO, TYPE_CHECKING

from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Store

SCHEME = "s3://"
#: Characters of a bucket's name as S3 has them, and a prefix without empty or relative parts.
ADDRESS_PATTERN = (
    r"^(?!.*\{[{%])s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[^/\x00-\x1f]+)*/?$"
)
_ADDRESS = re.compile(ADDRESS_PATTERN)

#: Longest time of one request, also of one with a large file, and of connecting.
_REQUEST, _CONNECT = timedelta(minutes=10), timedelta(seconds=10)
#: How long a check at the start of a command tries again.
_CHECK: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
#: Seconds in which a file is sent again if it is unknown whether it has arrived.
_AGAIN = 60.0
#: Variables with the address of the server.
_ENDPOINTS = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
#: Where cloud machines ask for credentials if no variable names any.
_MISSING = re.compile(r"Missing (AccessKeyId|SecretAccessKey)")
_METADATA = ("169.254.169.254", "169.254.170.2")


def is_address(text: str) -> bool:
    """Return whether a text names a place in an object store, valid or not."""
    return text.startswith("s3:/")  # as a path, it has one slash


def is_valid_address(text: str) -> bool:
    """Return whether a text is `s3://bucket` or `s3://bucket/prefix`."""
    return _ADDRESS.match(text) is not None


class ObjectPrefix:
    """The objects below `s3://bucket/prefix`. Names are relative to it."""

    def __init__(self, address: str) -> None:
        """No request is sent."""
        self.address = address.rstrip("/")

    def of(self, name: str) -> str:
        """Return the address of an object."""
        return f"{self.address}/{name}"

    def put_new(self, name: str, data: bytes | memoryview, media_type: str) -> bool:
        """Store an object that does not exist yet; return False if it does.

        It appears complete or not at all. After an answer that was lost, False may mean that it is
        the one stored here: compare their bytes.
        """
        began = time.monotonic()
        while True:
            try:
                with _os_errors():
                    _obstore().put(
                        self._store,
                        name,
                        data,
                        mode="create",
                        attributes={"Content-Type": media_type},
                    )
            except FileExistsError:
                return False
            except _UnknownOutcome:
                if time.monotonic() - began > _AGAIN:
                    raise
            else:
                return True

    def put(self, name: str, data: bytes) -> None:
        """Store an object; one of the same name is replaced."""
        with _os_errors():
            _obstore().put(self._store, name, data, mode="overwrite", use_multipart=False)

    def size(self, name: str) -> int | None:
        """Return the size of an object, None if it does not exist."""
        try:
            with _os_errors():
                return int(_obstore().head(self._store, name)["size"])
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Return the bytes of a small object.

        Raises:
            FileNotFoundError: it does not exist.
        """
        with _os_errors():
            return bytes(_obstore().get(self._store, name).bytes())

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of an object's bytes as 64 hex digits.

        Raises:
            FileNotFoundError: it does not exist.
        """
        digest = hashlib.sha256()
        with _os_errors():
            for chunk in _obstore().get(self._store, name).stream():
                digest.update(chunk)
        return digest.hexdigest()

    def fetch(self, name: str, out: IO[bytes]) -> None:
        """Write the bytes of an object to a file.

        Raises:
            FileNotFoundError: it does not exist.
        """
        with _os_errors():
            found = _obstore().get(self._store, name)
            for chunk in found.stream():
                out.write(chunk)

    def sizes(self) -> dict[str, int]:
        """Return the size of every object by its name."""
        found: dict[str, int] = {}
        with _os_errors():
            for page in _obstore().list(self._store):
                found.update((one["path"], one["size"]) for one in page)
        return found

    def remove(self, name: str) -> None:
        """Remove an object, if it exists."""
        with _os_errors():
            _obstore().delete(self._store, name)

    def check_readable(self) -> None:
        """Check that the objects can be listed; tries for some seconds only."""
        with _os_errors():
            next(iter(_obstore().list(self._open(_CHECK), chunk_size=1)), None)

    def check_writable(self) -> None:
        """Check that objects can be listed and stored, and that none is overwritten."""
        self.check_readable()
        obstore, store = _obstore(), self._open(_CHECK)
        probe = f".batch-runner-probe-{secrets.token_hex(8)}"
        with _os_errors():
            obstore.put(store, probe, b"probe", mode="create")
        try:
            with _os_errors():
                obstore.put(store, probe, b"again", mode="create")
        except FileExistsError:
            return
        finally:
            try:
                with _os_errors():
                    obstore.delete(store, probe)
            except OSError:
                pass  # keys that cannot delete can store files all the same
        raise OSError(
            errno.ENOTSUP,
            tr("the object store overwrites objects, though it is told not to (If-None-Match)"),
        )

    @cached_property
    def _store(self) -> S3Store:
        return self._open({})

    def _open(self, retries: RetryConfig) -> S3Store:
        options: ClientConfig = {"timeout": _REQUEST, "connect_timeout": _CONNECT}
        for name in _ENDPOINTS:
            options |= _options_for(name, os.environ.get(name, ""))
        bucket, _, prefix = self.address.removeprefix(SCHEME).partition("/")
        with _os_errors():
            store: S3Store = _obstore().store.S3Store(
                bucket, prefix=prefix or None, client_options=options, retry_config=retries
            )
        return store


class _UnknownOutcome(OSError):
    """There was no answer: what was sent may have arrived."""


def _obstore() -> ModuleType:
    """Return the package.

    Raises:
        OSError: it is not installed.
    """
    try:
        import obstore
    except ImportError:
        text = tr('{scheme} needs the extra s3: pip install "batch-runner[s3]"', scheme=SCHEME)
        raise OSError(errno.ENOTSUP, text) from None
    return obstore


def _options_for(variable: str, endpoint: str) -> ClientConfig:
    """Return what an endpoint needs.

    Raises:
        OSError: it is no address of a server.
    """
    scheme, _, host = endpoint.partition("://")
    if endpoint and (scheme not in ("http", "https") or not host):
        text = tr("{variable} is not an address such as https://…", variable=variable)
        raise OSError(errno.EINVAL, text)
    return {"allow_http": True} if scheme == "http" else {}


@contextmanager
def _os_errors() -> Iterator[None]:
    """Raise errors of obstore as OSError."""
    errors = _obstore().exceptions

    try:
        yield
    except errors.AlreadyExistsError:
        raise FileExistsError(errno.EEXIST, tr("the object exists")) from None
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _os_error(str(error)) from None
        raise FileNotFoundError(errno.ENOENT, tr("the object does not exist")) from None
    except (errors.BaseError, ValueError) as error:
        raise _os_error(str(error)) from None


def _os_error(text: str) -> OSError:
    """Return the error for a message of obstore, which is not shown: it names the endpoint."""
    if "NoSuchBucket" in text:
        return OSError(errno.ENXIO, tr("the bucket does not exist"))
    if _MISSING.search(text) or any(address in text for address in _METADATA):
        advice = tr("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        return OSError(errno.EACCES, advice)
    status = re.search(r"status code: (\d{3}(?: [A-Z][a-z]+)*)", text)
    code = re.search(r"<Code>(\w{1,60})</Code>", text)
    found = ", ".join(match[1] for match in (status, code) if match)
    if found:
        return OSError(errno.EIO, tr("the object store answers {answer}", answer=found))
    return _UnknownOutcome(errno.EIO, tr("the object store does not answer"))
