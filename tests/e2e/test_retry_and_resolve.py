"""`retry`, `resolve` and `verify --redownload`: what they do and what they print."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.commands import run_command

pytestmark = pytest.mark.slow


def change_prompts(command: Command) -> None:
    """Change every prompt of the manifest."""
    text = command.manifest.read_text()
    command.manifest.write_text(text.replace("a horse number", "another horse number"))


def test_retry_with_an_unknown_reason_names_the_known_ones(
    command: Command, service: Service
) -> None:
    service.set_faults("fail:submit:times=2")
    command("run")

    done = command("retry", "--reason", "the service reported FAILED")

    assert done.returncode == 2
    assert "reasons of this job: service-failed" in done.stderr
    assert "[service-failed]" in command("status").stdout


def test_retry_skips_items_no_longer_listed(command: Command, service: Service) -> None:
    service.set_faults("moderation:submit:times=2")
    command("run")
    change_prompts(command)
    command("run")
    submissions = sum(service.paid().values())

    done = command("retry", "--all")

    assert done.returncode == 0
    assert done.stdout.startswith("0 items will be submitted again")
    assert "2 items are no longer listed in the manifest" in done.stderr
    assert command("run").returncode == 0
    assert sum(service.paid().values()) == submissions


def test_resubmit_skips_items_no_longer_listed(command: Command, service: Service) -> None:
    service.set_faults("lose_answer:submit:times=2")
    command("run")
    held = [name for name, status in command.statuses().items() if status == "held"]
    change_prompts(command)
    command("run")
    key = json.loads(command("resolve", "--json").stdout.splitlines()[0])["key"]

    one = command("resolve", key, "resubmit")
    everything = command("resolve", "all", "resubmit")

    assert one.returncode == 2
    assert "no longer listed" in one.stderr
    assert everything.stdout.startswith("0 items will be submitted again")
    assert all(name in everything.stderr for name in held)
    assert command("resolve", "all", "drop").stdout.startswith("2 items are dropped")


def test_dropped_item_is_retried_only_by_its_name(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1)
    service.set_faults("lose_answer:submit")
    command("run")
    command("resolve", "card-0", "drop")
    service.set_faults()

    run, everything = command("run"), command("retry", "--all")
    by_reason, status = command("retry", "--reason", "dropped"), command("status")
    paid_before = sum(service.paid().values())
    named = command("retry", "card-0")

    assert (run.returncode, status.returncode) == (1, 1)
    assert everything.stdout.startswith("0 items")
    assert by_reason.returncode == 2
    assert command.statuses() == {"card-0": "pending"}
    assert named.returncode == 0
    assert command("run").returncode == 0
    assert sum(service.paid().values()) == paid_before + 1


def test_all_is_refused_when_an_item_has_that_id(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 2)
    command.manifest.write_text(command.manifest.read_text().replace("card-1", "all"))
    nothing_held = command("run").returncode, command("resolve", "all", "drop").returncode
    service.set_faults("lose_answer:submit")
    change_prompts(command)
    command("run")

    done = command("resolve", "all", "drop")

    assert nothing_held == (0, 0)
    assert done.returncode == 2
    assert "pass item keys" in done.stderr
    assert command.statuses()["card-0"] == "held"


def test_task_id_of_another_item_is_refused(command: Command, service: Service) -> None:
    service.set_faults("lose_answer:submit:times=1")
    command("run")
    (held,) = [name for name, status in command.statuses().items() if status == "held"]
    other = next(one for one in service.ledger()["submissions"] if one["task_id"])
    taken = [one["task_id"] for one in service.ledger()["submissions"] if one is not other]

    done = command("resolve", held, "attach", taken[-1])

    assert done.returncode == 2
    assert "nothing was changed" in done.stderr


def test_redownload_counts_missing_and_damaged_files(command: Command, service: Service) -> None:
    command("run")
    first, second, *_ = command.pictures()
    first.unlink()
    second.write_bytes(b"edited")

    done = command("verify", "--redownload")

    assert "2 items will be downloaded again" in done.stderr
    assert command("run").returncode == 0
    assert command("verify").returncode == 0
    assert list(service.paid().values()) == [1] * 8


def held_item(command: Command, service: Service) -> tuple[str, str]:
    """Run until one item is held; return its name and the task id that was never received."""
    write_manifest(command.manifest, 3, more="timeouts: {unknown: 1s}\n")
    service.set_faults("lose_answer:submit:times=1")
    command("run")
    (name,) = [name for name, status in command.statuses().items() if status == "held"]
    known = {row["task_id"] for row in rows_of(command)}
    (lost,) = {one["task_id"] for one in service.ledger()["submissions"]} - known
    return name, lost


def rows_of(command: Command) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command("status", "--json").stdout.splitlines()]


@pytest.mark.parametrize("run_between", [False, True])
def test_wrong_task_id_can_be_corrected(
    command: Command, service: Service, run_between: bool
) -> None:
    name, lost = held_item(command, service)

    command("resolve", name, "attach", "0" * 32)
    if run_between:
        assert command("run").returncode == 1
        assert command.statuses()[name] == "download_pending"
    done = command("resolve", name, "attach", lost)

    assert done.returncode == 0, done.stderr
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 3


@pytest.mark.parametrize(("decision", "paid"), [("drop", [1, 1, 1]), ("resubmit", [1, 1, 2])])
def test_unknown_task_is_decided_about_by_item_name(
    command: Command, service: Service, decision: str, paid: list[int]
) -> None:
    write_manifest(command.manifest, 3, more="timeouts: {unknown: 1s}\n")
    service.set_faults("forget:status:times=1000")
    assert command("run").returncode == 1
    assert set(command.statuses().values()) == {"download_pending"}

    shown = command("resolve")
    everything = command("resolve", "all", decision)
    one = command("resolve", "card-1", decision)
    left = command("resolve")
    service.set_faults()
    command("run")

    assert "card-1" in shown.stdout
    assert "0 items held, 3 whose task the service no longer knows" in shown.stdout
    assert everything.stdout.startswith("0 items")
    assert one.stdout.startswith("1 item ")
    assert "0 items held, 2 whose task the service no longer knows" in left.stdout
    assert left.returncode == 1
    ended = "dropped" if decision == "drop" else "done"
    assert command.statuses() == {"card-0": "done", "card-1": ended, "card-2": "done"}
    assert sorted(service.paid().values()) == paid


def test_item_in_flight_cannot_be_decided_about(command: Command, service: Service) -> None:
    service.set_faults("word:status")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)
    process.terminate()
    process.communicate()
    assert "submitted" in command.statuses().values()

    done = command("resolve", "card-0", "resubmit")

    assert done.returncode == 2
    assert "no item that needs a decision" in done.stderr


def test_resolve_of_a_dropped_item_names_retry(command: Command, service: Service) -> None:
    service.set_faults("lose_answer:submit:times=1")
    command("run")
    (held,) = [name for name, status in command.statuses().items() if status == "held"]
    command("resolve", held, "drop")

    done = command("resolve", held, "resubmit")

    assert done.returncode == 2
    assert f"{held} is dropped, not held: `batch-runner retry`" in done.stderr
    assert command.statuses()[held] == "dropped"


def test_two_items_with_one_id_are_told_apart_by_key(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1)
    service.set_faults("lose_answer:submit")
    command("run")
    change_prompts(command)
    command("run")

    done = command("resolve", "card-0", "drop")
    keys = re.findall(r"[0-9a-f]{32}", done.stderr)

    assert done.returncode == 2
    assert done.stderr.count("(not listed)") == 1
    assert all(key in command("resolve").stdout for key in keys)
    assert [command("resolve", key, "drop").returncode for key in keys] == [0, 0]


@pytest.mark.parametrize("decision", [["drop"], ["resubmit"], ["attach", "0" * 32]])
def test_resolve_ignores_done_item_with_moved_file(
    command: Command, service: Service, decision: list[str]
) -> None:
    command("run")
    command.pictures()[0].rename(command.folder / "mine.png")

    done = command("resolve", "card-0", *decision)

    assert done.returncode == 2
    assert "no item that needs a decision" in done.stderr
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


def named_by_number(command: Command) -> None:
    """Give the files other names than the ids."""
    text = command.manifest.read_text()
    command.manifest.write_text(text + '\noutput: {name: "Postkarte é {{ id }}"}\n')


def test_item_answers_to_the_name_that_plan_shows(command: Command, service: Service) -> None:
    service.set_faults("moderation:submit:times=1")
    named_by_number(command)
    shown = [one["name"] for one in json.loads(command("plan", "--json").stdout)["first"]]
    command("run")
    (failed,) = [name for name, status in command.statuses().items() if status == "rejected"]
    (name,) = [one for one in shown if one.endswith(failed)]

    done = command("retry", name.replace("é", "e\u0301"))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 item will be submitted again")


def test_file_name_is_not_used_where_an_item_has_that_id(
    command: Command, service: Service
) -> None:
    """Somebody who names a finished item must not pay for another one."""
    service.set_faults("moderation:submit:times=1")
    command("run")
    (failed,) = [name for name, status in command.statuses().items() if status == "rejected"]
    other = next(name for name, status in command.statuses().items() if status == "done")
    text = command.manifest.read_text()
    template = f"{{{{ '{other}' if id == '{failed}' else 'x' ~ id }}}}"
    command.manifest.write_text(text + f'\noutput: {{name: "{template}"}}\n')
    command("run")

    done = command("retry", other)

    assert done.returncode == 2
    assert "not failed" in done.stderr


def test_task_ids_that_were_mixed_up_are_corrected(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 2)
    service.set_faults("lose_answer:submit")
    command("run")
    service.set_faults()
    task_of = {
        one["params"]["6"]["text"][-1]: one["task_id"] for one in service.ledger()["submissions"]
    }
    command("resolve", "card-0", "attach", task_of["1"])
    command("run")
    refused = command("resolve", "card-0", "attach", task_of["0"])
    wrong = next(path for path in command.pictures() if "card-0" in path.name).read_bytes()

    held = command("resolve", "card-0", "hold")

    assert refused.returncode == 2
    assert "use `hold` first" in refused.stderr
    assert held.returncode == 0
    assert command.statuses() == {"card-0": "held", "card-1": "held"}
    (removed,) = (command.out / ".batch" / "removed").iterdir()
    assert removed.read_bytes() == wrong
    assert command("resolve", "card-1", "attach", task_of["1"]).returncode == 0
    assert command("resolve", "card-0", "attach", task_of["0"]).returncode == 0
    assert command("run").returncode == 0
    assert command("verify").returncode == 0
    right = next(path for path in command.pictures() if "card-1" in path.name).read_bytes()
    assert right == wrong
    assert list(service.paid().values()) == [1, 1]


def test_hold_is_for_one_done_item(command: Command, service: Service) -> None:
    command("run")

    everything, unknown = command("resolve", "all", "hold"), command("resolve", "none", "hold")

    assert (everything.returncode, unknown.returncode) == (2, 2)
    assert set(command.statuses().values()) == {"done"}


@pytest.mark.parametrize("name", ["card-1", "first-card-1", "first-card-1.png", "key"])
def test_retry_and_resolve_know_an_item_by_each_of_its_names(
    command: Command, service: Service, name: str
) -> None:
    write_manifest(command.manifest, 3, more='output: {name: "first-{{ id }}"}\n')
    service.set_faults("lose_answer:submit:match=number 1")
    command("run")
    if name == "key":
        name = next(row["key"] for row in rows_of(command) if row["id"] == "card-1")

    dropped, retried = command("resolve", name.removesuffix(".png"), "drop"), None
    retried = command("retry", name.removesuffix(".png"))

    assert (dropped.returncode, retried.returncode) == (0, 0)
    assert command.statuses()["card-1"] == "pending"


def test_id_comes_before_the_file_name_of_another_item(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 2, more='output: {name: "{{ title }}-{{ n }}"}\n')
    text = command.manifest.read_text().replace("{id: card-0, ", "{title: a, id: b-1, ")
    command.manifest.write_text(text.replace("{id: card-1, ", "{title: b, id: c, "))
    service.set_faults("moderation:submit")
    command("run")

    done = command("retry", "b-1")  # the id of one item, and the file name of the other

    assert done.stdout.startswith("1 item will be submitted again")
    assert command.statuses() == {"b-1": "pending", "c": "rejected"}


def test_listed_item_comes_before_an_unlisted_one(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1)
    service.set_faults("moderation:submit")
    command("run")
    change_prompts(command)
    command("run")

    done = command("retry", "card-0")  # the one that is listed

    assert done.stdout.startswith("1 item will be submitted again")
    assert sorted(row["status"] for row in rows_of(command)) == ["pending", "rejected"]


@pytest.mark.parametrize("manifest", ["gone", "broken", "left out"])
def test_output_folder_alone_names_the_job(
    command: Command, service: Service, manifest: str
) -> None:
    service.set_faults("lose_answer:submit:match=number 1", "moderation:submit:match=number 2")
    write_manifest(command.manifest, 4)
    command("run")
    picks = command.folder / "picks.txt"
    picks.write_text("card-0\n")
    if manifest == "gone":
        command.manifest.unlink()
    else:
        command.manifest.write_text("prompts: 3\n")
    first = [] if manifest == "left out" else [str(command.manifest)]

    def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        given = (name, *words, "--output", str(command.out))
        return run_command(*given, environment=command.environment)

    status, verify = run("status", *first), run("verify", *first)
    resolve, report = run("resolve", *first), run("report", *first)
    export = run("export", *first, "--picks", str(picks), "--to", str(command.folder / "to"))
    decided = run("resolve", str(command.manifest), "card-1", "drop")
    retry = run("retry", *first, "--all")

    assert status.returncode == verify.returncode == resolve.returncode == 1
    assert report.returncode == export.returncode == decided.returncode == retry.returncode == 0
    assert "cards: 4 items, 3 submissions so far" in status.stdout
    assert "2 of 4 items valid" in verify.stdout
    assert "card-1" in resolve.stdout
    assert retry.stdout == "1 item will be submitted again by the next run\n"
    warned = "warning: only the journal is used, not the manifest: "
    for done in (status, verify, resolve, report, export, retry):
        assert (warned in done.stderr) == bool(first)


def test_neither_manifest_nor_folder_is_refused(command: Command, tmp_path: Path) -> None:
    for name in ("status", "verify", "resolve", "report"):
        done = run_command(name)
        assert done.returncode == 2
        assert "name the manifest, or the output folder" in done.stderr
    command.manifest.unlink()
    done = command("status", "--output", str(tmp_path / "empty"))
    assert done.returncode == 2
    assert "there is no such file" in done.stderr


def test_status_before_the_first_run_and_of_pending_items(
    command: Command, service: Service
) -> None:
    before = command("status")
    as_json, watched = command("status", "--json"), command("status", "--watch")
    command("run", "--max-submissions", "3")
    capped = command("status")
    service.set_faults("moderation:submit")
    command("run")
    rejected = command("status")

    assert before.stdout == f"cards: 8 items, not run yet; files go to {command.out}\n"
    assert (before.returncode, as_json.returncode, as_json.stdout) == (3, 3, "")
    assert (watched.returncode, capped.returncode, rejected.returncode) == (2, 3, 1)
