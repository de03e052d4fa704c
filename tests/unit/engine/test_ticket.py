"""A ticket releases what it has taken, however its submission ends."""

from __future__ import annotations

import asyncio
import contextlib

from batch_runner.engine.admission import Ticket
from batch_runner.engine.slots import Slots
from batch_runner.engine.stats import RunStats


class Pool:
    """Two kinds of slots, and the counts that tickets change."""

    def __init__(self, in_flight: int = 5, submissions: int = 5) -> None:
        self.in_flight, self.submissions = Slots(in_flight), Slots(submissions)
        self.stats = RunStats()

    def ticket(self) -> Ticket:
        return Ticket(self.in_flight, self.submissions, self.stats)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.in_flight.in_use, self.submissions.in_use, self.stats.reserved


def test_rejected_submission_releases_everything() -> None:
    pool = Pool()

    async def submit() -> None:
        async with pool.ticket() as ticket:
            ticket.admit(1.0, None)
            assert pool.counts == (1, 1, 1)

    asyncio.run(submit())

    assert pool.counts == (0, 0, 0)


def test_accepted_submission_keeps_only_the_in_flight_slot() -> None:
    pool = Pool()

    async def submit() -> None:
        async with pool.ticket() as ticket:
            ticket.admit(1.0, None)
            ticket.release_reservation()
            ticket.keep_in_flight()

    asyncio.run(submit())

    assert pool.counts == (1, 0, 0)


def test_handed_over_ticket_is_released_by_its_receiver() -> None:
    pool = Pool()

    async def submit() -> None:
        async with pool.ticket() as ticket:
            ticket.admit(1.0, None)
            handed_over = ticket.hand_over()
        assert pool.counts == (1, 1, 1)
        async with handed_over:
            assert pool.counts == (1, 1, 1)

    asyncio.run(submit())

    assert pool.counts == (0, 0, 0)


def test_reservation_is_released_once() -> None:
    pool = Pool()

    async def submit() -> None:
        async with pool.ticket() as ticket:
            for acquired_at in (1.0, 2.0):
                ticket.admit(acquired_at, None)
                ticket.release_reservation()
                ticket.release_reservation()
                assert pool.stats.reserved == 0
            assert ticket.acquired_at == 2.0

    asyncio.run(submit())


def test_cancelled_wait_for_a_slot_releases_the_other() -> None:
    pool = Pool(submissions=0)

    async def submit() -> None:
        async with asyncio.timeout(0), pool.ticket():
            raise AssertionError("there is no submission slot")

    with contextlib.suppress(TimeoutError):
        asyncio.run(submit())

    assert pool.counts == (0, 0, 0)
