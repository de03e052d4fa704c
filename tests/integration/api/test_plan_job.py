from __future__ import annotations

import pytest

import batch_runner


def test_plan_counts_items_and_writes_nothing(manifest: batch_runner.Manifest) -> None:
    plan = batch_runner.plan_job(manifest, rehearse=True)

    assert (plan.items, plan.new, plan.estimate.submissions) == (8, 8, 8)
    assert plan.blockers == []
    assert not manifest.output_folder.parent.exists()


def test_plan_names_missing_key_as_blocker(manifest: batch_runner.Manifest) -> None:
    plan = batch_runner.plan_job(manifest)

    assert [blocker.kind for blocker in plan.blockers] == ["service"]


def test_limits_override_manifest_and_environment(
    manifest: batch_runner.Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_RUNNER_RATE", "3/s")
    monkeypatch.setenv("BATCH_RUNNER_MAX_SUBMISSIONS", "7")

    settings = batch_runner.load_settings(manifest, {"rate": "2/s"})

    assert settings.limits.rate.per_second == 2
    assert settings.limits.max_submissions == 7
    assert batch_runner.plan_job(manifest, settings=settings).estimate.submissions == 7


def test_items_of_job_that_was_never_run_are_refused(manifest: batch_runner.Manifest) -> None:
    with pytest.raises(batch_runner.UsageError, match="has not been run yet"):
        next(batch_runner.iter_items(manifest))
