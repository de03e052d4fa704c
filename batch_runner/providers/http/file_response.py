"""What the head of a response says about the file in it, and the file's own bytes.

Some object stores compress files although the request accepts no coding. gzip ends with a
checksum and a length, so a file that came with it is known to be complete.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp

from batch_runner.errors import FileNotAccepted, FileRejected
from batch_runner.util.text import printable

#: Content-Encoding values that mean "not encoded"; some object stores leave the third behind.
_NOT_ENCODED = ("", "identity", "aws-chunked")
_GZIP = ("gzip", "x-gzip")
#: Most bytes that are decompressed at once: a small response may become a large file.
_DECOMPRESSED_BYTES = 1 << 20


def declared_types(response: aiohttp.ClientResponse, *urls: str) -> tuple[str, ...]:
    """Return the types that a response names: its Content-Type, and extensions of its URLs."""
    content_type = response.headers.get("Content-Type", "").partition(";")[0]
    extensions = (f".{_path(url).rpartition('.')[2]}" for url in urls)
    named = (content_type.strip().lower(), *(one.lower() for one in extensions))
    return tuple(dict.fromkeys(printable(one, 80) for one in named if len(one) > 1))


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        return ""


def refuse_larger(response: aiohttp.ClientResponse, max_bytes: int) -> None:
    """Refuse a file whose announced length is over `max_bytes`, before it is received.

    Raises:
        FileNotAccepted: it is.
    """
    announced = response.content_length
    if announced is not None and announced > max_bytes:
        raise FileNotAccepted(
            f"the file has {announced:,} bytes, larger than {max_bytes:,} bytes "
            "(downloads.max_bytes)",
            reason="too-large",
            certain=True,
        )


class Decoder:
    """Decodes the body of one response by its Content-Encoding."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Prepare for the coding that the head names.

        Raises:
            FileRejected: it is another than gzip.
        """
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        if coding not in (*_NOT_ENCODED, *_GZIP):
            raise FileRejected(
                f"the server sent the file with Content-Encoding {printable(coding, 40)}, "
                "which the request did not accept"
            )
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if coding in _GZIP else None

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the file's bytes in a part of the body.

        Raises:
            FileRejected: the body is not what its Content-Encoding says.
        """
        if self._gzip is None:
            yield chunk
            return
        try:
            while chunk and not self._gzip.eof:
                yield self._gzip.decompress(chunk, _DECOMPRESSED_BYTES)
                chunk = self._gzip.unconsumed_tail
        except zlib.error:
            raise FileRejected("the server sent the file as gzip, but it is none") from None

    @property
    def complete(self) -> bool | None:
        """Return whether the coding's end was reached; None: it has none."""
        return None if self._gzip is None else self._gzip.eof
