"""The files that tasks have made: their names, and the outputs that name them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from batch_runner.simulator.service import Service
from batch_runner.simulator.tasks import Task

#: Type, subfolder and name of a file, as /view takes them.
Place = tuple[str, str, str]
Outputs = dict[str, Any]


@dataclass(slots=True)
class OutputFiles:
    """Gives names to the files of tasks in the order in which the tasks end."""

    service: Service
    files: dict[Place, tuple[Task, int]] = field(default_factory=dict)
    _outputs: dict[int, Outputs] = field(default_factory=dict)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _unfiled: list[Task] = field(default_factory=list)
    _same: dict[str, list[Task]] = field(default_factory=dict)
    _seen: int = 0

    def of(self, task: Task) -> Outputs:
        """Return the outputs of a task, {} unless it is completed."""
        self.update()
        return self._outputs.get(task.n, {})

    def at(self, place: Place) -> tuple[Task, int] | None:
        """Return the task and the number of its picture at a place, None if there is no file."""
        self.update()
        return self.files.get(place)

    def open_tasks(self) -> list[Task]:
        """Return the tasks that wait or run, in the order of submission."""
        self.update()
        return list(self._unfiled)

    def cached(self, graph: dict[str, Any]) -> Task | None:
        """Return the first task of the same workflow since the start, None if there is none."""
        self.update()
        known = self._same.get(_text(graph), [])
        return next((t for t in known if not t.lost and t.outcome == "COMPLETED"), None)

    def update(self) -> None:
        """Add the files of all tasks that have ended."""
        submissions = self.service.ledger.submissions
        if len(submissions) < self._seen:  # the simulator was reset
            self._seen = 0
            self.files.clear()
            self._outputs.clear()
            self._counts.clear()
            self._unfiled.clear()
            self._same.clear()
        for task in submissions[self._seen :]:
            self._unfiled.append(task)
            self._same.setdefault(_text(task.graph), []).append(task)
        self._seen = len(submissions)
        states = {task.n: self.service.state(task) for task in self._unfiled}
        ended = [task for task in self._unfiled if states[task.n] not in ("PENDING", "RUNNING")]
        if not ended:
            return
        self._unfiled = [task for task in self._unfiled if task not in ended]
        for task in sorted(ended, key=lambda task: (task.finished_at or 0.0, task.n)):
            if states[task.n] == "COMPLETED":
                earlier = self._outputs.get(task.same_as or 0)
                self._outputs[task.n] = earlier or self._make(task)

    def _make(self, task: Task) -> Outputs:
        outputs: Outputs = {}
        number = 0
        for node_id in task.output_nodes:
            images = []
            prefix = task.params[node_id].get("filename_prefix")
            kind = "temp" if prefix is None else "output"
            subfolder, _, name = str(prefix or f"ComfyUI_temp_{task.n:05}").rpartition("/")
            for _ in range(self.service.settings.outputs):
                number += 1
                self._counts[subfolder, name] += 1
                filename = f"{name}_{self._counts[subfolder, name]:05}_.png"
                self.files[kind, subfolder, filename] = (task, number)
                images.append({"filename": filename, "subfolder": subfolder, "type": kind})
            outputs[node_id] = {"images": images}
        return outputs


def _text(graph: dict[str, Any] | None) -> str:
    """Return a text that is the same for the same workflow."""
    return json.dumps(graph, sort_keys=True)
