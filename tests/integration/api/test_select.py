from __future__ import annotations

import pytest

import batch_runner
from batch_runner import Selection

pytestmark = pytest.mark.anyio


async def test_selected_items_are_run_and_the_rest_stays_pending(
    manifest: batch_runner.Manifest,
) -> None:
    select = Selection(only=("card-[0-5]",), first=2)

    plan = batch_runner.plan_job(manifest, rehearse=True, select=select)
    summary = await batch_runner.run_job(manifest, rehearse=True, select=select)

    assert (plan.items, plan.selected, plan.estimate.submissions) == (8, 2, 2)
    assert [spec.id for spec in plan.first] == ["card-0", "card-1"]
    assert (summary.exit_code, summary.paid, summary.not_selected) == (0, 2, 6)
    pending = batch_runner.iter_items(manifest, batch_runner.ItemStatus.PENDING, rehearse=True)
    assert [item.id for item in pending] == [f"card-{n}" for n in range(2, 8)]
    again = batch_runner.plan_job(manifest, rehearse=True, select=select)
    assert (again.selected, again.estimate.submissions) == (2, 0)


async def test_unknown_name_is_refused_before_anything_is_written(
    manifest: batch_runner.Manifest,
) -> None:
    with pytest.raises(batch_runner.UsageError, match=r"did you mean card-3\?"):
        await batch_runner.run_job(manifest, rehearse=True, select=Selection(only=("crad-3",)))

    assert not manifest.output_folder.parent.exists()
