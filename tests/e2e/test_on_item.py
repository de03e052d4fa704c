"""`on_item`: a command for each item that has ended."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import KEY, Command, Service, kill, write_manifest
from tests.harness.commands import PATIENCE

pytestmark = pytest.mark.slow

#: Appends the item to a file in one write.
COLLECT = "tee -a items.jsonl > /dev/null"


def use_command(command: Command, text: str, count: int = 8, **more: Any) -> None:
    block = json.dumps({"command": text, **more})
    write_manifest(command.manifest, count, more=f"on_item: {block}\n")


def delivered(folder: Path) -> list[dict[str, Any]]:
    path = folder / "items.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


def test_each_ended_item_is_delivered_once(command: Command, service: Service) -> None:
    service.set_faults("fail:submit:times=1", "lose_answer:submit:after=2:times=1")
    use_command(command, COLLECT)

    done = command("run")

    assert done.returncode == 1, done.stderr
    assert "on_item: 8 commands" in done.stdout
    items = delivered(command.folder)
    assert {one["id"]: one["status"] for one in items} == command.statuses()
    assert len(items) == 8
    assert command("run").returncode == 1
    assert len(delivered(command.folder)) == 8


def test_item_has_paths_prompt_and_ids(command: Command) -> None:
    use_command(command, COLLECT, 1)

    command("run")

    (item,) = delivered(command.folder)
    (picture,) = command.pictures()
    assert item["files"] == [str(picture)]
    assert item["prompt"] == "a horse number 0"
    assert item["params"] == {"6": {"text": "a horse number 0"}}
    assert (item["job"], item["folder"]) == ("cards", str(command.out))
    assert item["manifest"] == str(command.manifest)
    assert item["rehearsal"] is False
    assert len(item["task_id"]) == 32
    assert (item["reason"], item["message"]) == (None, None)


def test_failed_commands_are_counted_and_warned_of_once(command: Command) -> None:
    use_command(command, "echo it hurts; exit 3", 4)

    done = command("run", "--json")

    assert done.returncode == 0
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["on_item"] == {"commands": 4, "failed": 4, "left": 0}
    (warning,) = [line for line in done.stderr.splitlines() if "on_item" in line]
    assert "exit status 3: it hurts" in warning
    (log,) = (command.out / ".batch" / "logs").glob("run-*.log")
    assert log.read_text("utf-8").count("it hurts") == 4
    use_command(command, COLLECT, 4)
    command("run")
    assert delivered(command.folder) == []  # they have ended, and are recorded


def test_killed_run_leaves_deliveries_to_the_next(command: Command) -> None:
    use_command(command, "touch started; sleep 1000", concurrency=2)
    process = command.start("run")
    wait_for(command.folder / "started")
    kill(process)
    use_command(command, COLLECT)

    assert command("run").returncode == 0

    assert Counter(one["id"] for one in delivered(command.folder)) == dict.fromkeys(
        command.statuses(), 1
    )


def test_interrupted_run_ends_its_commands(command: Command) -> None:
    use_command(command, "trap 'touch ended; exit' TERM; touch started; sleep 1000 & wait", 2)
    process = command.start("run")
    wait_for(command.folder / "started")
    while len(command.pictures()) < 2:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)

    assert "2 left to the next run" in out, err
    assert (command.folder / "ended").exists()
    use_command(command, COLLECT, 2)
    command("run")
    assert len(delivered(command.folder)) == 2


def test_slow_command_delays_no_item(command: Command) -> None:
    use_command(command, "test -e last || sleep 1000", concurrency=1)
    process = command.start("run")
    while len(command.pictures()) < 8:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)

    assert set(command.statuses().values()) == {"done"}


def test_only_wanted_statuses_are_delivered(command: Command, service: Service) -> None:
    service.set_faults("fail:submit:times=2")
    use_command(command, COLLECT, when=["failed"])

    command("run")

    assert [one["status"] for one in delivered(command.folder)] == ["failed", "failed"]


def test_item_that_is_retried_is_delivered_again(command: Command, service: Service) -> None:
    service.set_faults("fail:submit:times=1")
    use_command(command, COLLECT, 1)
    command("run")
    service.set_faults()
    command("retry", "--all")

    command("run")

    assert [one["status"] for one in delivered(command.folder)] == ["failed", "done"]


def test_only_what_ends_from_now_on_is_delivered(command: Command) -> None:
    write_manifest(command.manifest, 3)
    command("run")
    use_command(command, COLLECT, 5)

    command("run")

    assert {one["id"] for one in delivered(command.folder)} == {"card-3", "card-4"}


def test_command_gets_no_credential(command: Command) -> None:
    command.environment |= {"COPY": KEY, "ALL_PROXY": "http://me:hush@proxy:1"}
    use_command(command, "env >> env.txt; cat /proc/self/environ >> env.txt; cat > /dev/null", 1)

    command("run")

    text = (command.folder / "env.txt").read_text("utf-8")
    assert "BATCH_RUNNER_FOLDER" in text
    assert KEY not in text
    assert "hush" not in text


def test_rehearsal_says_what_it_is(command: Command) -> None:
    use_command(command, COLLECT, 1)

    command("run", "--rehearse", "--quiet")

    (item,) = delivered(command.folder)
    assert item["rehearsal"] is True
