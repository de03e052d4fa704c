"""Files that a response of the API holds itself, as `data:` URLs."""

from __future__ import annotations

import base64
import binascii
import re

from batch_runner.errors import ApiError, Failure, FileNotAccepted
from batch_runner.models import Received
from batch_runner.providers.base import Receiver

_PREFIX = "data:"
_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")


def is_data_url(url: str) -> bool:
    return url.startswith(_PREFIX)


def data_url(content: str, media_type: str) -> str:
    """Return the URL of a file whose bytes are `content` in base64; may be such a URL already."""
    return content if is_data_url(content) else f"{_PREFIX}{media_type};base64,{content}"


async def receive_data_url(url: str, receive: Receiver, max_bytes: int) -> Received:
    """Pass the bytes of a `data:` URL in base64 to `receive`.

    Raises:
        ApiError: it cannot be decoded.
        FileNotAccepted: it has more than `max_bytes`.
    """
    head, comma, text = url.removeprefix(_PREFIX).partition(",")
    media_type, *parameters = head.strip().lower().split(";")
    if len(text) // 4 * 3 - 2 > max_bytes:
        message = f"the file in the response has more than {max_bytes} bytes"
        raise FileNotAccepted(message, reason="too-large", certain=True)
    try:
        if not comma or "base64" not in (one.strip() for one in parameters):
            raise ValueError
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        message = "the file in the response is not valid base64"
        raise ApiError(message, failure=Failure.NO_RESPONSE) from None
    if (waiting := receive(content)) is not None:
        await waiting
    types = (media_type,) if _TYPE.fullmatch(media_type) else ()
    return Received(length_known=True, types=types)
