from __future__ import annotations

import re
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.manifest import load
from batch_runner.planning.plan import make_plan
from batch_runner.settings import Settings
from tests.integration.planning.conftest import EVENTS, Job, kinds


def test_plan_counts_items_by_status(job: Job, plan: Any) -> None:
    names = dict.fromkeys(EVENTS, "")
    job.write(**{name: f"horse {name}" for name in names})
    job.set_statuses(**{name: name for name in names})

    found = plan("--json")

    assert found["statuses"] == dict.fromkeys(EVENTS, 1)
    assert (found["items"], found["new"], found["in_flight"], found["submissions"]) == (7, 0, 1, 1)
    assert found["submissions_so_far"] == 5
    assert (kinds(found), kinds(found, "warnings")) == ([], ["held"])
    assert [one["id"] for one in found["named"]["held"]] == ["held"]


def test_changed_item_names_the_item_it_replaces(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b")
    job.set_statuses(a="done", b="done")
    job.write(a="horse a", b="a better horse")

    found = plan("--json")

    assert (found["new"], found["changed"], found["unlisted"], found["submissions"]) == (0, 1, 0, 1)
    (replacing,) = found["replacing"]
    assert replacing["earlier"]["files"] == ["b.png"]
    assert "changed: b (was done: b.png stays); each is submitted anew" in plan()


def test_item_whose_id_moved_to_another_prompt_is_not_changed(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b")
    job.set_statuses(a="done", b="done")
    job.write(b="horse a", c="horse b", a="horse c")

    found = plan("--json")

    # `a` and `b` of old are still listed, under other ids.
    assert (found["new"], found["changed"], found["unlisted"]) == (1, 0, 0)
    assert found["replacing"] == []


def test_latest_of_several_earlier_items_is_replaced(job: Job, plan: Any) -> None:
    for text in ("one", "two", "three"):
        job.write(a=text, b="other")
        job.set_statuses()
    with sqlite3.connect(JobFolder(job.root).journal) as connection:
        connection.execute("UPDATE items SET message = prompt")
    connection.close()
    job.write(a="four", b="other")

    found = plan("--json")

    assert (found["changed"], found["unlisted"]) == (1, 2)
    assert found["replacing"][0]["earlier"]["message"] == "three"
    assert sorted(one["message"] for one in found["named"]["unlisted"]) == ["one", "two"]


def test_missing_files_and_unlisted_items_are_named(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b", c="horse c", d="d", e="e", f="f")
    job.set_statuses(a="done")
    (job.root / "a.png").unlink()
    job.write(a="horse a")

    printed = plan()

    assert "missing on disk: a; downloaded again, not paid again" in printed
    assert "no longer listed: b, c, d and 2 more" in printed
    assert "nothing to submit" in printed


def test_estimate_is_the_larger_of_rate_and_in_flight_time(job: Job, plan: Any) -> None:
    numbers = {f"i{n}": f"horse {n}" for n in range(100)}
    job.write("limits: {rate: 10/s, in_flight: 20, price: 0.12 CNY}\n", **numbers)
    assert plan("--json")["seconds"] == 10
    job.learn(30, 50)

    found = plan("--json")

    assert found["seconds_per_task"] == 40
    assert (found["seconds_by_rate"], found["seconds_by_in_flight"]) == (10, 200)
    assert found["seconds"] == 200
    assert plan("--json", "--in-flight", "1000")["seconds"] == 50
    assert found["cost"] == "12.00 CNY"


def test_spend_cap_leaves_out_further_submissions(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b", c="horse c")
    job.set_statuses(a="failed")

    some, none = plan("--json", "--max-submissions", "2"), plan("--json", "--max-submissions", "1")

    assert (some["submissions"], some["left_out_by_cap"]) == (1, 1)
    assert (none["submissions"], none["left_out_by_cap"]) == (0, 2)
    assert kinds(some) == kinds(none) == []
    assert (kinds(some, "warnings"), kinds(none, "warnings")) == (["cap"], ["cap_reached"])


def test_plan_writes_nothing(job: Job, plan: Any, tmp_path: Path) -> None:
    job.write(a="horse a")
    plan()
    assert [path.name for path in tmp_path.iterdir()] == ["cards.yaml"]
    job.set_statuses(a="done")
    job.write(a="another horse", b="horse b")
    before = {path: path.stat().st_mtime_ns for path in job.root.rglob("*")}

    plan()

    assert {path: path.stat().st_mtime_ns for path in job.root.rglob("*")} == before


def test_plan_of_many_items_takes_little_memory(job: Job) -> None:
    count = 8_000
    job.manifest.write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nitems_from: rows.csv\n'
    )
    rows = job.manifest.with_name("rows.csv")
    rows.write_text("id,prompt\n" + "".join(f"i{n},horse {n}\n" for n in range(count)))
    with job.opened():
        pass
    rows.write_text("id,prompt\n" + "".join(f"i{n},mare {n // 2}-{n}\n" for n in range(count)))
    specs = load(job.manifest).items()
    tracemalloc.start()

    plan = make_plan(specs, JobFolder(job.root), Settings())

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (plan.changed, plan.new, plan.unlisted) == (count, 0, 0)
    assert peak < count * 300  # a fraction of the items themselves


def test_plan_text_in_chinese(job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write("limits: {price: 1 CNY}\n", a="horse a", b="horse b")
    job.set_statuses(a="held", b="done")
    job.write("limits: {price: 1 CNY}\n", a="horse a", b="a better horse")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")

    printed = plan()

    assert "已更改：b（原为完成，b.png 保留）；均为新的提交" in printed
    assert "待定：a" in printed
    assert "提交 1 次，1.00 CNY，至少需 1.0 秒" in printed
    assert "可能已付费" in printed
    assert not re.search("changed|held|submi", printed.replace("batch-runner resolve", ""))
