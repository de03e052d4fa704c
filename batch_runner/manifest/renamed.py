"""Old names of settings and values, for hints in errors."""

from __future__ import annotations

#: Old name of a setting → its new name, both as "block.name", for hints in errors.
RENAMED_SETTINGS: dict[str, str] = {
    "limits.pace": "limits.rate",
    "limits.polls": "limits.poll_rate",
    "limits.tasks": "limits.max_submissions",
    "timeouts.create": "timeouts.submit",
    "timeouts.uploaded": "uploads.reuse_for",
    "polling.pollers": "polling.concurrency",
    "polling.cost": "polling.request_cost",
    "retries.tries": "retries.max_tries",
    "retries.unsent_statuses": "retries.not_accepted_statuses",
    "fetching.fetchers": "downloads.concurrency",
    "fetching.creators": "limits.concurrent_submissions",
    "fetching.max_bytes": "downloads.max_bytes",
    "fetching.free_bytes": "downloads.free_bytes",
}

#: Setting and its old value → its new value, for hints in errors.
RENAMED_VALUES = {("on_finish.when", "trouble"): "problems"}
