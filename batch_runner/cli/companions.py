"""What runs beside a run of the command line and is told of its end: commands of the user."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.cli.output import print_line
from batch_runner.util.paths import utf8_text

if TYPE_CHECKING:
    from batch_runner.engine.run import BackgroundTask
    from batch_runner.integrations.heartbeat import Heartbeat
    from batch_runner.integrations.item_command import ItemCommands
    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service


def say_unless(*, quiet: bool) -> Callable[[str], None]:
    """Return a function that prints a line on standard error, unless the run is quiet."""
    return (lambda _: None) if quiet else functools.partial(print_line, error=True)


@dataclass(frozen=True, slots=True)
class Companions:
    """What accompanies one run."""

    heartbeat: Heartbeat
    items: ItemCommands | None
    metrics: Path | None
    awake: bool  # keep the computer from going to sleep
    quiet: bool

    def background_tasks(self) -> list[BackgroundTask]:
        """Return what runs until the run ends."""
        from batch_runner.integrations.keep_awake import keep_awake
        from batch_runner.integrations.prometheus import keep_metrics

        found: list[BackgroundTask] = []
        if self.metrics is not None:
            found.append(functools.partial(keep_metrics, path=self.metrics))
        if self.items is not None:
            found.append(self.items.deliver)
        if self.awake:
            found.append(functools.partial(keep_awake, say=say_unless(quiet=self.quiet)))
        return found

    def closing_tasks(self) -> list[BackgroundTask]:
        """Return what follows on the last item."""
        return [] if self.items is None else [self.items.finish]


def item_commands(
    manifest: Manifest, root: Path, service: Service | None, *, quiet: bool
) -> ItemCommands | None:
    """Return the commands of `on_item` for one run, None if the manifest has none."""
    if not manifest.on_item.command:
        return None
    from batch_runner.integrations.child_environment import child_environment, encoded
    from batch_runner.integrations.item_command import ItemCommands

    rehearsal = service is None
    ours = {
        "BATCH_RUNNER_FOLDER": utf8_text(root),
        "BATCH_RUNNER_REHEARSAL": "1" if rehearsal else "",
    }
    return ItemCommands(
        manifest.on_item,
        child_environment(service.secrets if service else ()) | encoded(ours),
        job=manifest.job,
        manifest=manifest.path.absolute(),
        rehearsal=rehearsal,
        say=say_unless(quiet=quiet),
    )
