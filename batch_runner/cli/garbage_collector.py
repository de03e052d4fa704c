"""The garbage collector of the process, which is not for a library to configure."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Thresholds during a run. With Python's own of 700 objects it took a tenth of the processor time
#: of a long run and found next to nothing.
RUN_THRESHOLDS = (20_000, 20, 20)


def collect_rarely() -> None:
    """Collect less often from now on, and never what has been imported."""
    gc.freeze()
    gc.set_threshold(*RUN_THRESHOLDS)


@contextmanager
def collection_disabled() -> Iterator[None]:
    """Disable the collector: rows of a report have no cycles, and it took a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
