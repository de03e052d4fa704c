"""The command in subprocesses: exit statuses, files, and what was paid."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import KEY, Command, Service, kill, wait_until, write_manifest


def test_run_makes_every_picture_and_rerun_pays_nothing(command: Command, service: Service) -> None:
    first = command("run")
    second = command("run")

    assert (first.returncode, second.returncode) == (0, 0)
    assert [path.name for path in command.pictures()] == [f"card-{n}.png" for n in range(8)]
    for path in command.pictures():
        Image.open(path).load()
    assert list(service.paid().values()) == [1] * 8
    assert command("verify").returncode == 0


def test_run_with_nothing_to_do_leaves_the_report(command: Command) -> None:
    command("run")
    command("report")  # makes the thumbnails for which the run had no time
    page = command.out / "index.html"
    before = page.stat().st_ino

    idle = command("run")

    assert page.stat().st_ino == before
    assert "All 8 items are done" in idle.stdout
    assert str(page) in idle.stdout
    command.pictures()[0].unlink()
    command("run")
    assert page.stat().st_ino != before
    assert len(command.pictures()) == 8


def test_submission_is_sent_as_documented(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1)

    command("run")

    (create,) = service.ledger()["submissions"]
    assert create["body"] == (
        '{"workflowId": "year_of_the_horse_greeting_card", '
        '"params": {"6": {"text": "a horse number 0"}}}'
    )


def test_submission_cut_by_a_kill_is_held_and_attachable(
    command: Command, service: Service
) -> None:
    service.set_faults("hang_late:submit:times=1")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)
    wait_until(lambda: list(command.statuses().values()).count("submitting") == 1)
    kill(process)

    again = command("run")

    held = [name for name, status in command.statuses().items() if status == "held"]
    assert len(held) == 1
    assert again.returncode == 1
    assert f"batch-runner resolve {command.manifest} --output {command.out}" in again.stdout
    lost = next(one for one in service.ledger()["submissions"] if one["response"] != "ok")
    assert command("resolve", held[0], "attach", lost["task_id"]).returncode == 0
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


@pytest.mark.parametrize("fault", ["hang:status", "hang:result", "hang:download"])
def test_kill_after_the_submission_loses_nothing(
    fault: str, command: Command, service: Service
) -> None:
    service.set_faults(fault)
    process = command.start("run")
    counted = {"hang:status": "submissions", "hang:result": "polls", "hang:download": "results"}[
        fault
    ]
    # Six downloads at a time: the other two results are requested after them.
    wanted = 6 if counted == "results" else 8
    service.wait_for(lambda ledger: ledger["totals"][counted] >= wanted)
    kill(process)
    service.set_faults()

    again = command("run")

    assert again.returncode in (0, 1)  # a submission whose response was not yet committed is held
    assert set(command.statuses().values()) <= {"done", "held"}
    assert list(service.paid().values()) == [1] * 8


def test_first_signal_stops_and_the_next_run_continues(command: Command, service: Service) -> None:
    service.set_faults("hang:status")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)
    wait_until(lambda: "submitting" not in command.statuses().values())
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=250)
    service.set_faults()

    assert process.returncode == 3
    assert "stopping" in err
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


def test_second_run_beside_the_first_is_refused(command: Command, service: Service) -> None:
    service.set_faults("hang:status")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)

    assert command("run").returncode == 5
    assert command("run", "--if-locked", "skip").returncode == 0
    assert str(process.pid) in command("run").stderr
    kill(process)


def test_folder_without_its_journal_is_refused(command: Command, service: Service) -> None:
    command("run")
    (command.out / ".batch" / "journal.sqlite").unlink()

    again = command("run")

    assert again.returncode == 2
    assert "Ways out" in again.stderr
    assert len(service.ledger()["submissions"]) == 8


def test_older_copy_of_the_journal_is_refused(command: Command, service: Service) -> None:
    service.set_faults("fail:submit:times=1")
    command("run")
    journal = command.out / ".batch" / "journal.sqlite"
    shutil.copy(journal, command.folder / "backup")
    command("retry", "--all")
    command("run")
    shutil.copy(command.folder / "backup", journal)

    again = command("run")

    assert again.returncode == 2
    assert "older copy" in again.stderr
    assert len(service.ledger()["submissions"]) == 9


def sql(statement: str) -> Callable[[Path], None]:
    def change(journal: Path) -> None:
        with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
            connection.execute(statement)

    return change


def overwrite_a_page(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * 4096)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        pytest.param(Path.unlink, "missing or empty", id="missing"),
        pytest.param(lambda journal: journal.write_bytes(b""), "missing or empty", id="empty"),
        pytest.param(sql("DELETE FROM events"), "older copy", id="older"),
        pytest.param(sql("UPDATE job SET id = 'x'"), "not this folder's", id="another-job"),
        pytest.param(overwrite_a_page, "damaged", id="damaged"),
        pytest.param(lambda journal: journal.write_bytes(b"x" * 4096), "cannot be read", id="text"),
        pytest.param(sql("PRAGMA user_version = 0"), "not a journal", id="without-a-version"),
        pytest.param(sql("DELETE FROM job"), "names no job", id="without-a-job"),
    ],
)
def test_advice_in_the_refusal_works(
    harm: Callable[[Path], None], expected: str, command: Command, service: Service
) -> None:
    write_manifest(command.manifest, 2)
    command("run")
    harm(command.out / ".batch" / "journal.sqlite")

    refused = command("run")
    for path in refused.stderr.rstrip().rpartition(", remove ")[2].split(" and "):
        Path(path).unlink()
    journal = command.out / ".batch" / "journal.sqlite"
    lost = not journal.exists() or journal.stat().st_size == 0
    after = command("run")

    assert refused.returncode == 2
    assert expected in refused.stderr
    assert after.returncode == 0, after.stderr
    assert ("2 reused: their files are copied" in after.stderr) == lost
    assert sum(service.paid().values()) == 2


def test_newer_journal_is_refused(command: Command) -> None:
    """The message must not advise to remove it: it is neither damaged nor lost."""
    command("run")
    sql("PRAGMA user_version = 99")(command.out / ".batch" / "journal.sqlite")

    refused = command("run")

    assert refused.returncode == 2
    assert "version 99, written by a newer batch-runner" in refused.stderr
    assert "remove" not in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_older_backup_of_the_folder_is_refused(command: Command, service: Service) -> None:
    command("run")
    backup = command.folder / "backup"
    shutil.copytree(command.out, backup)
    write_manifest(command.manifest, 12)
    command("run")
    shutil.rmtree(command.out)
    shutil.copytree(backup, command.out)

    again = command("run")

    assert again.returncode == 2
    assert "older copy of this job" in again.stderr
    assert len(service.ledger()["submissions"]) == 12
    marker = command.out / ".batch-job.json"
    assert again.stderr.rstrip().endswith(f"remove {marker}")
    marker.unlink()
    assert command("run").returncode == 0
    assert len(service.ledger()["submissions"]) == 16


def test_copy_that_was_left_behind_is_refused(command: Command, service: Service) -> None:
    command("run")
    other = dataclasses.replace(command, folder=command.folder / "other")
    other.folder.mkdir()
    command.out.rename(other.out)
    shutil.copytree(other.out, command.out)
    write_manifest(command.manifest, 12)
    service.set_faults("word:status")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 12)

    beside = other("run")
    process.terminate()
    process.communicate()
    after = other("run")

    assert beside.returncode == 5
    assert str(command.out) in beside.stderr
    assert after.returncode == 2
    assert "older copy of this job" in after.stderr
    assert len(service.ledger()["submissions"]) == 12


@pytest.mark.parametrize("state", [None, "/proc/nowhere"])
def test_run_works_without_a_home(command: Command, service: Service, state: str | None) -> None:
    del command.environment["XDG_STATE_HOME"]
    if state is not None:
        command.environment["XDG_STATE_HOME"] = state

    assert command("run").returncode == 0
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


def test_copied_folder_is_refused(command: Command, service: Service) -> None:
    command("run")
    shutil.copytree(command.out, command.folder / "copy")
    shutil.move(command.out, command.folder / "original")
    shutil.move(command.folder / "copy", command.out.with_name("elsewhere"))
    arguments = [sys.executable, "-m", "batch_runner", "run", str(command.manifest)]

    again = subprocess.run(
        [*arguments, "--output", str(command.out.with_name("elsewhere"))],
        env=command.environment,
        capture_output=True,
        text=True,
    )

    assert again.returncode == 2
    assert "copy" in again.stderr
    marker = command.out.with_name("elsewhere") / ".batch-job.json"
    assert again.stderr.rstrip().endswith(f"remove {marker}")
    marker.unlink()
    taken = subprocess.run([*again.args], env=command.environment, capture_output=True, text=True)
    assert taken.returncode == 0, taken.stderr
    assert marker.exists()
    assert list(service.paid().values()) == [1] * 8


def test_deleted_picture_is_downloaded_again_without_paying(
    command: Command, service: Service
) -> None:
    command("run")
    (command.out / "card-3.png").unlink()

    assert command("verify").returncode == 1
    assert command("run").returncode == 0
    assert command("verify").returncode == 0
    assert len(service.ledger()["submissions"]) == 8


def test_damaged_picture_is_moved_and_downloaded_again(command: Command, service: Service) -> None:
    command("run")
    (command.out / "card-3.png").write_bytes(b"an edit")

    assert "card-3" in command("verify").stdout
    assert command("verify", "--redownload").returncode == 1
    assert command("run").returncode == 0
    assert command("verify", "--deep").returncode == 0
    assert len(service.ledger()["submissions"]) == 8


def test_moved_damaged_file_is_never_overwritten(command: Command, service: Service) -> None:
    edits = [b"an edit", b"a second one", b"a third one"]
    command("run")

    for edit in edits:
        (command.out / "card-3.png").write_bytes(edit)
        assert command("verify", "--redownload").returncode == 1
        assert command("run").returncode == 0

    aside = (command.out / ".batch" / "damaged").iterdir()
    assert sorted(path.read_bytes() for path in aside) == sorted(edits)


def test_foreign_file_is_never_overwritten(command: Command, service: Service) -> None:
    command.out.mkdir()
    (command.out / "card-3.png").write_text("a letter")

    assert command("run").returncode == 0
    assert (command.out / "card-3.png").read_text() == "a letter"
    assert len(list(command.out.glob("card-3~*.png"))) == 1


def test_failed_item_is_submitted_again_only_by_retry(command: Command, service: Service) -> None:
    service.set_faults("fail:submit:times=2")

    assert command("run").returncode == 1
    assert command("run").returncode == 1
    assert len(service.ledger()["submissions"]) == 8
    assert command("retry", "--reason", "service-failed").returncode == 0
    assert command("run").returncode == 0
    assert sorted(service.paid().values()) == [1] * 6 + [2] * 2


def test_attempts_setting_allows_another_submission(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 4, more="attempts: 2\n")
    service.set_faults("fail:submit:times=2")

    assert command("run").returncode == 0
    assert sum(service.paid().values()) == 6


def test_spending_cap_holds_over_several_runs(command: Command, service: Service) -> None:
    assert command("run", "--max-submissions", "5").returncode == 3
    assert command("run", "--max-submissions", "5").returncode == 3
    assert len(service.ledger()["submissions"]) == 5
    assert command("run").returncode == 0


def test_rejected_key_stops_the_run_and_loses_nothing(command: Command, service: Service) -> None:
    service.set_faults("http:submit:status=401:after=3")

    stopped = command("run")

    assert stopped.returncode == 4
    service.set_faults()
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(["garbage:status:times=2", "http:submit:status=500:times=1"], id="errors"),
        pytest.param(["echo:submit:after=3"], id="key-in-the-rejection"),
        pytest.param(
            [
                "echo:submit:status=400:code=0:times=1",
                "echo:submit:status=500:code=0:times=1:after=1",
                "echo:status:times=2",
                "echo:result:status=404:code=0:times=2",
            ],
            id="key-in-every-response",
        ),
    ],
)
def test_key_is_in_no_output_and_no_file(
    command: Command, service: Service, faults: list[str]
) -> None:
    service.set_faults(*faults)

    result = command("run", "--json")
    status = command("status", "--json")

    texts = [result.stdout, result.stderr, status.stdout, status.stderr]
    files = [path.read_bytes() for path in command.out.rglob("*") if path.is_file()]
    assert not any(KEY in text for text in texts)
    assert not any(KEY.encode() in content for content in files)
    assert service.ledger()["leaks"] == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"BAICAI_API_KEY": ""}, "no key", id="no-key"),
        pytest.param({"BAICAI_API_KEY": "sk-a b"}, "whitespace", id="key-with-blank"),
        pytest.param({"BAICAI_BASE_URL": "ftp://x"}, "http", id="not-http"),
        pytest.param({"BAICAI_BASE_URL": "https://a:b@x"}, "password", id="credentials"),
        pytest.param({"BAICAI_BASE_URL": "http://a..b"}, "not a valid host name", id="empty-label"),
        pytest.param(
            {"BAICAI_BASE_URL": "http://1.2.3"}, "not a valid host name", id="half-an-address"
        ),
        pytest.param(
            {"BAICAI_BASE_URL": "http://2130706433"}, "not a valid host name", id="a-number"
        ),
        pytest.param({"BAICAI_BASE_URL": "http://a_b\\c"}, "not a valid host name", id="backslash"),
        pytest.param(
            {"BAICAI_BASE_URL": f"http://{'a' * 64}.example"},
            "not a valid host name",
            id="long-label",
        ),
        pytest.param(
            {"BAICAI_BASE_URL": "https://docs.baicainfer.com"}, "did you mean", id="documents"
        ),
    ],
)
def test_invalid_key_or_url_is_refused_before_sending(
    change: dict[str, str], expected: str, command: Command, service: Service
) -> None:
    command.environment |= change

    result = command("run")

    assert result.returncode == 2
    assert expected in result.stderr
    assert service.ledger()["submissions"] == []
    assert not command.out.exists()


def test_quiet_run_prints_nothing_on_success(command: Command, service: Service) -> None:
    result = command("run", "--quiet")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_json_output_ends_with_a_summary(command: Command, service: Service) -> None:
    lines = [json.loads(line) for line in command("run", "--json").stdout.splitlines()]

    assert lines[-1]["event"] == "summary"
    assert lines[-1]["items"]["done"] == 8
    assert lines[-1]["exit_code"] == 0


def test_last_lines_tell_this_run_from_the_whole_job(command: Command, service: Service) -> None:
    text = command.manifest.read_text()
    told = command.folder / "told"
    command.manifest.write_text(
        text.replace("limits: {", "limits: {price: 1 CNY, ")
        + f"on_finish: {{command: 'echo \"$BATCH_RUNNER_SUMMARY\" > {told}'}}\n"
    )
    command("run", "--max-submissions", "5")
    second, third = command("run"), command("run")
    summary = json.loads(command("run", "--json").stdout.splitlines()[-1])

    job = "All 8 items are done; 8 submissions, 8.00 CNY, took "
    for run, own in ((second, "3 submissions, 3.00 CNY"), (third, "0 submissions, 0.00 CNY")):
        this_run, whole_job, *_ = run.stdout.splitlines()
        assert this_run.startswith(f"this run: {own}, took ")
        assert whole_job.startswith(f"whole job: {job}")
    assert third.stdout.splitlines()[1] == second.stdout.splitlines()[1]
    sentence = third.stdout.splitlines()[1].removeprefix("whole job: ")
    assert told.read_text() == f"{sentence}\n"
    assert sentence in (command.out / "index.html").read_text()
    assert (summary["submissions"], summary["submissions_of_job"]) == (0, 8)
    assert (summary["cost"], summary["cost_of_job"]) == ("0.00 CNY", "8.00 CNY")
    assert summary["seconds"] < summary["seconds_of_job"]


def test_reason_of_a_stopped_run_is_in_plain_words(command: Command, service: Service) -> None:
    service.set_faults("word:status")
    for number, text in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "a signal (SIGTERM)")):
        polls = service.ledger()["totals"]["polls"]
        process = command.start("run")
        service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)
        wait_until(lambda: command.statuses().get("card-7") == "submitted")
        # The second run finds all of that done: it is at work when it polls.
        service.wait_for(lambda ledger, polls=polls: ledger["totals"]["polls"] > polls)  # type: ignore[misc]
        process.send_signal(number)
        out, _ = process.communicate()

        assert f"stopped early: {text}; " in out
        shown = command("status", "--watch").stdout
        assert f"exit status 3: stopped by {text}" in shown


def test_plan_sends_and_writes_nothing(command: Command, service: Service) -> None:
    plan = json.loads(command("plan", "--json").stdout)

    assert (plan["new"], plan["submissions"]) == (8, 8)
    assert not command.out.exists()
    assert service.ledger()["totals"]["submissions"] == 0


def test_simulate_on_a_port_in_use_exits_with_status_2(command: Command, service: Service) -> None:
    port = service.url.rsplit(":", 1)[1]

    result = subprocess.run(
        [sys.executable, "-m", "batch_runner", "simulate", "--port", port],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )

    assert result.returncode == 2
    assert "choose another --port" in result.stderr


def test_full_standard_streams_do_not_fail_the_run(command: Command, service: Service) -> None:
    arguments = f"{sys.executable} -m batch_runner run {command.manifest} --output {command.out}"

    full = subprocess.run(f"{arguments} >/dev/full 2>&1", shell=True, env=command.environment)  # noqa: S602

    assert full.returncode == 0
    assert list(service.paid().values()) == [1] * 8


def test_output_path_that_is_not_utf_8_is_refused(command: Command) -> None:
    arguments = [sys.executable, "-m", "batch_runner", "run", str(command.manifest), "--output"]
    folder = os.fsencode(command.folder) + b"/\xff"

    done = subprocess.run([*arguments, folder], env=command.environment, capture_output=True)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not os.path.lexists(folder)


def test_closed_standard_streams_do_not_fail_the_run(command: Command, service: Service) -> None:
    arguments = f"{sys.executable} -m batch_runner run {command.manifest} --output {command.out}"

    closed = subprocess.run(f"{arguments} <&- >&- 2>&-", shell=True, env=command.environment)  # noqa: S602

    assert closed.returncode == 0
    assert command("verify").returncode == 0
    assert list(service.paid().values()) == [1] * 8


def test_unreachable_service_ends_the_run_with_nothing_held(
    command: Command, service: Service
) -> None:
    write_manifest(command.manifest, 2, more="timeouts: {first_contact: 1s}\n")
    command.environment["BAICAI_BASE_URL"] = "http://127.0.0.1:1"

    assert command("run").returncode == 4
    assert set(command.statuses().values()) == {"pending"}
