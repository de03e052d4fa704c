"""Long sweeps: some cases run by default, the others with `make soak`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_of(cases: Iterable[Any], *, each: int) -> list[Any]:
    """Return the cases of a `parametrize`; all but the first of every `each` are marked `soak`."""
    found = []
    for number, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        marks = [pytest.mark.soak] if number % each else []
        found.append(pytest.param(*values, marks=marks))
    return found
