"""The environment variables that begin with BATCH_RUNNER_; unknown ones are errors.

Otherwise a misspelt or renamed variable would be ignored silently, and with it, for example, the
spending cap of a cron job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from batch_runner.errors import UsageError
from batch_runner.journal.cluster_dsn import FILE_VARIABLE, VARIABLE
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest.diagnostics import closest, excerpt
from batch_runner.manifest.renamed import RENAMED_SETTINGS
from batch_runner.util.locale import tr

PREFIX = "BATCH_RUNNER_"
OUTPUT_VARIABLE = PREFIX + "OUTPUT"

#: The settings that have a flag and an environment variable, by block.
LIMITS = ("rate", "in_flight", "poll_rate", "max_submissions", "max_cost", "run_for", "until")
NETWORK = ("proxy", "trust_env")
#: "" stands for the top level.
BLOCKS = {
    **dict.fromkeys(("reuse", "keep_awake"), ""),
    **dict.fromkeys(LIMITS, "limits"),
    **dict.fromkeys(NETWORK, "network"),
}

#: Set for the command of `on_finish`, which may itself be batch-runner.
ON_FINISH_VARIABLES = frozenset(
    PREFIX + name
    for name in (
        *("SUMMARY", "EXIT_CODE", "REPORT", "FOLDER", "REHEARSAL"),
        *(status.name for status in ItemStatus),
    )
)
#: Set by Kubernetes in the containers of a namespace with a service named batch-runner.
_KUBERNETES = re.compile(PREFIX + r"(SERVICE_HOST|SERVICE_PORT\w*|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")


def limit_variable(name: str) -> str:
    """Return the variable that sets `limits.name`, `network.name` or `name`."""
    return PREFIX + name.upper()


CAP_VARIABLES = (limit_variable("max_submissions"), limit_variable("max_cost"))
PROXY_VARIABLE = limit_variable("proxy")

#: Where the database of a cluster is; not settings of a job, and one of them is a secret.
CLUSTER_VARIABLES = (VARIABLE, FILE_VARIABLE)

#: The settings that a user may set.
VARIABLES = (*map(limit_variable, BLOCKS), OUTPUT_VARIABLE)

_RENAMED = {
    limit_variable(old.removeprefix("limits.")): limit_variable(new.removeprefix("limits."))
    for old, new in RENAMED_SETTINGS.items()
    if old.startswith("limits.") and new.removeprefix("limits.") in LIMITS
}


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuse unknown variables that begin with BATCH_RUNNER_, and a spending cap without a value.

    Raises:
        UsageError: there are some; it names each.
    """
    for variable in CAP_VARIABLES:
        if not environment.get(variable, "set").strip():
            message = tr("{variable} is empty; give a value, or unset it", variable=variable)
            raise UsageError(message)
    if unknown := sorted(environment.keys() - known_variables(environment)):
        raise UsageError("\n".join(f"{excerpt(name)} {_hint(name)}" for name in unknown))


def known_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without the unknown ones that begin with BATCH_RUNNER_."""
    known = {*VARIABLES, *CLUSTER_VARIABLES, *ON_FINISH_VARIABLES}
    return {
        name: text
        for name, text in environment.items()
        if not name.startswith(PREFIX) or name in known or _KUBERNETES.fullmatch(name)
    }


def _hint(name: str) -> str:
    if name in _RENAMED:
        return tr("was renamed to {renamed}", renamed=_RENAMED[name])
    names = (*VARIABLES, *CLUSTER_VARIABLES)
    known = {variable.removeprefix(PREFIX): variable for variable in names}
    found = closest(name.removeprefix(PREFIX), known)  # the common prefix would make all similar
    if found:
        return tr("is not a setting; did you mean {known}?", known=known[found])
    return tr("is not a setting; the variables are {variables}", variables=", ".join(names))
