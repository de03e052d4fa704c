"""A job folder with a real journal and real pictures, filled by events instead of a run."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from batch_runner.journal import Change, Journal
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.lifecycle import Event
from batch_runner.models import ItemSpec, PlacedFile
from batch_runner.report import write_report

START = 1_780_000_000.0
HOSTILE = {
    "script": "</script><script>document.title='stolen'</script><!--",
    "quotes": "\"'`${1}\\ {{ 7 }} %%script%% & <img src=x onerror=alert(1)>",
    "rtl": "\u202eabc\u202c سلام עולם \u2028\u2029",
    "long": "horse " * 2000,
    "emoji": "🐎🧧👩‍👩‍👧 新年快乐",
    "surrogate": "half \ud83d of a sign",
}
FIGURES = {
    "submissions": 6, "polls": 80, "limited": 2, "retries": 3,
    "samples": [[60, 4, 40, 2, 4], [120, 6, 80, 2, 1]],
}  # fmt: skip


@dataclass
class StoredJob:
    """A job folder whose journal takes events; its clock advances 7 seconds with each."""

    folder: Path
    at: float = START
    origin: str = "https://service.example"
    journal: SqlJournal = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / ".batch").mkdir(parents=True)
        self.journal = self._create()

    def _create(self) -> SqlJournal:
        return Journal.create(
            self.folder / ".batch/journal.sqlite",
            job="horse-cards",
            provider="baicai",
            origin=self.origin,
            wall_clock=lambda: self.at,
        )

    def list(self, *specs: ItemSpec) -> None:
        self.journal.import_items(specs, manifest="jobs/horse cards.yaml", price="0.12 CNY")

    def record(self, spec: ItemSpec, *events: Event, **values: Any) -> None:
        for event in events:
            self.at += 7
            self.journal.apply(Change(key=spec.key, event=event, **values))

    def submitted(self, spec: ItemSpec) -> None:
        self.record(spec, Event.SUBMIT_STARTED)
        self.record(spec, Event.SUBMIT_CONFIRMED, task_id=f"task-{spec.position}")

    def done(self, spec: ItemSpec, content: bytes | None = None) -> Path:
        path = self.folder / f"{spec.name}.png"
        path.write_bytes(png_bytes(spec.position) if content is None else content)
        placed = PlacedFile(
            name=f"{spec.name}.png",
            size=path.stat().st_size,
            sha256=spec.key * 2,
            media_type="image/png",
        )
        self.submitted(spec)
        self.record(spec, Event.TASK_COMPLETED)
        self.record(spec, Event.PLACED, files=(placed,))
        return path

    def failed(self, spec: ItemSpec, reason: str = "moderation") -> None:
        self.submitted(spec)
        self.record(spec, Event.TASK_FAILED, reason=reason, message="The prompt was rejected.")

    def held(self, spec: ItemSpec) -> None:
        self.record(spec, Event.SUBMIT_STARTED)
        self.record(
            spec, Event.SUBMIT_UNANSWERED, reason="no-response", message="The connection was lost."
        )

    def download_pending(self, spec: ItemSpec) -> None:
        self.submitted(spec)
        self.record(spec, Event.TASK_COMPLETED)
        self.record(
            spec, Event.DOWNLOAD_FAILED, reason="timeout", message="The download timed out."
        )

    def run(self, *, seconds: float = 120) -> None:
        number = self.journal.begin_run(pid=1, host="here")
        self.at += seconds
        self.journal.end_run(number, FIGURES, exit_code=1, message="Some items failed.")

    def report(self, **options: Any) -> Path:
        return write_report(self.folder, now=self.at + 1, **options)


def an_item(position: int, prompt: str = "a horse", **variables: str) -> ItemSpec:
    return ItemSpec(
        key=f"{position + 1:032x}",
        position=position,
        id=f"item-{position}",
        name=f"card-{position}",
        prompt=prompt,
        workflow="greeting_card",
        params={"6": {"text": prompt}},
        variables=variables,
        source=f"jobs/horse cards.yaml:{position + 3}",
    )


def png_bytes(seed: int = 0, size: tuple[int, int] = (600, 400), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (40 * seed % 256, 90, 160)).save(out, "PNG", **options)
    return out.getvalue()
