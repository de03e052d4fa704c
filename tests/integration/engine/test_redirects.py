"""Redirects of the API: never followed, no item rejected, nothing paid twice, the target named."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.engine.summary import ExitCode, RunSummary
from batch_runner.lifecycle import ItemStatus
from batch_runner.simulator import Simulator
from tests.harness import (
    check_invariants,
    rows,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    with_photo,
)

pytestmark = pytest.mark.anyio

#: Redirects that prove that a submission was not accepted: the same request, at another place.
MOVED = [
    "redirect:submit",
    "redirect:submit:status=308",
    "redirect:submit:status=301",
    "redirect:submit:status=302",
    "redirect:submit:status=307:to=/login",
    "redirect:submit:status=307:to=absent",
    "redirect:submit:status=308:to=garbage",
]
#: Redirects that a service may also answer with after it has accepted a submission.
AFTER_THE_WORK = [
    "redirect:submit:status=303",
    "redirect:submit:status=302:to=/login",
    "redirect:submit:status=301:to=//elsewhere.example/login",
    "redirect:submit:status=302:to=/v1/comfyui/create",  # to itself
    "redirect:submit:status=302:to=absent",
    "redirect:submit:status=301:to=garbage",
    "redirect:submit:status=300",
    "redirect:submit:status=304",
    "redirect:submit:status=305",
    "redirect_late",
]


async def run_slowly(root: Path, simulator: Simulator, count: int = 30) -> RunSummary:
    """Run so slowly that one submission is sent at a time."""
    return await run_job(root, simulator, some_items(count), some_settings(rate="2/s"))


def assert_stopped(summary: RunSummary) -> None:
    assert summary.stop is not None
    assert summary.stop.reason == "redirected"
    assert summary.exit_code is ExitCode.UNAVAILABLE


@pytest.mark.parametrize("fault", MOVED)
async def test_moved_service_stops_the_run_and_leaves_items_pending(
    tmp_path: Path, fault: str
) -> None:
    async with simulated_service(fault) as simulator:
        stopped = await run_slowly(tmp_path, simulator)
        simulator.set_faults()
        after = await run_slowly(tmp_path, simulator)

    assert_stopped(stopped)
    assert stopped.submissions == 1
    assert stopped.counts[ItemStatus.PENDING] == 30
    assert after.counts[ItemStatus.DONE] == 30
    assert simulator.ledger.redirected == []
    assert check_invariants(tmp_path, simulator) == []


@pytest.mark.parametrize("fault", AFTER_THE_WORK)
async def test_redirect_after_the_work_holds_one_item_and_stops_the_run(
    tmp_path: Path, fault: str
) -> None:
    async with simulated_service(fault) as simulator:
        stopped = await run_slowly(tmp_path, simulator)
        simulator.set_faults()
        after = await run_slowly(tmp_path, simulator)

    assert_stopped(stopped)
    assert stopped.counts == {**stopped.counts, ItemStatus.HELD: 1, ItemStatus.PENDING: 29}
    assert after.counts[ItemStatus.DONE] == 29
    assert simulator.ledger.redirected == []
    assert check_invariants(tmp_path, simulator) == []


async def test_moved_service_is_named_with_the_variable_to_set(tmp_path: Path) -> None:
    async with simulated_service("redirect:submit") as simulator:
        stopped = await run_slowly(tmp_path, simulator)
        trap = simulator.trap_url

    assert stopped.stop is not None
    assert f"submit: HTTP 307, redirected to {trap}/v1/comfyui/create" in stopped.stop.message
    assert f"BAICAI_BASE_URL={trap}" in stopped.stop.message


async def test_held_item_names_the_target_of_the_redirect(tmp_path: Path) -> None:
    async with simulated_service("redirect:submit:status=303:to=/login?next=x") as simulator:
        await run_slowly(tmp_path, simulator)

    (held,) = (row for row in rows(tmp_path) if row.status is ItemStatus.HELD)
    assert held.reason == "http-303"
    assert f"redirected to {simulator.base_url}/login" in (held.message or "")


@pytest.mark.parametrize("call", ["status", "result"])
@pytest.mark.parametrize("status", [302, 303, 307])
async def test_redirected_query_is_asked_again(tmp_path: Path, call: str, status: int) -> None:
    """A gateway or a login page in between, for two minutes: nothing is given up."""
    fault = f"redirect:{call}:status={status}:to=/login:times=4"
    async with simulated_service(fault) as simulator:
        summary = await run_job(tmp_path, simulator, some_items(3))

    assert summary.counts[ItemStatus.DONE] == 3
    assert simulator.ledger.redirected == []


async def test_endless_redirects_of_queries_end_as_an_outage(tmp_path: Path) -> None:
    async with simulated_service() as simulator:
        await run_job(tmp_path, simulator, some_items(5), deadline=0.6)
        simulator.set_faults("redirect:status")
        stuck = await run_job(tmp_path, simulator, [])
        simulator.set_faults()
        after = await run_job(tmp_path, simulator, some_items(5))

    assert stuck.stop is not None
    assert stuck.stop.reason == "outage"
    assert simulator.trap_url in stuck.stop.message
    assert 60 <= stuck.seconds < 200  # of virtual time
    assert after.counts[ItemStatus.DONE] == 5
    assert len(simulator.ledger.submissions) == 5


@pytest.mark.parametrize("status", [302, 303, 307])
async def test_redirected_upload_stops_the_run_unpaid(tmp_path: Path, status: int) -> None:
    root, photo = tmp_path / "out", tmp_path / "photo.jpg"
    photo.write_bytes(b"a wedding")
    items = with_photo(some_items(3), photo, b"a wedding")

    async with simulated_service(f"redirect:upload:status={status}") as simulator:
        stopped = await run_job(root, simulator, items)

    assert_stopped(stopped)
    assert statuses(root) == {ItemStatus.PENDING: 3}
    assert simulator.ledger.submissions == []
