"""Times that a person compares with another clock have a day and a zone."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Command, Service

pytestmark = pytest.mark.slow


def test_plan_says_on_which_day_until_is(command: Command) -> None:
    out = command("plan", "--until", "01:00").stdout

    assert re.search(r"the run stops at \d{4}-\d\d-\d\d 01:00, in ", out), out


def test_resolve_says_the_zone_of_its_times(command: Command, service: Service) -> None:
    service.set_faults("lose_answer:submit:times=1")
    command.environment["TZ"] = "Asia/Shanghai"
    command("run")

    out = command("resolve").stdout

    assert re.search(r"sent \S+ \S+ to \S+ \S+ \(UTC\+0800\)", out), out
