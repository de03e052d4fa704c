from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from batch_runner.cli.main import run_command
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.open import OpenJob, open_job
from batch_runner.journal import Change
from batch_runner.lifecycle import Event
from batch_runner.manifest import load
from batch_runner.models import PlacedFile
from batch_runner.polling.workflow_model import WorkflowModel
from batch_runner.providers import PROVIDERS
from batch_runner.settings import Polling

_CONFIRMED = (Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)
#: The events that lead to each status.
EVENTS = {
    "pending": (),
    "submitted": _CONFIRMED,
    "done": (*_CONFIRMED, Event.TASK_COMPLETED, Event.PLACED),
    "failed": (*_CONFIRMED, Event.TASK_FAILED),
    "download_pending": (*_CONFIRMED, Event.TASK_UNKNOWN),
    "rejected": (Event.SUBMIT_STARTED, Event.SUBMIT_REJECTED),
    "held": (Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED),
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("BAICAI_API_KEY", "sk-test")


class Job:
    """A manifest and its output folder."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "cards.yaml"
        self.root = folder / "out" / "cards"

    def write(self, more: str = "", **prompts: str) -> None:
        """Write a manifest with an item of each name and prompt."""
        lines = [f"  - {{id: {name}, prompt: {text}}}\n" for name, text in prompts.items()]
        self.manifest.write_text(
            'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\n'
            + more
            + "prompts:\n"
            + "".join(lines)
        )

    @contextmanager
    def opened(self, state: Path | None = None) -> Iterator[OpenJob]:
        """Open the job and import its items; `state` is the state folder, if it has one."""
        identity = JobIdentity(job="cards", provider="baicai", origin=PROVIDERS["baicai"].base_url)
        with open_job(self.root, identity, state=state) as job:
            job.journal.import_items(load(self.manifest).items())
            yield job

    def set_statuses(self, **statuses: str) -> None:
        """Set the statuses of items by id; the others stay pending."""
        with self.opened() as job:
            for spec in load(self.manifest).items():
                for event in EVENTS[statuses.get(spec.id, "pending")]:
                    job.journal.apply(self._change(spec.key, spec.name, event))

    def _change(self, key: str, name: str, event: Event) -> Change:
        task_id = key if event is Event.SUBMIT_CONFIRMED else None
        files: tuple[PlacedFile, ...] = ()
        if event is Event.PLACED:
            (self.root / f"{name}.png").write_bytes(b"content")
            files = (PlacedFile(name=f"{name}.png", size=7, sha256="0", media_type="image/png"),)
        return Change(key=key, event=event, task_id=task_id, files=files)

    def learn(self, *seconds: float) -> None:
        """Store that tasks of earlier runs took this long."""
        state = json.loads(WorkflowModel(Polling()).learned()) | {"durations": seconds}
        with self.opened() as job:
            job.journal.keep_learned({"w": json.dumps(state)})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.fixture
def plan(job: Job, capsys: pytest.CaptureFixture[str]) -> Any:
    def make(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert run_command(["plan", str(job.manifest), *arguments]) == status
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in arguments else printed

    return make


def blockers_in(plan: Any) -> list[dict[str, Any]]:
    """Return the blockers in the output of `plan --json`."""
    found: list[dict[str, Any]] = plan["blockers"]
    return found


def kinds(plan: Any, field: str = "blockers") -> list[str]:
    """Return the kinds of the blockers or "warnings" in the output of `plan --json`."""
    return [one["kind"] for one in plan[field]]
