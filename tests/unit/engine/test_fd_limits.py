"""How many files a run may have open, beside what the system allows."""

from __future__ import annotations

import resource

import pytest

from batch_runner.engine.fd_limits import make_room
from batch_runner.settings import Downloads, Limits, Settings
from batch_runner.units import Rate

HASTY = Settings(limits=Limits(rate=Rate(1000, 1), poll_rate=Rate(1000, 1)))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the limit as the process sees it, and what becomes of it."""
    seen = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: seen[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: seen.append(wanted))
    return seen


def test_where_there_is_room_nothing_changes(limits: list[tuple[int, int]]) -> None:
    assert make_room(HASTY) == HASTY
    assert limits == [(1024, 4096)]


def test_the_limit_is_raised_no_further_than_needed(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(256, 4096)]

    assert make_room(HASTY) == HASTY
    soft, hard = limits[-1]
    assert 64 * 5 < soft < 500
    assert hard == 4096


@pytest.mark.parametrize("allowed", [40, 64, 256])
def test_where_it_cannot_be_raised_fewer_are_at_work(
    limits: list[tuple[int, int]], allowed: int
) -> None:
    limits[:] = [(allowed, allowed)]

    fitted = make_room(HASTY)

    assert fitted.concurrent_submissions + fitted.pollers + 3 * fitted.downloaders <= allowed - 32
    assert min(fitted.concurrent_submissions, fitted.pollers, fitted.downloaders) >= 1


def test_a_rehearsal_has_both_ends_of_each_connection(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(256, 256)]

    alone, both = make_room(HASTY), make_room(HASTY, both_ends=True)

    assert 2 * (both.concurrent_submissions + both.pollers + 3 * both.downloaders) <= 256 - 2 * 32
    assert both.concurrent_submissions < alone.concurrent_submissions


def test_what_the_operator_has_set_stays(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(64, 64)]
    chosen = HASTY.model_copy(update={"downloads": Downloads(concurrency=20)})

    assert make_room(chosen).downloaders == 20
