from __future__ import annotations

import asyncio
from typing import Any

import pytest
from anyio.to_thread import current_default_thread_limiter

from tests.clock import VirtualTimeLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"loop_factory": VirtualTimeLoop})


@pytest.fixture(autouse=True)
async def _virtual_time(anyio_backend: tuple[str, dict[str, Any]]) -> None:
    """Stop the clock while worker threads, such as the journal's, are busy."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    threads = current_default_thread_limiter()
    loop.never_jump_while(lambda: threads.borrowed_tokens > 0)
