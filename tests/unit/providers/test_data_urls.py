"""Files that a response of the API holds itself."""

from __future__ import annotations

import asyncio
import base64

import pytest

from batch_runner.errors import ApiError, FileNotAccepted
from batch_runner.models import Received
from batch_runner.providers.http.data_urls import data_url, receive_data_url

CONTENT = bytes(range(256))
TEXT = base64.b64encode(CONTENT).decode()


def received(url: str, max_bytes: int = 10_000) -> tuple[bytes, Received]:
    parts: list[bytes] = []
    how = asyncio.run(receive_data_url(url, parts.append, max_bytes))
    return b"".join(parts), how


def test_file_in_a_response_is_decoded_with_its_type() -> None:
    assert received(data_url(TEXT, "image/png")) == (
        CONTENT,
        Received(length_known=True, types=("image/png",)),
    )


def test_content_that_is_a_data_url_keeps_its_type() -> None:
    url = data_url(f"data:image/webp;base64,{TEXT}", "image/png")

    assert received(url)[1].types == ("image/webp",)


def test_line_breaks_in_base64_are_ignored() -> None:
    assert received("data:image/png;base64," + TEXT[:76] + "\r\n" + TEXT[76:])[0] == CONTENT


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,@@", "data:image/png,abc", "data:", "data:;base64,A"]
)
def test_what_is_no_base64_is_an_error(url: str) -> None:
    with pytest.raises(ApiError, match="not valid base64"):
        received(url)


def test_file_over_the_size_limit_is_not_decoded() -> None:
    with pytest.raises(FileNotAccepted, match="more than 200 bytes"):
        received(data_url(TEXT, "image/png"), 200)
