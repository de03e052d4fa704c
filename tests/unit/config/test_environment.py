"""Which variables that begin with BATCH_RUNNER_ are known, and what is said of the others."""

from __future__ import annotations

import pytest

from batch_runner.config.environment import CLUSTER_VARIABLES, VARIABLES, check_environment
from batch_runner.errors import UsageError


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BATCH_RUNNER_TASKS", "was renamed to BATCH_RUNNER_MAX_SUBMISSIONS"),
        ("BATCH_RUNNER_PACE", "was renamed to BATCH_RUNNER_RATE"),
        ("BATCH_RUNNER_POLLS", "was renamed to BATCH_RUNNER_POLL_RATE"),
        ("BATCH_RUNNER_MAX_SUBMISSION", "did you mean BATCH_RUNNER_MAX_SUBMISSIONS?"),
        ("BATCH_RUNNER_max_submissions", "did you mean BATCH_RUNNER_MAX_SUBMISSIONS?"),
        ("BATCH_RUNNER_INFLIGHT", "did you mean BATCH_RUNNER_IN_FLIGHT?"),
        ("BATCH_RUNNER_CLUSTERS", "did you mean BATCH_RUNNER_CLUSTER?"),
        ("BATCH_RUNNER_COLOUR", f"the variables are {', '.join((*VARIABLES, *CLUSTER_VARIABLES))}"),
        ("BATCH_RUNNER_", "the variables are"),
    ],
)
@pytest.mark.parametrize("value", ["300", ""])
def test_unknown_variable_is_refused_with_a_hint(name: str, value: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_environment({name: value})

    assert str(caught.value).startswith(f"{name} ")
    assert hint in str(caught.value)


def test_every_unknown_variable_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        check_environment(
            {"BATCH_RUNNER_TASKS": "1", "BATCH_RUNNER_RATE": "1", "BATCH_RUNNER_X": ""}
        )

    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "BATCH_RUNNER_TASKS",
        "BATCH_RUNNER_X",
    ]


def test_control_characters_in_a_name_are_not_printed() -> None:
    with pytest.raises(UsageError) as caught:
        check_environment({"BATCH_RUNNER_\x1b[2J": "1"})

    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("value", ["", " "])
def test_empty_spending_cap_is_refused(value: str) -> None:
    """`BATCH_RUNNER_MAX_SUBMISSIONS=$CAP` without CAP must not become a run without a cap."""
    with pytest.raises(UsageError, match="BATCH_RUNNER_MAX_SUBMISSIONS is empty"):
        check_environment({"BATCH_RUNNER_MAX_SUBMISSIONS": value})


@pytest.mark.parametrize("name", VARIABLES)
def test_known_variable_is_accepted(name: str) -> None:
    check_environment({name: "anything"})


@pytest.mark.parametrize(
    "name",
    [
        *("BATCH_RUNNER_SERVICE_HOST", "BATCH_RUNNER_SERVICE_PORT", "BATCH_RUNNER_PORT"),
        *("BATCH_RUNNER_SERVICE_PORT_HTTP", "BATCH_RUNNER_PORT_8765_TCP"),
        "BATCH_RUNNER_PORT_8765_TCP_ADDR",
    ],
)
def test_variable_that_kubernetes_sets_is_accepted(name: str) -> None:
    check_environment({name: "10.0.0.1"})


def test_variables_of_other_programs_are_ignored() -> None:
    check_environment({"PATH": "/bin", "MY_BATCH_RUNNER_TASKS": "1", "_BATCH_RUNNER_COMPLETE": "x"})


def test_variables_of_the_cluster_are_known() -> None:
    check_environment({"BATCH_RUNNER_CLUSTER": "x", "BATCH_RUNNER_CLUSTER_FILE": "y"})
