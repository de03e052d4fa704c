"""`resolve … drop --cancel`: cancel tasks at the service before their items are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batch_runner.journal import ItemRow
    from batch_runner.manifest import Manifest


class ServiceCancel:
    """Cancels tasks at the service of a manifest.

    Raises, when it is made:
        UsageError: the service cannot be used, or none is known.
    """

    def __init__(self, manifest: Manifest | None, *, rehearse: bool) -> None:
        from batch_runner.api.jobs import load_service, load_settings
        from batch_runner.api.steps import identity_of

        if rehearse:
            raise UsageError(tr("--cancel cannot be used with --rehearse: its service has ended"))
        if manifest is None:
            raise UsageError(tr("--cancel needs the manifest, which names the service"))
        self._settings = load_settings(manifest)
        self._service = load_service(manifest, self._settings)
        self.identity = identity_of(manifest, self._service)

    def cancel(self, items: Sequence[ItemRow], drop: Callable[[ItemRow], None]) -> int:
        """Cancel each item's task, say what the service answered, and drop those cancelled.

        Returns how many were.
        """
        from batch_runner.api.cancel import cancel_tasks

        dropped = 0

        def on_cancel(item: ItemRow, task_id: str | None, problem: str | None) -> None:
            nonlocal dropped
            name, task = printable(item.id, 60), printable(task_id or "", 100)
            if problem is None:
                print_line(
                    tr("{name}: the service has cancelled task {task}", name=name, task=task)
                )
                drop(item)
                dropped += 1
                return
            text = tr(
                "{name}: not cancelled, so not dropped: {problem}. Without --cancel it is given up "
                "here only",
                name=name,
                problem=problem,
            )
            print_line(text, error=True)

        cancel_tasks(self._service, self._settings, items, on_cancel)
        return dropped
