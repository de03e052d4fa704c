"""Runs a list of prompts through a paid, asynchronous API to verified files on disk.

As a library: `load_manifest`, `plan_job`, `run_job` and `iter_items`; see `batch_runner.api.jobs`.
Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from batch_runner.api.jobs import (
        Item,
        iter_items,
        load_service,
        load_settings,
        plan_job,
        run_job,
    )
    from batch_runner.api.steps import load_manifest
    from batch_runner.engine.events import (
        ItemDone,
        ItemDownloadPending,
        ItemEvent,
        ItemFailed,
        ItemHeld,
        ItemProblem,
        ItemRejected,
        ItemSubmitted,
        Progress,
        RunEvent,
        RunFinished,
        RunStarted,
    )
    from batch_runner.engine.summary import ExitCode, RunSummary, StopReason
    from batch_runner.errors import (
        BatchRunnerError,
        FolderRefused,
        JobLocked,
        JournalConflict,
        JournalError,
        JournalUnreadable,
        JournalVersionMismatch,
        ManifestError,
        Problem,
        UsageError,
    )
    from batch_runner.lifecycle import ItemStatus
    from batch_runner.manifest.manifest import Manifest
    from batch_runner.models import ItemSpec
    from batch_runner.planning.blockers import Blocker
    from batch_runner.planning.estimate import Estimate
    from batch_runner.planning.plan import Plan
    from batch_runner.planning.selection import Selection
    from batch_runner.settings import Service, Settings

__all__ = [
    "BatchRunnerError",
    "Blocker",
    "Estimate",
    "ExitCode",
    "FolderRefused",
    "Item",
    "ItemDone",
    "ItemDownloadPending",
    "ItemEvent",
    "ItemFailed",
    "ItemHeld",
    "ItemProblem",
    "ItemRejected",
    "ItemSpec",
    "ItemStatus",
    "ItemSubmitted",
    "JobLocked",
    "JournalConflict",
    "JournalError",
    "JournalUnreadable",
    "JournalVersionMismatch",
    "Manifest",
    "ManifestError",
    "Plan",
    "Problem",
    "Progress",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "RunSummary",
    "Selection",
    "Service",
    "Settings",
    "StopReason",
    "UsageError",
    "iter_items",
    "load_manifest",
    "load_service",
    "load_settings",
    "plan_job",
    "run_job",
]

#: Where the names are, as above.
_MODULES = {
    "api.jobs": ("Item", "iter_items", "load_service", "load_settings", "plan_job", "run_job"),
    "api.steps": ("load_manifest",),
    "engine.events": (
        *("ItemDone", "ItemDownloadPending", "ItemEvent", "ItemFailed", "ItemHeld", "ItemProblem"),
        *("ItemRejected", "ItemSubmitted", "Progress", "RunEvent", "RunFinished", "RunStarted"),
    ),
    "engine.summary": ("ExitCode", "RunSummary", "StopReason"),
    "errors": (
        *("BatchRunnerError", "FolderRefused", "JobLocked", "JournalConflict", "JournalError"),
        *("JournalUnreadable", "JournalVersionMismatch", "ManifestError", "Problem", "UsageError"),
    ),
    "lifecycle": ("ItemStatus",),
    "manifest.manifest": ("Manifest",),
    "models": ("ItemSpec",),
    "planning.blockers": ("Blocker",),
    "planning.estimate": ("Estimate",),
    "planning.plan": ("Plan",),
    "planning.selection": ("Selection",),
    "settings": ("Service", "Settings"),
}


def __getattr__(name: str) -> object:
    """Import an exported name when it is first used (PEP 562).

    Raises:
        ImportError: the package does not run on this operating system.
    """
    from batch_runner.util.system import unsupported_system

    for module, names in _MODULES.items():
        if name in names:
            if (problem := unsupported_system()) is not None:
                raise ImportError(problem)
            found: object = getattr(import_module(f"batch_runner.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
