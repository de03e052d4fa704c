"""How a run fits into the limit of open files."""

from __future__ import annotations

import resource

import pytest

from batch_runner.engine.fd_limits import check_open_files, make_room
from batch_runner.errors import UsageError
from batch_runner.settings import Downloads, Limits, Settings
from batch_runner.units import Rate

FAST = Settings(limits=Limits(rate=Rate(1000, 1), poll_rate=Rate(1000, 1)))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the limit that the process has, followed by those that are set."""
    seen = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: seen[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: seen.append(wanted))
    return seen


def test_sufficient_limit_changes_nothing(limits: list[tuple[int, int]]) -> None:
    assert make_room(FAST) == FAST
    assert limits == [(1024, 4096)]


def test_limit_is_raised_no_further_than_needed(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(256, 4096)]

    assert make_room(FAST) == FAST
    soft, hard = limits[-1]
    assert 64 * 2 + 128 * 3 < soft < 600
    assert hard == 4096


@pytest.mark.parametrize("allowed", [40, 64, 256])
def test_low_hard_limit_reduces_the_concurrency(
    limits: list[tuple[int, int]], allowed: int
) -> None:
    limits[:] = [(allowed, allowed)]

    fitted = make_room(FAST)

    assert fitted.concurrent_submissions + fitted.pollers + 3 * fitted.downloaders <= allowed - 32
    assert min(fitted.concurrent_submissions, fitted.pollers, fitted.downloaders) >= 1


def test_rehearsal_needs_both_ends_of_each_connection(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(256, 256)]

    alone, both = make_room(FAST), make_room(FAST, both_ends=True)

    assert 2 * (both.concurrent_submissions + both.pollers + 3 * both.downloaders) <= 256 - 2 * 32
    assert both.concurrent_submissions < alone.concurrent_submissions


def test_configured_concurrency_is_kept(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(64, 64)]
    chosen = FAST.model_copy(update={"downloads": Downloads(concurrency=20)})

    assert make_room(chosen).downloaders == 20


def test_low_soft_limit_is_raised_before_it_is_refused(limits: list[tuple[int, int]]) -> None:
    limits[:] = [(16, 64)]
    check_open_files()
    assert limits[-1] == (32, 64)

    limits[:] = [(16, 16)]
    with pytest.raises(UsageError, match=r"may open 16 files, .* at least 32"):
        check_open_files()
