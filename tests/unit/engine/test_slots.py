"""Slots that several runs in one process share."""

from __future__ import annotations

import sys

import pytest

from batch_runner.engine.slots import Slots

pytestmark = pytest.mark.anyio


async def test_run_that_ends_before_its_tasks_gives_their_slots_back() -> None:
    shared = Slots(3, downloads=3)
    ended, other = (Slots(sys.maxsize, downloads=3, within=shared) for _ in range(2))
    for slots in (ended, ended, other):
        await slots.acquire()
    ended.release_to_download()

    ended.give_back()

    assert (shared.in_use, shared.downloading) == (1, 0)
    assert (ended.in_use, ended.lingering, other.in_use) == (0, 0, 1)
