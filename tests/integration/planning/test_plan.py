"""`plan` in this process: a manifest beside a journal that went through what it says."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from batch_runner.cli.main import run_command as command
from batch_runner.cli.plan_text import blocker_text
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.open import OpenJob, open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change
from batch_runner.lifecycle import Event
from batch_runner.manifest import load
from batch_runner.models import PlacedFile
from batch_runner.planning.plan import folder_obstacles, make_plan, must_confirm, outlook
from batch_runner.providers import PROVIDERS
from batch_runner.settings import Limits, Settings

CONFIRMED = (Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)
LIVES = {
    "pending": (),
    "submitted": CONFIRMED,
    "done": (*CONFIRMED, Event.TASK_COMPLETED, Event.PLACED),
    "failed": (*CONFIRMED, Event.TASK_FAILED),
    "download_pending": (*CONFIRMED, Event.TASK_UNKNOWN),
    "rejected": (Event.SUBMIT_STARTED, Event.SUBMIT_REJECTED),
    "held": (Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED),
}


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BAICAI_API_KEY", "sk-test")


class Job:
    """A manifest, and its output folder."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "cards.yaml"
        self.root = folder / "out" / "cards"

    def write(self, more: str = "", **prompts: str) -> None:
        """Write the manifest: an item for each prompt, of that id."""
        lines = [f"  - {{id: {name}, prompt: {text}}}\n" for name, text in prompts.items()]
        self.manifest.write_text(
            'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\n'
            + more
            + "prompts:\n"
            + "".join(lines)
        )

    @contextmanager
    def opened(self) -> Iterator[OpenJob]:
        """Hold the job, with every item listed."""
        identity = JobIdentity(job="cards", provider="baicai", origin=PROVIDERS["baicai"].base_url)
        with open_job(self.root, identity) as job:
            job.journal.import_items(load(self.manifest).items())
            yield job

    def live(self, **statuses: str) -> None:
        """Carry items to these statuses."""
        with self.opened() as job:
            for spec in load(self.manifest).items():
                for event in LIVES[statuses.get(spec.id, "pending")]:
                    job.journal.apply(self._change(spec.key, spec.name, event))

    def _change(self, key: str, name: str, event: Event) -> Change:
        task_id = key if event is Event.SUBMIT_CONFIRMED else None
        files: tuple[PlacedFile, ...] = ()
        if event is Event.PLACED:
            (self.root / f"{name}.png").write_bytes(b"picture")
            files = (PlacedFile(name=f"{name}.png", size=7, sha256="0", media_type="image/png"),)
        return Change(key=key, event=event, task_id=task_id, files=files)

    def learn(self, *seconds: float) -> None:
        """Let the journal say that earlier tasks took this long."""
        clock = {"seen": 0, "ends": {}, "at_risk": {}}
        state = {
            "version": 2,
            "turn": clock,
            "wait": clock,
            "progress": {"clocks": [clock, clock], "proof": [0, 0]},
            "width": None,
            "seconds": seconds,
        }
        with self.opened() as job:
            job.journal.keep_learned({"w": json.dumps(state)})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.fixture
def plan(job: Job, capsys: pytest.CaptureFixture[str]) -> Any:
    def make(*arguments: str) -> Any:
        capsys.readouterr()
        assert command(["plan", str(job.manifest), *arguments]) == 0
        told = capsys.readouterr().out
        return json.loads(told) if "--json" in arguments else told

    return make


def kinds(plan: Any) -> list[str]:
    """Return what stands in the way."""
    return [obstacle["kind"] for obstacle in plan["blockers"]]


def test_every_item_is_told_by_where_it_stands(job: Job, plan: Any) -> None:
    names = dict.fromkeys(LIVES, "")
    job.write(**{name: f"horse {name}" for name in names})
    job.live(**{name: name for name in names})

    found = plan("--json")

    assert found["standing"] == dict.fromkeys(LIVES, 1)
    assert (found["items"], found["new"], found["in_flight"], found["submissions"]) == (7, 0, 1, 1)
    assert found["submissions_so_far"] == 5
    assert kinds(found) == ["held"]
    assert [one["id"] for one in found["named"]["held"]] == ["held"]


def test_a_changed_item_names_the_one_it_replaces_whose_picture_stays(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b")
    job.live(a="done", b="done")
    job.write(a="horse a", b="a better horse")

    found = plan("--json")

    assert (found["new"], found["changed"], found["unlisted"], found["submissions"]) == (0, 1, 0, 1)
    (replacing,) = found["replacing"]
    assert replacing["earlier"]["files"] == ["b.png"]
    assert "changed: b (was done: b.png stays); each is a new create" in plan()


def test_an_item_whose_id_went_to_another_prompt_is_no_change(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b")
    job.live(a="done", b="done")
    job.write(b="horse a", c="horse b", a="horse c")

    found = plan("--json")

    # `a` and `b` of old are still listed, under other ids.
    assert (found["new"], found["changed"], found["unlisted"]) == (1, 0, 0)
    assert found["replacing"] == []


def test_the_latest_of_several_earlier_ones_is_the_one_replaced(job: Job, plan: Any) -> None:
    for text in ("one", "two", "three"):
        job.write(a=text, b="other")
        job.live()
    with sqlite3.connect(JobFolder(job.root).journal) as connection:
        connection.execute("UPDATE items SET message = prompt")
    connection.close()
    job.write(a="four", b="other")

    found = plan("--json")

    assert (found["changed"], found["unlisted"]) == (1, 2)
    assert found["replacing"][0]["earlier"]["message"] == "three"
    assert sorted(one["message"] for one in found["named"]["unlisted"]) == ["one", "two"]


def test_what_is_gone_from_the_list_or_the_disk_is_named(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b", c="horse c", d="d", e="e", f="f")
    job.live(a="done")
    (job.root / "a.png").unlink()
    job.write(a="horse a")

    told = plan()

    assert "missing on disk: a; fetched again, not paid again" in told
    assert "no longer listed: b, c, d and 2 more" in told
    assert "nothing to create" in told


def test_time_is_the_pace_or_the_slots_whichever_binds(job: Job, plan: Any) -> None:
    numbers = {f"i{n}": f"horse {n}" for n in range(100)}
    job.write("limits: {rate: 10/s, in_flight: 20, price: 0.12 CNY}\n", **numbers)
    assert plan("--json")["seconds"] == 10
    job.learn(30, 50)

    found = plan("--json")

    assert found["seconds_of_a_task"] == 40
    assert (found["seconds_by_rate"], found["seconds_by_in_flight"]) == (10, 200)
    assert found["seconds"] == 200
    assert plan("--json", "--in-flight", "1000")["seconds"] == 50
    assert found["cost"] == "12.00 CNY"


def test_the_spend_cap_leaves_out_what_is_beyond_it(job: Job, plan: Any) -> None:
    job.write(a="horse a", b="horse b", c="horse c")
    job.live(a="failed")

    some, none = plan("--json", "--max-submissions", "2"), plan("--json", "--max-submissions", "1")

    assert (some["submissions"], some["left_out_by_cap"], kinds(some)) == (1, 1, ["cap"])
    assert (none["submissions"], none["left_out_by_cap"], kinds(none)) == (0, 2, ["cap_reached"])


def test_a_deadline_before_the_end_stands_in_the_way(job: Job, plan: Any) -> None:
    job.write("limits: {rate: 1/h}\n", a="horse a", b="horse b")

    assert kinds(plan("--json", "--run-for", "1h")) == ["deadline"]
    assert kinds(plan("--json", "--run-for", "3h")) == []


def test_the_run_that_holds_the_job_is_named(job: Job, plan: Any) -> None:
    job.write(a="horse a")
    job.live()
    lock = JobFolder(job.root).batch / "lock"

    with Lock(JobFolder(job.root)):
        (obstacle,) = plan("--json")["blockers"]

    assert obstacle["kind"] == "locked"
    assert f"process {os.getpid()} on " in obstacle["message"]
    assert kinds(plan("--json")) == []
    lock.write_text("nobody wrote a name here")
    assert kinds(plan("--json")) == []


@pytest.mark.parametrize(
    ("variable", "value", "word"),
    [("BAICAI_API_KEY", None, "no key"), ("BAICAI_BASE_URL", "ftp://x", "must begin with http")],
)
def test_no_key_or_a_wrong_address_stands_in_the_way_but_not_of_a_rehearsal(
    job: Job,
    plan: Any,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str | None,
    word: str,
) -> None:
    job.write(a="horse a")
    monkeypatch.delenv(variable, raising=False)
    if value:
        monkeypatch.setenv(variable, value)

    (obstacle,) = plan("--json")["blockers"]

    assert obstacle["kind"] == "service"
    assert word in obstacle["message"]
    assert plan("--json", "--rehearse")["blockers"] == []


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({}, 500),
        ({"price": "0.5 CNY"}, 100),
        ({"price": "0.5 EUR", "confirm_above": "10 EUR"}, 20),
        ({"price": "0.5 EUR", "confirm_above": 7}, 7),
        ({"confirm_above": 7}, 7),
        ({"confirm_above": "10 EUR"}, 500),  # what it costs is not known
        ({"price": "0.5 EUR", "confirm_above": "10 CNY"}, 0),  # cannot be compared
        ({"price": "0 EUR"}, 1_000_000),
    ],
)
def test_a_run_asks_above_this_many_creates(limits: dict[str, Any], most: int) -> None:
    given = Limits.model_validate(limits)

    def asks(submissions: int) -> bool:
        return must_confirm(outlook(submissions, spent=0, task=None, limits=given), given)

    assert not asks(most)
    assert asks(most + 1) is (most < 1_000_000)


def test_a_folder_of_another_service_stands_in_the_way(
    job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write(a="horse a")
    job.live()
    monkeypatch.setenv("BAICAI_BASE_URL", "https://elsewhere.example")

    (obstacle,) = plan("--json")["blockers"]

    assert obstacle["kind"] == "folder"
    assert "choose another folder" in obstacle["message"]


def test_a_folder_that_is_a_file_and_a_lost_journal_stand_in_the_way(
    job: Job, plan: Any, tmp_path: Path
) -> None:
    job.write(a="horse a")
    (tmp_path / "file").write_text("")
    assert kinds(plan("--json", "--output", str(tmp_path / "file"))) == ["not_writable"]
    assert kinds(plan("--json", "--output", str(tmp_path / "file" / "below"))) == ["not_writable"]
    job.live(a="done")
    JobFolder(job.root).journal.unlink()

    assert kinds(plan("--json")) == ["journal_gone"]


def test_a_disk_that_is_nearly_full_stands_in_the_way(tmp_path: Path) -> None:
    (obstacle,) = folder_obstacles(JobFolder(tmp_path / "new"), 10**18)

    assert "below 1000000000000 MB nothing is created" in blocker_text(obstacle, "en")
    assert "低于 1000000000000 MB" in blocker_text(obstacle, "zh")


def test_a_plan_leaves_no_trace(job: Job, plan: Any, tmp_path: Path) -> None:
    job.write(a="horse a")
    plan()
    assert [path.name for path in tmp_path.iterdir()] == ["cards.yaml"]
    job.live(a="done")
    job.write(a="another horse", b="horse b")
    before = {path: path.stat().st_mtime_ns for path in job.root.rglob("*")}

    plan()

    assert {path: path.stat().st_mtime_ns for path in job.root.rglob("*")} == before


def test_a_long_list_is_compared_in_little_memory(job: Job) -> None:
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


def test_the_plan_is_told_in_chinese(job: Job, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write("limits: {price: 1 CNY}\n", a="horse a", b="horse b")
    job.live(a="held", b="done")
    job.write("limits: {price: 1 CNY}\n", a="horse a", b="a better horse")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")

    told = plan()

    assert "已更改：b（原为完成，b.png 保留）；均为新的创建" in told
    assert "待定：a" in told
    assert "1 次创建，1.00 CNY，至少需 1.0 秒" in told
    assert "可能已付费" in told
    assert not re.search("changed|held|create", told.replace("batch-runner resolve", ""))
